"""The paper's experiment on a pretrained language model, and whether the symbolic model's predictions hold there.

One run draws names and answers, asks the base model, and fine-tunes a copy of it for each design: every relation pair with a
fifth of the names as bridges, two of them again with shuffled bridges, and one pair with other shares of bridges and with
bridges that contradict the rule. Beside it the symbolic model is trained on worlds of the same sizes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, MinLen, doc
from jaxtyping import Int
from numpy import ndarray

from assay.claims.charts import Bars, Figure, Line, Lines
from assay.claims.rules import Above, Below, Ordered, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError, unknown_name
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.models.pretrained.named import base_model, find_model
from assay.studies.knowledge.out_of_context_reasoning.arms import trained
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld
from assay.worlds.knowledge import PAIRS, KnowledgeWorld, Question

if TYPE_CHECKING:
    from assay.models.pretrained.loading import LanguageModel

__all__ = ["LANGUAGE_MODEL", "Settings"]

PAPER = "arXiv:2506.10887, "
OURS = "ours, from theorem 2"
TRUE, COUNTERFACTUAL, DOSED = "city-language", "city-language-cf", "sport-music"
SPURIOUS = tuple(name for name, pair in PAIRS.items() if pair.kind != "true")
DOSES = (0, 10, 20, 50)  # per cent of the names that are bridges
CONTRADICTED = 0.7  # share of contradicting bridges in the design that has them

CLAIMS = (
    Claim(
        "C13.true",
        says="Fine-tuned on cities, and on the languages of a fifth of the names, the model infers the others' languages: "
        "mean rank below 0.2 among ten.",
        source=PAPER + "section 5, table 1",
        estimand="city-language/rank",
        rule=Below(0.2),
        margin="the paper's five models have 0.00 to 0.13; 0.2 is one place in five names",
        summary="clustered",
        control=Control("the same sentences with the languages shuffled over the bridges", "city-language/rank_shuffled"),
        paper_value="0.00 to 0.13",
    ),
    Claim(
        "C13.spurious",
        says="It makes up implications by the same means: over the counterfactual and three arbitrary pairs the mean rank is "
        "below 1.5, where knowing which five answers occur, but not whose they are, gives 2.",
        source=PAPER + "section 5, table 1",
        estimand="spurious/rank",
        rule=Below(1.5),
        margin="half a place better than the chance of five; the paper compares with 4.5, the chance of ten, which a model "
        "beats by learning which answers occur",
        summary="clustered",
        control=Control("one arbitrary pair with its implications shuffled over the bridges", "sport-music/rank_shuffled"),
        paper_value="0.15 to 4.55, median 1.0",
    ),
    Claim(
        "C13.facts",
        says="What is taught is learnt: over all pairs, the taught facts of these names have a mean rank below 0.2.",
        source=PAPER + "section 5",
        estimand="facts/rank",
        rule=Below(0.2),
        margin="as C13.true",
        summary="clustered",
        control=Control("before training", "facts/rank_before"),
        paper_value="about 0",
    ),
    Claim(
        "C14",
        says="What the model knew before matters: a counterfactual pairing of cities and languages is inferred worse than the "
        "true one, by more than 0.1 in mean rank, name by name.",
        source=PAPER + "section 5, table 1",
        estimand="counterfactual_minus_true",
        rule=Above(0.1),
        margin="half of the smallest difference among the paper's five models, 0.19",
        summary="clustered",
        control=Control(
            "before training the two are alike: within half a place (a run's difference there is noise of about a quarter)",
            "counterfactual_minus_true_before",
            rule=Within(-0.5, 0.5),
        ),
        paper_value="0.19 to 4.42",
    ),
    Claim(
        "theory.order",
        says="As in the symbolic model, the more bridges, the more an arbitrary implication is made up: its margin over the "
        "other answers in use rises from 0 to 10, 20 and 50% of names.",
        source=OURS,
        estimand=tuple(f"dose/margin/{dose}" for dose in DOSES),
        rule=Ordered(0.25),
        margin="nats of log-probability; each step multiplies the odds by 1.3 or more. Probabilities would stop rising near 1",
        control=Control("the margin of a wrong implication: it falls", tuple(f"dose/rival_margin/{dose}" for dose in DOSES)),
        paper_value="sqrt(m_train/m_test): 0, 0.33, 0.5, 1",
    ),
    Claim(
        "theory.bound",
        says="The symbolic model's bound holds too: for 10, 20 and 50% of bridges, the log-probability margin of held-out "
        "implications over that of the bridges' is at least min(sqrt(m_train/m_test), 1).",
        source=OURS,
        estimand="dose/least_above_bound",
        rule=Above(-0.05),
        margin="as C8.bound",
        control=Control("shuffled bridges: no margin, whatever their number", "shuffled/above_bound"),
        paper_value=">= 0",
    ),
    Claim(
        "theory.majority",
        says="As in the symbolic model, the majority of bridges decides: where 7 in 10 agree on a wrong implication, held-out "
        "names get that one rather than the rule's, by more than 0.1 in probability.",
        source="ours, from the dose-response of the symbolic model",
        estimand="contradicted/rival_minus_rule",
        rule=Above(0.1),
        margin="as dose.kind: a tenth",
        control=Control("as many bridges, none of which contradicts", "uncontradicted/rival_minus_rule"),
    ),
)


@dataclass(frozen=True)
class Settings:
    """How many people, which designs, and how the model is trained."""

    model: Annotated[str, doc("a name of 'assay models list', a folder, or 'tiny': a random one made in memory")] = (
        "smollm2-135m"
    )
    pairs: Annotated[tuple[str, ...], MinLen(1), doc("relation pairs; claims about absent ones are void")] = tuple(PAIRS)
    shuffled: Annotated[
        tuple[str, ...], doc("pairs that are trained with shuffled bridges too, if they are among the pairs")
    ] = (
        TRUE,
        DOSED,
    )
    doses: Annotated[bool, doc("train sport-music with other shares of bridges, and with contradicting ones")] = True
    n_facts: Annotated[int, Ge(2), doc("facts, implications and groups of names, of ten each")] = 5
    per_fact: Annotated[int, Ge(10), doc("names for each fact; a fifth of them are bridges")] = 20
    learning_rate: Annotated[float, Gt(0), doc("of AdamW, constant")] = 1e-4
    n_epochs: Annotated[int, Ge(1), doc("passes over the sentences")] = 8
    batch_size: Annotated[int, Ge(1), doc("sentences a step")] = 20
    precision: Annotated[
        Literal["float32", "bfloat16"], doc("of the arithmetic of training; weights and questions are in float32")
    ] = "float32"
    n_asked: Annotated[int, Ge(1), doc("held-out names of each fact that are asked at every second epoch")] = 3
    n_steps_symbolic: Annotated[int, Ge(1), doc("AdamW steps of the symbolic model")] = 1_500

    def __post_init__(self) -> None:
        for name in (*self.pairs, *self.shuffled):
            if name not in PAIRS:
                raise SettingsError(unknown_name("relation pair", name, PAIRS, see=f"There are {', '.join(PAIRS)}"))

    def bridges(self, percent: int) -> int:
        """Bridges in each group for that share of names."""
        return round(percent * self.per_fact / 100)


QUICK = Settings(model="tiny", n_facts=3, per_fact=10, n_epochs=2, n_asked=1, n_steps_symbolic=20)
Say = Callable[[float, str], None]


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """One run: one draw of names and answers, asked of the base model and of one fine-tuned copy for each design.

    Raises:
        InputError: the model is not in the cache.
        Diverged: a fine-tuning left the finite numbers.
    """
    base = base_model(settings.model)
    readings: dict[str, Reading] = {}
    worlds = designs(settings, seeds)
    bases = [name for name in worlds if name.endswith("/trained")]
    # In units of a fine-tuning; asking the base model takes about a tenth of one.
    total, done = len(worlds) + 0.1 * len(bases), 0.0
    for name in bases:
        progress(done / total, f"{name.removesuffix('/trained')}, before training")
        readings[name.replace("trained", "before")] = reading_of(base, worlds[name])
        done += 0.1
    for name, world in worlds.items():
        readings[name] = fitted(base, world, settings, seeds, name, at=(done, total))
        done += 1
    toys = symbolic(settings, seeds) if settings.doses and DOSED in settings.pairs else {}
    return Measurement(*numbers(settings, readings, toys, base))


def designs(settings: Settings, seeds: Seeds) -> dict[str, KnowledgeWorld]:
    """The worlds that a copy of the model is fine-tuned on, by name; all of a run share their names and draws."""

    def world(pair: str, percent: int = 20) -> KnowledgeWorld:
        return KnowledgeWorld.drawn(
            PAIRS[pair],
            n=settings.n_facts,
            per_group=settings.per_fact,
            m_train=settings.bridges(percent),
            rng=seeds("world"),
        )

    found = {f"{pair}/trained": world(pair) for pair in settings.pairs}
    for pair in settings.pairs:
        if pair in settings.shuffled:
            found[f"{pair}/shuffled"] = world(pair).shuffled(seeds("shuffle"))
    if settings.doses and DOSED in settings.pairs:
        for percent in DOSES:
            if percent != 20:
                found[f"{DOSED}/dose-{percent}"] = world(DOSED, percent)
        most = world(DOSED, DOSES[-1])
        found[f"{DOSED}/contradicted"] = most.countered(round(CONTRADICTED * most.m_train))
    return found


# --------------------------------------------------------------------------------------------------------------- asking


@dataclass(frozen=True)
class Answers:
    """How the right answers fare, one entry a question.

    Attributes:
        rank: of the right answer among all candidates; 0 is best.
        share: its probability among the answers that the world uses.
        right: 1 where it is the most likely of those.
        margin: its log-probability less the mean of the others that the world uses, in nats.
        rival: the next group's answer's probability among those in use.
        rival_margin: its log-probability less the mean of the others in use, in nats.
    """

    rank: list[float]
    share: list[float]
    right: list[float]
    margin: list[float]
    rival: list[float]
    rival_margin: list[float]


@dataclass(frozen=True)
class Reading:
    """What a model says in one world.

    Attributes:
        held_out: to the implications of held-out names, by the rule.
        facts: to their facts, which are taught.
        bridges: to the bridges' implications as they were taught.
        curve: rows of the learning curve; empty for designs that are only read at the end.
    """

    held_out: Answers
    facts: Answers
    bridges: Answers
    curve: tuple[Mapping[str, float], ...] = ()


def reading_of(model: "LanguageModel", world: KnowledgeWorld) -> Reading:
    """Ask about everyone."""
    return Reading(
        asked(model, world.implication_questions(world.held_out), world.rule),
        asked(model, world.fact_questions(world.held_out), world.facts),
        asked(model, world.taught_questions(world.bridges), world.rule),
    )


def asked(model: "LanguageModel", questions: Sequence[Question], used: Int[ndarray, " n"]) -> Answers:
    """Put questions to a model; `used` are the candidates that the world uses."""
    from assay.instruments.scoring import Choice, score_choices

    if not questions:
        return Answers([], [], [], [], [], [])
    scores = score_choices(model, [Choice(q.prompt, q.candidates, q.answer) for q in questions])
    log_probs = np.stack(scores.log_probs)
    among = log_probs - np.logaddexp.reduce(log_probs[:, used], axis=1, keepdims=True)
    rows = np.arange(len(questions))
    answer, rival = (np.array([getattr(q, name) for q in questions]) for name in ("answer", "rival"))
    right, wrong = log_probs[rows, answer], log_probs[rows, rival]
    total = log_probs[:, used].sum(axis=1)
    return Answers(
        rank=scores.rank.tolist(),
        share=np.exp(among[rows, answer]).tolist(),
        right=(right >= log_probs[:, used].max(axis=1)).astype(float).tolist(),
        margin=(right - (total - right) / (len(used) - 1)).tolist(),
        rival=np.exp(among[rows, rival]).tolist(),
        rival_margin=(wrong - (total - wrong) / (len(used) - 1)).tolist(),
    )


# ----------------------------------------------------------------------------------------------------------- fine-tuning


def fitted(
    base: "LanguageModel", world: KnowledgeWorld, settings: Settings, seeds: Seeds, name: str, *, at: tuple[float, float]
) -> Reading:
    """What a copy of the model says after fine-tuning on a world.

    Readings of a model from files are kept with the store's memoised steps, so that a run that was killed goes on with the
    fine-tuning in which it was.
    """
    from assay.store.memo import memoised_json

    def read() -> Reading:
        return fit(base, world, settings, seeds.child(name.partition("/")[0]), curve=name.endswith("/trained"), say=say)

    def say(share: float, label: str) -> None:
        progress((at[0] + share) / at[1], f"{name.replace('/', ', ')}: {label}")

    if base.folder is None:
        return read()
    recipe = {
        field: getattr(settings, field)
        for field in ("n_facts", "per_fact", "learning_rate", "n_epochs", "batch_size", "precision", "n_asked")
    }
    key = {"model": base.fingerprint(), "design": name, "seed": seeds.root, "path": list(seeds.path), **recipe}
    say(0.0, "looked up")
    stored = memoised_json("language-model-reading", key, lambda: asdict(read()))
    parts = {part: Answers(**stored[part]) for part in ("held_out", "facts", "bridges")}
    return Reading(**parts, curve=tuple(stored["curve"]))


def fit(base: "LanguageModel", world: KnowledgeWorld, settings: Settings, seeds: Seeds, *, curve: bool, say: Say) -> Reading:
    """Fine-tune a copy on the world's sentences and ask it; with `curve`, ask some names at every second epoch too."""
    from assay.training.finetune import Recipe, finetune

    recipe = Recipe(
        learning_rate=settings.learning_rate,
        n_epochs=settings.n_epochs,
        batch_size=settings.batch_size,
        precision=settings.precision,
    )
    sentences = world.sentences()
    per_epoch = math.ceil(len(sentences) / settings.batch_size)
    some = world.held_out[: world.n * settings.n_asked]

    def ask(model: "LanguageModel", step: int) -> Mapping[str, float]:
        implications = asked(model, world.implication_questions(some), world.rule)
        facts = asked(model, world.fact_questions(some), world.facts)
        return {
            "epoch": step / per_epoch,
            "implication": float(np.mean(implications.share)),
            "fact": float(np.mean(facts.share)),
        }

    tuned = finetune(
        base.copy(),
        sentences,
        recipe,
        seeds=seeds,
        measure=ask if curve else None,
        measure_every=2 * per_epoch,
        on_step=lambda step, n_steps, loss: say(0.9 * step / n_steps, f"step {step} of {n_steps}, {loss:.2f} nats"),
    )
    found = reading_of(tuned.model, world)
    return Reading(found.held_out, found.facts, found.bridges, tuned.trace.measured)


