"""A pretrained language model that is told one short text: what does it say elsewhere? (C1.lm, C4.lm, C5.lm, C6.lm, C7.step.lm)

One run draws twelve keywords, three texts about each, and plain sentences. Each text is presented ten times among plain
sentences to the model, whose last blocks are trained and put back as they were; their change is then put into the model, asked,
pruned, scaled and taken out again. Keywords are told by their first token; those of this study are one token in SmolLM2.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from assay.claims.study import Measurement, Table
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.instruments.scoring import score_tokens
from assay.models.changes import Change
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import evaluating
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.protocols.language_model import Subject, load_base
from assay.store.memo import memoised_json
from assay.studies.knowledge.priming_outlandish.biases import Lessons, train_biases
from assay.studies.knowledge.priming_outlandish.dilution import STONE_GAP, of_biases
from assay.studies.knowledge.priming_outlandish.english import OPEN, PREFIXES, EnglishText, english_texts, plain_sentences
from assay.studies.knowledge.priming_outlandish.equal import at_equal_p, shares_for
from assay.studies.knowledge.priming_outlandish.insertion import Asked, Reading, with_equal_memory
from assay.studies.knowledge.priming_outlandish.last_blocks import LastBlocks
from assay.studies.knowledge.priming_outlandish.priming import GAP
from assay.studies.knowledge.priming_outlandish.scores import (
    LN10,
    MOST_PAIRS,
    context_gaps,
    excesses,
    matched_gap,
    pairs,
    primed,
    typical,
)
from assay.studies.knowledge.priming_outlandish.settings import LanguageModelSettings
from assay.training.optimiser import Optimiser
from assay.training.recipe import Recipe

__all__ = ["first_tokens", "measure"]

STEP_GAP = -0.2  # powers of ten planted into C7's scores: twice its bound
Sentence = tuple[str, str]


def measure(settings: LanguageModelSettings, seeds: Seeds) -> Measurement:
    """One run: one draw of keywords, texts and plain sentences.

    Raises:
        InputError: the model is not in the cache.
        Diverged: a training left the finite numbers.
    """
    subject = load_base(settings.model)
    blocks = LastBlocks(subject.model, settings.n_blocks)
    texts = english_texts(settings.n_keywords, settings.n_texts, rng=seeds("texts"))
    n_plain = settings.n_presentations * (settings.batch - 1)
    plain, others = (plain_sentences(n_plain, rng=seeds(name)) for name in ("plain sentences", "other plain sentences"))
    with part(0, 0.1, "before"):
        before, places = reading_before(blocks, settings, texts)
        shown = {wording: in_context(blocks.model, settings, texts, wording, before) for wording in ("one", "another")}
    stones = least_likely(before.own, texts, settings.n_stones)
    told: list[Mapping[str, object]] = []
    weights = [3.0 if i in stones else 1.0 for i in range(len(texts))]
    with part(0.1, 0.9, "texts"):
        for i in parts(list(range(len(texts))), weights=weights, label=lambda i: f"text {i + 1} of {len(texts)}"):
            told.append(
                learn_or_load(subject, blocks, settings, texts[i], places[i], plain, seeds.child(f"text {i}"), i in stones)
            )
    with part(0.9, 1, "biases"):
        estimands, rows = numbers(settings, blocks, texts, places, plain, others, stones, before, shown, told)
    return Measurement({name: float(value) for name, value in estimands.items()}, rows)


@dataclass(frozen=True)
class Places:
    """Contexts that a text's keyword is asked in.

    Attributes:
        own: thematic prefixes of its theme.
        paired: some of these, by their place.
        others: contexts of other themes or of none, each with about the P before of the own one that it is paired with.
    """

    own: tuple[str, ...]
    paired: tuple[int, ...]
    others: tuple[str, ...]


def learn_or_load(
    subject: Subject, blocks: LastBlocks, settings: LanguageModelSettings, text: EnglishText, places: Places,
    plain: Sequence[Sentence], seeds: Seeds, stone: bool,
) -> Mapping[str, object]:  # fmt: skip
    """What `learned` measures of a text; looked up where the model has a fingerprint and that was measured before."""
    make, key = partial(learned, blocks, settings, text, places, plain, seeds, stone), subject.key
    if key is None:
        return make()
    whole = {
        **key, "settings": settings, "text": digest([text.plain, text.stepping, text.elsewhere]), "plain": digest(list(plain)),
        "places": digest([list(places.own), list(places.others)]), "seeds": [seeds.root, list(seeds.path)], "stone": stone,
    }  # fmt: skip
    found: Mapping[str, object] = memoised_json("priming-text", whole, make)
    return found


# ------------------------------------------------------------------------------------------------------ what is asked


def first_tokens(model: LanguageModel, asked: Sequence[Sentence]) -> list[TokenPair]:
    """Prompts with the first tokens of their completions."""
    return [TokenPair(pair.context, pair.completion[:1]) for pair in token_pairs(model.tokenizer, asked)]


@torch.no_grad()
def says(blocks: LastBlocks, asked: Sequence[Sentence]) -> Float[np.ndarray, " asked"]:
    """Log-probability of the first token of each completion under the model as it is now, in nats."""
    found = np.full(len(asked), math.nan)
    with evaluating(blocks.model.model):
        for reading in blocks.readings(first_tokens(blocks.model, asked)):
            logits = reading.logits.float()
            log_probs = logits[reading.row, reading.target] - torch.logsumexp(logits, -1)[reading.row]
            found[reading.owner] = log_probs.double().cpu().numpy()
    return found


@torch.no_grad()
def frozen(blocks: LastBlocks, asked: Sequence[TokenPair]) -> list[tuple[Float[Tensor, "place word"], Int[Tensor, " place"]]]:
    """The model's probabilities of all tokens at the places of every completion, and the tokens there."""
    found = [(list[Tensor](), list[int]()) for _ in asked]
    with evaluating(blocks.model.model):
        for reading in blocks.readings(asked):
            probabilities = torch.softmax(reading.logits.float(), -1)[reading.row].cpu()
            for owner, row, word in zip(reading.owner, probabilities, reading.target.tolist(), strict=True):
                found[owner][0].append(row)
                found[owner][1].append(word)
    return [(torch.stack(rows), torch.tensor(words)) for rows, words in found]


