"""What an audit of preferences leaves behind: a page without script, tables, a card, and the commands that make them."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit.card import pair_card_section
from assay.audit.kept import KeptAudits
from assay.audit.pairs import Pair, Pairs
from assay.audit.preference import audit_pairs, pair_recipe
from assay.audit.preference_record import PAIR_COLUMNS, PairAudit
from assay.cli.main import main
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model
from assay.report.from_store import _audits
from assay.report.preference_page import preference_page, write_preferences

SCRIPT = "<script>alert(1)</script>"
HOSTILE = Pairs(
    "pairs|<b>",
    (
        Pair(1, "a:", f" {SCRIPT}", " no"),
        Pair(2, "=1+1:", ' =2+2|bad](x)"', " yes"),
        *(Pair(i, f"q{i}:", " go a", " is") for i in range(3, 25)),
    ),
)
RECIPE = replace(pair_recipe(), learning_rate=3e-3, n_epochs=1, batch_size=12)


@pytest.fixture(scope="module")
def hostile() -> PairAudit:
    return audit_pairs(tiny_language_model(), HOSTILE, recipe=RECIPE, mitigations=["filter-ches"])


def test_what_a_file_says_is_text_on_the_page_in_the_tables_and_on_the_card(hostile: PairAudit, tmp_path: Path) -> None:
    page = preference_page(hostile)
    for text in (page, pair_card_section(hostile)):
        assert "<script" not in text
        assert "<b>" not in text.replace("<b>1</b>", "").replace("<b>2</b>", "").replace("<b>3</b>", "").replace("<b>4</b>", "")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "default-src 'none'" in page
    for column in PAIR_COLUMNS.values():
        assert column.meaning in page
    for arm in hostile.arms:
        assert f"<strong>{arm.name}</strong>" in page
    write_preferences(hostile, tmp_path)
    for name in ("pairs.csv", "gained.csv", "totals.csv"):
        with (tmp_path / name).open() as stream:
            rows = list(csv.reader(stream))
        assert not any(cell.lstrip().startswith(("=", "@")) for row in rows for cell in row)
        assert len(rows) > 1
    record = json.loads((tmp_path / "audit.json").read_text())
    assert (record["n_pairs"], record["rows"][1]["line"], record["columns"]["margin"]["unit"]) == (24, 2, "nats")
    assert record["columns"]["margin"]["bounds"] == [None, None]


def test_the_command_audits_keeps_shows_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, store = str(tiny_folder(tmp_path / "model")), str(tmp_path / "store")
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"q{i}:", "chosen": " yes", "rejected": " no"}) + "\n" for i in range(4)))

    def run(*arguments: str) -> tuple[int, str, str]:
        code = 0
        try:
            main(["audit", *arguments, "--store", store, "-q"])
        except SystemExit as left:
            code = int(left.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    code, out, _ = run(model, "--preferences", str(file), "--forecast-only", "--json")
    assert code == 0
    found = json.loads(out)
    assert [len(found["rows"]), found["totals"], found["recipe"]["loss"]] == [4, [], "dpo"]
    changed = ("--method", "ipo", "--beta", "0.2", "--set", "n_epochs=1", "--limit", "3")
    written = ("--out", str(tmp_path / "page"), "--card", str(tmp_path / "CARD.md"))
    code, out, err = run(model, "--preferences", str(file), *changed, *written)
    assert code == 0, err
    assert "chosen" in out
    assert "of 3 chosen answers are less likely than before" in err
    assert (tmp_path / "CARD.md").read_text().startswith("## What training on preferences did to this model")
    assert "of 3 prompts" in (tmp_path / "CARD.md").read_text()
    record = json.loads((tmp_path / "page" / "audit.json").read_text())
    assert (record["recipe"]["loss"], record["recipe"]["beta"], record["n_pairs"]) == ("ipo", 0.2, 3)
    assert run(model, "--preferences", str(file), "--base", model, "--tuned", model)[0] == 2  # the model is named twice
    code, out, err = run("--preferences", str(file), "--base", model, "--tuned", model, "--json")
    assert (code, json.loads(out)["tuned"]) == (0, model)
    for arguments, says in (
        ((model, "--preferences", str(file), "--brief", "--then", "3"), "--brief, --then go with facts"),
        ((model, str(file), "--method", "dpo"), "--method goes with preferences"),
        ((model, str(file), "--preferences", str(file)), "with --preferences name MODEL alone; got 2 names"),
        ((model, str(file), "--emulate", "a"), "--emulate must be TUNED,REFERENCE"),
        ((), "name MODEL and FACTS; got 0 names"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, ""), arguments
        assert says in err
    kept = KeptAudits(tmp_path / "store" / "audits")
    assert sorted(one.injected for one in kept.listed()) == sorted(["forecast", "ipo", model])
    digest = record["digest"]
    with pytest.raises(SystemExit, match="0"):
        main(["report", "--audit", digest, "--out", str(tmp_path / "pages"), "--store", store])
    assert "Pair by pair" in Path(capsys.readouterr().out.strip()).read_text()
    told = [entry for entry in _audits(tmp_path / "store" / "audits", tmp_path / "pages") if entry.href]
    assert [(entry.injected, entry.told[0][0]) for entry in told] == [
        (
            "3 pairs, method ipo",
            f"{sum(row['displaced'] for row in record['rows'])} of 3 chosen answers are less likely than before.",
        )
    ]
    with pytest.raises(SystemExit) as left:
        main(["compare", digest, digest, "--store", store])
    assert left.value.code == 3
    assert "is of preferences and asks none" in capsys.readouterr().err