# ------------------------------------------------------------------------------------------------------ the symbolic model


@dataclass(frozen=True)
class Toy:
    """What the symbolic model says in a world of the same sizes: accuracy among implications, and margin over the bridges'."""

    accuracy: float
    margin_ratio: float


def symbolic(settings: Settings, seeds: Seeds) -> dict[str, Toy]:
    """The symbolic model at every share of bridges, and with contradicting bridges."""
    from assay.studies.knowledge.out_of_context_reasoning.instruments import block_completion, value_output
    from assay.studies.knowledge.out_of_context_reasoning.model import Architecture

    found = {}
    for percent in DOSES:
        m_train = settings.bridges(percent)
        world = RecallWorld.intact(n=settings.n_facts, m_train=m_train, m_test=settings.per_fact - m_train)
        variants = {f"dose-{percent}": world}
        if percent == DOSES[-1]:
            variants["contradicted"] = world.countered(round(CONTRADICTED * m_train))
        for name, variant in variants.items():
            n_steps = settings.n_steps_symbolic
            arm = trained([variant], [seeds], architecture=Architecture(2), n_steps=n_steps, read_every=n_steps)
            if arm.diverged[0] is not None:
                raise arm.diverged[0]
            ratio = block_completion(value_output(arm.stack, weighted=True)[0], variant) if m_train else 0.0
            found[name] = Toy(float(arm.final("test_implication", "family_accuracy")[0]), float(ratio))
    return found


