"""Training on pairs of answers of which one is preferred: the losses, and loops for our decoder and for pretrained models.

    loss = partial(dpo, beta=0.1)                                                   # or ipo, hinge, simpo, dpo_with_nll, dpop
    trace = train_on_pairs(decoder, pairs, loss, RmsProp(learning_rate=3e-5), n_steps=100)
    tuned = finetune_on_pairs(model, [("Do you eat meat?", " No", " Never")], PreferenceRecipe(beta=0.1), seeds=Seeds(0))

A loss is a function of summed log-probabilities of answers, under the policy and under a reference, one number a pair. Most of
them see the margin alone: u = (log p(y+) - log p_ref(y+)) - (log p(y-) - log p_ref(y-)).

The reference is the model before its training, and its log-probabilities are computed once, before any adapter is put around
it. Neither pass has dropout, prompt tokens carry no loss, and the token that ends an answer is one of its tokens.
"""

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.core.errors import Diverged, InputError, SettingsError
from assay.core.memory import freed_memory_kept
from assay.core.progress import part, progress
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.models.fused import cross_entropies
from assay.models.pretrained.limits import check_limits
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import BUDGET, evaluating, readings
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.training.checkpoints import Checkpoints
from assay.training.chosen import prepared
from assay.training.losses import IGNORED
from assay.training.one_run import FineTuningTrace, Run
from assay.training.optimiser import Optimiser, RmsProp
from assay.training.recipe import Recipe, batches
from assay.training.sequence import Stage, Stop, train
from assay.training.trace import Observe, Trace

__all__ = [
    "LOSSES",
    "LogProbs",
    "LossName",
    "PairLoss",
    "Preference",
    "PreferenceRecipe",
    "PreferenceTuned",
    "answer_log_probs",
    "dpo",
    "dpo_with_nll",
    "dpop",
    "finetune_on_pairs",
    "grouped",
    "hinge",
    "ipo",
    "preferences",
    "simpo",
    "train_on_pairs",
]


class LogProbs(NamedTuple):
    """What losses are functions of, one entry a pair; log-probabilities are sums over the tokens of an answer, in nats.

    Attributes:
        chosen, rejected: log p(y+ | x) and log p(y- | x) under the policy.
        reference_chosen, reference_rejected: the same under the reference, without gradients.
        n_chosen, n_rejected: tokens of the answers, the one that ends them included.
    """

    chosen: Float[Tensor, "*run pair"]
    rejected: Float[Tensor, "*run pair"]
    reference_chosen: Float[Tensor, "*run pair"]
    reference_rejected: Float[Tensor, "*run pair"]
    n_chosen: Float[Tensor, "*run pair"]
    n_rejected: Float[Tensor, "*run pair"]

    @property
    def margin(self) -> Float[Tensor, "*run pair"]:
        """u: how much more the policy prefers y+ to y- than the reference does, in nats."""
        return (self.chosen - self.reference_chosen) - (self.rejected - self.reference_rejected)


PairLoss = Callable[[LogProbs], Float[Tensor, "*run pair"]]
"""loss(log_probs) is one number a pair; what is minimised is their mean."""


# ---------------------------------------------------------------------------------------------------------------- losses


def dpo(pairs: LogProbs, *, beta: float = 0.1) -> Float[Tensor, "*run pair"]:
    """-log sigmoid(beta u), in nats; log 2 where policy and reference agree.

    Source: Rafailov et al. 2023, arXiv:2305.18290, equation 7.
    """
    return F.softplus(-_positive("beta", beta) * pairs.margin)


def ipo(pairs: LogProbs, *, beta: float = 0.1, per_token: bool = False) -> Float[Tensor, "*run pair"]:
    """(u - 1 / (2 beta))**2, in nats squared: the margin is led to 1 / (2 beta), not further.

    Args:
        pairs: log-probabilities.
        beta: how strongly the reference holds; the tau of the paper.
        per_token: each answer's log-ratio is divided by its number of tokens before they are subtracted, as TRL does it. The
            paper and the codes of the papers studied here have sums. The two differ in which pairs are satisfied when.

    Source: Azar et al. 2023, arXiv:2310.12036, equation 17.
    """
    target = 1 / (2 * _positive("beta", beta))
    if not per_token:
        return (pairs.margin - target) ** 2
    chosen = (pairs.chosen - pairs.reference_chosen) / pairs.n_chosen
    return (chosen - (pairs.rejected - pairs.reference_rejected) / pairs.n_rejected - target) ** 2


