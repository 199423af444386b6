"""The paper's experiment on a pretrained language model, and whether the symbolic model's predictions hold there.

One run draws names and answers, asks the base model, and fine-tunes a copy of it for each design: every relation pair with a
fifth of the names as bridges, two of them again with shuffled bridges, and one pair with other shares of bridges and with
bridges that contradict the rule. Beside it the symbolic model is trained on worlds of the same sizes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, MinLen, doc

from assay.claims.charts import Bars, Figure, Line, Lines
from assay.claims.rules import Above, Below, Ordered, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError, unknown_name
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.protocols import language_model
from assay.protocols.language_model import Subject, ask, find_model, load_base, tune
from assay.studies.knowledge.out_of_context_reasoning.arms import trained
from assay.studies.knowledge.out_of_context_reasoning.people import PAIRS, KnowledgeWorld
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld
from assay.worlds.facts.questions import Answers, Question

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
class Settings(language_model.Settings):
    """How many people, which designs, and how the model is trained."""

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
    n_asked: Annotated[int, Ge(1), doc("held-out names of each fact that are asked at every second epoch")] = 3
    n_steps_symbolic: Annotated[int, Ge(1), doc("AdamW steps of the symbolic model")] = 1_500

    def __post_init__(self) -> None:
        for name in (*self.pairs, *self.shuffled):
            if name not in PAIRS:
                raise SettingsError(unknown_name("relation pair", name, PAIRS, see=f"There are {', '.join(PAIRS)}"))

    @property
    def dosed(self) -> bool:
        """Whether shares of bridges are compared."""
        return self.doses and DOSED in self.pairs

    def bridges(self, percent: int) -> int:
        """Bridges in each group for that share of names."""
        return round(percent * self.per_fact / 100)


QUICK = Settings(model="tiny", n_facts=3, per_fact=10, n_epochs=2, n_asked=1, n_steps_symbolic=20)


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """One run: one draw of names and answers, asked of the base model and of one fine-tuned copy for each design.

    Raises:
        InputError: the model is not in the cache.
        Diverged: a fine-tuning left the finite numbers.
    """
    base = load_base(settings.model)
    worlds = designs(settings, seeds)
    # Asking the base model takes about a tenth of a fine-tuning.
    before = {name.replace("trained", "before"): world for name, world in worlds.items() if name.endswith("/trained")}
    answers: dict[str, Answers] = {}
    curves: dict[str, Table] = {}
    weights = [0.1] * len(before) + [1.0] * len(worlds)
    for name, world in parts([*before.items(), *worlds.items()], weights=weights, label=_label):
        if name in before:
            answers[name] = ask(base, questions(world), precision=settings.precision)
        else:
            answers[name], curves[name] = answers_after(base, world, settings, seeds, name)
    toys = symbolic(settings, seeds) if settings.dosed else {}
    return Measurement(*numbers(settings, before | worlds, answers, curves, toys))


def _label(named: tuple[str, KnowledgeWorld]) -> str:
    return named[0].replace("/before", ", before training").replace("/", ", ")


def questions(world: KnowledgeWorld) -> list[Question]:
    """Everything that is asked in a world: held-out implications and facts, and what the bridges were shown."""
    return [*world.implications_of(world.held_out), *world.facts_of(world.held_out), *world.shown_of(world.bridges)]


def answers_after(base: Subject, world: KnowledgeWorld, settings: Settings, seeds: Seeds, name: str) -> tuple[Answers, Table]:
    """What a copy of the model says after fine-tuning on a world, and its learning curve where the bridges are as declared."""
    some = world.held_out[: world.n * settings.n_asked]
    watch = [*world.implications_of(some), *world.facts_of(some)] if name.endswith("/trained") else []
    sentences = world.sentences()
    per_epoch = math.ceil(len(sentences) / settings.batch_size)
    pair = name.partition("/")[0]
    tuned = tune(base, sentences, settings.recipe(), seeds.child(pair), "fine-tuning", watch=watch, watch_every=2 * per_epoch)
    found = ask(tuned, questions(world), precision=settings.precision)
    curve: Table = [
        {"pair": pair, "what": kind, "epoch": step / per_epoch, "share": said.where(kind=kind).among(used).mean("share")}
        for step, said in tuned.watched
        for kind, used in (("implication", world.rule), ("fact", world.facts))
    ]
    return found, curve


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
    if settings.dosed:
        for percent in DOSES:
            if percent != 20:
                found[f"{DOSED}/dose-{percent}"] = world(DOSED, percent)
        most = world(DOSED, DOSES[-1])
        found[f"{DOSED}/contradicted"] = most.countered(round(CONTRADICTED * most.m_train))
    return found


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
    settings: Settings,
    worlds: Mapping[str, KnowledgeWorld],
    answers: Mapping[str, Answers],
    curves: Mapping[str, Table],
    toys: Mapping[str, Toy],
) -> tuple[dict[str, float], dict[str, Table], dict[str, list[float]]]:
    """Estimands, tables and items from what the models said."""
    items: dict[str, list[float]] = {}
    tables: dict[str, Table] = {"ranks": [], "curves": [row for curve in curves.values() for row in curve]}
    for pair in settings.pairs:
        for condition, suffix in (("before", "_before"), ("trained", ""), ("shuffled", "_shuffled")):
            if (said := answers.get(f"{pair}/{condition}")) is not None:
                items[f"{pair}/rank{suffix}"] = said.where(kind="implication").rank.tolist()
                tables["ranks"].append({"pair": pair, "condition": condition, "rank": mean(items[f"{pair}/rank{suffix}"])})
    for suffix, condition in (("", "trained"), ("_before", "before")):
        facts = [answers[f"{pair}/{condition}"].where(kind="fact").rank for pair in settings.pairs]
        items[f"facts/rank{suffix}"] = np.mean(facts, axis=0).tolist()
        if set(SPURIOUS) <= set(settings.pairs):
            ranks = [items[f"{pair}/rank{suffix}"] for pair in SPURIOUS]
            items[f"spurious/rank{suffix}"] = np.mean(ranks, axis=0).tolist()
        if {TRUE, COUNTERFACTUAL} <= set(settings.pairs):
            pairs = (np.array(items[f"{pair}/rank{suffix}"]) for pair in (COUNTERFACTUAL, TRUE))
            items[f"counterfactual_minus_true{suffix}"] = np.subtract(*pairs).tolist()
    estimands = {name: mean(values) for name, values in items.items()}
    if toys:
        enter_doses(settings, worlds, answers, toys, estimands, tables)
    return estimands, tables, items


def enter_doses(
    settings: Settings,
    worlds: Mapping[str, KnowledgeWorld],
    answers: Mapping[str, Answers],
    toys: Mapping[str, Toy],
    estimands: dict[str, float],
    tables: dict[str, Table],
) -> None:
    """What depends on the share of bridges: the real model beside the symbolic one and the closed form."""
    tables |= {"doses": [], "margins": [], "contradictions": []}
    model, above = settings.model, []
    told = {name: inferred(answers[name], world) for name, world in worlds.items() if name.startswith(DOSED)}
    for percent in DOSES:
        name = f"{DOSED}/trained" if percent == 20 else f"{DOSED}/dose-{percent}"
        rule, rival = told[name]
        accuracy, toy = rule.mean("right"), toys[f"dose-{percent}"]
        estimands |= {f"dose/margin/{percent}": rule.mean("margin"), f"dose/rival_margin/{percent}": rival.mean("margin")}
        estimands |= {f"dose/share/{percent}": rule.mean("share"), f"dose/accuracy/{percent}": accuracy}
        estimands[f"symbolic/accuracy/{percent}"] = toy.accuracy
        for kind, share in ((model, accuracy), ("symbolic", toy.accuracy)):
            tables["doses"].append({"model": kind, "bridges": percent, "accuracy": share})
        if percent:
            m_train = settings.bridges(percent)
            bridges_per_held_out = m_train / (settings.per_fact - m_train)
            theory = min(math.sqrt(bridges_per_held_out), 1.0)
            ratio = margin_ratio(answers[name], worlds[name])
            estimands[f"dose/margin_ratio/{percent}"] = ratio
            above.append(ratio - theory)
            for kind, value in ((model, ratio), ("symbolic", toy.margin_ratio)):
                tables["margins"].append(
                    {"model": kind, "bridges_per_held_out": bridges_per_held_out, "ratio": value, "theory": theory}
                )
    estimands["dose/least_above_bound"] = min(above)
    if (name := f"{DOSED}/shuffled") in answers:
        share = settings.bridges(20) / (settings.per_fact - settings.bridges(20))
        estimands["shuffled/above_bound"] = margin_ratio(answers[name], worlds[name]) - math.sqrt(share)
    for name, design in (("uncontradicted", f"dose-{DOSES[-1]}"), ("contradicted", "contradicted")):
        rule, rival = told[f"{DOSED}/{design}"]
        estimands[f"{name}/rival_minus_rule"] = rival.mean("share") - rule.mean("share")
        for kind, accuracy in ((model, rule.mean("right")), ("symbolic", toys[design].accuracy)):
            tables["contradictions"].append({"model": kind, "bridges": name, "accuracy": accuracy})


def inferred(answers: Answers, world: KnowledgeWorld) -> tuple[Answers, Answers]:
    """The held-out implications among those in use: with the rule's in view, and with that of contradicting bridges."""
    said = answers.where(kind="implication")
    return said.among(world.rule), said.instead(world.rivals_of(world.held_out)).among(world.rule)


def margin_ratio(answers: Answers, world: KnowledgeWorld) -> float:
    """Margin of held-out implications over that of the bridges' (dimensionless)."""
    held_out, shown = (answers.where(kind=kind).among(world.rule).mean("margin") for kind in ("implication", "shown"))
    return held_out / shown


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
    needs=language_model.NEEDS,
    ready=find_model,
)
