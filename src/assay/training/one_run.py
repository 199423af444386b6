"""One fine-tuning run in motion: its gradients, its optimiser, its record, and the state that a checkpoint holds of it."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.core.seeds import Seeds
from assay.core.settings import canonical_json
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import readings
from assay.models.pretrained.text import TokenPair
from assay.models.sites import unwrapped
from assay.training.checkpoints import Checkpoints, State
from assay.training.chosen import split_embedding
from assay.training.optimiser import Optimiser
from assay.training.recipe import Recipe
from assay.training.trace import Observe, Trace

__all__ = ["FineTuningTrace", "Run"]


@dataclass(frozen=True, kw_only=True)
class FineTuningTrace(Trace):
    """What fine-tuning saw: losses are means over the batch's completion tokens, of one run; observations also hold `step`.

    Attributes:
        grad_norm: Euclidean norm of the gradient of every step, before it was clipped.
        n_tokens: completion tokens of its batch.
        seconds: wall-clock time of this process's steps; not part of what is reproduced.
        resumed_at: the step at which a checkpoint was taken up; None for a fresh start.
        skipped: newer checkpoints that were not whole, and why.
    """

    grad_norm: Float[np.ndarray, " step"]
    n_tokens: Int[np.ndarray, " step"]
    seconds: float
    resumed_at: int | None
    skipped: tuple[str, ...]


class Run:
    """The moving parts of a training run: what a checkpoint holds, and what differs when several processes share the work."""

    def __init__(
        self,
        model: LanguageModel,
        recipe: Recipe,
        plan: Optimiser,
        seeds: Seeds,
        pairs: Sequence[TokenPair],
        checkpoints: Checkpoints | None,
        accelerator: Any,
    ) -> None:
        self.model, self.recipe, self.checkpoints, self.accelerator = model, recipe, checkpoints, accelerator
        self.record: dict[str, list[Any]] = {"loss_nats": [], "grad_norm": [], "n_tokens": [], "observed": []}
        self.resumed_at: int | None = None
        self.stopped_at: int | None = None
        self.skipped: tuple[str, ...] = ()
        self.identity = _identity(recipe, pairs, seeds, model.model) if checkpoints is not None else ""
        self.looked_up = split_embedding(model.model)
        self.plan = plan
        self.optimiser: Any = torch.optim.AdamW(
            [value for _, value in self._trainable()],
            lr=plan.learning_rate,
            betas=plan.betas,
            eps=plan.eps,
            weight_decay=plan.weight_decay,
            fused=accelerator is None,
        )
        if accelerator is not None:
            wrapped, self.optimiser = accelerator.prepare(model.model, self.optimiser)
            self.model = replace(model, model=wrapped)
        self.trainable: dict[str, Tensor] = dict(self._trainable())
        if checkpoints is not None and (state := checkpoints.newest(self.identity)) is not None:
            self._take_up(state)

    def _trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name, value in self.model.model.named_parameters():
            if value.requires_grad and (self.looked_up is None or value is not self.looked_up[0]):
                yield name, value

    def backward(self, batch: Sequence[TokenPair], also: Callable[[nn.Module, int], Tensor] | None, step: int) -> float:
        """The loss of a batch in nats per completion token, with its gradient added to the parameters'."""
        model, shared = self.model.model, self.accelerator
        n_tokens = sum(len(pair.completion) for pair in batch)
        rank, n_processes = (0, 1) if shared is None else (shared.process_index, shared.num_processes)
        mine, weight = list(batch[rank::n_processes]), 1.0
        if not mine:  # every process has to make its passes; this one's count nothing
            mine, weight = list(batch[:1]), 0.0
        model.train()
        total = torch.zeros((), device=self.model.device)
        bfloat16 = self.recipe.precision == "bfloat16"
        cast = torch.autocast(self.model.device.type, torch.bfloat16) if bfloat16 else nullcontext()
        passes = readings(model, mine, budget=self.recipe.budget, share=False, whole=n_processes > 1)
        while True:
            with cast:  # the pass itself happens inside of next()
                reading = next(passes, None)
            if reading is None:
                break
            loss = F.cross_entropy(reading.logits[reading.row].float(), reading.target, reduction="sum") * (weight / n_tokens)
            # Processes average their gradients, and each holds only its share of the sum.
            self._backward(loss * n_processes)
            total += loss.detach()
        if also is not None:
            with cast:
                further = also(model, step)
            self._backward(further)
            total += further.detach() / n_processes
        if self.looked_up is not None:
            rows, read_out = self.looked_up
            assert read_out.grad is not None
            assert rows.grad is not None
            read_out.grad.add_(rows.grad)
            rows.grad = None
        return float(total if shared is None else shared.reduce(total, "sum"))

    def _backward(self, loss: Tensor) -> None:
        if self.accelerator is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self.accelerator.backward(loss)

    def clip(self) -> float:
        """The norm of the gradient, which afterwards is at most the plan's `clip_norm`."""
        most = math.inf if self.plan.clip_norm is None else self.plan.clip_norm
        clip = nn.utils.clip_grad_norm_ if self.accelerator is None else self.accelerator.clip_grad_norm_
        norm: Any = clip(list(self.trainable.values()), most)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def update(self, rate: float) -> None:
        """One step of the optimiser."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad()

    def observed(self, observe: Observe[LanguageModel], step: int) -> Mapping[str, float]:
        """What is observed at this step: the row that a checkpoint holds, or a new one."""
        rows = self.record["observed"]
        if not rows or rows[-1]["step"] != step:
            self.model.model.eval()
            rows.append({"step": step, **{name: float(value) for name, value in observe(step, self.model).items()}})
        row: dict[str, float] = rows[-1]
        return row

    def note(self, loss: float, grad_norm: float, n_tokens: int) -> None:
        """Add a step to the trace."""
        for name, value in (("loss_nats", loss), ("grad_norm", grad_norm), ("n_tokens", n_tokens)):
            self.record[name].append(value)

    def keep(self, step: int, *, last: bool) -> None:
        """Save the state where one is due."""
        if self.checkpoints is None or step == (self.resumed_at or 0) or not (last or step % self.checkpoints.every == 0):
            return
        tensors = {f"weight/{name}": value for name, value in self.trainable.items()}
        for name, value in self.trainable.items():
            tensors |= {f"{moment}/{name}": self.optimiser.state[value][moment] for moment in ("step", "exp_avg", "exp_avg_sq")}
        tensors |= {f"generator/{index}": value for index, value in enumerate(_generators())}
        tensors = {name: _gathered(value) for name, value in tensors.items()}
        if self.accelerator is None or self.accelerator.is_main_process:
            self.checkpoints.save(self.identity, State(step, tensors, self.record))
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()

    def _take_up(self, state: State) -> None:
        with torch.no_grad():
            for name, value in self.trainable.items():
                value.copy_(_spread(state.tensors[f"weight/{name}"], value))
                moments = {moment: _spread(state.tensors[f"{moment}/{name}"], value) for moment in ("exp_avg", "exp_avg_sq")}
                self.optimiser.state[value] = {"step": state.tensors[f"step/{name}"].to(value.device), **moments}
        _set_generators([state.tensors[f"generator/{index}"] for index in range(len(_generators()))])
        self.record = {name: list(rows) for name, rows in state.record.items()}
        self.resumed_at, self.skipped = state.step, state.skipped

    def trace(self, seconds: float) -> FineTuningTrace:
        """What training saw."""
        rows = self.record
        return FineTuningTrace(
            np.array(rows["loss_nats"], dtype=float)[None],
            tuple(int(row["step"]) for row in rows["observed"]),
            tuple(rows["observed"]),
            (None,),
            (self.stopped_at,),
            grad_norm=np.array(rows["grad_norm"], dtype=float),
            n_tokens=np.array(rows["n_tokens"], dtype=int),
            seconds=seconds,
            resumed_at=self.resumed_at,
            skipped=self.skipped,
        )


def _gathered(value: Any) -> Tensor:
    """A tensor that may lie in shards on several processes, whole."""
    whole: Tensor = value.full_tensor() if hasattr(value, "full_tensor") else value
    return whole.detach()


def _spread(whole: Tensor, like: Any) -> Tensor:
    """A whole tensor, laid out as another one is."""
    if not hasattr(like, "device_mesh"):
        return whole.to(like.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)


def _generators() -> list[Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def _set_generators(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if states[1:]:
        torch.cuda.set_rng_state_all(states[1:])


def _identity(recipe: Recipe, pairs: Sequence[TokenPair], seeds: Seeds, model: nn.Module) -> str:
    """What a checkpoint must share with a run to belong to it; of every weight its beginning is enough to tell models apart."""
    text = hashlib.sha256(canonical_json([recipe, seeds, [[pair.context, pair.completion] for pair in pairs]]).encode())
    for name, parameter in unwrapped(model).named_parameters():
        text.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode())
        text.update(parameter.detach().flatten()[:64].float().cpu().numpy().tobytes())
    return text.hexdigest()
