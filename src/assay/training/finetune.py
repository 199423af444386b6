"""Fine-tuning a pretrained language model on prompts and completions: a `for` loop over batches, exact and resumable.

    tuned = finetune(load("smollm2-135m"), [("Ana Silva lives in", " Paris")], Recipe(n_epochs=8), seeds=Seeds(0))
    tuned.model, tuned.trace.loss_nats

The loss is the mean over the completion tokens of a batch. Sequences are packed into one row without padding, the last token of
a sequence is not computed, and logits are made at completion tokens only, so a step does little that its gradient does not
need.

The result is a function of model, examples, recipe and seeds, to the bit on the same machine class and thread count: also when
the process was killed and went on from a checkpoint, wherever that was.
"""

import hashlib
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.core.errors import Diverged, InputError, SettingsError, WorkError
from assay.core.memory import freed_memory_kept
from assay.core.seeds import Seeds
from assay.core.settings import canonical_json
from assay.models.pretrained.library import optional, quiet
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import readings
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.models.sites import FAMILIES, unwrapped
from assay.training.checkpoints import Checkpoints, State

__all__ = ["FineTuned", "Recipe", "Trace", "batches", "chosen_names", "finetune", "learning_rate", "merged"]

BLOCK_NUMBER = re.compile(r"(?:^|\.)(\d+)\.")


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        method: `full` trains the chosen weights themselves, `lora` low-rank updates of the chosen matrices (Hu et al. 2021,
            arXiv:2106.09685) and leaves the rest.
        layers: which blocks, from 0; empty for all of them, and for what is outside of blocks.
        parts: what in them: `attention`, `mlp`, `norm`, `embedding`, or names of modules (`o_proj`, `mlp.down_proj`); empty for
            all.
        learning_rate: of AdamW.
        schedule: `constant`, or `linear` from the full rate to zero at the end.
        warmup: share of the steps over which the rate rises from zero, in [0, 1).
        weight_decay: decoupled.
        betas, eps: of AdamW.
        n_epochs: passes over the examples.
        batch_size: examples a step.
        bucket: batches drawn together and sorted by length, so that a batch holds similar lengths; 1 draws freely. It only
            saves time for models that cannot be packed.
        max_grad_norm: gradients are scaled down to this norm; None leaves them.
        precision: `bfloat16` computes in bfloat16 and keeps weights and optimiser as they are.
        lora_rank, lora_alpha, lora_dropout: of `lora`; an update is scaled by alpha / rank.
        budget: tokens of a forward pass; a batch with more is split, which changes memory, not the result.
    """

    method: Literal["full", "lora"] = "full"
    layers: tuple[int, ...] = ()
    parts: tuple[str, ...] = ()
    learning_rate: float = 1e-5
    schedule: Literal["constant", "linear"] = "constant"
    warmup: float = 0.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    n_epochs: int = 8
    batch_size: int = 8
    bucket: int = 1
    max_grad_norm: float | None = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    lora_rank: int = 16
    lora_alpha: float = 32.0
    lora_dropout: float = 0.0
    budget: int = 2048

    def __post_init__(self) -> None:
        for name in ("n_epochs", "batch_size", "bucket", "lora_rank", "budget"):
            if getattr(self, name) < 1:
                raise SettingsError(f"recipe: {name} must be at least 1; got {getattr(self, name)}")
        if (
            not 0 < self.learning_rate < 10
            or not 0 <= self.warmup < 1
            or self.weight_decay < 0
            or not 0 <= self.lora_dropout < 1
        ):
            raise SettingsError(
                "recipe: learning_rate must lie in (0, 10), warmup and lora_dropout in [0, 1), weight_decay from 0; "
                f"got {self.learning_rate}, {self.warmup}, {self.lora_dropout}, {self.weight_decay}"
            )
        if self.max_grad_norm is not None and self.max_grad_norm <= 0:
            raise SettingsError(f"recipe: max_grad_norm must be positive or None; got {self.max_grad_norm}")
        for name, known in (
            ("method", ("full", "lora")),
            ("schedule", ("constant", "linear")),
            ("precision", ("float32", "bfloat16")),
        ):
            if getattr(self, name) not in known:
                raise SettingsError(f"recipe: {name} must be one of {', '.join(known)}; got {getattr(self, name)!r}")


@dataclass(frozen=True)
class Trace:
    """What training saw, one entry a step.

    Attributes:
        loss_nats: mean over the batch's completion tokens, before the step was taken.
        grad_norm: Euclidean norm of the gradient, before it was clipped.
        n_tokens: completion tokens of the batch.
        measured: rows of `measure`, each with the `step` before which it was taken.
        seconds: wall-clock time of this process's steps; not part of what is reproduced.
        resumed_at: the step at which a checkpoint was taken up; None for a fresh start.
        skipped: newer checkpoints that were not whole, and why.
        stopped_at: the step before which `stop` ended training; None if it went to the end.
    """

    loss_nats: Float[np.ndarray, " step"]
    grad_norm: Float[np.ndarray, " step"]
    n_tokens: Int[np.ndarray, " step"]
    measured: tuple[Mapping[str, float], ...]
    seconds: float
    resumed_at: int | None
    skipped: tuple[str, ...]
    stopped_at: int | None


@dataclass(frozen=True)
class FineTuned:
    """A trained model (for `lora`, with the adapter around it) and what training saw."""

    model: LanguageModel
    trace: Trace


Measure = Callable[[LanguageModel, int], Mapping[str, float]]


def finetune(
    model: LanguageModel,
    examples: Sequence[tuple[str, str]],
    recipe: Recipe,
    *,
    seeds: Seeds,
    checkpoints: Checkpoints | None = None,
    measure: Measure | None = None,
    measure_every: int | None = None,
    stop: Callable[[Mapping[str, float]], bool] | None = None,
    also: Callable[[nn.Module, int], Tensor] | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
    accelerator: Any = None,
) -> FineTuned:
    """Train a model on (prompt, completion) pairs; the weights of `model` itself are changed (`model.copy()` keeps them).

    An empty prompt makes a plain text of which every token but the given first ones is trained on.

    Args:
        model: what is trained.
        examples: the texts; completions follow prompts character by character.
        recipe: how.
        seeds: the order of examples, dropout and the adapter's beginning come from here.
        checkpoints: where and how often the state is kept; a finished or interrupted run of the same recipe, examples, seeds
            and weights goes on from its newest whole checkpoint.
        measure: called before the first step, then every `measure_every` steps and at the end; its numbers are kept in the
            trace. It must leave the model's weights alone.
        measure_every: steps; None for once an epoch.
        stop: called with each row that `measure` gives; true ends training there.
        also: a further loss in nats added at every step, a function of the model and the step alone (an anchor, a penalty).
        on_step: called after every step with its number from 1, the number of steps and the loss: for progress.
        accelerator: an `accelerate.Accelerator` for several processes or a model that one device cannot hold; every process
            calls this function with the same arguments. See docs/models.md.

    Raises:
        InputError: an example cannot be tokenised, or the checkpoints are of another run.
        SettingsError: the recipe chooses nothing, or something the model does not have.
        Diverged: the loss or the gradient left the finite numbers.
        WorkError: memory ran out.
        StoreError: a checkpoint cannot be written.
    """
    pairs = token_pairs(model.tokenizer, examples)
    if not pairs:
        raise InputError("fine-tuning needs at least one example; got none")
    steps = [batch for epoch in range(recipe.n_epochs) for batch in batches(pairs, recipe, seeds, epoch)]
    per_epoch = len(steps) // recipe.n_epochs
    with (
        _own_randomness(seeds),
        _out_of_memory(recipe),
        freed_memory_kept(),
        _prepared(model, recipe, split=accelerator is None) as tuned,
    ):
        run = _Run(tuned, recipe, seeds, pairs, checkpoints, accelerator)
        begun = time.perf_counter()
        for step in range(run.resumed_at or 0, len(steps) + 1):
            if measure is not None and (step % (measure_every or per_epoch) == 0 or step == len(steps)):
                row = run.measured(measure, step)
                if stop is not None and stop(row):
                    run.stopped_at = step
            run.keep(step, last=step == len(steps) or run.stopped_at is not None)
            if step == len(steps) or run.stopped_at is not None:
                break

            batch = [pairs[index] for index in steps[step]]
            rate = learning_rate(recipe, step, len(steps))
            loss = run.backward(batch, also, step)
            grad_norm = run.clip()
            if not (math.isfinite(loss) and math.isfinite(grad_norm)):
                raise Diverged(step, run.record["loss_nats"][-1] if run.record["loss_nats"] else math.nan)
            run.update(rate)
            run.note(loss, grad_norm, sum(len(pair.completion) for pair in batch))
            if on_step is not None:
                on_step(step + 1, len(steps), loss)
        return FineTuned(run.model, run.trace(time.perf_counter() - begun))


class _Run:
    """The moving parts of a training run: what a checkpoint holds, and what differs when several processes share the work."""

    def __init__(
        self,
        model: LanguageModel,
        recipe: Recipe,
        seeds: Seeds,
        pairs: Sequence[TokenPair],
        checkpoints: Checkpoints | None,
        accelerator: Any,
    ) -> None:
        self.model, self.recipe, self.checkpoints, self.accelerator = model, recipe, checkpoints, accelerator
        self.record: dict[str, list[Any]] = {"loss_nats": [], "grad_norm": [], "n_tokens": [], "measured": []}
        self.resumed_at: int | None = None
        self.stopped_at: int | None = None
        self.skipped: tuple[str, ...] = ()
        self.identity = _identity(recipe, pairs, seeds, model.model) if checkpoints is not None else ""
        self.looked_up = _split_embedding(model.model)
        self.optimiser: Any = torch.optim.AdamW(
            [value for _, value in self._trainable()],
            lr=recipe.learning_rate,
            betas=recipe.betas,
            eps=recipe.eps,
            weight_decay=recipe.weight_decay,
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
        """The norm of the gradient, which afterwards is at most `max_grad_norm`."""
        most = math.inf if self.recipe.max_grad_norm is None else self.recipe.max_grad_norm
        clip = nn.utils.clip_grad_norm_ if self.accelerator is None else self.accelerator.clip_grad_norm_
        norm: Any = clip(list(self.trainable.values()), most)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def update(self, rate: float) -> None:
        """One step of the optimiser."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad()

    def measured(self, measure: Measure, step: int) -> Mapping[str, float]:
        """The row of this step: the one that a checkpoint holds, or a new one."""
        rows = self.record["measured"]
        if not rows or rows[-1]["step"] != step:
            self.model.model.eval()
            rows.append({"step": step, **{name: float(value) for name, value in measure(self.model, step).items()}})
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

    def trace(self, seconds: float) -> Trace:
        """What training saw."""
        rows = self.record
        losses, norms, counts = np.array(rows["loss_nats"]), np.array(rows["grad_norm"]), np.array(rows["n_tokens"], dtype=int)
        return Trace(losses, norms, counts, tuple(rows["measured"]), seconds, self.resumed_at, self.skipped, self.stopped_at)


