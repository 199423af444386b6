"""The audit of preferences inside somebody else's training: a callback for TRL's DPOTrainer, and for what is built on Trainer.

    watch = PreferenceAudit("pairs.jsonl", tokenizer, every=50)
    DPOTrainer(model, ..., callbacks=[watch]).train()
    watch.record.totals, watch.trace

Answers are asked before the first step and after the last, every `every` steps, and at every evaluation, in the precision of
the weights; the model is left in the mode it was in. Every asking adds the means of the columns to the Trainer's log history
(`eval_audit_chosen`, `eval_audit_margin`, ...) and, at an evaluation, to its metrics. Once, at the first asking where the mean
log-probability of chosen answers is below what it was while the margin has risen, it says so in the log of this module.

What the model made of the answers before the first step is kept with the Trainer's checkpoints, so that a training that is
resumed is audited from its start.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from assay.audit.callback import Callback, left_as_it_is, log_row, logged, model_in
from assay.audit.chats import ChatTemplate
from assay.audit.pairs import Pairs, as_texts, in_tokens, read_pairs
from assay.audit.preference import TUNED, begun_record, recorded
from assay.audit.preference_advice import pair_advice
from assay.audit.preference_measuring import Asked, Scores, Tokens, ask, by_prompt, changes
from assay.audit.preference_record import PAIR_COLUMNS, PairAudit
from assay.core.errors import InputError, WorkError
from assay.core.seeds import Seeds
from assay.instruments.displacement import similarities
from assay.models.pretrained.loading import LanguageModel

__all__ = ["PreferenceAudit"]

_log = logging.getLogger(__name__)
KEPT = "assay-preferences"


class PreferenceAudit(Callback):  # type: ignore[misc]
    """Audits the answers of pairs while a Trainer trains on them, or on others.

    Attributes:
        trace: at each asking the global step and every column's mean over prompts.
        record: the whole audit, once training has ended.
        warned: whether chosen answers were seen to fall while the margin rose.
    """

    def __init__(
        self,
        pairs: str | Path | Pairs,
        tokenizer: Any,
        *,
        every: int | None = 50,
        ends: bool = True,
        chat_template: ChatTemplate | None = None,
        seed: int = 0,
    ) -> None:
        """Watch these pairs.

        Args:
            pairs: a file, or pairs already read.
            tokenizer: of the model that is trained.
            every: ask every so many steps as well; None asks before and after, and at evaluations, only.
            ends: the token that ends a text follows every answer, as TRL has it.
            chat_template: how rows of messages are rendered.
            seed: of bootstraps.
        """
        if every is not None and every < 1:
            raise InputError(f"PreferenceAudit: every must be at least 1 step; got {every}. Take None to ask at the ends")
        self.pairs = pairs if isinstance(pairs, Pairs) else read_pairs(Path(pairs))
        self.tokenizer, self.every, self.ends, self.seeds = tokenizer, every, ends, Seeds(seed)
        self.chat_template = chat_template
        self.trace: list[Mapping[str, float]] = []
        self.warned = False
        self._texts: Pairs = self.pairs
        self._tokens: Tokens = []
        self._before: Asked | None = None
        self._begun: PairAudit | None = None
        self._last: tuple[int, Asked | None] = (-1, None)
        self._record: PairAudit | None = None

    @property
    def record(self) -> PairAudit:
        """The whole audit.

        Raises:
            WorkError: training has not ended.
        """
        if self._record is None:
            raise WorkError("an audit inside a Trainer ends with its training; it has not ended. Call trainer.train() first")
        return self._record

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Ask the model before the first step; a training that is resumed goes on with its own audit."""
        model = model_in(given, self.tokenizer)
        self.trace, self.warned, self._before, self._record, self._last = [], False, None, None, (-1, None)
        self._texts = as_texts(self.pairs, model, self.chat_template)
        self._tokens = in_tokens(model, self._texts, ends=self.ends)
        kept = (getattr(state, "stateful_callbacks", None) or {}).get(self._name) if state.global_step > 0 else None
        notes = list(self._texts.notes)
        with left_as_it_is(model.model):
            if isinstance(kept, dict):
                self.trace = list(kept["trace"])
                before, scores = Asked(*map(np.array, kept["before"])), Scores(*map(np.array, kept["scores"]))
            else:
                before = ask(model, self._tokens)
                similar = similarities(model, self._tokens)
                scores = Scores(similar.ches, similar.ches_per_token, similar.edit_distance)
                if state.global_step > 0:
                    notes.append(
                        f"The training went on from step {state.global_step}, whose checkpoint keeps no answers to these "
                        "pairs: the audit begins there and not at the start."
                    )
        self._before = before
        self._begun = begun_record(model, self._texts, self._tokens, before, scores, None, notes, seeds=self.seeds)
        if not isinstance(kept, dict):
            self._noted(state, before)
        self._keep(state, scores)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Ask again, if it is time."""
        if self.every is not None and state.global_step % self.every == 0:
            self._ask(model_in(given, self.tokenizer), state)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **given: Any) -> None:
        """Ask as well when the Trainer evaluates, and add the columns to its metrics."""
        if self._before is None:  # not in a training
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
        assert self._before is not None
        assert self._begun is not None
        nothing: list[tuple[()]] = [()] * len(self._tokens)
        record = recorded(self._begun, self._before, after, nothing, note=TUNED, seeds=self.seeds)
        record = replace(record, tuned=f"{record.model} after {state.global_step} steps")
        self._record = replace(record, advice=pair_advice(record))

    def _ask(self, model: LanguageModel, state: Any) -> Asked:
        with left_as_it_is(model.model):
            found = ask(model, self._tokens)
        self._noted(state, found)
        return found

    def _noted(self, state: Any, found: Asked) -> None:
        """An asking in the trace and in the Trainer's log, and a warning where it is due."""
        assert self._before is not None
        rows = changes(self._before, found)
        prompts = [pair.prompt for pair in self._texts.pairs]
        means = {
            name: float(np.mean([np.mean(own) for own in by_prompt(prompts, [row[name] for row in rows]).values()]))
            for name in PAIR_COLUMNS
        }
        self.trace.append({"step": float(state.global_step), **means})
        self._last = (state.global_step, found)
        log_row(state, self.trace[-1])
        if not self.warned and means["chosen"] < 0 < means["margin"]:
            self.warned = True
            _log.warning(
                "assay: at step %d chosen answers have become less likely (%.3g nats in the mean, %.0f %% of pairs) while the "
                "margin rose by %.3g nats: their probability goes to other texts. 'assay audit MODEL --preferences FILE "
                "--mitigate filter-ches,nll' compares what helps",
                state.global_step,
                means["chosen"],
                100 * means["displaced"],
                means["margin"],
            )

    @property
    def _name(self) -> str:
        return f"{KEPT}-{self._texts.digest}"

    def _keep(self, state: Any, scores: Scores) -> None:
        """Let the Trainer save, with each of its checkpoints, where the audit began."""
        kept = getattr(state, "stateful_callbacks", None)
        if isinstance(kept, dict):
            assert self._before is not None
            kept[self._name] = {
                "before": [self._before.chosen.tolist(), self._before.rejected.tolist()],
                "scores": [one.tolist() for one in (scores.ches, scores.ches_per_token, scores.edit_distance)],
                "trace": self.trace,
            }