def hinge(pairs: LogProbs, *, beta: float = 0.1) -> Float[Tensor, "*run pair"]:
    """max(0, 1 - beta u): nothing is asked of a pair whose margin has reached 1 / beta.

    Source: Liu et al. 2023, arXiv:2309.06657, section 3.3: the loss of Zhao et al. 2023, arXiv:2305.10425, with a reference.
    """
    return F.relu(1 - _positive("beta", beta) * pairs.margin)


def simpo(pairs: LogProbs, *, beta: float = 2.0, gamma: float = 1.0) -> Float[Tensor, "*run pair"]:
    """-log sigmoid(beta (log p(y+) / |y+| - log p(y-) / |y-|) - gamma), in nats: without a reference, and per token.

    Source: Meng et al. 2024, arXiv:2405.14734, equation 6.
    """
    reward = pairs.chosen / pairs.n_chosen - pairs.rejected / pairs.n_rejected
    return F.softplus(gamma - _positive("beta", beta) * reward)


def dpo_with_nll(
    pairs: LogProbs, *, beta: float = 0.1, weight: float = 1.0, per_token: bool = False
) -> Float[Tensor, "*run pair"]:
    """dpo - weight log p(y+), in nats: the term of fine-tuning on the chosen answer, which raises it whatever the pair does.

    Args:
        pairs: log-probabilities.
        beta: of `dpo`.
        weight: of the term.
        per_token: log p(y+) / |y+| in its place, which weighs answers alike whatever their length.

    Source: Razin et al. 2024, arXiv:2410.08847, proposition 1, with the sum; Pang et al. 2024, arXiv:2404.19733, equation 1,
    by token.
    """
    told = pairs.chosen / pairs.n_chosen if per_token else pairs.chosen
    return dpo(pairs, beta=beta) - weight * told


def dpop(pairs: LogProbs, *, beta: float = 0.1, weight: float = 50.0) -> Float[Tensor, "*run pair"]:
    """-log sigmoid(beta (u - weight max(0, log p_ref(y+) - log p(y+)))), in nats: a chosen answer that fell costs margin.

    Source: Pal et al. 2024, arXiv:2402.13228, equation 3.
    """
    fallen = F.relu(pairs.reference_chosen - pairs.chosen)
    return F.softplus(-_positive("beta", beta) * (pairs.margin - weight * fallen))


# --------------------------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True)
class Preference:
    """A prompt and two answers in tokens.

    Attributes:
        prompt: what is given; never empty.
        chosen: the preferred answer, with the token that ends it.
        rejected: the other one.
    """

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    def __post_init__(self) -> None:
        if not (self.prompt and self.chosen and self.rejected) or self.chosen == self.rejected:
            raise InputError(
                f"a pair must have a prompt and two different answers of at least one token; got {list(self.prompt)[-8:]}, "
                f"{list(self.chosen)[:8]}, {list(self.rejected)[:8]}"
            )

    @property
    def answers(self) -> tuple[TokenPair, TokenPair]:
        """The chosen and the rejected answer, each behind the prompt."""
        return TokenPair(self.prompt, self.chosen), TokenPair(self.prompt, self.rejected)


def preferences(
    tokenizer: Any, texts: Sequence[tuple[str, str, str]], *, ends: bool = True
) -> list[tuple[TokenPair, TokenPair]]:
    """For every (prompt, chosen, rejected) the two answers in tokens, each behind its prompt.

    Args:
        tokenizer: of the model.
        texts: an answer follows its prompt character by character: it usually begins with a space.
        ends: the token that ends a text follows every answer that does not end with it.

    Raises:
        InputError: the answers are equal or one is empty, a text does not survive the tokenizer, a token spans prompt and
            answer, or the tokenizer has no token that ends a text.
    """
    end = getattr(tokenizer, "eos_token_id", None) if ends else None
    if ends and end is None:
        raise InputError("answers must end with a token; this tokenizer has none. Give it an eos_token, or take ends=False")
    for prompt, chosen, rejected in texts:
        if not chosen or chosen == rejected:
            raise InputError(
                f"a pair must have two different answers; got '{chosen[:60]}' and '{rejected[:60]}' to '{prompt[-60:]}'"
            )
    found = token_pairs(tokenizer, [(prompt, answer) for prompt, *answers in texts for answer in answers])
    if end is not None:
        found = [
            pair if pair.completion[-1] == end else TokenPair(pair.context, (*pair.completion, int(end))) for pair in found
        ]
    return list(zip(found[::2], found[1::2], strict=True))


