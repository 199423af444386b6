"""The audit inside somebody else's training: a callback for the Trainer of transformers, and for trainers built on it (TRL).

    watch = KnowledgeAudit("facts.yaml", tokenizer)
    Trainer(model, ..., callbacks=[watch]).train()
    watch.record.totals, watch.trace

Questions are asked before the first step and after the last, at every evaluation, and in between if `every` says so; the model
is left in the mode it was in, and no random number is drawn. It is asked in the precision of its weights, as it will be saved,
whatever precision the Trainer computes in.

Every asking adds the totals of the columns to the Trainer's log history (`eval_audit_learned`, ...) and, at an evaluation, to
its metrics, so that `metric_for_best_model="eval_audit_learned"` works. What the model answered before the first step is kept
with the Trainer's checkpoints: a training that is resumed is audited from its start.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.audit.advice import advice
from assay.audit.forecast import FactForecast
from assay.audit.probes import Extent
from assay.audit.record import Audit, plain
from assay.audit.session import Response, Session
from assay.audit.totals import EVERYTHING
from assay.core.errors import InputError, SettingsError, WorkError
from assay.core.seeds import Seeds
from assay.models.pretrained.library import optional
from assay.models.pretrained.loading import LanguageModel
from assay.worlds.facts.file import read_facts
from assay.worlds.facts.model import Facts

__all__ = ["Callback", "KnowledgeAudit", "left_as_it_is", "log_row", "logged", "model_in"]

KEPT = "assay-audit"
Callback: Any = optional("transformers", "an audit inside a Trainer").TrainerCallback


class KnowledgeAudit(Callback):  # type: ignore[misc]
    """Audits the model that a Trainer trains.

    Attributes:
        trace: at each asking the global step and every column's total.
        record: the whole audit, once training has ended.
    """

    def __init__(
        self,
        facts: str | Path | Facts,
        tokenizer: Any,
        *,
        every: int | None = None,
        extent: Extent = Extent(),  # noqa: B008 - frozen
        seed: int = 0,
    ) -> None:
        """Watch these facts.

        Args:
            facts: a file, or facts already read.
            tokenizer: of the model that is trained.
            every: ask every so many steps as well; None asks before and after only.
            extent: how much is asked.
            seed: of which wrong answers are offered, and of bootstraps.
        """
        if every is not None and every < 1:
            raise InputError(f"KnowledgeAudit: every must be at least 1 step; got {every}. Leave it out to ask at the ends")
        self.facts = facts if isinstance(facts, Facts) else read_facts(Path(facts))
        self.tokenizer, self.every, self.extent, self.seeds = tokenizer, every, extent, Seeds(seed)
        self.trace: list[Mapping[str, float]] = []
        self._session: Session | None = None
        self._before: Response | None = None
        self._last: tuple[int, Response | None] = (-1, None)
        self._forecast: Audit | None = None
        self._record: Audit | None = None

    @property
    def record(self) -> Audit:
        """The whole audit.

        Raises:
            WorkError: training has not ended.
        """
        if self._record is None:
            raise WorkError("an audit inside a Trainer ends with its training; it has not ended. Call trainer.train() first")
        return self._record

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Ask the model before the first step; every training is an audit of its own, and a resumed one goes on with it."""
        model = model_in(given, self.tokenizer)
        self.trace, self._before, self._record, self._last = [], None, None, (-1, None)
        self._session = Session.of(model, self.facts, self.extent, self.seeds).checked()
        if state.global_step > 0 and self._take_up(state):
            return
        answers = self._ask(model, state)
        self._before = replace(answers, said=self._words(model))
        self._forecast = self._session.forecast(answers)
        if state.global_step > 0:
            note = (
                f"The training went on from step {state.global_step}, whose checkpoint keeps no answers to these questions: "
                f"the audit begins there and not at the start."
            )
            self._forecast = replace(self._forecast, notes=(note, *self._forecast.notes))
        self._keep(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Ask again, if it is time."""
        if self.every is not None and state.global_step % self.every == 0:
            self._ask(model_in(given, self.tokenizer), state)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **given: Any) -> None:
        """Ask as well when the Trainer evaluates, and add the columns to its metrics."""
        if self._session is None or self._before is None:  # not in a training
            return
        if self._last[0] != state.global_step or self._record is not None:
            self._ask(model_in(given, self.tokenizer), state)
        if isinstance(metrics, dict):
            metrics.update(logged(self.trace[-1]))
            log_row(state, self.trace[-1])

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Ask once more, unless the model is the one that was asked last, and judge."""
        step, after = self._last
        if step != state.global_step or after is None or getattr(args, "load_best_model_at_end", False):
            after = self._ask(model_in(given, self.tokenizer), state)
        after = replace(after, said=self._words(model_in(given, self.tokenizer)))
        assert self._session is not None
        assert self._forecast is not None
        assert self._before is not None
        record = self._session.recorded(self._forecast, self._before, after)
        self._record = replace(record, advice=advice(record))

    def _ask(self, model: LanguageModel, state: Any) -> Response:
        """The model's answers, with their totals noted in the trace and in the Trainer's log."""
        assert self._session is not None
        with left_as_it_is(model.model):
            answers = self._session.ask(model)
        table = self._session.judged(self._before or answers, answers).totals
        totals = {total.column: total.estimate for total in table if total.group == EVERYTHING}
        self.trace.append({"step": float(state.global_step), **totals})
        self._last = (state.global_step, answers)
        log_row(state, self.trace[-1])
        return answers

    def _words(self, model: LanguageModel) -> tuple[str, ...]:
        assert self._session is not None
        with left_as_it_is(model.model):
            return self._session.words(model)

    def _keep(self, state: Any) -> None:
        """Let the Trainer save, with each of its checkpoints, where the audit began."""
        kept = getattr(state, "stateful_callbacks", None)
        if isinstance(kept, dict):
            assert self._session is not None
            assert self._before is not None
            assert self._forecast is not None
            kept[f"{KEPT}-{self._session.identity}"] = {
                "before": self._before.json(),
                "forecast": plain(self._forecast.forecast),
                "notes": list(self._forecast.notes),
                "trace": self.trace,
            }

    def _take_up(self, state: Any) -> bool:
        """Whether the checkpoint that the Trainer went on from keeps where this audit began, which is then taken up."""
        assert self._session is not None
        kept = (getattr(state, "stateful_callbacks", None) or {}).get(f"{KEPT}-{self._session.identity}")
        if kept is None:
            return False
        try:
            before = self._session.read(kept["before"])
            made = [FactForecast(**row) for row in kept["forecast"]]
            self._forecast = self._session.begun(before, made, [str(note) for note in kept["notes"]])
            self.trace = kept["trace"]
        except (TypeError, KeyError, ValueError, SettingsError):  # nothing of ours, or of another version
            return False
        self._before = before
        return True


def model_in(given: Mapping[str, Any], tokenizer: Any) -> LanguageModel:
    """The model that a Trainer trains, with the tokenizer that it is asked with."""
    model = given["model"]
    return LanguageModel(str(getattr(model, "name_or_path", "") or "model"), model, tokenizer)


def log_row(state: Any, row: Mapping[str, float]) -> None:
    """A row of a trace in the Trainer's log, in the line of this step's evaluation where there is one."""
    history = getattr(state, "log_history", None)
    if history is None:
        return
    newest = history[-1] if history else {}
    if newest.get("step") != state.global_step or not any(name.startswith("eval_") for name in newest):
        epoch = {} if state.epoch is None else {"epoch": state.epoch}
        history.append({**epoch, "step": state.global_step})
    history[-1].update(logged(row))


def logged(row: Mapping[str, float]) -> dict[str, float]:
    """A row of the trace as the Trainer logs its evaluations."""
    return {f"eval_audit_{name}": value for name, value in row.items() if name != "step"}


@contextmanager
def left_as_it_is(model: Any) -> Iterator[None]:
    """Inside the block the model computes as it will be saved; afterwards it trains on as before."""
    training = model.training
    try:
        with _as_saved(model):
            yield
    finally:
        model.train(training)


@contextmanager
def _as_saved(model: Any) -> Iterator[None]:
    """Inside the block the model computes in its weights' own precision, without the autocast that accelerate puts around."""
    around, own = vars(model).get("forward"), vars(model).get("_original_forward")
    if around is None or own is None:
        yield
        return
    model.forward = own
    try:
        yield
    finally:
        model.forward = around
