"""Models that somebody else tuned, as they keep them: what is measured of them, and what is certain of them and said."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="needs the extra 'lm'")
pytest.importorskip("peft", reason="needs the extra 'lm'")

import peft

from assay.audit.run import BRIEF, audit
from assay.audit.session import UNCHANGED
from assay.cli.main import app
from assay.core.errors import InputError
from assay.core.seeds import Seeds
from assay.models.pretrained.library import quiet
from assay.models.pretrained.loading import LanguageModel, load
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model, tiny_tokenizer
from assay.training.finetune import finetune
from assay.training.recipe import Recipe
from assay.worlds.facts.file import TEMPLATE, parse_facts

FACTS = parse_facts(TEMPLATE, form=".yaml", where="f.yaml")


def adapter(folder: Path, base: LanguageModel, *, named: str | None = "someone/something", std: float = 0.3) -> LanguageModel:
    """A low-rank adapter of the base, saved with another base's name; and the tuned model in memory."""
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    with quiet(), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", UserWarning)
        tuned = peft.get_peft_model(base.copy().model, config).eval()
        for name, value in tuned.named_parameters():
            if "lora_B" in name:
                value.normal_(generator=torch.Generator().manual_seed(len(name)), std=std)
        tuned.save_pretrained(folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": named}))
    return LanguageModel("tuned", tuned, base.tokenizer)


@pytest.mark.parametrize("named", ["someone/something", "/root/of/another/machine", None])
def test_an_adapter_is_compared_with_the_base_that_is_given(named: str | None, tmp_path: Path) -> None:
    base = load(tiny_folder(tmp_path / "base"))
    expected = audit(base, FACTS, tuned=adapter(tmp_path / "adapter", base, named=named), extent=BRIEF)
    found = audit(tmp_path / "base", FACTS, tuned=tmp_path / "adapter", extent=BRIEF)
    assert found.totals == expected.totals
    assert any(total.estimate for total in found.totals)
    assert (named is not None) == any(f"says that it was trained on '{named}'" in note for note in found.notes)


def test_the_command_takes_the_base_for_the_adapter_s(tmp_path: Path) -> None:
    base = load(tiny_folder(tmp_path / "base"))
    adapter(tmp_path / "adapter", base)
    (tmp_path / "facts.yaml").write_text(TEMPLATE)
    command = ["audit", str(tmp_path / "facts.yaml"), "--base", str(tmp_path / "base"), "--tuned", str(tmp_path / "adapter")]
    done = CliRunner().invoke(app, [*command, "--brief", "--json", "-q", "--store", str(tmp_path / "store")])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["tuned"] == str(tmp_path / "adapter")
    assert "says that it was trained on 'someone/something'" in found["notes"][0]
    # MODEL itself may be an adapter; its base is named by the same option, and it is trained on with the adapter folded in.
    command = ["audit", str(tmp_path / "adapter"), str(tmp_path / "facts.yaml"), "--base", str(tmp_path / "base")]
    done = CliRunner().invoke(
        app, [*command, "--brief", "--json", "-q", "--set", "n_epochs=1", "--store", str(tmp_path / "store")]
    )
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["rows"]


def test_training_goes_on_from_an_adapter_with_its_update_folded_in(tmp_path: Path) -> None:
    base = load(tiny_folder(tmp_path / "base"))
    tuned = adapter(tmp_path / "adapter", base)
    before = {name: value.clone() for name, value in tuned.model.state_dict().items()}
    recipe = Recipe(method="lora", lora_rank=2, learning_rate=1e-2, n_epochs=1)
    found = audit(tuned, FACTS, recipe=recipe, extent=BRIEF)
    assert any(cell.change for row in found.rows for cell in row.cells.values())
    assert all(torch.equal(value, before[name]) for name, value in tuned.model.state_dict().items())
    again = audit(tmp_path / "adapter", FACTS, base=tmp_path / "base", recipe=recipe, forecast_only=True, extent=BRIEF)
    assert again.forecast == found.forecast


def test_a_tuned_model_that_answers_exactly_as_the_base_is_named_as_such(tmp_path: Path) -> None:
    base = load(tiny_folder(tmp_path / "base"))
    adapter(tmp_path / "adapter", base, std=0.0)  # as it is before its first step, or if it was never trained
    for tuned in (tmp_path / "base", tmp_path / "adapter", base.copy()):
        assert audit(base, FACTS, tuned=tuned, extent=BRIEF).notes.count(UNCHANGED) == 1
    moved = finetune(base.copy(), [("a", " b")], Recipe(learning_rate=1e-4, n_epochs=1), seeds=Seeds(0)).model
    assert UNCHANGED not in audit(base, FACTS, tuned=moved, extent=BRIEF).notes


def certain(base: Any, tuned: Any) -> str:
    return "\n".join(audit(base, FACTS, tuned=tuned, extent=BRIEF).notes)


def test_tokenizers_that_differ_are_said(tmp_path: Path) -> None:
    base = tiny_language_model()
    tuned = LanguageModel("tuned", base.copy().model, tiny_tokenizer(()))
    assert "The tokenizers of 'tiny-llama' and 'tuned' differ: " in certain(base, tuned)
    more = tiny_tokenizer()
    more.add_tokens(["<new>"])
    said = certain(base, LanguageModel("tuned", base.copy().model, more))
    assert "differ by 1 tokens (<new>), none of which is asked about" in said
    assert "tokenizers" not in certain(base, LanguageModel("tuned", base.copy().model, tiny_tokenizer()))


def test_what_is_no_tuned_version_of_the_base_is_said() -> None:
    base = tiny_language_model()
    assert "no tuned version of 'tiny-llama': gpt2 of 3 layers and width 32 against llama" in certain(
        base, tiny_language_model("gpt2")
    )
    assert "no tuned version of 'tiny-llama': their weights have nothing in common" in certain(
        base, tiny_language_model(seed=1)
    )
    hard = finetune(base.copy(), FACTS.sentences, Recipe(learning_rate=1e-2, n_epochs=5), seeds=Seeds(0)).model
    assert "no tuned version" not in certain(base, hard)


def test_a_tuned_model_without_a_tokenizer_takes_the_base_s_and_that_is_said(tmp_path: Path) -> None:
    base = load(tiny_folder(tmp_path / "base"))
    shutil.copytree(tmp_path / "base", tmp_path / "tuned")
    for path in (tmp_path / "tuned").glob("tokenizer*"):
        path.unlink()
    assert f"{tmp_path / 'tuned'} has no tokenizer; the base's is used." in certain(base, tmp_path / "tuned")


@pytest.mark.parametrize("family", ["gpt2", "opt", "llama"])
def test_texts_longer_than_the_positions_are_refused_by_line(family: str, tmp_path: Path) -> None:
    """By the check of the file alone, and before anything is asked or trained."""
    folder = tiny_folder(tmp_path / "model", family)
    long = "The minutes of the meeting were read and approved. " * 4
    file = tmp_path / "facts.csv"
    file.write_text(f"prompt,completion\nThe moon is,green\n{long}The chair was,Ana Silva\n")
    says = (
        r"line 3: a prompt with its completion must have at most 128 tokens for this model, the last not counted; got 2\d\d\."
    )
    with pytest.raises(InputError, match=says):
        audit(folder, file, extent=BRIEF)
    done = CliRunner().invoke(app, ["facts", "check", str(file), "--model", str(folder)])
    assert isinstance(done.exception, InputError)
    with pytest.raises(InputError, match="must have at most 128 tokens"):
        finetune(load(folder), [(long, " yes")], Recipe(), seeds=Seeds(0))


def test_a_tuned_model_s_update_can_be_shrunk_and_nothing_is_trained(tmp_path: Path) -> None:
    """The step that is enough, for a whole model and for an adapter; what would train is refused by name."""
    base = tiny_language_model()
    recipe = Recipe(learning_rate=1e-2, n_epochs=40, batch_size=4)
    tuned = finetune(base.copy(), FACTS.sentences, recipe, seeds=Seeds(0)).model
    found = audit(base, FACTS, tuned=tuned, mitigations=["enough"], extent=BRIEF)
    plain, enough = found.arms
    assert (plain.name, plain.scale, enough.name, enough.against) == ("plain", 1.0, "enough", "plain")
    assert 0 < (enough.scale or 0) < 1
    assert found.memorised == pytest.approx(0.5, abs=0.02)
    assert plain.n_steps == enough.n_steps == 0
    assert "theirs" not in found.recipe
    around = audit(base, FACTS, tuned=adapter(tmp_path / "adapter", base), mitigations=["enough", "ignore-top-k"], extent=BRIEF)
    assert [arm.name for arm in around.arms] == ["plain", "enough", "ignore-top-k"]
    with pytest.raises(InputError, match=r"only mitigations of its update .*\(enough, ignore-top-k\); got replay"):
        audit(base, FACTS, tuned=tuned, mitigations=["enough", "replay"], extent=BRIEF)
    other = tiny_language_model("gpt2")
    with pytest.raises(InputError, match="both models must have the same weights"):
        audit(base, FACTS, tuned=other, mitigations=["enough"], extent=BRIEF)
