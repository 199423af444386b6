"""What a text will prime, said before it is learned, and where its priming goes. (C1, C2, C3, C4, C5, C8, kernel)

One run draws a world, its plain text, and three texts for each of 32 keywords. Each text is inserted into the training of a
copy of its own; beside the copies stand frozen networks of which only a bias a word is trained on the same texts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from assay.claims.study import Measurement, Table
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.models.fused import cross_entropies
from assay.studies.knowledge.priming_outlandish.biases import train_biases
from assay.studies.knowledge.priming_outlandish.drawing import Drawn, drawn
from assay.studies.knowledge.priming_outlandish.insertion import (
    Asked,
    Reading,
    after_prompts,
    copies,
    in_contexts,
    inserted,
    lesson,
    lessons,
    read,
    schedule,
    stages,
    told_beside,
    told_rows,
    with_equal_memory,
    with_memory_of,
)
from assay.studies.knowledge.priming_outlandish.scores import (
    LN10,
    MOST_PAIRS,
    context_gaps,
    excess,
    knee_share,
    matched_gap,
    pairs,
    partial_rank_correlation,
    planted_line,
    primed,
    rank_correlation,
    typical,
)
from assay.studies.knowledge.priming_outlandish.settings import PrimingSettings
from assay.studies.knowledge.priming_outlandish.themes import N_THEMES, Text
from assay.training.losses import IGNORED, next_token_loss
from assay.training.optimiser import Optimiser

__all__ = ["measure"]

ALONE, CHANGED = 0.5, 0.2  # powers of ten that C8 asks of priming alone, and of what a second text of its theme changes
N_FOLDINGS = 8  # ways of dividing the keywords that C2 is a mean over
LAW, THRESHOLD = (0, 1, 2, 4), (0, 0, 4)  # rows told beside texts of growing surprise, which plant C1 and C2
GAP = 0.4  # powers of ten planted into C4's scores: twice its bound
ARMS = ("network", "bias", "planted")


@dataclass(frozen=True, eq=False)
class Compared:
    """Texts learned by a network and by two frozen networks with biases, at equal median memorisation.

    Attributes:
        before, network, bias, other: what is read before, and after the training of each; `other` had other plain rows.
        equal: after the training of the network, scaled down as a whole to the memory of biases where they have less.
        planted: the same of a network that was told more of a theme the more surprising the text was.
        rate: of the biases.
        n_prefixes: how many of the contexts are thematic prefixes; they come first.
    """

    before: Reading
    network: Reading
    bias: Reading
    other: Reading
    equal: Reading
    planted: Reading
    rate: float
    n_prefixes: int

    @property
    def log_p(self) -> Float[np.ndarray, " text"]:
        """log10 P of the keyword in its text before."""
        return np.asarray(self.before.own / LN10)

    def memorised(self, after: Reading) -> Float[np.ndarray, " text"]:
        """S_mem: log10 of P of the keyword in its text after over before."""
        return np.asarray((after.own - self.before.own) / LN10)

    def primes(self, after: Reading) -> Float[np.ndarray, " text"]:
        """S_prime over the thematic prefixes, in powers of ten."""
        n = self.n_prefixes
        return primed(self.before.elsewhere[:, :n], after.elsewhere[:, :n])

    def excesses(self) -> dict[str, float]:
        """Excess of the network, of the second bias arm in its place, and of the network with the planted law."""
        arms, bias = {"network": self.equal, "bias": self.other, "planted": self.planted}, self.primes(self.bias)
        return {arm: excess(self.log_p, self.primes(reading), bias) for arm, reading in arms.items()}


def measure(settings: PrimingSettings, seeds: Seeds) -> Measurement:
    """One run: one world, all arms.

    Raises:
        Diverged: a training left the finite numbers.
    """
    found = drawn(settings, settings.n_keywords, seeds)
    own = f"width {settings.d_model}, {settings.warm_up} steps"
    with part(0, 0.35, "plain text"):
        nets = networks(settings, found, seeds, own)
    base, few, everything = nets.pop(own), found.some(settings.n_few), np.arange(len(found.texts))
    once = schedule(settings.n_presentations, 1)
    estimands: dict[str, float] = {}
    with part(0.35, 0.5, "texts"):
        contexts = paired_contexts(found, base)
        main = compared(settings, seeds, found, base, everything, once, contexts)
        _enter(estimands, "excess", main.excesses())
        bent = threshold(settings, seeds, found, base, main)
        estimands |= knees(main, found, seeds, bent) | gaps(main, found, settings)
        estimands |= in_context(settings, seeds, found, base, main) | kernel(found, base, main, settings)
    with part(0.5, 0.85, "other networks and schedules"):
        settled = {own: compared(settings, seeds, found, base, few, once)}
        for name in parts(list(nets), label=str):
            settled[name] = compared(settings, seeds, found, nets[name], few, once)
        spaced = {"10 times, 1 step apart": settled[own]}
        for name, told in (
            (f"10 times, {settings.spaced} steps apart", schedule(settings.n_presentations, settings.spaced)),
            (f"{settings.n_fewest} times, {settings.far} steps apart", schedule(settings.n_fewest, settings.far)),
        ):
            spaced[name] = compared(settings, seeds, found, base, few, told)
        for what, group in (("excess_everywhere", settled), ("excess_spaced", spaced)):
            each = [one.excesses() for one in group.values()]
            _enter(estimands, what, {arm: max(one[arm] for one in each) for arm in ARMS})
    with part(0.85, 1, "two texts"):
        estimands |= two_texts(settings, seeds, found, base, few)
    tables = {
        "bins": bins(main, found), "settings": correlations(settled | spaced), "predictors": predictors(main, found, base),
        "reached": reached({"all texts": main} | settled | spaced),
    }  # fmt: skip
    return Measurement({name: float(value) for name, value in estimands.items()}, tables)


def _enter(estimands: dict[str, float], name: str, by_arm: dict[str, float]) -> None:
    estimands |= {f"{arm}/{name}": value for arm, value in by_arm.items()}


def networks(settings: PrimingSettings, found: Drawn, seeds: Seeds, own: str) -> dict[str, Decoder]:
    """The network before insertion, the same at earlier steps, and networks of other widths, each after as much plain text."""
    at = (*settings.stages, settings.warm_up)
    names = [*(f"width {settings.d_model}, {step} steps" for step in settings.stages), own]
    trained = stages(settings, found.world, settings.d_model, at, seeds("weights"), seeds("plain text"))
    nets = dict(zip(names, trained, strict=True))
    for width in settings.widths:
        last = (settings.warm_up,)
        trained = stages(settings, found.world, width, last, seeds(f"weights {width}"), seeds("plain text"))
        nets[f"width {width}, {settings.warm_up} steps"] = trained[0]
    return nets


def compared(
    settings: PrimingSettings,
    seeds: Seeds,
    found: Drawn,
    model: Decoder,
    which: Int[np.ndarray, " text"],
    told: Bool[np.ndarray, " step"],
    contexts: Int[np.ndarray, "text context place"] | None = None,
) -> Compared:
    """Some of the texts inserted into a network, and into two frozen ones with biases.

    Args:
        settings: of the run.
        seeds: of the run; all insertions of a run have the same plain rows, from the first step on.
        found: what the run is about.
        model: the network before, with a run axis of one.
        which: places of the texts.
        told: at which steps they are presented.
        contexts: in which the keywords are asked, thematic prefixes first; None for those alone.
    """
    rows = told_rows([found.texts[i].plain for i in which])
    contexts = found.prefixes[found.themes] if contexts is None else contexts
    asked = Asked(found.keywords[which], told_rows([found.texts[i].prompt for i in which]), contexts[which])
    plain, others = (found.plain_rows(settings, len(told), seeds(name)) for name in ("plain rows", "other plain rows"))
    before = read(model, asked)
    law = [rows, *told_beside([found.texts[i] for i in which], before.own, LAW)]
    forks, lawful = (inserted(model, beside, plain, told, settings.insertion_rate) for beside in ([rows], law))
    network = read(forks, asked)
    rate, bias = with_equal_memory(before, lessons(model, [rows], plain, told), network.own)
    again = train_biases(lessons(model, [rows], others, told), Optimiser(learning_rate=rate))
    memory = float(np.median(bias.own - before.own))
    equal = with_memory_of(model, forks, network, before, memory)
    planted = with_memory_of(model, lawful, read(lawful, asked), before, memory)
    return Compared(before, network, bias, before.with_biases(again), equal, planted, rate, settings.n_prefixes)


# ------------------------------------------------------------------------------------------------- where priming goes


def paired_contexts(found: Drawn, model: Decoder) -> Int[np.ndarray, "text context place"]:
    """For each text its thematic prefixes, then contexts of its theme and of others that are paired by P of its keyword.

    Where there are fewer pairs than places, a place repeats the first prefix in both halves.
    """
    n_themes, n_pool, _ = found.pool.shape
    says = in_contexts(model, found.pool.reshape(1, n_themes * n_pool, -1), 1).view(n_themes, n_pool, -1)
    rows = []
    for text in found.texts:
        others = [theme for theme in range(n_themes) if theme != text.theme]
        of_keyword = says[..., text.keyword].double().numpy()
        ours, theirs = pairs(of_keyword[text.theme], of_keyword[others].ravel())
        prefixes = found.prefixes[text.theme]
        empty = np.repeat(prefixes[:1], MOST_PAIRS - len(ours), 0)
        own, other = found.pool[text.theme][ours], found.pool[others].reshape(-1, prefixes.shape[-1])[theirs]
        rows.append(np.concatenate([prefixes, own, empty, other, empty]))
    return np.stack(rows)


def gaps(main: Compared, found: Drawn, settings: PrimingSettings) -> dict[str, float]:
    """C4: S_prime in contexts of the theme minus in contexts of others with equal P before."""
    n = settings.n_prefixes
    contexts = main.before.asked.contexts
    empty = (contexts[:, n : n + MOST_PAIRS] == contexts[:, n + MOST_PAIRS :]).all(-1)

    def halves(reading: Reading) -> tuple[np.ndarray, np.ndarray]:
        says = reading.elsewhere
        own, other = (np.where(empty, math.nan, says[:, at : at + MOST_PAIRS]) for at in (n, n + MOST_PAIRS))
        return own, other

    before = halves(main.before)
    values = {}
    for arm, reading in (("network", main.network), ("bias", main.bias)):
        after = halves(reading)
        values[arm] = typical(matched_gap((before[0], after[0]), (before[1], after[1])), found.keywords)
    values["planted"] = values["bias"] + GAP
    return {f"{arm}/theme_gap": value for arm, value in values.items()}


def in_context(settings: PrimingSettings, seeds: Seeds, found: Drawn, base: Decoder, main: Compared) -> dict[str, float]:
    """C5: how strongly priming goes with log P before, after training, beside priming by the text in front of the prefix."""
    before, rng = main.before.elsewhere[:, : settings.n_prefixes], seeds("other wording")
    other = [text.reworded(found.world, rng) for text in found.texts]
    shown = {}
    for wording, texts in (("one", found.texts), ("another", other)):
        prompts = [(*text.plain, *prefix[1:]) for text in texts for prefix in found.prefixes[text.theme].tolist()]
        says = after_prompts(base, told_rows(prompts)).view(len(texts), settings.n_prefixes, -1)
        words = torch.from_numpy(found.keywords)[:, None, None].expand(-1, settings.n_prefixes, 1)
        shown[wording] = primed(before, says.gather(2, words).squeeze(2).double().numpy())
    found_gaps = context_gaps(
        main.log_p, main.primes(main.network), main.primes(main.bias), (shown["one"], shown["another"]), found.keywords
    )
    return {f"{arm}/context_gap": value for arm, value in found_gaps.items()}


def two_texts(
    settings: PrimingSettings, seeds: Seeds, found: Drawn, base: Decoder, few: Int[np.ndarray, " text"]
) -> dict[str, float]:
    """C8: what a second text beside each changes of its S_prime: one of another theme, one of its own, a plain one.

    nan where a text alone primes too little, or a second text of its theme does not change it.
    """
    told, texts, keywords = schedule(settings.n_presentations, 1), [found.texts[i] for i in few], found.keywords[few]
    rows = told_rows([text.plain for text in texts])
    plain = found.plain_rows(settings, len(told), seeds("plain rows"))
    exchanged = plain.copy()
    exchanged[:, 1] = found.plain_rows(settings, len(told), seeds("exchanged rows"))[:, 1]
    arms = {
        "alone": ([rows], plain),
        "another-plain": ([rows], exchanged),
        "network": ([rows, rows[partners(texts, seeds("other theme"), same=False)]], plain),
        "same-theme": ([rows, rows[partners(texts, seeds("same theme"), same=True)]], plain),
    }
    asked = Asked(keywords, told_rows([text.prompt for text in texts]), found.prefixes[found.themes[few]])
    before = read(base, asked)
    said = {
        arm: read(inserted(base, beside, around, told, settings.insertion_rate), asked)
        for arm, (beside, around) in arms.items()
    }
    taught = {arm: lessons(base, beside, around, told) for arm, (beside, around) in arms.items()}
    rate, alone = with_equal_memory(before, taught.pop("alone"), said["alone"].own)
    by_bias = {arm: before.with_biases(train_biases(one, Optimiser(learning_rate=rate))) for arm, one in taught.items()}
    estimands = changes(before, said, keywords)
    estimands["bias"] = changes(before, {"alone": alone, **by_bias}, keywords)["network"]
    return {f"{arm}/second_text": value for arm, value in estimands.items()}


def partners(texts: Sequence[Text], rng: np.random.Generator, *, same: bool) -> list[int]:
    """For each text the place of one about another keyword, of the same theme or of another."""
    fitting = [
        [i for i, other in enumerate(texts) if other.keyword != text.keyword and (other.theme == text.theme) == same]
        for text in texts
    ]
    return [int(rng.choice(places)) for places in fitting]


def changes(before: Reading, said: Mapping[str, Reading], keywords: Int[np.ndarray, " text"]) -> dict[str, float]:
    """What each arm's S_prime has more than that of `alone`; nan where it is not asked (see `two_texts`)."""
    priming = {arm: primed(before.elsewhere, reading.elsewhere) for arm, reading in said.items()}
    more = {arm: typical(values - priming["alone"], keywords) for arm, values in priming.items() if arm != "alone"}
    if typical(priming["alone"], keywords) > ALONE and abs(more["same-theme"]) > CHANGED:
        return more
    return dict.fromkeys(more, math.nan)


