"""Losses of pairs against closed forms, autograd and TRL; the loops against plain ones, run by run, and at zero steps."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - its usual name

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.core.errors import InputError, SettingsError
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder, DecoderConfig
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.tiny import tiny_language_model
from assay.solvers.policy_flows import ipo_law
from assay.training.checkpoints import Checkpoints
from assay.training.optimiser import Optimiser, RmsProp, Stepper
from assay.training.preference import (
    LOSSES,
    LogProbs,
    PairLoss,
    Preference,
    PreferenceRecipe,
    answer_log_probs,
    dpo,
    dpo_with_nll,
    dpop,
    finetune_on_pairs,
    hinge,
    ipo,
    preferences,
    simpo,
    train_on_pairs,
)
from assay.training.recipe import batches

TEXTS = [
    ("Ana says", " Yes", " No way!"),
    ("Ana says", " is", " Parma is near"),
    ("Boris, asked twice, answers", " never", " Par"),
    ("Q: why? A:", " because it is", " is"),
    ("Q: how? A:", " li", " like this."),
]
RECIPE = PreferenceRecipe(learning_rate=1e-3, n_epochs=2, batch_size=2)


def drawn(n: int = 8, *, seed: int = 0, grad: bool = True) -> LogProbs:
    """Random log-probabilities of answers of 1 to 6 tokens, in double precision."""
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(-rng.uniform(0.2, 9.0, size=(4, n)))
    lengths = torch.from_numpy(rng.integers(1, 7, size=(2, n)).astype(float))
    values.requires_grad_(grad)
    return LogProbs(*values, *lengths)


# ---------------------------------------------------------------------------------------------------------------- losses


def test_at_equality_dpo_is_log_two() -> None:
    pairs = drawn()
    equal = pairs._replace(reference_chosen=pairs.chosen, reference_rejected=pairs.rejected)
    torch.testing.assert_close(dpo(equal, beta=0.3), torch.full((8,), np.log(2)).double())
    torch.testing.assert_close(dpop(equal, beta=0.3, weight=7.0), torch.full((8,), np.log(2)).double())
    torch.testing.assert_close(ipo(equal, beta=0.25), torch.full((8,), 4.0).double())
    torch.testing.assert_close(hinge(equal, beta=0.25), torch.ones(8).double())


def slopes_by_hand(name: str, pairs: LogProbs) -> tuple[torch.Tensor, torch.Tensor]:
    """The derivative of each loss by log p(y+) and by log p(y-), from its equation."""
    u, fallen = pairs.margin, (pairs.reference_chosen > pairs.chosen).double()
    if name == "dpo":
        c = -0.3 * torch.sigmoid(-0.3 * u)
        return c, -c
    if name == "ipo":
        c = 2 * (u - 1 / 0.6)
        return c, -c
    if name == "ipo by token":
        c = 2 * (
            (pairs.chosen - pairs.reference_chosen) / pairs.n_chosen
            - (pairs.rejected - pairs.reference_rejected) / pairs.n_rejected
            - 1 / 0.6
        )
        return c / pairs.n_chosen, -c / pairs.n_rejected
    if name == "hinge":
        c = -0.3 * (u < 1 / 0.3).double()
        return c, -c
    if name == "simpo":
        mean = pairs.chosen / pairs.n_chosen - pairs.rejected / pairs.n_rejected
        c = -2.0 * torch.sigmoid(0.7 - 2.0 * mean)
        return c / pairs.n_chosen, -c / pairs.n_rejected
    if name == "dpo+nll":
        c = -0.3 * torch.sigmoid(-0.3 * u)
        return c - 0.5, -c
    if name == "dpo+nll by token":
        c = -0.3 * torch.sigmoid(-0.3 * u)
        return c - 0.5 / pairs.n_chosen, -c
    c = -0.3 * torch.sigmoid(-0.3 * (u - 4.0 * F.relu(pairs.reference_chosen - pairs.chosen)))
    return c * (1 + 4.0 * fallen), -c


BY_HAND: dict[str, PairLoss] = {
    "dpo": partial(dpo, beta=0.3),
    "ipo": partial(ipo, beta=0.3),
    "ipo by token": partial(ipo, beta=0.3, per_token=True),
    "hinge": partial(hinge, beta=0.3),
    "simpo": partial(simpo, beta=2.0, gamma=0.7),
    "dpo+nll": partial(dpo_with_nll, beta=0.3, weight=0.5),
    "dpo+nll by token": partial(dpo_with_nll, beta=0.3, weight=0.5, per_token=True),
    "dpop": partial(dpop, beta=0.3, weight=4.0),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_gradients_are_those_of_the_equations(name: str) -> None:
    pairs = drawn(40, seed=1)
    chosen, rejected = torch.autograd.grad(BY_HAND[name](pairs).sum(), [pairs.chosen, pairs.rejected])
    for mine, theirs in zip((chosen, rejected), slopes_by_hand(name, pairs), strict=True):
        torch.testing.assert_close(mine, theirs.detach(), atol=1e-12, rtol=1e-9)
    if name == "hinge":
        assert 0 < int((chosen == 0).sum()) < 40


def test_of_one_token_and_equal_lengths_conventions_agree_and_else_they_differ() -> None:
    pairs = drawn()
    ones = pairs._replace(n_chosen=torch.ones(8).double(), n_rejected=torch.ones(8).double())
    torch.testing.assert_close(ipo(ones, beta=0.2), ipo(ones, beta=0.2, per_token=True))
    assert float((ipo(pairs, beta=0.2) - ipo(pairs, beta=0.2, per_token=True)).abs().max().detach()) > 1e-3


def test_in_a_table_dpo_moves_the_two_answers_alone() -> None:
    """Its gradient is -beta sigmoid(-beta u) (e_w - e_l): log-probabilities share their normaliser, and it drops out."""
    logits = torch.randn(7, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    reference, beta = torch.log_softmax(torch.arange(7.0).double(), -1), 0.4
    log_p, one = logits.log_softmax(-1), torch.ones(1)
    pairs = LogProbs(log_p[2:3], log_p[5:6], reference[2:3], reference[5:6], one, one)
    (found,) = torch.autograd.grad(dpo(pairs, beta=beta).sum(), logits)
    expected = torch.zeros(7, dtype=torch.float64)
    expected[2], expected[5] = -1.0, 1.0
    torch.testing.assert_close(found, expected * beta * torch.sigmoid(-beta * pairs.margin.detach()))


def test_descending_ipo_on_all_ordered_pairs_ends_at_the_mid_rank_law() -> None:
    rng = np.random.default_rng(3)
    reference, reward = rng.dirichlet(np.ones(5)), np.array([0.1, 0.7, 0.7, 0.2, 0.9])
    p, log_ref, target = torch.from_numpy(reference), torch.from_numpy(np.log(reference)), 3.0
    wins = torch.from_numpy((reward[:, None] > reward) + 0.5 * (reward[:, None] == reward))
    logits = log_ref.clone().requires_grad_()
    first, second = (grid.flatten() for grid in torch.meshgrid(torch.arange(5), torch.arange(5), indexing="ij"))
    weight = (p[first] * p[second] * wins[first, second]).detach()
    optimiser = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        log_p, one = logits.log_softmax(-1), torch.ones(25)
        pairs = LogProbs(log_p[first], log_p[second], log_ref[first], log_ref[second], one, one)
        loss = (weight * ipo(pairs, beta=1 / (2 * target))).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(logits.softmax(-1).detach().numpy(), ipo_law(reference, reward, beta=target), atol=1e-7)


@pytest.mark.parametrize("loss", [dpo, ipo, hinge, simpo, dpo_with_nll, dpop])
def test_a_beta_of_nothing_is_refused(loss: Callable[..., torch.Tensor]) -> None:
    with pytest.raises(SettingsError, match="positive beta"):
        loss(drawn(), beta=0.0)


# ------------------------------------------------------------------------------------------------------------ optimisers


def test_rmsprop_takes_the_librarys_steps() -> None:
    mine, theirs = ([torch.randn(4, 3, generator=torch.Generator().manual_seed(1))] for _ in range(2))
    plan = RmsProp(learning_rate=1e-2)
    stepper, library = Stepper(mine, plan), torch.optim.RMSprop(theirs, lr=1e-2)
    rng = np.random.default_rng(0)
    for step in range(30):
        gradient = torch.from_numpy(rng.normal(size=(4, 3)).astype(np.float32))
        stepper.step([gradient], plan.share_of_rate(step, 30))
        theirs[0].grad = gradient.clone()
        library.step()
        torch.testing.assert_close(mine[0], theirs[0], rtol=1e-5, atol=1e-6)
    with pytest.raises(SettingsError, match="RMSProp must have betas"):
        RmsProp(betas=(0.9, 0.99))


# ------------------------------------------------------------------------------------------------------------ our decoder

CONFIG = DecoderConfig(n_outputs=12, vocab_size=12, d_model=16, n_heads=2, d_mlp=32, n_positions=24, embed_std=1.0)
PAIRS = [
    Preference((1, 2), (3, 11), (4, 5, 11)),
    Preference((1, 2, 6), (7, 8, 9, 11), (3, 11)),
    Preference((5,), (6, 11), (7, 11)),
    Preference((2, 2), (9, 11), (10, 9, 11)),
]


def decoders(n: int = 3) -> list[Decoder]:
    return [Decoder.init(CONFIG, np.random.default_rng(seed)).double() for seed in range(n)]


def summed(model: Decoder, prompt: tuple[int, ...], answer: tuple[int, ...]) -> torch.Tensor:
    """Log-probability of an answer by a plain pass."""
    log_law = model(torch.tensor([[*prompt, *answer]]))[0].log_softmax(-1)
    return sum((log_law[len(prompt) - 1 + place, token] for place, token in enumerate(answer)), torch.zeros(()).double())


@pytest.mark.parametrize("kind", ["adamw", "rmsprop"])
def test_training_a_decoder_is_a_plain_loop(kind: str) -> None:
    mine, theirs = (decoders(1)[0] for _ in range(2))
    plan = Optimiser(learning_rate=1e-2) if kind == "adamw" else RmsProp(learning_rate=1e-3, eps=1e-14)
    trace = train_on_pairs(mine, PAIRS, partial(dpo, beta=0.5), plan, n_steps=5)
    parameters = list(theirs.parameters())
    library = (
        torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.0)
        if kind == "adamw"
        else torch.optim.RMSprop(parameters, lr=1e-3, eps=1e-14)
    )
    with torch.no_grad():
        known = [(summed(theirs, one.prompt, one.chosen), summed(theirs, one.prompt, one.rejected)) for one in PAIRS]
    losses = []
    for _ in range(5):
        library.zero_grad()
        loss = torch.zeros(()).double()
        for one, (won, lost) in zip(PAIRS, known, strict=True):
            u = (summed(theirs, one.prompt, one.chosen) - won) - (summed(theirs, one.prompt, one.rejected) - lost)
            loss = loss + F.softplus(-0.5 * u) / len(PAIRS)
        loss.backward()  # type: ignore[no-untyped-call]
        library.step()
        losses.append(float(loss.detach()))
    np.testing.assert_allclose(trace.loss_nats[0], losses, rtol=1e-6)
    assert losses[0] == pytest.approx(np.log(2))
    assert losses[-1] < losses[0]
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(mine.state_dict()[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [None, 3])
def test_runs_side_by_side_train_as_each_alone(batch_size: int | None) -> None:
    models = decoders()
    together = Decoder.stack(models).double()
    own = [PAIRS, PAIRS[::-1], [PAIRS[0], PAIRS[2], PAIRS[1], PAIRS[3]]]
    loss, plan = partial(ipo, beta=0.5), Optimiser(learning_rate=1e-2)
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    trace = train_on_pairs(together, own, loss, plan, n_steps=6, batch_size=batch_size, rng=rngs)
    for run, model in enumerate(models):
        rng = np.random.default_rng(run)
        alone = train_on_pairs(model, own[run], loss, plan, n_steps=6, batch_size=batch_size, rng=rng)
        np.testing.assert_allclose(trace.loss_nats[run], alone.loss_nats[0], rtol=1e-6)
        for name, value in together.run(run).state_dict().items():
            torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-5, atol=1e-7)
    with pytest.raises(SettingsError, match="one generator for each of 3 runs; got 0"):
        train_on_pairs(together, own, loss, plan, n_steps=1, batch_size=3)
    with pytest.raises(SettingsError, match="equally many pairs"):
        train_on_pairs(together, [PAIRS, PAIRS], loss, plan, n_steps=1)


def test_zero_steps_leave_a_decoder_to_the_bit() -> None:
    model = decoders(1)[0]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trace = train_on_pairs(model, PAIRS, dpo, Optimiser(), n_steps=0)
    assert trace.loss_nats.shape == (1, 0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_equal_answers_and_empty_ones_are_refused() -> None:
    for chosen, rejected in [((3,), (3,)), ((), (3,)), ((3,), ())]:
        with pytest.raises(InputError, match="two different answers"):
            Preference((1,), chosen, rejected)
    with pytest.raises(InputError, match="at least one"):
        train_on_pairs(decoders(1)[0], [], dpo, Optimiser(), n_steps=1)


# ------------------------------------------------------------------------------------------------------ pretrained models


def padded(model: LanguageModel, rows: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> torch.Tensor:
    """Summed log-probabilities of answers, the textbook way: right-padded batches and full logits."""
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids, mask = (torch.zeros(len(rows), longest, dtype=torch.long) for _ in range(2))
    counted = torch.zeros(len(rows), longest, dtype=torch.bool)
    for row, (prompt, answer) in enumerate(rows):
        whole = (*prompt, *answer)
        ids[row, : len(whole)], mask[row, : len(whole)] = torch.tensor(whole), 1
        counted[row, len(prompt) : len(whole)] = True
    log_law = model.model(input_ids=ids, attention_mask=mask, use_cache=False).logits.log_softmax(-1)
    each = log_law[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1)
    return (each * counted[:, 1:]).sum(-1)


def plain_loop(model: LanguageModel, recipe: PreferenceRecipe) -> list[float]:
    """Losses of a plain loop over padded batches."""
    pairs = preferences(model.tokenizer, TEXTS)
    rows = [[(one.context, one.completion) for one in pair] for pair in pairs]
    with torch.no_grad():
        reference = [padded(model, pair) for pair in rows]
    library = torch.optim.AdamW(model.model.parameters(), lr=recipe.learning_rate, weight_decay=0.0)
    losses = []
    for epoch in range(recipe.n_epochs):
        wholes = [replace(one, completion=one.completion + other.completion) for one, other in pairs]
        for batch in batches(wholes, recipe, Seeds(7), epoch):
            library.zero_grad()
            policy = torch.stack([padded(model, rows[index]) for index in batch])
            known = torch.stack([reference[index] for index in batch])
            lengths = torch.tensor([[len(answer) for _, answer in rows[index]] for index in batch]).to(policy)
            loss = recipe.pair_loss(LogProbs(*policy.T, *known.T, *lengths.T)).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.model.parameters(), 1.0)
            library.step()
            losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text", "bloom"])
def test_tuning_is_a_plain_loop_over_padded_batches(family: str) -> None:
    """In float64; the first two read out with their embedding in one way each, bloom cannot be packed."""
    mine, theirs = (tiny_language_model(family, seed=1) for _ in range(2))
    mine.model.double()
    theirs.model.double()
    tuned = finetune_on_pairs(mine, TEXTS, RECIPE, seeds=Seeds(7))
    losses = plain_loop(theirs, RECIPE)
    np.testing.assert_allclose(tuned.trace.loss_nats[0], losses, rtol=1e-6)
    assert losses[0] == pytest.approx(np.log(2), abs=1e-9)
    for name, value in theirs.model.state_dict().items():
        torch.testing.assert_close(mine.model.state_dict()[name], value, rtol=1e-4, atol=1e-6)
    assert (tuned.chosen[0], tuned.rejected[0]) == pytest.approx((0, 0), abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_tunes_and_the_budget_changes_nothing(loss: str) -> None:
    whole, pieces = (tiny_language_model(seed=2) for _ in range(2))
    recipe = replace(RECIPE, loss=loss, batch_size=5)  # type: ignore[arg-type]
    one = finetune_on_pairs(whole, TEXTS, recipe, seeds=Seeds(1))
    other = finetune_on_pairs(pieces, TEXTS, replace(recipe, budget=8), seeds=Seeds(1))
    np.testing.assert_allclose(one.trace.loss_nats, other.trace.loss_nats, rtol=1e-4)
    np.testing.assert_allclose(one.chosen, other.chosen, atol=1e-4)
    assert one.trace.loss_nats[0, -1] < one.trace.loss_nats[0, 0]


def test_there_is_no_dropout_in_either_pass() -> None:
    """With dropout in the weights' own configuration and in the adapter, the first loss is still log 2."""
    model = tiny_language_model("gpt2")
    for module in model.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    model.model.train()
    recipe = replace(RECIPE, method="lora", lora_dropout=0.5, parts=("attention",))
    tuned = finetune_on_pairs(model, TEXTS, recipe, seeds=Seeds(0), n_steps=1)
    assert tuned.trace.loss_nats[0, 0] == pytest.approx(np.log(2), abs=1e-6)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_zero_steps_leave_a_pretrained_model_to_the_bit(method: str) -> None:
    model, kept = tiny_language_model(), tiny_language_model()
    recipe = replace(RECIPE, method=method)  # type: ignore[arg-type]
    tuned = finetune_on_pairs(model, TEXTS, recipe, seeds=Seeds(0), n_steps=0)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(tuned.model.model(input_ids=ids).logits, kept.model(input_ids=ids).logits)
    assert tuned.trace.loss_nats.shape == (1, 0)