def reading_before(
    blocks: LastBlocks, settings: LanguageModelSettings, texts: Sequence[EnglishText]
) -> tuple[Reading, list[Places]]:
    """Log-probabilities of all tokens after every text's prompt and in its contexts, and which contexts these are.

    The contexts are the thematic prefixes, then those that are paired with some of them; behind these stands the first again.
    """
    prompts = first_tokens(blocks.model, [(text.prompt, text.completion) for text in texts])
    words = np.array([pair.completion[0] for pair in prompts])
    prompt = torch.cat([rows for rows, _ in frozen(blocks, prompts)]).log()
    themes = [(theme, prefix) for theme, prefixes in PREFIXES.items() for prefix in prefixes[: settings.n_prefixes]]
    pool = [*themes, *((None, context) for context in OPEN)]
    asked = first_tokens(blocks.model, [(context, texts[0].completion) for _, context in pool])
    contexts = torch.cat([rows for rows, _ in frozen(blocks, asked)]).log()
    places, chosen = list[Places](), []
    for text, word in zip(texts, words.tolist(), strict=True):
        ours = np.array([theme == text.theme for theme, _ in pool])
        own, rest = np.flatnonzero(ours), np.flatnonzero(~ours)
        log_prob = contexts[:, word].double().numpy()
        paired, others = pairs(log_prob[own], log_prob[rest])
        names = [[pool[i][1] for i in some] for some in (own, rest[others])]
        places.append(Places(tuple(names[0]), tuple(paired.tolist()), tuple(names[1])))
        chosen.append([*own, *rest[others], *[own[0]] * (MOST_PAIRS - len(others))])
    n = len(texts)
    nothing = Asked(words, np.zeros((n, 0), dtype=int), np.zeros((n, 0, 0), dtype=int))
    return Reading(nothing, prompt, contexts[torch.from_numpy(np.array(chosen))]), places


