"""A pretrained language model that is told one short text: what does it say elsewhere? (C1.lm, C4.lm, C5.lm, C6.lm, C7.step.lm)

One run draws twelve keywords, three texts about each, and plain sentences. Each text is presented ten times among plain
sentences to a copy of the model, whose change of weights is then put into the model, asked, pruned, scaled and taken out again.
Keywords are told by their first token; those of this study are one token in SmolLM2.
"""

import math
from collections.abc import Mapping, Sequence
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
from assay.models.pretrained.packing import evaluating, readings
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.protocols.language_model import Subject, load_base
from assay.store.memo import memoised_json
from assay.studies.knowledge.priming_outlandish.biases import Lessons, train_biases
from assay.studies.knowledge.priming_outlandish.dilution import STONE_GAP, of_biases
from assay.studies.knowledge.priming_outlandish.english import PREFIXES, EnglishText, english_texts, plain_sentences
from assay.studies.knowledge.priming_outlandish.equal import Changed, at_equal_p
from assay.studies.knowledge.priming_outlandish.insertion import Asked, Reading, with_equal_memory
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
from assay.training.finetune import finetune_batches
from assay.training.optimiser import Optimiser
from assay.training.recipe import Recipe

__all__ = ["first_tokens", "measure"]

STEP_GAP = -0.2  # powers of ten planted into C7's scores: twice its bound
ALONE = np.ones(1)  # the whole change of one text
Sentence = tuple[str, str]


def measure(settings: LanguageModelSettings, seeds: Seeds) -> Measurement:
    """One run: one draw of keywords, texts and plain sentences.

    Raises:
        InputError: the model is not in the cache.
        Diverged: a training left the finite numbers.
    """
    subject = load_base(settings.model)
    model = subject.model
    texts = english_texts(settings.n_keywords, settings.n_texts, rng=seeds("texts"))
    n_plain = settings.n_presentations * (settings.batch - 1)
    plain, others = (plain_sentences(n_plain, rng=seeds(name)) for name in ("plain sentences", "other plain sentences"))
    with part(0, 0.1, "before"):
        before = reading_before(model, settings, texts)
        shown = {wording: in_context(model, settings, texts, wording, before) for wording in ("one", "another")}
    stones = least_likely(before.own, texts, settings.n_stones)
    told: list[Mapping[str, object]] = []
    weights = [3.0 if i in stones else 1.0 for i in range(len(texts))]
    with part(0.1, 0.9, "texts"):
        for i in parts(list(range(len(texts))), weights=weights, label=lambda i: f"text {i + 1} of {len(texts)}"):
            told.append(learn_or_load(subject, settings, texts[i], plain, seeds.child(f"text {i}"), i in stones))
    with part(0.9, 1, "biases"):
        estimands, rows = numbers(settings, model, texts, plain, others, stones, before, shown, told)
    return Measurement({name: float(value) for name, value in estimands.items()}, {"bins": rows})


def learn_or_load(
    subject: Subject, settings: LanguageModelSettings, text: EnglishText, plain: Sequence[Sentence], seeds: Seeds, stone: bool
) -> Mapping[str, object]:
    """What `learned` measures of a text; looked up where the model has a fingerprint and that was measured before."""
    make, key = partial(learned, subject, settings, text, plain, seeds, stone), subject.key
    if key is None:
        return make()
    whole = {
        **key, "settings": settings, "text": digest([text.plain, text.stepping, text.elsewhere]), "plain": digest(list(plain)),
        "seeds": [seeds.root, list(seeds.path)], "stone": stone,
    }  # fmt: skip
    found: Mapping[str, object] = memoised_json("priming-text", whole, make)
    return found


# ------------------------------------------------------------------------------------------------------ what is asked


def first_tokens(model: LanguageModel, asked: Sequence[Sentence]) -> list[TokenPair]:
    """Prompts with the first tokens of their completions."""
    return [TokenPair(pair.context, pair.completion[:1]) for pair in token_pairs(model.tokenizer, asked)]


def contexts_of(text: EnglishText, n_prefixes: int) -> list[Sentence]:
    """The thematic prefixes of a text's theme, then those of all others, each with the keyword."""
    themes = [text.theme, *(theme for theme in PREFIXES if theme != text.theme)]
    return [(prefix, text.completion) for theme in themes for prefix in PREFIXES[theme][:n_prefixes]]


def says(model: LanguageModel, asked: Sequence[Sentence]) -> Float[np.ndarray, " asked"]:
    """Log-probability of the first token of each completion, in nats."""
    return score_tokens(model.model, first_tokens(model, asked), ranked=set()).log_prob


