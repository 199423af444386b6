"""Audits are kept: the same one is read and not made again, and its page can be written at any time."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit import kept, run
from assay.audit.kept import KeptAudits
from assay.audit.run import BRIEF, audit
from assay.cli.main import app
from assay.core.errors import InputError
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model
from assay.training.recipe import Recipe
from assay.worlds.facts.file import TEMPLATE, parse_facts

FACTS = parse_facts(TEMPLATE, form=".yaml", where="f.yaml")
RECIPE = Recipe(learning_rate=3e-3, n_epochs=1, batch_size=4)


def asked(store: KeptAudits, **given: Any) -> Any:
    own: dict[str, Any] = {"recipe": RECIPE, "extent": BRIEF, "kept": store}
    return audit(tiny_language_model(), FACTS, **(own | given))


def test_the_same_audit_is_read_whole_and_another_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KeptAudits(tmp_path)
    first = asked(store, mitigations=["replay"])
    assert (first.digest, first.made) != ("", "")
    with monkeypatch.context() as patched:
        patched.setattr(run, "inject", lambda *_, **__: pytest.fail("it was trained again"))
        assert asked(store, mitigations=["replay"]) == first
    others: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"recipe": replace(RECIPE, n_epochs=2)},
        {"forecast_only": True},
        {"tuned": tiny_language_model(seed=1)},
    ]
    made = [asked(store, **other) for other in others]
    assert len({first.digest, *(one.digest for one in made)}) == 6
    assert [one.digest for one in store.listed()] == [
        one.digest for one in sorted([first, *made], key=lambda one: (one.made, one.digest), reverse=True)
    ]
    monkeypatch.setattr(kept, "_code", lambda: "another version")
    assert asked(store).digest not in {one.digest for one in made}


def test_it_is_made_anew_if_asked_to_be_or_if_the_tuned_model_is_wanted(tmp_path: Path) -> None:
    store = KeptAudits(tmp_path / "store")
    first = asked(store)
    assert asked(store, anew=True).totals == first.totals
    asked(store, keep=tmp_path / "tuned")
    assert (tmp_path / "tuned" / "model.safetensors").is_file()
    assert asked(KeptAudits(tmp_path / "elsewhere")).digest == first.digest


def test_what_is_torn_is_made_again_and_said(tmp_path: Path) -> None:
    store = KeptAudits(tmp_path)
    first = asked(store, forecast_only=True)
    (path,) = tmp_path.glob("*.json.gz")
    path.write_bytes(path.read_bytes()[:-20])
    assert store.listed() == []
    with pytest.raises(InputError, match="is torn or of another version"):
        store.find(first.digest[:6])
    assert asked(store, forecast_only=True).forecast == first.forecast
    assert store.find(first.digest[:6]).digest == first.digest
    with pytest.raises(InputError, match=r"got 'zzz', and none of the 1 does\. Run: assay report --audit list"):
        store.find("zzz")


def test_numbers_that_do_not_exist_survive(tmp_path: Path) -> None:
    store = KeptAudits(tmp_path)
    found = replace(asked(store, forecast_only=True), known=(float("inf"), 0.5))
    store.put(found, "a" * 16)
    read = store.get("a" * 16)
    assert read is not None
    assert read.known == found.known


def test_commands_keep_list_and_show_an_audit(tmp_path: Path) -> None:
    folder, store = tiny_folder(tmp_path / "model"), str(tmp_path / "store")
    (tmp_path / "facts.yaml").write_text(TEMPLATE)
    command = ["audit", str(folder), str(tmp_path / "facts.yaml"), "--brief", "-q", "--json", "--store", store]
    first = CliRunner().invoke(app, [*command, "--set", "n_epochs=1"])
    assert first.exit_code == 0, first.stderr
    found = json.loads(first.stdout)
    assert f"kept as {found['digest']}; 'assay report --audit {found['digest']}'" in first.stderr
    again = CliRunner().invoke(app, [*command, "--set", "n_epochs=1", "--out", str(tmp_path / "page")])
    assert json.loads(again.stdout) == found
    assert (tmp_path / "page" / "index.html").is_file()
    listed = CliRunner().invoke(app, ["report", "--audit", "list", "--format", "json", "--store", store])
    (line,) = json.loads(listed.stdout)
    assert (line["digest"], line["facts"], line["injected"]) == (found["digest"], found["facts_name"], "full")
    options = ["--out", str(tmp_path / "reports"), "--store", store]
    shown = CliRunner().invoke(app, ["report", "--audit", found["digest"][:5], *options])
    assert Path(shown.stdout.strip()) == (tmp_path / "reports" / f"audit-{found['digest']}" / "index.html").resolve()
    for name in ("index.html", "facts.csv", "questions.csv", "totals.csv"):
        one, other = ((place / name).read_text() for place in (tmp_path / "page", Path(shown.stdout.strip()).parent))
        assert name == "index.html" or one == other
    wrong = CliRunner().invoke(app, ["report", "two-hop-reasoning", "--audit", "list", *options])
    assert "name a study or an audit" in str(wrong.exception)
