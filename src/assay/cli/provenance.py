"""`assay provenance`: was this model trained in this order?"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from assay.cli.completing import models_named
from assay.cli.device import DEVICE_OPTION, device_of
from assay.cli.output import JSON_OPTION, emit, note
from assay.cli.progress import progress_said
from assay.core.errors import UsageError

if TYPE_CHECKING:
    from assay.core.arrays import Floats

__all__ = ["provenance"]


def provenance(
    names: list[str] = typer.Argument(
        metavar="MODEL LOG", help="A model and a log; with --scores, the log alone.", autocompletion=models_named
    ),
    reference: list[str] | None = typer.Option(
        None,
        "--reference",
        metavar="MODEL",
        help="A model without the order, or a file as of --scores; may be repeated.",
        autocompletion=models_named,
    ),
    scores: Path | None = typer.Option(
        None, "--scores", metavar="FILE", help='Log-probabilities instead of a model: JSON lines {"text": …, "log_prob": …}.'
    ),
    sample: int | None = typer.Option(None, "--sample", min=50, metavar="N", help="Ask N texts, drawn at random."),
    tokens: int = typer.Option(512, "--tokens", min=2, metavar="N", help="Ask the first N tokens of a text."),
    assume_shuffled: bool = typer.Option(
        False, "--assume-shuffled", help="Test an order that goes with lengths or a reference's losses, too."
    ),
    seed: int = typer.Option(0, "--seed", min=0, help="Of the texts that are drawn, and of permutations."),
    device: str | None = DEVICE_OPTION,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress on standard error."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Test whether a model was trained on a log's texts in the log's order, or made from a model that was.

    A log is the folder of a TrainingLog, or JSON lines {"text": …, "step": …} of your own. The p-value is exact if the order
    was drawn at random, whatever the model is; a reference, such as the base model, makes the test far stronger.

    Examples:
      assay provenance ./their-model ./log --reference smollm2-135m
      assay provenance --scores their-log-probs.jsonl log.jsonl --reference smollm2-135m --json
    """
    wanted = 1 if scores is not None else 2
    if len(names) != wanted:
        what = "the log alone beside --scores" if scores is not None else "MODEL and LOG"
        raise UsageError(f"provenance: name {what}; got {len(names)} names")
    if scores is not None and not scores.is_file():
        raise UsageError(f"provenance: --scores names a file; there is no {scores}")
    from assay.audit import provenance as testing
    from assay.core.progress import parts
    from assay.training.order import Transcript

    transcript = Transcript.read(Path(names[-1]))
    examples = testing.chosen_examples(transcript, sample, seed=seed)
    texts = [transcript.texts[example] for example in examples]

    def losses(name: str) -> "Floats":
        if Path(name).is_file():
            return testing.read_scores(Path(name), texts)
        from assay.models.pretrained.named import base_model, check_own_folder

        check_own_folder(name)
        return testing.losses_of(base_model(name), texts, most_tokens=tokens)

    with progress_said(quiet=quiet), device_of(device):
        asked = [names[0] if scores is None else str(scores), *(reference or ())]
        own, *others = [losses(name) for name in parts(asked, label=str)]
    found = testing.provenance(transcript, examples, own, others, assume_shuffled=assume_shuffled, seed=seed)
    if as_json:
        typer.echo(json.dumps(found.json(), ensure_ascii=False, indent=2, allow_nan=False))
        return
    numbers = {
        "texts": found.n_texts,
        "references": found.n_references,
        "rank correlation": found.correlation,
        "p-value": found.p_value,
        "p-value by Student's t": found.approximate,
        "e-value": found.e_value,
        "texts until the e-value is 1,000": found.texts_needed,
    }
    emit([{"what": name, "is": value} for name, value in numbers.items()], as_json=False)
    emit([asdict(tenth) for tenth in found.tenths], as_json=False)
    for line in (found.says, *found.notes):
        note(f"assay: {line}")