def batches(pairs: Sequence[TokenPair], recipe: Recipe, seeds: Seeds, epoch: int) -> list[list[int]]:
    """The batches of one epoch, as indices of examples: every example once, in an order drawn for this epoch."""
    rng = seeds(f"epoch {epoch}")
    order = [int(index) for index in rng.permutation(len(pairs))]
    if recipe.bucket > 1:
        pool = recipe.batch_size * recipe.bucket
        pools = [order[start : start + pool] for start in range(0, len(order), pool)]
        order = [
            index for some in pools for index in sorted(some, key=lambda i: len(pairs[i].context) + len(pairs[i].completion))
        ]
    made = [order[start : start + recipe.batch_size] for start in range(0, len(order), recipe.batch_size)]
    return [made[int(index)] for index in rng.permutation(len(made))] if recipe.bucket > 1 else made


def learning_rate(recipe: Recipe, step: int, n_steps: int) -> float:
    """The rate of the step with that number, from 0."""
    warm = math.ceil(recipe.warmup * n_steps)
    if step < warm:
        return recipe.learning_rate * (step + 1) / (warm + 1)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (n_steps - step) / max(1, n_steps - warm)


def chosen_names(model: nn.Module, recipe: Recipe) -> list[str]:
    """The names of the parameters that a recipe's `layers` and `parts` speak of, in the model's order.

    Raises:
        SettingsError: a layer or part is not in the model.
    """
    whole = unwrapped(model)
    n_layers = int(whole.config.num_hidden_layers)
    if missing := [layer for layer in recipe.layers if not 0 <= layer < n_layers]:
        raise SettingsError(f"recipe: layers must be among 0–{n_layers - 1}; got {missing[0]}")
    embeddings = {id(whole.get_input_embeddings().weight), id(whole.get_output_embeddings().weight)}
    found, used = [], set[str]()
    for name, parameter in whole.named_parameters():
        number = BLOCK_NUMBER.search(name)
        embedding = id(parameter) in embeddings
        parts = {part for part in recipe.parts if _is_part(name, part, whole, embedding=embedding)}
        used |= parts
        in_layers = not recipe.layers or (number is not None and int(number[1]) in recipe.layers) or "embedding" in parts
        if in_layers and (parts or not recipe.parts):
            found.append(name)
    if unused := sorted(set(recipe.parts) - used):
        modules = sorted({name.rsplit(".", 2)[-2] for name, _ in whole.named_parameters() if BLOCK_NUMBER.search(name)})
        raise SettingsError(
            f"recipe: parts must be attention, mlp, norm, embedding or modules of the model; it has no '{unused[0]}'. "
            f"Modules of a block: {', '.join(modules)}"
        )
    return found