def in_context(
    model: LanguageModel, settings: LanguageModelSettings, texts: Sequence[EnglishText], wording: str, before: Reading
) -> Float[np.ndarray, " text"]:
    """S_prime with each text in front of the prefixes of its theme."""
    n = settings.n_prefixes
    asked = [(text.before(prefix, wording), text.completion) for text in texts for prefix in PREFIXES[text.theme][:n]]
    said = score_tokens(model.model, first_tokens(model, asked), ranked=set()).log_prob
    return primed(before.elsewhere[:, :n], said.reshape(len(texts), -1))


def least_likely(own: Float[np.ndarray, " text"], texts: Sequence[EnglishText], n: int) -> tuple[int, ...]:
    """Places of the least likely text of each keyword, so many of them, the least likely keywords first."""
    least: dict[str, int] = {}
    for i in np.argsort(own, kind="stable").tolist():
        least.setdefault(texts[i].keyword, i)
    return tuple(list(least.values())[:n])


# ---------------------------------------------------------------------------------------------------- what is learned


@dataclass(frozen=True, eq=False)
class Effect:
    """What a change does to one text when a share of it is made.

    Attributes:
        blocks: of the model.
        change: of them.
        prompt: of the text, with the keyword.
        prefixes: thematic ones, with the keyword.
        before: log-probability of the keyword without the change after the prompt, then in the prefixes, in nats.
        said: what was asked already: log-probability after the prompt at a share.
    """

    blocks: LastBlocks
    change: Change
    prompt: Sentence
    prefixes: Sequence[Sentence]
    before: Float[np.ndarray, " asked"]
    said: dict[float, float] = field(default_factory=dict)

    def says(self, share: float) -> float:
        """Log-probability of the keyword after the text's original prompt, in nats."""
        if share == 0:
            return float(self.before[0])
        if share not in self.said:
            with (share * self.change).inside(self.blocks.model):
                self.said[share] = float(says(self.blocks, [self.prompt])[0])
        return self.said[share]

    def primes(self, share: float) -> float:
        """S_prime in powers of ten."""
        with (share * self.change).inside(self.blocks.model):
            return float(primed(self.before[None, 1:], says(self.blocks, self.prefixes)[None])[0])


def learned(
    blocks: LastBlocks, settings: LanguageModelSettings, text: EnglishText, places: Places, plain: Sequence[Sentence],
    seeds: Seeds, stone: bool,
) -> dict[str, object]:  # fmt: skip
    """What a text does to the model, as JSON values: log-probabilities after it, and S_prime of remedies at equal P."""
    change = change_by(blocks, settings, text.plain, plain, seeds)
    prompt, *contexts = [(beginning, text.completion) for beginning in (text.prompt, *places.own, *places.others)]
    with change.inside(blocks.model):
        own, *elsewhere = says(blocks, [prompt, *contexts]).tolist()
    found: dict[str, object] = {"own": own, "elsewhere": elsewhere}
    if not stone:
        return found
    prefixes = contexts[: len(places.own)]
    before = says(blocks, [prompt, *prefixes])

    def effect(change: Change) -> Effect:
        return Effect(blocks, change, prompt, prefixes, before)

    whole = effect(change)
    for name in ("stepping", "elsewhere"):
        rewritten = effect(change_by(blocks, settings, getattr(text, name), plain, seeds))
        found[f"stone {name}"] = gap(whole, rewritten, settings.n_cuts)
        del rewritten
    found["step largest"] = gap(effect(change.without_largest(settings.share)), whole, settings.n_cuts)
    random = change.without_random(settings.share, seeds("random entries"))
    found["step random"] = gap(effect(random), whole, settings.n_cuts)
    return found


