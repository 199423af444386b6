"""The audit inside somebody else's training: a callback for the Trainer of transformers, and for trainers built on it.

    watch = KnowledgeAudit("facts.yaml", tokenizer)
    Trainer(model, ..., callbacks=[watch]).train()
    watch.record.totals, watch.trace

Questions are asked before the first step and after the last, and in between if `every` says so; the model is left in the mode
it was in, and no random number is drawn.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.audit.advice import advice
from assay.audit.probes import Extent
from assay.audit.record import Audit
from assay.audit.session import Response, Session
from assay.audit.totals import EVERYTHING
from assay.core.errors import InputError, WorkError
from assay.core.seeds import Seeds
from assay.models.pretrained.library import optional
from assay.models.pretrained.loading import LanguageModel
from assay.worlds.facts.file import read_facts
from assay.worlds.facts.model import Facts

__all__ = ["KnowledgeAudit"]

_Callback: Any = optional("transformers", "an audit inside a Trainer").TrainerCallback


class KnowledgeAudit(_Callback):  # type: ignore[misc]
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
        """Ask the model before the first step; every training is an audit of its own."""
        model = self._model(given)
        self.trace, self._before, self._record = [], None, None
        self._session = Session.of(model, self.facts, self.extent, self.seeds).checked()
        self._before = self._ask(model, state)
        self._forecast = self._session.forecast(self._before)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Ask again, if it is time."""
        if self.every is not None and state.global_step % self.every == 0:
            self._ask(self._model(given), state)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Ask once more, unless the model is the one that was asked last, and judge."""
        step, after = self._last
        if step != state.global_step or getattr(args, "load_best_model_at_end", False):
            after = self._ask(self._model(given), state)
        assert self._session is not None
        assert self._forecast is not None
        assert self._before is not None
        assert after is not None
        record = self._session.recorded(self._forecast, self._before, after)
        self._record = replace(record, advice=advice(record))

    def _ask(self, model: LanguageModel, state: Any) -> Response:
        """The model's answers, with their totals noted in the trace."""
        assert self._session is not None
        training = model.model.training
        try:
            answers = self._session.ask(model)
        finally:
            model.model.train(training)
        table = self._session.judged(self._before or answers, answers).totals
        totals = {total.column: total.estimate for total in table if total.group == EVERYTHING}
        self.trace.append({"step": float(state.global_step), **totals})
        self._last = (state.global_step, answers)
        return answers

    def _model(self, given: Mapping[str, Any]) -> LanguageModel:
        model = given["model"]
        return LanguageModel(str(getattr(model, "name_or_path", "") or "model"), model, self.tokenizer)