def _is_part(name: str, part: str, whole: Any, *, embedding: bool) -> bool:
    if part == "embedding":
        return embedding
    if part == "norm":
        return "norm" in name or ".ln_" in name
    if part in ("attention", "mlp"):
        family = next((family for family in FAMILIES if family.model_type == whole.config.model_type), None)
        if family is None:
            raise SettingsError(
                f"recipe: the part '{part}' is known for {', '.join(family.model_type for family in FAMILIES)}; "
                f"this model is '{whole.config.model_type}'. Name its modules instead"
            )
        return f".{family.attention if part == 'attention' else family.mlp}." in name
    return f".{name}".rsplit(".", 1)[0].endswith(f".{part}")


@contextmanager
def _prepared(model: LanguageModel, recipe: Recipe, *, split: bool) -> Iterator[LanguageModel]:
    """The model with gradients wanted for what the recipe trains and for nothing else; wrapped in an adapter for `lora`.

    With `split`, an embedding that is also the read-out becomes a parameter of its own over the same memory, see
    `_split_embedding`.
    """
    names = set(chosen_names(model.model, recipe))
    if recipe.method == "lora":
        if hasattr(model.model, "get_base_model"):
            raise SettingsError("recipe: lora needs a model without an adapter; this one has one. Call merged(model) first")
        try:
            yield _with_adapter(model, recipe, names)
        finally:
            model.model.eval()
        return
    whole = unwrapped(model.model)
    before = {name: parameter.requires_grad for name, parameter in whole.named_parameters()}
    for name, parameter in whole.named_parameters():
        parameter.requires_grad_(name in names)
    embedding, weight = whole.get_input_embeddings(), whole.get_output_embeddings().weight
    tied = split and weight.requires_grad and embedding.weight is weight and hasattr(embedding, "sparse")
    if tied:
        was_sparse, embedding.sparse, embedding.weight = embedding.sparse, True, nn.Parameter(weight.detach())
    try:
        yield model
    finally:
        if tied:
            embedding.sparse, embedding.weight = was_sparse, weight
        for name, parameter in whole.named_parameters():
            parameter.requires_grad_(before[name])
            parameter.grad = None
        model.model.eval()