# --------------------------------------------------------------------------------------- the knee, and the tangent kernel


def threshold(settings: PrimingSettings, seeds: Seeds, found: Drawn, base: Decoder, main: Compared) -> Reading:
    """What is read after a network was told more of the theme beside the third of its most surprising texts alone."""
    told, rows = schedule(settings.n_presentations, 1), told_rows([text.plain for text in found.texts])
    beside = told_beside(found.texts, main.before.own, THRESHOLD)
    plain = found.plain_rows(settings, len(told), seeds("plain rows"))
    forks = inserted(base, [rows, *beside], plain, told, settings.insertion_rate)
    memory = float(np.median(main.bias.own - main.before.own))
    return with_memory_of(base, forks, read(forks, main.before.asked), main.before, memory)


def knees(main: Compared, found: Drawn, seeds: Seeds, bent: Reading) -> dict[str, float]:
    """C2: the share of a line's error that a knee removes, less that in the bias arm; `bent` has one planted."""
    x, y, bias, other = main.log_p, *(main.primes(one) for one in (main.equal, main.bias, main.other))
    arms = {
        "network": y,
        "bias": other,
        "straight": planted_line(x, y, seeds("straight")),
        "knee": main.primes(bent),
    }

    def share(values: Float[np.ndarray, " text"]) -> float:
        rng = seeds("folds")
        return max(0.0, float(np.mean([knee_share(x, values, found.keywords, rng) for _ in range(N_FOLDINGS)])))

    return {f"{arm}/knee_excess": share(values) - share(bias) for arm, values in arms.items()}