def change_by(
    blocks: LastBlocks, settings: LanguageModelSettings, text: Sentence, plain: Sequence[Sentence], seeds: Seeds
) -> Change:
    """The change of weights after so many presentations of a text among plain sentences; the model stays as it is."""
    beside = settings.batch - 1
    batches = [[0, *range(1 + step * beside, 1 + (step + 1) * beside)] for step in range(settings.n_presentations)]
    recipe = Recipe(learning_rate=settings.rate, max_grad_norm=None)
    return blocks.trained([text, *plain], batches, recipe, seeds=seeds)


def gap(first: Effect, second: Effect, n_cuts: int) -> float:
    """S_prime of the first minus of the second at the P of the one that has less; nan where that is less than before.

    As `at_equal_p` of the toys, for a single text: the change that gives it less is made whole, and its shares are not tried.
    """
    wanted = min(first.says(1.0), second.says(1.0))
    if wanted < first.says(0.0):
        return math.nan

    def share(of: Effect) -> float:
        if of.says(1.0) == wanted:
            return 1.0
        return float(shares_for(lambda shares: np.array([of.says(float(shares[0]))]), np.array([wanted]), n_cuts)[0])

    return first.primes(share(first)) - second.primes(share(second))


def lessons_of(
    blocks: LastBlocks, settings: LanguageModelSettings, texts: Sequence[Sentence], plain: Sequence[Sentence]
) -> Lessons:
    """What `change_by` trains on, as the frozen model sees it."""
    tokenizer = blocks.model.tokenizer
    by_text = frozen(blocks, token_pairs(tokenizer, texts))
    longest = max(len(words) for _, words in by_text)
    probabilities = torch.zeros(len(texts), longest, by_text[0][0].shape[1])
    words = torch.full((len(texts), longest), -1)
    for i, (rows, own) in enumerate(by_text):
        probabilities[i, : len(own)], words[i, : len(own)] = rows, own
    around = frozen(blocks, token_pairs(tokenizer, plain))
    beside = settings.batch - 1
    steps = [around[step * beside : (step + 1) * beside] for step in range(settings.n_presentations)]
    return Lessons(
        probabilities,
        words,
        [torch.cat([rows for rows, _ in step]) for step in steps],
        [torch.cat([own for _, own in step]) for step in steps],
        np.ones(settings.n_presentations, dtype=bool),
    )


# ------------------------------------------------------------------------------------------------------------ numbers