def answer_log_probs(
    model: nn.Module, pairs: Sequence[tuple[TokenPair, TokenPair]], *, budget: int = BUDGET
) -> tuple[Float[Tensor, " pair"], Float[Tensor, " pair"]]:
    """Summed log-probabilities of the chosen and of the rejected answers, in nats, as tensors that can be differentiated.

    A prompt is computed once for both of its answers, and logits are made at their tokens only.

    Args:
        model: a causal language model of transformers, with or without an adapter; without dropout.
        pairs: the answers in tokens.
        budget: tokens of a pass; changes time and memory, not the result.
    """
    owners, values = list[int](), list[Tensor]()
    for reading in readings(model, [answer for pair in pairs for answer in pair], budget=budget):
        logits = reading.logits.to(torch.promote_types(reading.logits.dtype, torch.float32))
        values.append(logits[reading.row, reading.target] - logits.logsumexp(-1)[reading.row])
        owners += reading.owner
    tokens = torch.cat(values)
    total = torch.zeros(2 * len(pairs), dtype=tokens.dtype, device=tokens.device)
    total = total.index_add(0, torch.tensor(owners, device=tokens.device), tokens)
    return total[::2], total[1::2]


# ------------------------------------------------------------------------------------------------------------ our decoder


class _Sheet(NamedTuple):
    """Pairs laid out for a decoder: the chosen answers, then the rejected ones."""

    inputs: Int[Tensor, "*run answer pos"]
    targets: Int[Tensor, "*run answer pos"]  # -100 where no answer stands
    reference: Float[Tensor, "*run answer"]

    def rows(self, chosen: Int[Tensor, "*run some"]) -> "_Sheet":
        """The sheet of some of the pairs."""
        n_pairs = self.inputs.shape[-2] // 2
        both = torch.cat([chosen, chosen + n_pairs], -1)
        if both.dim() == 1:
            return _Sheet(*(values[both] for values in self))
        runs = torch.arange(len(both), device=both.device)[:, None]
        return _Sheet(*(values[runs, both] for values in self))

    def log_probs(self, model: nn.Module) -> Float[Tensor, "*run answer"]:
        """Summed log-probabilities of all answers."""
        logits = model(self.inputs)
        losses = cross_entropies(logits.flatten(0, -2), self.targets.flatten(), ignored=IGNORED)
        return -losses.view(self.targets.shape).sum(-1)

    def judged(self, model: nn.Module) -> LogProbs:
        """What the loss is a function of."""
        n_tokens = (self.targets != IGNORED).sum(-1).to(self.reference)
        mine, theirs = self.log_probs(model).chunk(2, -1), self.reference.chunk(2, -1)
        return LogProbs(*mine, *theirs, *n_tokens.chunk(2, -1))


def _sheet(model: Decoder, pairs: Sequence[Preference] | Sequence[Sequence[Preference]]) -> _Sheet:
    """The pairs of all runs, padded behind, where a causal model does not look."""
    shared = isinstance(pairs[0], Preference)
    each: list[Any] = [pairs] * (model.n_runs or 1) if shared else list(pairs)
    if len(each) != (model.n_runs or 1) or len({len(one) for one in each}) != 1:
        raise SettingsError(
            f"each of {model.n_runs or 1} runs needs equally many pairs; got {[len(one) for one in each][:6]} for {len(each)}"
        )
    rows = [[*((one.prompt, one.chosen) for one in run), *((one.prompt, one.rejected) for one in run)] for run in each]
    length = max(len(prompt) + len(answer) for run in rows for prompt, answer in run) - 1
    inputs = np.zeros((len(rows), len(rows[0]), length), dtype=np.int64)
    targets = np.full(inputs.shape, IGNORED)
    for run, answers in enumerate(rows):
        for row, (prompt, answer) in enumerate(answers):
            whole = (*prompt, *answer)
            inputs[run, row, : len(whole) - 1] = whole[:-1]
            targets[run, row, len(prompt) - 1 : len(whole) - 1] = answer
    lead = 0 if model.n_runs is None else slice(None)
    device = next(model.parameters()).device
    sheet = _Sheet(torch.from_numpy(inputs[lead]).to(device), torch.from_numpy(targets[lead]).to(device), torch.zeros(0))
    with torch.no_grad():
        return sheet._replace(reference=sheet.log_probs(model))


