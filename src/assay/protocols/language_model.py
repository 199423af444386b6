"""What an experiment does with a pretrained language model: ask it, fine-tune a copy on sentences, ask that.

    base = load_base(settings.model)
    before = ask(base, questions)
    tuned = tune(base, sentences, settings.recipe(), seeds.child("taught"), "taught")
    after = ask(tuned, questions)
    after.where(kind="reverse").mean("right")

A `Subject` is a model by its history: where it came from, and what it was tuned on since. Its weights are made when something
is asked that was not asked before; answers are kept with the store's memoised steps under the model's fingerprint, its history
and the questions, so a run that was killed goes on with the tuning in which it was, and trains nothing again. Progress is said
from inside. Random models made in memory (`tiny`) have no fingerprint, and nothing of them is kept.

This module loads torch only when something is computed, so a study may import it at its head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, doc

from assay.core.progress import part, progress
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.models.pretrained.named import base_model, find_model, folder_of
from assay.store.memo import memoised_json
from assay.training.recipe import Recipe
from assay.worlds.facts.questions import Answers, Question

if TYPE_CHECKING:
    from assay.models.pretrained.loading import LanguageModel

__all__ = [
    "NEEDS",
    "ModelSettings",
    "Precision",
    "Settings",
    "Subject",
    "ask",
    "find_model",
    "load_base",
    "precision_of",
    "tune",
]

NEEDS: Mapping[str, str] = {"transformers": "lm", "safetensors": "lm", "tokenizers": "lm"}
"""What an experiment on a pretrained model declares as its `needs`; with low-rank updates also `{"peft": "lm"}`."""
Precision = Literal["auto", "float32", "bfloat16"]
Sentence = tuple[str, str]
ASKING = 0.1  # of the time of a tuning with the questions behind it


@dataclass(frozen=True)
class ModelSettings:
    """Which model is asked. For experiments that train it in ways of their own, or not at all."""

    model: Annotated[str, doc("a name of 'assay models list', a folder, or 'tiny': a random one made in memory")] = (
        "smollm2-135m"
    )


@dataclass(frozen=True)
class Settings(ModelSettings):
    """Which model is asked, and how a copy of it is trained. Experiments inherit this and add their own."""

    learning_rate: Annotated[float, Gt(0), doc("of AdamW, constant")] = 1e-4
    n_epochs: Annotated[int, Ge(1), doc("passes over the sentences")] = 8
    batch_size: Annotated[int, Ge(1), doc("sentences a step")] = 20
    precision: Annotated[
        Precision,
        doc("of the arithmetic of training and answers; auto: bfloat16 where the processor multiplies it, else float32"),
    ] = "float32"

    def recipe(self, **changes: Any) -> Recipe:
        """How a copy is trained; `changes` are further fields of a recipe, or other values of these."""
        own = {name: getattr(self, name) for name in ("learning_rate", "n_epochs", "batch_size")}
        return Recipe(**{**own, "precision": precision_of(self.precision), **changes})


@dataclass(eq=False)
class Subject:
    """A language model by its history; its weights are made when they are needed.

    Attributes:
        name: what it is called in progress.
        base: the model as it was loaded; None until it is needed.
        parent: what it was tuned from; None for a base model.
        sentences, recipe, seeds: how it was tuned.
        watch: what is asked while it is tuned, before the first step, at every `watch_every`th and at the end.
    """

    name: str
    base: "LanguageModel | None" = None
    parent: "Subject | None" = None
    sentences: Sequence[Sentence] = ()
    recipe: Recipe | None = None
    seeds: Seeds = field(default_factory=lambda: Seeds(0))
    watch: Sequence[Question] = ()
    watch_every: int | None = None
    _watched: list[tuple[int, list[list[float]]]] | None = None

    @property
    def model(self) -> "LanguageModel":
        """The model itself, trained now if it has not been in this process."""
        if self.base is None:
            if self.parent is None:
                self.base = base_model(self.name)
            else:
                self.base, self._watched = _train(self)
        return self.base

    @property
    def key(self) -> Mapping[str, object] | None:
        """What its answers depend on, as JSON values; None for a model made in memory, of which nothing is kept."""
        if self.parent is None:
            return _base_key(self)
        before = self.parent.key
        if before is None:
            return None
        tuned = {
            "sentences": digest([list(pair) for pair in self.sentences]),
            "recipe": self.recipe,
            "seeds": [self.seeds.root, list(self.seeds.path)],
        }
        history = before["history"]
        assert isinstance(history, list)
        return {**before, "history": [*history, tuned]}

    @property
    def watched(self) -> list[tuple[int, Answers]]:
        """The steps at which `watch` was asked while it was tuned, and the answers."""
        if not self.watch:
            return []
        key = self.key
        if key is None:
            rows = _watched(self)
        else:
            whole = {**key, "questions": digest(list(self.watch)), "every": self.watch_every}
            rows = memoised_json("language-model-watched", whole, partial(_watched, self))
        return [(int(step), Answers.of(self.watch, found)) for step, found in rows]


def load_base(name: str) -> Subject:
    """The pretrained model of that name, on this machine; `tiny` for a random one made in memory.

    Raises:
        InputError: it is not there.
    """
    folder_of(name)
    return Subject(name)


def tune(
    base: Subject,
    sentences: Sequence[Sentence],
    recipe: Recipe,
    seeds: Seeds,
    name: str,
    *,
    watch: Sequence[Question] = (),
    watch_every: int | None = None,
) -> Subject:
    """A copy of the model trained on (prompt, completion) sentences. Nothing is computed before it is asked.

    Args:
        base: what is copied; it stays as it is.
        sentences: completions follow their prompts character by character.
        recipe: how it is trained.
        seeds: order of sentences, dropout and the beginning of an adapter.
        name: what it is called in progress.
        watch: asked while it is trained, see `Subject.watched`.
        watch_every: steps between two such askings; None for once an epoch.
    """
    return Subject(
        name, parent=base, sentences=sentences, recipe=recipe, seeds=seeds, watch=tuple(watch), watch_every=watch_every
    )


def ask(
    model: "Subject | LanguageModel", questions: Sequence[Question], *, precision: Precision = "float32", budget: int = 256
) -> Answers:
    """What the model answers: the log-probability of every candidate of every question.

    Answers of a `Subject` are kept; those of a loaded model are computed anew, as its weights may have changed.

    Args:
        model: what is asked.
        questions: in any order; prompts that begin alike share their beginning.
        precision: of the arithmetic.
        budget: tokens computed at a time; less takes less memory.

    Raises:
        InputError: candidates are equal, or one is the beginning of another; a text does not survive the tokenizer.
        Diverged: the tuning left the finite numbers.
        WorkError: logits are not finite, or memory ran out.
    """
    if not questions:
        return Answers((), ())
    if not isinstance(model, Subject):
        return Answers.of(questions, _answers(model, questions, precision, budget))
    key = model.key
    if key is None:
        return Answers.of(questions, _answers(model, questions, precision, budget))
    progress(0.0, f"{model.name}, looked up")
    whole = {**key, "questions": digest(list(questions)), "precision": precision_of(precision)}
    return Answers.of(
        questions, memoised_json("language-model-answers", whole, partial(_answers, model, questions, precision, budget))
    )


def precision_of(precision: Precision) -> Literal["float32", "bfloat16"]:
    """The precision that is meant by "auto" on the device that models are loaded on."""
    if precision != "auto":
        return precision
    from assay.models.device import chosen_device
    from assay.models.pretrained.loading import multiplies_bfloat16

    return "bfloat16" if multiplies_bfloat16(chosen_device()) else "float32"


def _base_key(subject: Subject) -> Mapping[str, object] | None:
    folder = folder_of(subject.name) if subject.base is None else subject.base.folder
    if folder is None:
        return None
    from assay.models.device import chosen_device
    from assay.models.pretrained.cache import fingerprint

    device = chosen_device() if subject.base is None else subject.base.device
    return {"model": fingerprint(folder), "device": device.type, "history": []}


def _answers(
    model: "Subject | LanguageModel", questions: Sequence[Question], precision: Precision, budget: int
) -> list[list[float]]:
    """The log-probabilities of all candidates, as JSON values."""
    import torch

    from assay.instruments.scoring import check_questions, counted_once
    from assay.protocols.log_probs import log_probs
    from assay.worlds.facts.questions import pairs_of

    if isinstance(model, Subject):
        if model.base is None:
            with part(0.0, 1.0 - ASKING):
                model.model  # noqa: B018 - trained here, in the part of the progress that it takes
        with part(1.0 - ASKING, 1.0, model.name):
            return _answers(model.model, questions, precision, budget)
    pairs = sorted(pairs_of(questions))  # texts that begin alike stand together and share their beginning
    tokens = check_questions(model.tokenizer, questions, pairs)
    questions = [counted_once(question, tokens) for question in questions]
    with torch.autocast(model.device.type, torch.bfloat16, enabled=precision_of(precision) == "bfloat16"):
        values = log_probs(model, [tokens[pair] for pair in pairs], budget=budget)
    found = Answers.from_pairs(questions, dict(zip(pairs, values, strict=True)))
    return [row.tolist() for row in found.log_probs]


def _train(subject: Subject) -> "tuple[LanguageModel, list[tuple[int, list[list[float]]]]]":
    """The subject's weights, and what was answered on the way."""
    from assay.training.finetune import finetune

    assert subject.parent is not None
    assert subject.recipe is not None
    watched: list[tuple[int, list[list[float]]]] = []
    precision = subject.recipe.precision

    def observe(step: int, model: "LanguageModel") -> Mapping[str, float]:
        watched.append((step, _answers(model, subject.watch, precision, 256)))
        return {}

    if subject.parent.base is None and subject.parent.parent is not None:
        with part(0.0, 0.5):
            parent = subject.parent.model
        start = 0.5
    else:
        parent, start = subject.parent.model, 0.0
    with part(start, 1.0, subject.name):
        tuned = finetune(
            parent.copy(),
            subject.sentences,
            subject.recipe,
            seeds=subject.seeds,
            observe=observe if subject.watch else None,
            observe_every=subject.watch_every,
        )
    return tuned.model, watched


def _watched(subject: Subject) -> list[tuple[int, list[list[float]]]]:
    """What was answered while the subject was tuned; tuned now if it was not in this process."""
    if subject._watched is None:
        subject.base = None
        subject.model  # noqa: B018 - trained here
    return subject._watched or []