def kernel(found: Drawn, base: Decoder, main: Compared, settings: PrimingSettings) -> dict[str, float]:
    """Partial rank correlation of the gradient product before with what is primed, given the bias arm and P before.

    Items are all pairs of a text and one of its thematic prefixes. The product is that of minus the gradient of the text's loss
    and the gradient of the keyword's log-probability behind the prefix. From its correlation that of another text of the theme,
    whose gradients know the theme, is taken; a third text shows by how much two of those differ.
    """
    n = settings.n_prefixes
    own, another, third = products(found, base)
    before, after, bias, other = (one.elsewhere[:, :n] for one in (main.before, main.network, main.bias, main.other))
    given = [(bias - before).ravel(), before.ravel()]

    def more(product: Float[np.ndarray, "text prefix"], reading: Float[np.ndarray, "text prefix"]) -> float:
        moved = (reading - before).ravel()
        first, second = (partial_rank_correlation(one.ravel(), moved, given) for one in (product, another))
        return first - second

    return {"network/kernel": more(own, after), "another-text/kernel": more(third, after), "bias/kernel": more(own, other)}


def products(found: Drawn, base: Decoder) -> Float[np.ndarray, "which text prefix"]:
    """Gradient products of each text, and of texts of the next keyword and the one after next, with its thematic prefixes."""
    products = np.zeros((3, len(found.texts), found.prefixes.shape[1]))
    for theme in range(N_THEMES):
        own = np.flatnonzero(found.themes == theme)
        texts = text_gradients(base, told_rows([found.texts[i].plain for i in own]))
        words, place = np.unique(found.keywords[own], return_inverse=True)
        prefixes = found.prefixes[theme]
        asked = prefix_gradients(base, np.tile(prefixes, (len(words), 1)), np.repeat(words, len(prefixes)))
        all_of_them = -(texts @ asked.T).double().numpy().reshape(len(own), len(words), -1)
        for i, of_text in enumerate(products):
            shifted = np.roll(np.arange(len(own)), i * len(own) // len(words))  # texts of a keyword stand together
            of_text[own] = all_of_them[shifted, place]
    return products


def text_gradients(base: Decoder, rows: Int[np.ndarray, "text place"]) -> Float[Tensor, "text weight"]:
    """The gradient of each text's mean loss."""
    forks = copies(base, len(rows))
    return _gradients(forks, next_token_loss(forks, lesson(rows[:, None])))


def prefix_gradients(
    base: Decoder, prefixes: Int[np.ndarray, "item place"], words: Int[np.ndarray, " item"]
) -> Float[Tensor, "item weight"]:
    """The gradient of each word's log-probability behind a prefix."""
    forks = copies(base, len(prefixes))
    logits = forks(torch.from_numpy(prefixes)[:, None], at=-1).squeeze(1)
    return _gradients(forks, -cross_entropies(logits, torch.from_numpy(words), ignored=IGNORED))


def _gradients(forks: Decoder, values: Float[Tensor, " item"]) -> Float[Tensor, "item weight"]:
    found = torch.autograd.grad(values.sum(), list(forks.parameters()))
    return torch.cat([gradient.flatten(1) for gradient in found], 1)


# ---------------------------------------------------------------------------------------------------------------- tables


def bins(main: Compared, found: Drawn) -> Table:
    """S_prime by the keyword's probability before, in halves of a power of ten, of the network and of biases."""
    rows: Table = []
    rounded = np.round(2 * main.log_p) / 2
    for arm, reading in (("network", main.equal), ("biases", main.bias)):
        priming = main.primes(reading)
        rows += [{"arm": arm, "log10_p": float(x), "s_prime": float(priming[rounded == x].mean())} for x in np.unique(rounded)]
    return rows


def correlations(settled: dict[str, Compared]) -> Table:
    """Rank correlation of S_prime with log P before, by network and schedule."""
    return [
        {"setting": name, "arm": arm, "rho": rank_correlation(one.log_p, one.primes(reading))}
        for name, one in settled.items()
        for arm, reading in (("network", one.equal), ("biases", one.bias))
    ]


def predictors(main: Compared, found: Drawn, base: Decoder) -> Table:
    """Rank correlation of S_prime with what can be said of a text before: inside keywords, and by other predictors."""
    rows_of = told_rows([text.prompt for text in found.texts])
    with torch.no_grad():
        batch = lesson(rows_of[None])
        lost = cross_entropies(base(batch.inputs).flatten(0, -2), batch.targets.flatten(), ignored=IGNORED)
    counted = (batch.targets[0] != IGNORED).sum(1)
    loss = (lost.view(len(rows_of), -1).sum(1) / counted).double().numpy()
    says = main.before.prompt.double()
    known = {
        "log P of the keyword": main.log_p,
        "entropy of the next word": -(says.exp() * says).sum(1).numpy(),
        "loss without the keyword": loss,
    }
    rows: Table = []
    for arm, reading in (("network", main.equal), ("biases", main.bias)):
        priming = main.primes(reading)
        rows += [{"predictor": name, "arm": arm, "rho": rank_correlation(x, priming)} for name, x in known.items()]
        groups = [found.keywords == keyword for keyword in np.unique(found.keywords)]
        inside = [rank_correlation(main.log_p[group], priming[group]) for group in groups]
        rows.append({"predictor": "log P, inside keywords", "arm": arm, "rho": float(np.nanmean(inside))})
    return rows


def reached(settled: dict[str, Compared]) -> Table:
    """Medians of what each arm learned and primed, and the rate of the biases."""
    return [
        {
            "setting": name, "arm": arm, "s_mem": float(np.median(one.memorised(reading))),
            "s_prime": float(np.median(one.primes(reading))), "bias_rate": one.rate,
            "least_log10_p": float(one.log_p.min()), "most_log10_p": float(one.log_p.max()),
        }
        for name, one in settled.items()
        for arm, reading in (
            ("network", one.network), ("network, scaled down", one.equal), ("biases", one.bias),
            ("biases, other plain rows", one.other),
        )
    ]  # fmt: skip