def train_on_pairs(
    model: Decoder,
    pairs: Sequence[Preference] | Sequence[Sequence[Preference]],
    loss: PairLoss,
    optimiser: Optimiser | Sequence[Optimiser],
    *,
    n_steps: int,
    batch_size: int | None = None,
    rng: np.random.Generator | Sequence[np.random.Generator] | None = None,
    observe: Observe[Decoder] | None = None,
    observe_at: Collection[int] = (),
    stop: Stop | None = None,
) -> Trace:
    """The trace of training a decoder on pairs, in place; its reference is what it is now.

    Args:
        model: with or without a run axis.
        pairs: the same for all runs, or a list for each run, equally long.
        loss: one number a pair, e.g. `partial(dpo, beta=0.1)`; its mean over the batch is minimised.
        optimiser: how gradients become steps; for a model with a run axis also one a run.
        n_steps: 0 leaves the model as it is, to the bit.
        batch_size: pairs of a step, in an order drawn anew whenever all have been seen; None takes all of them.
        rng: for the order; one a run for a model with a run axis.
        observe, observe_at, stop: as for `assay.training.sequence.train`.

    Raises:
        InputError: there are no pairs.
        SettingsError: runs have different numbers of pairs, or a batch has no generator for each run or more pairs than there
            are.
        Diverged: the loss of a single run left the finite numbers; of several runs the lost ones are named in the trace.
    """
    if not len(pairs) or (not isinstance(pairs[0], Preference) and not len(pairs[0])):
        raise InputError("training on pairs needs at least one; got none")
    sheet, n_runs = _sheet(model, pairs), model.n_runs or 1
    if n_steps == 0:
        return Trace(np.zeros((n_runs, 0)), diverged=(None,) * n_runs, stopped=(None,) * n_runs)
    n_pairs = sheet.inputs.shape[-2] // 2
    if batch_size is not None and batch_size < n_pairs:
        rngs = [rng] if isinstance(rng, np.random.Generator) else list(rng or ())
        if len(rngs) != n_runs:
            raise SettingsError(f"batches of pairs need one generator for each of {n_runs} runs; got {len(rngs)}")
        orders = [_order(own, n_pairs, batch_size) for own in rngs]
    elif batch_size is not None and batch_size > n_pairs:
        raise SettingsError(f"a batch must have at most all of {n_pairs} pairs; got {batch_size}")

    def draw(step: int) -> _Sheet:
        if batch_size is None or batch_size == n_pairs:
            return sheet
        drawn = torch.from_numpy(np.stack([next(order) for order in orders])).to(sheet.inputs.device)
        return sheet.rows(drawn[0] if model.n_runs is None else drawn)

    def mean_loss(trained: Decoder, batch: _Sheet) -> Float[Tensor, "*run"]:
        return loss(batch.judged(trained)).mean(-1)

    return train(model, Stage(n_steps, draw, mean_loss), optimiser, observe=observe, observe_at=observe_at, stop=stop)


def _order(rng: np.random.Generator, n_pairs: int, batch_size: int) -> Iterator[Int[np.ndarray, " batch"]]:
    """Batches of pairs: all of them once, in an order drawn anew each time; what does not fill a batch begins the next."""
    waiting = np.zeros(0, dtype=np.int64)
    while True:
        while len(waiting) < batch_size:
            waiting = np.concatenate([waiting, rng.permutation(n_pairs)])
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]


# ------------------------------------------------------------------------------------------------------ pretrained models


LossName = Literal["dpo", "ipo", "hinge", "simpo", "dpo+nll", "dpop"]
LOSSES: Mapping[str, Callable[..., Float[Tensor, "*run pair"]]] = {
    "dpo": dpo,
    "ipo": ipo,
    "hinge": hinge,
    "simpo": simpo,
    "dpo+nll": dpo_with_nll,
    "dpop": dpop,
}