def _split_embedding(model: nn.Module) -> tuple[nn.Parameter, nn.Parameter] | None:
    """Of an embedding that is also the read-out and was split by `_prepared`: the looked-up weights, and the read-out's.

    Both are the same memory, and the read-out's is what the optimiser moves. The gradient of the looked-up ones has the few
    rows that a batch touched; added where it lies, it spares every step a second gradient of the whole vocabulary.
    """
    whole = unwrapped(model)
    embedding, read_out = whole.get_input_embeddings(), whole.get_output_embeddings()
    if read_out is None or embedding.weight is read_out.weight or embedding.weight.data_ptr() != read_out.weight.data_ptr():
        return None
    return embedding.weight, read_out.weight


def _with_adapter(model: LanguageModel, recipe: Recipe, names: set[str]) -> LanguageModel:
    peft = optional("peft", "low-rank adapters")
    whole, read_out = model.model, model.model.get_output_embeddings()
    linear = {name: module for name, module in whole.named_modules() if _is_linear(module) and f"{name}.weight" in names}
    targets = sorted(name for name, module in linear.items() if module is not read_out or "embedding" in recipe.parts)
    if not targets:
        raise SettingsError("recipe: lora needs linear maps; the chosen layers and parts have none. Choose attention or mlp")
    config = peft.LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=targets,
        fan_in_fan_out=any(type(linear[name]).__name__ == "Conv1D" for name in targets),
        task_type="CAUSAL_LM",
    )
    with quiet():
        return replace(model, model=peft.get_peft_model(whole, config))


def merged(model: LanguageModel) -> LanguageModel:
    """The model with its adapter's update added to its weights; one without an adapter as it is."""
    if not hasattr(model.model, "merge_and_unload"):
        return model
    with quiet():
        return replace(model, model=model.model.merge_and_unload())


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"  # GPT-2's linear map, transposed


@contextmanager
def _own_randomness(seeds: Seeds) -> Iterator[None]:
    """Torch's global generators, which dropout and adapters draw from, belong to this run inside the block."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seeds.integer("torch"))
        yield


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


@contextmanager
def _out_of_memory(recipe: Recipe) -> Iterator[None]:
    advice = (
        f"training must fit in memory; it does not with budget {recipe.budget}. Lower budget (the result stays the same), "
        "train fewer layers or parts, use method lora, or see docs/models.md for several devices"
    )
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise WorkError(advice) from error
    except RuntimeError as error:
        if "not enough memory" not in str(error):
            raise
        raise WorkError(advice) from error