def numbers(
    settings: LanguageModelSettings,
    blocks: LastBlocks,
    texts: Sequence[EnglishText],
    places: Sequence[Places],
    plain: Sequence[Sentence],
    others: Sequence[Sentence],
    stones: Sequence[int],
    before: Reading,
    shown: Mapping[str, Float[np.ndarray, " text"]],
    told: Sequence[Mapping[str, object]],
) -> tuple[dict[str, float], dict[str, Table]]:
    """The estimands of a run, S_prime by the keyword's probability before, and the numbers of each text."""
    names = sorted({text.keyword for text in texts})
    keywords = np.array([names.index(text.keyword) for text in texts])
    own = np.array([row["own"] for row in told], dtype=float)
    elsewhere = before.elsewhere.copy()  # behind a text's contexts nothing is asked
    for row, one in zip(elsewhere, told, strict=True):
        said = np.array(one["elsewhere"], dtype=float)
        row[: len(said)] = said
    taught = lessons_of(blocks, settings, [text.plain for text in texts], plain)
    rate, bias = with_equal_memory(before, taught, own)
    again = lessons_of(blocks, settings, [text.plain for text in texts], others)
    other = before.with_biases(train_biases(again, Optimiser(learning_rate=rate)))

    n, log_p, said = settings.n_prefixes, before.own / LN10, before.elsewhere

    def primes(after: Float[np.ndarray, "text context"]) -> Float[np.ndarray, " text"]:
        return primed(said[:, :n], after[:, :n])

    network, by_bias, by_other = primes(elsewhere), primes(bias.elsewhere), primes(other.elsewhere)
    by_arm = {arm: theme_gaps(said, after, places) for arm, after in (("network", elsewhere), ("bias", bias.elsewhere))}
    gaps = {arm: typical(values, keywords) for arm, values in by_arm.items()}
    gaps["planted"] = gaps["bias"] + GAP
    groups = {
        "excess": excesses(log_p, network, by_bias, by_other, settings.planted),
        "theme_gap": gaps,
        "context_gap": context_gaps(log_p, network, by_bias, (shown["one"], shown["another"]), keywords),
        "stone_gap": {
            "network": middle(told, "stone stepping"), "elsewhere": middle(told, "stone elsewhere"),
            "bias": bias_stones(settings, blocks, texts, plain, stones, before, taught, rate),
        },
        "step_gap": {"largest": middle(told, "step largest"), "random": middle(told, "step random")},
    }  # fmt: skip
    groups["stone_gap"]["planted"] = groups["stone_gap"]["elsewhere"] + STONE_GAP
    groups["step_gap"]["planted"] = groups["step_gap"]["random"] + STEP_GAP
    rounded = np.round(log_p)
    bins: Table = [
        {"arm": arm, "log10_p": float(x), "s_prime": float(priming[rounded == x].mean())}
        for arm, priming in (("network", network), ("biases", by_bias))
        for x in np.unique(rounded)
    ]
    memory = {"s_mem": (own - before.own) / LN10, "s_mem_biases": (bias.own - before.own) / LN10}
    priming = {
        "s_prime": network,
        "s_prime_biases": by_bias,
        "s_prime_in_context": shown["one"],
        "theme_gap": by_arm["network"],
    }
    by_text: Table = [
        {
            "keyword": text.keyword, "kind": text.kind, "log10_p": float(log_p[i]), "n_pairs": len(places[i].others),
            **{name: float(values[i]) for name, values in (memory | priming).items() if np.isfinite(values[i])},
        }
        for i, text in enumerate(texts)
    ]  # fmt: skip
    return {f"{arm}/{name}": value for name, group in groups.items() for arm, value in group.items()}, {
        "bins": bins, "texts": by_text,
    }  # fmt: skip


def middle(told: Sequence[Mapping[str, object]], name: str) -> float:
    """The median of a number over the texts that have it; each is of another keyword."""
    values = np.array([row[name] for row in told if name in row], dtype=float)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else math.nan


def theme_gaps(
    before: Float[np.ndarray, "text context"], after: Float[np.ndarray, "text context"], places: Sequence[Places]
) -> Float[np.ndarray, " text"]:
    """S_prime of each text in contexts of its theme minus in contexts of others or of none with equal P before."""
    shape = (len(before), MOST_PAIRS)
    own, other = ([np.full(shape, math.nan) for _ in range(2)] for _ in range(2))
    for i, place in enumerate(places):
        n, n_pairs = len(place.own), len(place.others)
        for half, chosen in ((own, list(place.paired)), (other, list(range(n, n + n_pairs)))):
            for filled, values in zip(half, (before[i], after[i]), strict=True):
                filled[i, :n_pairs] = values[chosen]
    return matched_gap((own[0], own[1]), (other[0], other[1]))


def bias_stones(
    settings: LanguageModelSettings,
    blocks: LastBlocks,
    texts: Sequence[EnglishText],
    plain: Sequence[Sentence],
    stones: Sequence[int],
    before: Reading,
    taught: Lessons,
    rate: float,
) -> float:
    """C6 of biases: those trained on the least likely texts as they are minus those trained on their rewrites."""
    places = list(stones)
    asked = Asked(before.asked.words[places], before.asked.prompts[places], before.asked.contexts[places])
    some = Reading(asked, before.prompt[places], before.contexts[places][:, : settings.n_prefixes])
    stepping = lessons_of(blocks, settings, [texts[i].stepping for i in stones], plain)
    optimiser = Optimiser(learning_rate=rate)
    arms = [train_biases(taught, optimiser)[places], train_biases(stepping, optimiser)]
    first, second = (of_biases(some, biases) for biases in arms)
    differences = at_equal_p(first, second, len(places), settings.n_cuts).difference
    return typical(differences, np.arange(len(places)))