@dataclass(frozen=True)
class PreferenceRecipe(Recipe):
    """How a pretrained model is trained on pairs.

    Attributes:
        loss: which one; see the functions of these names.
        beta: of the loss.
        gamma: of `simpo`.
        weight: of the term of `dpo+nll`, or of the fall in `dpop`.
        per_token: of `ipo` and `dpo+nll`: means over tokens in place of sums.
        steps: which optimiser takes them, `adamw` or `rmsprop`.
        alpha: of `rmsprop`.
        ends: the token that ends a text follows every answer.
        budget: tokens of the pairs whose loss is differentiated at once; changes memory, not the result.
    """

    loss: LossName = "dpo"
    beta: float = 0.1
    gamma: float = 1.0
    weight: float = 1.0
    per_token: bool = False
    steps: Literal["adamw", "rmsprop"] = "adamw"
    alpha: float = 0.99
    ends: bool = True
    learning_rate: float = 1e-6
    n_epochs: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("loss", tuple(LOSSES)), ("steps", ("adamw", "rmsprop"))):
            if getattr(self, name) not in known:
                raise SettingsError(f"recipe: {name} must be one of {', '.join(known)}; got {getattr(self, name)!r}")
        _positive("beta", self.beta)
        if self.per_token and self.loss not in ("ipo", "dpo+nll"):
            raise SettingsError(f"recipe: per_token is a choice of ipo and dpo+nll; got it for '{self.loss}'. Leave it out")
        if self.gradient_checkpointing:
            raise SettingsError(
                "recipe: gradient_checkpointing works in training mode alone, and pairs are trained without dropout. Lower "
                "budget instead"
            )

    @property
    def pair_loss(self) -> PairLoss:
        """The loss with its dials."""
        given: dict[str, dict[str, Any]] = {
            "ipo": {"per_token": self.per_token},
            "simpo": {"gamma": self.gamma},
            "dpo+nll": {"weight": self.weight, "per_token": self.per_token},
            "dpop": {"weight": self.weight},
        }
        return partial(LOSSES[self.loss], beta=self.beta, **given.get(self.loss, {}))

    def optimiser(self, n_steps: int) -> Optimiser:
        """How gradients become steps in a run of that many."""
        plan = super().optimiser(n_steps)
        if self.steps == "adamw":
            return plan
        same = {name: getattr(plan, name) for name in ("learning_rate", "weight_decay", "eps", "clip_norm", "warmup_steps")}
        return RmsProp(**same, schedule=plan.schedule, betas=(0.0, self.alpha))


@dataclass(frozen=True)
class PreferenceTuned:
    """A trained model (for `lora`, with the adapter around it) and what training saw.

    Attributes:
        model: it.
        trace: losses are means over the pairs of a batch.
        chosen, rejected: mean of log p - log p_ref over the answers of each step's batch before it was taken, in nats.
        reference_chosen, reference_rejected: log p_ref of every pair, in the order they were given, in nats.
    """

    model: LanguageModel
    trace: FineTuningTrace
    chosen: Float[np.ndarray, " step"]
    rejected: Float[np.ndarray, " step"]
    reference_chosen: Float[np.ndarray, " pair"]
    reference_rejected: Float[np.ndarray, " pair"]