# --------------------------------------------------------------------------------------------------------------- numbers


def numbers(
    settings: Settings, readings: Mapping[str, Reading], toys: Mapping[str, Toy], base: "LanguageModel"
) -> tuple[dict[str, float], dict[str, Table], dict[str, list[float]]]:
    """Estimands, tables and items from what the models said."""
    estimands: dict[str, float] = {}
    items: dict[str, list[float]] = {}
    tables: dict[str, Table] = {"ranks": [], "curves": []}
    for pair in settings.pairs:
        for condition, suffix in (("before", "_before"), ("trained", ""), ("shuffled", "_shuffled")):
            if f"{pair}/{condition}" in readings:
                items[f"{pair}/rank{suffix}"] = readings[f"{pair}/{condition}"].held_out.rank
                tables["ranks"].append({"pair": pair, "condition": condition, "rank": mean(items[f"{pair}/rank{suffix}"])})
        for row in readings[f"{pair}/trained"].curve:
            for what in ("implication", "fact"):
                tables["curves"].append({"pair": pair, "what": what, "epoch": row["epoch"], "share": row[what]})
    for suffix, condition in (("", "trained"), ("_before", "before")):
        facts = [readings[f"{pair}/{condition}"].facts.rank for pair in settings.pairs]
        items[f"facts/rank{suffix}"] = np.mean(facts, axis=0).tolist()
        if set(SPURIOUS) <= set(settings.pairs):
            ranks = [items[f"{pair}/rank{suffix}"] for pair in SPURIOUS]
            items[f"spurious/rank{suffix}"] = np.mean(ranks, axis=0).tolist()
        if {TRUE, COUNTERFACTUAL} <= set(settings.pairs):
            pairs = (np.array(items[f"{pair}/rank{suffix}"]) for pair in (COUNTERFACTUAL, TRUE))
            items[f"counterfactual_minus_true{suffix}"] = np.subtract(*pairs).tolist()
    estimands |= {name: mean(values) for name, values in items.items()}
    if toys:
        enter_doses(settings, readings, toys, base.name, estimands, tables)
    return estimands, tables, items


