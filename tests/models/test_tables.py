"""Tables of conditional laws: enumeration by hand, and the optimum under a reward beside a descent that knows no formula."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.models.tables import NOTHING, Table, texts_of


def drawn(vocab_size: int, n_places: int, *, stop: int | None = None, lead: tuple[int, ...] = (), name: str = "table") -> Table:
    rng = Seeds(0)(name)
    levels = [rng.normal(size=(*lead, vocab_size**place, vocab_size)) for place in range(n_places)]
    return Table.of_logits(levels, stop)


def plain_law(table: Table) -> dict[tuple[int, ...], float]:
    """The law by walking every sequence token by token."""
    found: dict[tuple[int, ...], float] = {}
    for sequence in product(range(table.vocab_size), repeat=len(table.levels)):
        text, chance = (), 1.0
        for token in sequence:
            number = sum(t * table.vocab_size ** (len(text) - 1 - i) for i, t in enumerate(text))
            chance *= np.exp(table.levels[len(text)][number, token])
            text += (token,)
            if token == table.stop:
                break
        found[text] = chance
    return found


@pytest.mark.parametrize("stop", [None, 0, 2])
def test_the_law_is_that_of_walking_every_sequence(stop: int | None) -> None:
    table = drawn(3, 3, stop=stop)
    expected = plain_law(table)
    texts = [tuple(t for t in row if t != NOTHING) for row in table.texts.tokens.tolist()]
    assert texts == sorted(expected)
    assert len(texts) == (27 if stop is None else 1 + 2 + 4 * 3)
    np.testing.assert_allclose(table.law(), [expected[text] for text in texts], atol=1e-15)
    assert table.law().sum() == pytest.approx(1)
    assert [len(text) for text in texts] == table.texts.n_tokens.tolist()


@pytest.mark.parametrize("stop", [None, 1])
@pytest.mark.parametrize("beta", [0.1, 1.0, 7.0])
def test_tilting_gives_the_law_times_the_exponential_of_the_reward(stop: int | None, beta: float) -> None:
    table = drawn(3, 3, stop=stop)
    reward = Seeds(1)("reward").normal(size=len(table.texts.tokens))
    tilted = table.tilted(reward, beta)
    energy = table.log_law() + reward / beta
    np.testing.assert_allclose(tilted.log_law(), energy - logsumexp(energy), atol=1e-12)
    (root, *_) = table.soft_values(reward, beta)
    assert root[0] == pytest.approx(beta * logsumexp(energy))
    # Its value is what it earns less what it pays.
    assert root[0] == pytest.approx(tilted.law() @ reward - beta * tilted.divergence(table))


def test_tilting_is_the_optimum_that_a_descent_over_the_table_finds() -> None:
    table, beta = drawn(2, 2, stop=1), 0.4
    reward = np.array([1.0, -0.5, 0.3])
    sizes = [level.size for level in table.levels]

    def of(logits: np.ndarray) -> Table:
        parts = np.split(logits, np.cumsum(sizes)[:-1])
        return Table.of_logits([part.reshape(level.shape) for part, level in zip(parts, table.levels, strict=True)], table.stop)

    def loss(logits: np.ndarray) -> float:
        policy = of(logits)
        return float(beta * policy.divergence(table) - policy.law() @ reward)

    found = minimize(loss, np.zeros(sum(sizes)), method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(of(found.x).law(), table.tilted(reward, beta).law(), atol=1e-6)
    assert -found.fun == pytest.approx(table.soft_values(reward, beta)[0][0])


def test_soft_values_by_hand() -> None:
    """Two fair tosses, reward 1 for two heads, at beta 1: behind a head log((1 + e) / 2), behind a tail 0."""
    table = Table.of_logits([np.zeros((1, 2)), np.zeros((2, 2))])
    root, second = table.soft_values(np.array([1.0, 0.0, 0.0, 0.0]), 1.0)
    assert second == pytest.approx([np.log((1 + np.e) / 2), 0])
    assert root == pytest.approx([np.log((3 + np.e) / 4)])


def test_a_reward_that_ends_with_the_first_token_tilts_no_later_token() -> None:
    table = drawn(3, 2, stop=2)
    tilted = table.tilted((table.texts.tokens[:, 0] == 0).astype(float), 0.5)
    for prefix in (0, 1):
        np.testing.assert_allclose(tilted.levels[1][prefix], table.levels[1][prefix], atol=1e-14)
    assert tilted.levels[0][0, 0] > table.levels[0][0, 0]


def test_emulating_an_exact_tilt_token_by_token_is_off_by_the_soft_values() -> None:
    """Large base times tuned over reference: whole texts give the large base's own tilt, single tokens do not, unless the soft
    values behind every prefix of one length are equal."""
    large, small = drawn(3, 2, name="large"), drawn(3, 2, name="small")

    def by_token(tuned: Table) -> Table:
        return Table.of_logits([b + t - r for b, t, r in zip(large.levels, tuned.levels, small.levels, strict=True)])

    reward = Seeds(2)("reward").normal(size=9)
    gap = by_token(small.tilted(reward, 1.0)).log_law() - large.tilted(reward, 1.0).log_law()
    # Of each first token: the large base's soft value behind it less the small one's, up to a constant.
    off = small.soft_values(reward, 1.0)[1] - large.soft_values(reward, 1.0)[1]
    by_first = gap.reshape(3, 3) - off[:, None]
    assert np.ptp(by_first) < 1e-12
    assert np.ptp(gap) > 0.1
    flat = reward[:3][large.texts.tokens[:, 0]]  # by the first token alone: what follows adds nothing
    same = by_token(small.tilted(flat, 1.0)).log_law() - large.tilted(flat, 1.0).log_law()
    assert np.abs(same).max() < 1e-10


def test_divergence_is_enumerated() -> None:
    one, other = drawn(3, 2, stop=0), drawn(3, 2, stop=0, name="other")
    p, q = one.law(), other.law()
    assert one.divergence(other) == pytest.approx(float((p * np.log(p / q)).sum()))
    assert one.divergence(one) == pytest.approx(0)
    without = Table.of_logits([np.array([[-np.inf, 0.0, 0.0]]), other.levels[1]], 0)
    assert one.divergence(without) == np.inf
    assert np.isfinite(without.divergence(one))


def test_impossible_tokens_stay_impossible() -> None:
    table = Table.of_logits([np.array([[0.0, -np.inf, 0.0]]), np.zeros((3, 3))])
    tilted = table.tilted(np.linspace(-3, 3, 9), 0.2)
    assert tilted.law().reshape(3, 3)[1].sum() == 0
    assert tilted.law().sum() == pytest.approx(1)


def test_tables_with_axes_in_front_are_each_alone() -> None:
    tables = drawn(3, 2, stop=1, lead=(2, 4))
    reward = Seeds(3)("rewards").normal(size=(4, len(tables.texts.tokens)))
    tilted = tables.tilted(reward, 0.5)
    assert tables.law().shape == (2, 4, len(tables.texts.tokens))
    for i, j in product(range(2), range(4)):
        alone = Table(tuple(level[i, j] for level in tables.levels), 1)
        np.testing.assert_allclose(tilted.law()[i, j], alone.tilted(reward[j], 0.5).law(), atol=1e-14)
        assert tables.divergence(tilted)[i, j] == pytest.approx(alone.divergence(alone.tilted(reward[j], 0.5)))
    one = drawn(3, 2, stop=1)
    np.testing.assert_allclose(one.tilted(reward, 0.5).law()[2], one.tilted(reward[2], 0.5).law())


def test_as_many_texts_as_are_enumerated_and_no_more() -> None:
    assert len(texts_of(2, 16).tokens) == 65_536
    with pytest.raises(SettingsError, match="at most 65,536"):
        texts_of(2, 17)
    with pytest.raises(SettingsError, match="must be one of 3"):
        texts_of(3, 2, 3)
    with pytest.raises(SettingsError, match="level 1"):
        Table((log_softmax(np.zeros((1, 3)), -1), log_softmax(np.zeros((2, 3)), -1)))
    with pytest.raises(SettingsError, match="sum to 1"):
        Table((np.zeros((1, 3)),))
    table = drawn(3, 2)
    with pytest.raises(SettingsError, match="beta must be positive"):
        table.tilted(np.zeros(9), 0.0)
    with pytest.raises(SettingsError, match="each of 9 texts"):
        table.tilted(np.zeros(8), 1.0)