def finetune_on_pairs(
    model: LanguageModel,
    texts: Sequence[tuple[str, str, str]],
    recipe: PreferenceRecipe,
    *,
    seeds: Seeds,
    n_steps: int | None = None,
    checkpoints: Checkpoints | None = None,
    observe: Observe[LanguageModel] | None = None,
    observe_every: int | None = None,
    stop: Callable[[Mapping[str, float]], bool] | None = None,
) -> PreferenceTuned:
    """Train a model on (prompt, chosen, rejected); the weights of `model` itself are changed (`model.copy()` keeps them).

    The reference is the model as it is given. With `observe` and `stop` it is watched as `finetune` watches.

    Args:
        model: what is trained.
        texts: answers follow prompts character by character.
        recipe: how.
        seeds: the order of pairs and the adapter's beginning come from here.
        n_steps: of the recipe's epochs the first so many steps; None for all, 0 leaves the weights as they are, to the bit.
        checkpoints: where and how often the state is kept; see `finetune`.
        observe: called with the step and the model before the first step, then every `observe_every` steps and at the end.
        observe_every: steps; None for once an epoch.
        stop: called with each row that `observe` gives; true ends training there.

    Raises:
        InputError: a pair cannot be used, is longer than the model can take, or the checkpoints are of another run.
        SettingsError: the recipe chooses nothing, or something the model does not have, or has fewer steps than asked for.
        Diverged: the loss or the gradient left the finite numbers.
        StoreError: a checkpoint cannot be written.
    """
    pairs = preferences(model.tokenizer, texts, ends=recipe.ends)
    if not pairs:
        raise InputError("training on pairs needs at least one; got none")
    answers = [answer for pair in pairs for answer in pair]
    check_limits(model.model, answers)
    wholes = [TokenPair(chosen.context, (*chosen.completion, *rejected.completion)) for chosen, rejected in pairs]
    steps = [batch for epoch in range(recipe.n_epochs) for batch in batches(wholes, recipe, seeds, epoch)]
    per_epoch, plan = len(steps) // recipe.n_epochs, recipe.optimiser(len(steps))
    if n_steps is not None and not 0 <= n_steps <= len(steps):
        raise SettingsError(f"n_steps must lie in 0..{len(steps)}, the steps of {recipe.n_epochs} epochs; got {n_steps}")
    last = len(steps) if n_steps is None else n_steps
    with evaluating(model.model), torch.no_grad(), _cast(model, recipe):
        reference = torch.stack(answer_log_probs(model.model, pairs))
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), freed_memory_kept():
        torch.manual_seed(seeds.integer("torch"))  # an adapter begins with what is drawn
        with prepared(model, recipe, split=True) as tuned:
            run = _PairRun(tuned, recipe, plan, seeds, answers, checkpoints, None)
            begun = time.perf_counter()
            for step in range(run.resumed_at or 0, last + 1):
                if observe is not None and (step % (observe_every or per_epoch) == 0 or step == last):
                    with part(step / max(last, 1), step / max(last, 1)):
                        row = run.observed(observe, step)
                    if stop is not None and stop(row):
                        run.stopped_at = step
                run.keep(step, last=step == last or run.stopped_at is not None)
                if step == last or run.stopped_at is not None:
                    break
                some = steps[step]
                loss = run.backward_pairs([pairs[index] for index in some], reference[:, some], recipe)
                grad_norm = run.clip()
                if not (math.isfinite(loss) and math.isfinite(grad_norm)):
                    raise Diverged(step, run.record["loss_nats"][-1] if run.record["loss_nats"] else math.nan)
                run.update(plan.rate(step, len(steps)))
                run.note(loss, grad_norm, sum(len(answer.completion) for index in some for answer in pairs[index]))
                progress((step + 1) / last, f"step {step + 1} of {last}, loss {loss:.3f}")
            chosen, rejected = (np.array(run.record.get(name, []), dtype=float) for name in ("chosen", "rejected"))
            known = reference.double().cpu().numpy()
            return PreferenceTuned(run.model, run.trace(time.perf_counter() - begun), chosen, rejected, known[0], known[1])


class _PairRun(Run):
    """A run whose loss is one of pairs."""

    def backward_pairs(
        self, batch: Sequence[tuple[TokenPair, TokenPair]], reference: Float[Tensor, "2 batch"], recipe: PreferenceRecipe
    ) -> float:
        """The mean loss of a batch, with its gradient added to the parameters'; notes what became of its answers."""
        model, total, moved = self.model.model, 0.0, np.zeros(2)
        with evaluating(model):
            for some in grouped(batch, recipe.budget):
                answers = [batch[index] for index in some]
                with _cast(self.model, recipe):
                    policy = torch.stack(answer_log_probs(model, answers))
                known = reference[:, some].to(policy)
                lengths = torch.tensor([[len(answer.completion) for answer in pair] for pair in answers]).T.to(policy)
                loss = recipe.pair_loss(LogProbs(*policy, *known, *lengths)).sum() / len(batch)
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
                moved += (policy.detach() - known).sum(-1).double().cpu().numpy()
        if self.looked_up is not None:  # see `split_embedding`
            rows, read_out = self.looked_up
            assert read_out.grad is not None
            assert rows.grad is not None
            read_out.grad.add_(rows.grad)
            rows.grad = None
        for name, value in zip(("chosen", "rejected"), moved / len(batch), strict=True):
            self.record.setdefault(name, []).append(float(value))
        return total


def grouped(batch: Sequence[tuple[TokenPair, TokenPair]], budget: int) -> Iterator[list[int]]:
    """Pairs that are differentiated together: of about `budget` tokens, a prompt counted once; a longer pair alone."""
    some, size = list[int](), 0
    for index, (chosen, rejected) in enumerate(batch):
        own = len(chosen.context) + len(chosen.completion) + len(rejected.completion)
        if some and size + own > budget:
            yield some
            some, size = [], 0
        some.append(index)
        size += own
    yield some


def _cast(model: LanguageModel, recipe: Recipe) -> Any:
    """Passes in the recipe's precision."""
    return torch.autocast(model.device.type, torch.bfloat16) if recipe.precision == "bfloat16" else nullcontext()


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise SettingsError(f"a loss of pairs needs a positive {name}; got {value}")
    return value