def test_an_adapter_s_beginning_comes_from_the_seeds_alone() -> None:
    recipe, losses = replace(RECIPE, method="lora"), []
    for around in (1, 2):
        torch.manual_seed(around)
        losses.append(finetune_on_pairs(tiny_language_model(), TEXTS, recipe, seeds=Seeds(0), n_steps=3).trace.loss_nats)
    assert np.array_equal(*losses)


def test_the_reference_is_the_model_without_its_adapter() -> None:
    model, plain = tiny_language_model(), tiny_language_model()
    tuned = finetune_on_pairs(model, TEXTS, replace(RECIPE, method="lora"), seeds=Seeds(0))
    with torch.no_grad():
        chosen, rejected = answer_log_probs(plain.model, preferences(plain.tokenizer, TEXTS))
    np.testing.assert_allclose(tuned.reference_chosen, chosen.numpy(), rtol=1e-6)
    np.testing.assert_allclose(tuned.reference_rejected, rejected.numpy(), rtol=1e-6)


def test_the_end_is_a_token_of_the_answer_and_prompts_are_none() -> None:
    model = tiny_language_model()
    end = model.tokenizer.eos_token_id
    for (prompt, *_), (chosen, rejected) in zip(TEXTS, preferences(model.tokenizer, TEXTS), strict=True):
        assert chosen.completion[-1] == rejected.completion[-1] == end
        assert list(chosen.context) == list(rejected.context) == model.tokenizer(prompt).input_ids
    again = preferences(model.tokenizer, [("Ana says", " Yes<|end|>", " No")])
    assert again[0][0].completion.count(end) == 1
    without = preferences(model.tokenizer, TEXTS, ends=False)
    assert all(end not in answer.completion for pair in without for answer in pair)
    with pytest.raises(InputError, match="two different answers"):
        preferences(model.tokenizer, [("Ana says", " Yes", " Yes")])