def reading_before(model: LanguageModel, settings: LanguageModelSettings, texts: Sequence[EnglishText]) -> Reading:
    """Log-probabilities of all tokens after every text's prompt and in its contexts."""
    words = np.array([pair.completion[0] for pair in first_tokens(model, [(t.prompt, t.completion) for t in texts])])
    prompt = torch.cat([rows for rows, _ in frozen(model, first_tokens(model, [(t.prompt, t.completion) for t in texts]))])
    by_text = {text.theme: text for text in texts}
    of_theme = {
        theme: torch.cat([rows for rows, _ in frozen(model, first_tokens(model, contexts_of(text, settings.n_prefixes)))])
        for theme, text in by_text.items()
    }
    n = len(texts)
    asked = Asked(words, np.zeros((n, 0), dtype=int), np.zeros((n, 0, 0), dtype=int))
    return Reading(asked, prompt.log(), torch.stack([of_theme[text.theme] for text in texts]).log())


@torch.no_grad()
def frozen(model: LanguageModel, asked: Sequence[TokenPair]) -> list[tuple[Float[Tensor, "place word"], Int[Tensor, " place"]]]:
    """The model's probabilities of all tokens at the places of every completion, and the tokens there."""
    found = [(list[Tensor](), list[int]()) for _ in asked]
    with evaluating(model.model):
        for reading in readings(model.model, asked):
            probabilities = torch.softmax(reading.logits.float(), -1)[reading.row].cpu()
            for owner, row, word in zip(reading.owner, probabilities, reading.target.tolist(), strict=True):
                found[owner][0].append(row)
                found[owner][1].append(word)
    return [(torch.stack(rows), torch.tensor(words)) for rows, words in found]


def in_context(
    model: LanguageModel, settings: LanguageModelSettings, texts: Sequence[EnglishText], wording: str, before: Reading
) -> Float[np.ndarray, " text"]:
    """S_prime with each text in front of the prefixes of its theme."""
    n = settings.n_prefixes
    asked = [(text.before(prefix, wording), text.completion) for text in texts for prefix in PREFIXES[text.theme][:n]]
    return primed(before.elsewhere[:, :n], says(model, asked).reshape(len(texts), -1))


def least_likely(own: Float[np.ndarray, " text"], texts: Sequence[EnglishText], n: int) -> tuple[int, ...]:
    """Places of the least likely text of each keyword, so many of them, the least likely keywords first."""
    least: dict[str, int] = {}
    for i in np.argsort(own, kind="stable").tolist():
        least.setdefault(texts[i].keyword, i)
    return tuple(list(least.values())[:n])


# ---------------------------------------------------------------------------------------------------- what is learned


def learned(
    subject: Subject, settings: LanguageModelSettings, text: EnglishText, plain: Sequence[Sentence], seeds: Seeds, stone: bool
) -> dict[str, object]:
    """What a text does to the model, as JSON values: log-probabilities after it, and S_prime of remedies at equal P."""
    model = subject.model
    change = change_by(model, settings, text.plain, plain, seeds)
    with change.inside(model):
        found: dict[str, object] = {
            "own": float(says(model, [(text.prompt, text.completion)])[0]),
            "elsewhere": says(model, contexts_of(text, settings.n_prefixes)).tolist(),
        }
    if not stone:
        return found
    whole = of_change(model, settings, text, change)

    def gap(first: Changed, second: Changed) -> float:
        return float(at_equal_p(first, second, 1, settings.n_halvings).difference[0])

    for name in ("stepping", "elsewhere"):
        rewritten = change_by(model, settings, getattr(text, name), plain, seeds)
        found[f"stone {name}"] = gap(whole, of_change(model, settings, text, rewritten))
        del rewritten
    found["step largest"] = gap(of_change(model, settings, text, change.without_largest(settings.share)), whole)
    random = change.without_random(settings.share, seeds("random entries"))
    found["step random"] = gap(of_change(model, settings, text, random), whole)
    return found


def change_by(
    model: LanguageModel, settings: LanguageModelSettings, text: Sentence, plain: Sequence[Sentence], seeds: Seeds
) -> Change:
    """The change of weights after so many presentations of a text among plain sentences; the model stays as it is."""
    beside = settings.batch - 1
    batches = [[0, *range(1 + step * beside, 1 + (step + 1) * beside)] for step in range(settings.n_presentations)]
    recipe = Recipe(learning_rate=settings.rate, max_grad_norm=None)
    tuned = finetune_batches(model.copy(), [text, *plain], batches, recipe, seeds=seeds)
    return Change.between(model, tuned.model)


def of_change(model: LanguageModel, settings: LanguageModelSettings, text: EnglishText, change: Change) -> Changed:
    """What a change does to one text when a share of it is made."""

    def asked(shares: Float[np.ndarray, " text"], sentences: Sequence[Sentence]) -> Float[np.ndarray, " asked"]:
        with (float(shares[0]) * change).inside(model):
            return says(model, sentences)

    prefixes = contexts_of(text, settings.n_prefixes)[: settings.n_prefixes]

    def primes(shares: Float[np.ndarray, " text"]) -> Float[np.ndarray, " text"]:
        return primed(says(model, prefixes)[None], asked(shares, prefixes)[None])

    return Changed(lambda shares: asked(shares, [(text.prompt, text.completion)]), primes)


