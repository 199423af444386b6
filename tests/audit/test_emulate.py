"""A product of models audited as if it were the tuned model."""

import json
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.api.language_models import audit_model
from assay.core.errors import InputError
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model, tiny_tokenizer
from assay.worlds.facts.file import TEMPLATE, parse_facts

FACTS = parse_facts(TEMPLATE, form=".yaml", where="f.yaml")


def test_a_product_of_weight_zero_is_the_model_and_one_of_its_own_difference_is_the_tuned_model(tmp_path: Path) -> None:
    """base + 1 x (tuned - base) is tuned, whatever tuned is; base + 0 x (...) is base."""
    base, tuned = tiny_language_model(), tiny_language_model(seed=1)
    given = {"brief": True, "store": tmp_path}
    nothing = audit_model(base, FACTS, emulate=(tuned, base, 0.0), **given)
    assert max(abs(total.estimate) for total in nothing.totals) < 1e-5
    assert "0 x" in nothing.tuned
    product = audit_model(base, FACTS, emulate=(tuned, base, 1.0), **given)
    whole = audit_model(base, FACTS, tuned=tuned, **given)
    assert any("product of models" in note for note in product.notes)
    for ours, theirs in zip(product.totals, whole.totals, strict=True):
        assert (ours.column, ours.group) == (theirs.column, theirs.group)
        assert ours.estimate == pytest.approx(theirs.estimate, abs=1e-3)
    assert product.digest not in (nothing.digest, whole.digest)


def test_another_vocabulary_is_refused_with_both_sizes_and_the_first_token_that_differs(tmp_path: Path) -> None:
    base = tiny_language_model()
    other = LanguageModel("other", tiny_language_model(seed=1).model, tiny_tokenizer((("Ġ", "Q"), ("a", "r"))))
    with pytest.raises(
        InputError, match=r"share one vocabulary; .* has \d+ tokens and 300 rows, 'other' \d+ and 300, .* 'ĠP' and 'ĠQ'"
    ):
        audit_model(base, FACTS, emulate=(other, other, 1.0), store=tmp_path)
    with pytest.raises(InputError, match="audited as the tuned model; got a tuned model too"):
        audit_model(base, FACTS, emulate=(base, base, 1.0), tuned=base, store=tmp_path)


def test_folders_are_named_by_commas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from assay.cli.main import main

    folder = str(tiny_folder(tmp_path / "model"))
    (tmp_path / "f.yaml").write_text(TEMPLATE)
    asked = [
        "--emulate",
        f"{folder},{folder},0.5",
        "--brief",
        "--limit",
        "2",
        "--json",
        "-q",
        "--store",
        str(tmp_path / "store"),
    ]
    with pytest.raises(SystemExit, match="0"):
        main(["audit", folder, str(tmp_path / "f.yaml"), *asked])
    found = json.loads(capsys.readouterr().out)
    assert found["tuned"] == f"{folder} + 0.5 x ({folder} - {folder})"
    assert max(abs(total["estimate"]) for total in found["totals"]) < 1e-5