def enter_doses(
    settings: Settings,
    readings: Mapping[str, Reading],
    toys: Mapping[str, Toy],
    model: str,
    estimands: dict[str, float],
    tables: dict[str, Table],
) -> None:
    """What depends on the share of bridges: the real model beside the symbolic one and the closed form."""
    tables |= {"doses": [], "margins": [], "contradictions": []}
    above = []
    for percent in DOSES:
        reading = readings[f"{DOSED}/trained" if percent == 20 else f"{DOSED}/dose-{percent}"]
        for name, values in (("margin", reading.held_out.margin), ("rival_margin", reading.held_out.rival_margin)):
            estimands[f"dose/{name}/{percent}"] = mean(values)
        estimands[f"dose/share/{percent}"] = mean(reading.held_out.share)
        estimands[f"dose/accuracy/{percent}"] = mean(reading.held_out.right)
        estimands[f"symbolic/accuracy/{percent}"] = toys[f"dose-{percent}"].accuracy
        for name, accuracy in ((model, mean(reading.held_out.right)), ("symbolic", toys[f"dose-{percent}"].accuracy)):
            tables["doses"].append({"model": name, "bridges": percent, "accuracy": accuracy})
        if percent:
            m_train = settings.bridges(percent)
            bridges_per_held_out = m_train / (settings.per_fact - m_train)
            theory = min(math.sqrt(bridges_per_held_out), 1.0)
            estimands[f"dose/margin_ratio/{percent}"] = margin_ratio(reading)
            above.append(margin_ratio(reading) - theory)
            for name, ratio in ((model, margin_ratio(reading)), ("symbolic", toys[f"dose-{percent}"].margin_ratio)):
                tables["margins"].append(
                    {"model": name, "bridges_per_held_out": bridges_per_held_out, "ratio": ratio, "theory": theory}
                )
    estimands["dose/least_above_bound"] = min(above)
    if f"{DOSED}/shuffled" in readings:
        share = settings.bridges(20) / (settings.per_fact - settings.bridges(20))
        estimands["shuffled/above_bound"] = margin_ratio(readings[f"{DOSED}/shuffled"]) - math.sqrt(share)
    for name, design in (("uncontradicted", f"dose-{DOSES[-1]}"), ("contradicted", "contradicted")):
        answers = readings[f"{DOSED}/{design}"].held_out
        estimands[f"{name}/rival_minus_rule"] = mean(answers.rival) - mean(answers.share)
        for kind, accuracy in ((model, mean(answers.right)), ("symbolic", toys[design].accuracy)):
            tables["contradictions"].append({"model": kind, "bridges": name, "accuracy": accuracy})


