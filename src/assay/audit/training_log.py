"""The order of somebody else's training, written down as it happens: a callback for the Trainer of transformers.

    Trainer(model, ..., train_dataset=rows, callbacks=[TrainingLog("log", texts)]).train()

The log is a `Transcript`: which text was seen at which step of which pass, with the texts' hash, the seed and versions. It is
written whenever a pass ends or the Trainer saves, and at the end; a resumed training goes on with it, and one that begins anew
in a folder that has a log is refused. `assay provenance MODEL log` tests whether a model remembers this order. One process;
several graphics cards are well.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assay.core.errors import InputError
from assay.models.pretrained.library import optional
from assay.training.order import HEAD, Order, Transcript, texts_digest

__all__ = ["TrainingLog"]

_Callback: Any = optional("transformers", "a log inside a Trainer").TrainerCallback


class TrainingLog(_Callback):  # type: ignore[misc]
    """Writes the order in which a Trainer takes its examples; with an order of one's own, it also makes it take that one."""

    def __init__(self, folder: str | Path, texts: Sequence[str], *, order: Order | None = None) -> None:
        """Write into this folder.

        Args:
            folder: of this training alone.
            texts: the training set's, in its own order.
            order: what the Trainer shall do instead of drawing an order; its passes one after the other, from the first again
                when they are through. Its steps are not used: the Trainer cuts batches as it is told.

        Raises:
            InputError: the order is of other examples.
        """
        self.folder, self.texts, self.order = Path(folder), tuple(texts), order
        if order is not None and order.n_examples != len(self.texts):
            raise InputError(f"the order must be of these {len(self.texts)} texts; it is of {order.n_examples} examples")
        self._passes: list[list[int]] = []
        self._batch = self._examples_a_step = 1
        self._drop_last, self._seed = False, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **given: Any) -> None:
        """Stand between the Trainer and its sampler; go on with the log of a resumed training.

        Raises:
            InputError: the Trainer cannot be followed, the log of a resumed training is not its own, or a training begins anew
                where there is a log already.
        """
        batches: Any = getattr(train_dataloader, "batch_sampler", None)
        if getattr(args, "world_size", 1) > 1 or not hasattr(batches, "sampler"):
            raise InputError(
                "TrainingLog needs a training set with a length, in one process; this Trainer has "
                f"{getattr(args, 'world_size', 1)} processes and {type(batches).__name__} for batches"
            )
        n = len(train_dataloader.dataset)
        if n != len(self.texts):
            raise InputError(f"TrainingLog needs the text of every example; got {len(self.texts)} texts for {n} examples")
        if not state.global_step and (self.folder / HEAD).exists():
            raise InputError(
                f"a training needs a folder of its own for its log; {self.folder} holds the log of another one, which would be "
                "lost. Name another folder, or move that log away"
            )
        self._batch, self._drop_last = int(batches.batch_size), bool(batches.drop_last)
        self._examples_a_step = self._batch * int(args.gradient_accumulation_steps)
        self._seed = int(args.seed if args.data_seed is None else args.data_seed)
        self._passes = self._taken_up(args, state) if state.global_step else []
        if not isinstance(batches.sampler, _Recorder):
            batches.sampler = _Recorder(batches.sampler, self)
        batches.sampler.log = self

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Write what was seen."""
        self._write(state)

    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Write what was seen, with every checkpoint of the Trainer."""
        self._write(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Write what was seen."""
        self._write(state)

    def _begun(self) -> list[int]:
        """The examples of a pass that begins now, to be filled."""
        self._passes.append([])
        return self._passes[-1]

    def _next_order(self) -> list[int] | None:
        """The examples of the coming pass, where the order is ours."""
        order = self.order
        if order is None:
            return None
        epoch = len(self._passes) % len(order.epochs)
        last = order.epochs[epoch + 1] if epoch + 1 < len(order.epochs) else order.n_steps
        return [int(example) for example in order.examples[order.bounds[order.epochs[epoch]] : order.bounds[last]]]

    def _taken_up(self, args: Any, state: Any) -> list[list[int]]:
        """The whole passes that the folder's log holds of a training that is resumed."""
        whole = int(state.epoch or 0)
        if getattr(args, "ignore_data_skip", False):
            raise InputError("TrainingLog cannot follow a training that is resumed with ignore_data_skip; leave that out")
        known = Transcript.read(self.folder)
        if texts_digest(known.texts) != texts_digest(self.texts):
            raise InputError(f"a resumed training must go on with its own log; {self.folder} is of other texts")
        order = known.order
        if len(order.epochs) < whole:
            raise InputError(f"a resumed training must go on with its own log; {self.folder} ends before pass {whole}")
        ends = [*order.epochs[1:], order.n_steps]
        return [
            [int(example) for example in order.examples[order.bounds[first] : order.bounds[last]]]
            for first, last in list(zip(order.epochs, ends, strict=True))[:whole]
        ]

    def _write(self, state: Any) -> None:
        """The steps taken so far; what the loader has drawn beyond them is no part of the log."""
        batches: list[list[int]] = []
        starts: list[int] = []
        for some in self._passes:
            whole = len(some) // self._batch * self._batch if self._drop_last else len(some)
            steps = [some[i : i + self._examples_a_step] for i in range(0, whole, self._examples_a_step)]
            steps = [step[: max(0, whole - i * self._examples_a_step)] for i, step in enumerate(steps)]
            steps = steps[: max(0, state.global_step - len(batches))]
            if steps:
                starts.append(len(batches))
                batches += steps
        if batches:
            Transcript(Order.of(batches, len(self.texts), starts, seed=self._seed), self.texts).save(self.folder)


class _Recorder:
    """A sampler that notes what another one gives, or gives what the log wants instead."""

    def __init__(self, sampler: Any, log: TrainingLog) -> None:
        self.sampler, self.log = sampler, log

    def __iter__(self) -> Iterator[int]:
        wanted = self.log._next_order()
        seen = self.log._begun()
        for example in self.sampler if wanted is None else wanted:
            seen.append(int(example))
            yield example

    def __len__(self) -> int:
        return len(self.sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sampler, name)