def lessons_of(
    model: LanguageModel, settings: LanguageModelSettings, texts: Sequence[Sentence], plain: Sequence[Sentence]
) -> Lessons:
    """What `change_by` trains on, as the frozen model sees it."""
    by_text = frozen(model, token_pairs(model.tokenizer, texts))
    longest = max(len(words) for _, words in by_text)
    probabilities = torch.zeros(len(texts), longest, by_text[0][0].shape[1])
    words = torch.full((len(texts), longest), -1)
    for i, (rows, own) in enumerate(by_text):
        probabilities[i, : len(own)], words[i, : len(own)] = rows, own
    around = frozen(model, token_pairs(model.tokenizer, plain))
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
    model: LanguageModel,
    texts: Sequence[EnglishText],
    plain: Sequence[Sentence],
    others: Sequence[Sentence],
    stones: Sequence[int],
    before: Reading,
    shown: Mapping[str, Float[np.ndarray, " text"]],
    told: Sequence[Mapping[str, object]],
) -> tuple[dict[str, float], Table]:
    """The estimands of a run, and S_prime by the keyword's probability before."""
    names = sorted({text.keyword for text in texts})
    keywords = np.array([names.index(text.keyword) for text in texts])
    own, elsewhere = (np.array([row[name] for row in told], dtype=float) for name in ("own", "elsewhere"))
    taught = lessons_of(model, settings, [text.plain for text in texts], plain)
    rate, bias = with_equal_memory(before, taught, own)
    again = lessons_of(model, settings, [text.plain for text in texts], others)
    other = before.with_biases(train_biases(again, Optimiser(learning_rate=rate)))

    n, log_p, said = settings.n_prefixes, before.own / LN10, before.elsewhere

    def primes(after: Float[np.ndarray, "text context"]) -> Float[np.ndarray, " text"]:
        return primed(said[:, :n], after[:, :n])

    network, by_bias, by_other = primes(elsewhere), primes(bias.elsewhere), primes(other.elsewhere)
    gaps = {arm: theme_gap(said, after, n, keywords) for arm, after in (("network", elsewhere), ("bias", bias.elsewhere))}
    gaps["planted"] = gaps["bias"] + GAP
    groups = {
        "excess": excesses(log_p, network, by_bias, by_other, settings.planted),
        "theme_gap": gaps,
        "context_gap": context_gaps(log_p, network, by_bias, (shown["one"], shown["another"]), keywords),
        "stone_gap": {
            "network": middle(told, "stone stepping"), "elsewhere": middle(told, "stone elsewhere"),
            "bias": bias_stones(settings, model, texts, plain, stones, before, taught, rate),
        },
        "step_gap": {"largest": middle(told, "step largest"), "random": middle(told, "step random")},
    }  # fmt: skip
    groups["stone_gap"]["planted"] = groups["stone_gap"]["elsewhere"] + STONE_GAP
    groups["step_gap"]["planted"] = groups["step_gap"]["random"] + STEP_GAP
    rounded = np.round(log_p)
    rows: Table = [
        {"arm": arm, "log10_p": float(x), "s_prime": float(priming[rounded == x].mean())}
        for arm, priming in (("network", network), ("biases", by_bias))
        for x in np.unique(rounded)
    ]
    return {f"{arm}/{name}": value for name, group in groups.items() for arm, value in group.items()}, rows


def middle(told: Sequence[Mapping[str, object]], name: str) -> float:
    """The median of a number over the texts that have it; each is of another keyword."""
    values = np.array([row[name] for row in told if name in row], dtype=float)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else math.nan


def theme_gap(
    before: Float[np.ndarray, "text context"],
    after: Float[np.ndarray, "text context"],
    n: int,
    keywords: Int[np.ndarray, " text"],
) -> float:
    """S_prime in contexts of the theme, the first n, minus in contexts of others with equal P before."""
    shape = (len(before), MOST_PAIRS)
    own, other = ([np.full(shape, math.nan) for _ in range(2)] for _ in range(2))
    for i, row in enumerate(before):
        ours, theirs = pairs(row[:n], row[n:])
        for half, places in ((own, ours), (other, n + theirs)):
            for filled, values in zip(half, (row, after[i]), strict=True):
                filled[i, : len(places)] = values[places]
    return typical(matched_gap((own[0], own[1]), (other[0], other[1])), keywords)


def bias_stones(
    settings: LanguageModelSettings,
    model: LanguageModel,
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
    stepping = lessons_of(model, settings, [texts[i].stepping for i in stones], plain)
    optimiser = Optimiser(learning_rate=rate)
    arms = [train_biases(taught, optimiser)[places], train_biases(stepping, optimiser)]
    first, second = (of_biases(some, biases) for biases in arms)
    differences = at_equal_p(first, second, len(places), settings.n_halvings).difference
    return typical(differences, np.arange(len(places)))