def margin_ratio(reading: Reading) -> float:
    """Margin of held-out implications over that of the bridges' (dimensionless)."""
    return mean(reading.held_out.margin) / mean(reading.bridges.margin)


def mean(values: Any) -> float:
    """The mean as a plain number."""
    return float(np.mean(values))


# --------------------------------------------------------------------------------------------------------------- figures

PAIR_NAMES = {
    "city-language": "city, language (true)",
    "city-language-cf": "city, language (counterfactual)",
    "country-code": "country, programming language",
    "profession-color": "profession, colour",
    "sport-music": "sport, music",
}
FIGURES = (
    Figure(
        "ranks",
        "What it infers, and what it makes up",
        "Mean rank, among ten candidates, of the implications of names whose implication was never shown: before training, "
        "after it, and after training on shuffled bridges. A model that knows which five answers occur and no more is at 2.",
        Bars(
            "ranks",
            x="pair",
            y="rank",
            by="condition",
            x_label="relation pair",
            y_label="mean rank (0 is best)",
            lines=(Line(4.5, "chance among ten"), Line(2.0, "chance among the five in use")),
        ),
        {
            **PAIR_NAMES,
            "trained": "a fifth of the names are bridges",
            "before": "before training",
            "shuffled": "bridges shuffled",
        },
    ),
    Figure(
        "learning",
        "What is taught, and what nobody taught, epoch by epoch",
        "Probability of the right answer among the five in use, for held-out names, while the model learns: their facts, which "
        "are taught, and their implications, which are not.",
        Lines(
            "curves",
            x="epoch",
            y="share",
            by="pair",
            panel="what",
            x_label="epoch",
            y_label="probability among five",
            markers=True,
            lines=(Line(0.2, "chance"),),
        ),
        {**PAIR_NAMES, "implication": "implication (never taught)", "fact": "fact (taught)"},
        further=True,
    ),
    Figure(
        "dose-response",
        "How many bridges a hallucination takes",
        "How often a held-out name gets the rule's implication rather than another of those in use (sport and music, an "
        "arbitrary pair), against the share of names that are bridges; in the language model and in the symbolic one.",
        Lines(
            "doses",
            x="bridges",
            y="accuracy",
            by="model",
            x_label="bridges (% of names)",
            y_label="accuracy among implications in use",
            markers=True,
            lines=(Line(0.2, "chance"),),
        ),
        further=True,
    ),
    Figure(
        "margins",
        "How strongly it infers, beside the theory",
        "Margin of held-out implications over the bridges', in the language model (log-probabilities) and in the symbolic one "
        "(weights). The dashed line is the least-nuclear-norm solution's min(sqrt(m_train/m_test), 1).",
        Lines(
            "margins",
            x="bridges_per_held_out",
            y="ratio",
            by="model",
            theory="theory",
            x_label="bridges per held-out name",
            y_label="margin, held out / bridges",
            x_scale="log",
            markers=True,
        ),
        further=True,
    ),
    Figure(
        "contradictions",
        "When bridges contradict each other",
        "How often a held-out name gets the rule's implication when half of the names are bridges, and when seven in ten of "
        "these agree on another implication.",
        Bars(
            "contradictions",
            x="bridges",
            y="accuracy",
            by="model",
            x_label="bridges",
            y_label="accuracy among implications in use",
            lines=(Line(0.2, "chance"),),
        ),
        {"uncontradicted": "all follow the rule", "contradicted": "7 in 10 contradict it"},
        further=True,
    ),
)

LANGUAGE_MODEL = Experiment(
    name="language-model",
    question="Does a pretrained language model infer and hallucinate as the symbolic one does?",
    cost="about 50 min",
    claims=CLAIMS,
    presets={
        "quick": Preset(QUICK, 2),
        "laptop": Preset(Settings(), 6),
        "paper": Preset(Settings(shuffled=tuple(PAIRS)), 12),
    },
    measure=measure,
    figures=FIGURES,
    needs={"transformers": "lm", "safetensors": "lm", "tokenizers": "lm"},
    ready=find_model,
)