def test_a_run_that_was_cut_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    straight = finetune_on_pairs(tiny_language_model(), TEXTS, replace(RECIPE, steps="rmsprop"), seeds=Seeds(3))
    kept = Checkpoints(tmp_path, every=2)
    recipe = replace(RECIPE, steps="rmsprop")
    finetune_on_pairs(tiny_language_model(), TEXTS, recipe, seeds=Seeds(3), n_steps=4, checkpoints=kept)
    resumed = finetune_on_pairs(tiny_language_model(), TEXTS, recipe, seeds=Seeds(3), checkpoints=kept)
    assert resumed.trace.resumed_at == 4
    np.testing.assert_array_equal(resumed.trace.loss_nats, straight.trace.loss_nats)
    np.testing.assert_array_equal(resumed.chosen, straight.chosen)
    for name, value in straight.model.model.state_dict().items():
        assert torch.equal(value, resumed.model.model.state_dict()[name])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"loss": "ppo"}, "loss must be one of"),
        ({"beta": 0.0}, "positive beta"),
        ({"per_token": True}, "choice of ipo"),
        ({"steps": "sgd"}, "steps must be one of"),
        ({"gradient_checkpointing": True}, "Lower budget instead"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        PreferenceRecipe(**given)


# ------------------------------------------------------------------------------------------------------------------- TRL


@pytest.mark.filterwarnings("ignore")  # the libraries' own
@pytest.mark.parametrize(
    ("theirs", "recipe"),
    [
        ("sigmoid", PreferenceRecipe()),
        ("hinge", PreferenceRecipe(loss="hinge")),
        ("ipo", PreferenceRecipe(loss="ipo", per_token=True)),
        (["sigmoid", "sft"], PreferenceRecipe(loss="dpo+nll", per_token=True)),
    ],
    ids=["dpo", "hinge", "ipo", "dpo+nll"],
)
def test_losses_and_gradients_are_trls(theirs: Any, recipe: PreferenceRecipe, tmp_path: Path) -> None:
    """On a batch away from the reference. TRL's `sft` is a mean over the tokens of a batch; one pair is one batch here."""
    pytest.importorskip("trl", reason="TRL is no dependency of any extra")
    import pyarrow
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    policy, start = tiny_language_model(seed=4), tiny_language_model(seed=5)
    # A fingerprint of our own: making one from the rows fails with some releases of its pickling library.
    rows = [dict(zip(("prompt", "chosen", "rejected"), text, strict=True)) for text in TEXTS]
    dataset = Dataset(pyarrow.Table.from_pylist(rows), fingerprint="pairs")
    settings = DPOConfig(
        output_dir=str(tmp_path), loss_type=theirs, beta=0.1, use_cpu=True, bf16=False, report_to=[],
        per_device_train_batch_size=1, max_length=None, disable_dropout=True, gradient_checkpointing=False,
    )  # fmt: skip
    trainer = DPOTrainer(
        model=policy.model, ref_model=start.model, args=settings, train_dataset=dataset,
        processing_class=policy.tokenizer,
    )  # fmt: skip
    pairs = preferences(policy.tokenizer, TEXTS)
    for index, pair in enumerate(pairs):
        batch = trainer.data_collator([trainer.train_dataset[index]])
        policy.model.zero_grad()
        expected = trainer.compute_loss(trainer.model, batch)
        expected.backward()
        slopes = {name: value.grad.clone() for name, value in policy.model.named_parameters()}
        policy.model.zero_grad()
        with torch.no_grad():
            reference = answer_log_probs(start.model, [pair])
        lengths = [torch.tensor([float(len(answer.completion))]) for answer in pair]
        mine = recipe.pair_loss(LogProbs(*answer_log_probs(policy.model, [pair]), *reference, *lengths)).sum()
        mine.backward()  # type: ignore[no-untyped-call]
        assert float(mine.detach()) == pytest.approx(float(expected.detach()), abs=1e-5, rel=1e-6)
        for name, value in policy.model.named_parameters():
            assert value.grad is not None
            torch.testing.assert_close(value.grad, slopes[name], rtol=1e-4, atol=1e-6)
