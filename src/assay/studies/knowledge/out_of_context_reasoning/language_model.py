"""The paper's experiment on a pretrained language model, and whether the symbolic model's predictions hold there.

One run draws names and answers, asks the base model, and fine-tunes a copy of it for each design: every relation pair with a
fifth of the names as bridges, two of them again with shuffled bridges, and one pair with other shares of bridges, with bridges
that contradict the rule, and for more epochs. The first epochs of a longer training are those of a shorter one, so that what
is asked then stands for a copy of its own. Beside it the symbolic model is trained on worlds of the same sizes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.protocols.language_model import Subject, ask, load_base, tune
from assay.studies.knowledge.out_of_context_reasoning.arms import completions, train_arm
from assay.studies.knowledge.out_of_context_reasoning.model import Architecture
from assay.studies.knowledge.out_of_context_reasoning.people import PAIRS, KnowledgeWorld
from assay.studies.knowledge.out_of_context_reasoning.settings import CONTRADICTED, DOSED, DOSES, LanguageModelSettings
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld
from assay.worlds.facts.questions import Answers, Question

TRUE, COUNTERFACTUAL = "city-language", "city-language-cf"
SPURIOUS = tuple(name for name, pair in PAIRS.items() if pair.kind != "true")
LONG = {"long": "trained", "long-shuffled": "shuffled"}  # designs of more epochs, and those that they are at first
FOLLOWED = {**LONG, "taught": "taught"}  # designs in which the margin's growth is followed, and their arms


def measure(settings: LanguageModelSettings, seeds: Seeds) -> Measurement:
    """One run: one draw of names and answers, asked of the base model and of one fine-tuned copy for each design.

    Raises:
        InputError: the model is not in the cache.
        Diverged: a fine-tuning left the finite numbers.
    """
    base = load_base(settings.model)
    worlds = designs(settings, seeds)
    before = {name.replace("trained", "before"): world for name, world in worlds.items() if name.endswith("/trained")}
    answers: dict[str, Answers] = {}
    watched: dict[str, list[tuple[float, Answers]]] = {}
    own = {name: world for name, world in worlds.items() if beginning_of(settings, name) is None}
    n_first = len(next(iter(worlds.values())).sentences())
    # Asking the base model takes about a tenth of a fine-tuning.
    weights = [0.1] * len(before) + [
        len(sentences_of(world, name)) * n_epochs(settings, name) / (n_first * settings.n_epochs) for name, world in own.items()
    ]
    for name, world in parts([*before.items(), *own.items()], weights=weights, label=_label):
        if name in before:
            answers[name] = ask(base, questions(world), precision=settings.precision)
        else:
            answers[name], watched[name] = answers_after(base, world, settings, seeds, name)
    for name in worlds.keys() - own.keys():
        longer = beginning_of(settings, name)
        watched[name] = [(epoch, said) for epoch, said in watched[str(longer)] if epoch <= settings.n_epochs]
        answers[name] = watched[name][-1][1]
    toys = symbolic(settings, seeds) if settings.dosed else {}
    return Measurement(*numbers(settings, before | worlds, answers, watched, toys))


def _label(named: tuple[str, KnowledgeWorld]) -> str:
    return named[0].replace("/before", ", before training").replace("/", ", ")


def n_epochs(settings: LanguageModelSettings, name: str) -> int:
    """How long the copy of a design is trained."""
    return settings.n_epochs_long if name.partition("/")[2] in LONG else settings.n_epochs


def beginning_of(settings: LanguageModelSettings, name: str) -> str | None:
    """The design of more epochs that begins as this one and is asked where it ends; None for one that has a copy of its own."""
    pair, _, design = name.partition("/")
    longer = {short: f"{pair}/{long}" for long, short in LONG.items()}
    return longer.get(design) if settings.dosed and pair == DOSED else None


def questions(world: KnowledgeWorld) -> list[Question]:
    """Everything that is asked in a world: held-out implications and facts, and what the bridges were shown."""
    return [*world.implications_of(world.held_out), *world.facts_of(world.held_out), *world.shown_of(world.bridges)]


def sentences_of(world: KnowledgeWorld, name: str) -> list[tuple[str, str]]:
    """What the copy of a design is trained on; where it is `taught`, the implications of the held-out names as well."""
    taught = world.implications_of(world.held_out) if name.endswith("/taught") else []
    return [*world.sentences(), *(question.lesson for question in taught)]


def answers_after(
    base: Subject, world: KnowledgeWorld, settings: LanguageModelSettings, seeds: Seeds, name: str
) -> tuple[Answers, list[tuple[float, Answers]]]:
    """What a copy of the model says after fine-tuning on a world, and what it said on the way, by epoch.

    Twice in the usual number of epochs: some held-out names where the bridges are as declared, and all that is asked at the end
    in the designs that are followed.
    """
    pair, _, design = name.partition("/")
    sentences = sentences_of(world, name)
    per_epoch = math.ceil(len(sentences) / settings.batch_size)
    watch: Sequence[Question] = []
    if design == "trained":
        some = world.held_out[: world.n * settings.n_asked]
        watch = [*world.implications_of(some), *world.facts_of(some)]
    elif design in FOLLOWED:
        watch = questions(world)
    recipe = settings.recipe(n_epochs=n_epochs(settings, name))
    tuned = tune(
        base, sentences, recipe, seeds.child(pair), "fine-tuning", watch=watch, watch_every=settings.epochs_between * per_epoch
    )
    found = ask(tuned, questions(world), precision=settings.precision)
    return found, [(step / per_epoch, said) for step, said in tuned.watched]


def designs(settings: LanguageModelSettings, seeds: Seeds) -> dict[str, KnowledgeWorld]:
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
        for design in FOLLOWED:
            same = world(DOSED)
            found[f"{DOSED}/{design}"] = same.shuffled(seeds("shuffle")) if design == "long-shuffled" else same
    return found


# ------------------------------------------------------------------------------------------------------ the symbolic model


@dataclass(frozen=True)
class Toy:
    """What the symbolic model says in a world of the same sizes: accuracy among implications, and margin over the bridges'."""

    accuracy: float
    margin_ratio: float


def symbolic(settings: LanguageModelSettings, seeds: Seeds) -> dict[str, Toy]:
    """The symbolic model at every share of bridges, and with contradicting bridges.

    Raises:
        Diverged: a training left the finite numbers.
    """
    found = {}
    for percent in DOSES:
        m_train = settings.bridges(percent)
        world = RecallWorld.intact(n=settings.n_facts, m_train=m_train, m_test=settings.per_fact - m_train)
        variants = {f"dose-{percent}": world}
        if percent == DOSES[-1]:
            variants["contradicted"] = world.countered(round(CONTRADICTED * m_train))
        for name, variant in variants.items():
            n_steps = settings.n_steps_symbolic
            arm = train_arm([variant], [seeds], architecture=Architecture(2), n_steps=n_steps, read_every=n_steps)
            if arm.diverged[0] is not None:
                raise arm.diverged[0]
            ratio = completions(arm.stack, [variant], weighted=True)[0] if m_train else 0.0
            found[name] = Toy(float(arm.final("test_implication", "family_accuracy")[0]), float(ratio))
    return found


# --------------------------------------------------------------------------------------------------------------- numbers

Watched = Mapping[str, Sequence[tuple[float, Answers]]]


def numbers(
    settings: LanguageModelSettings,
    worlds: Mapping[str, KnowledgeWorld],
    answers: Mapping[str, Answers],
    watched: Watched,
    toys: Mapping[str, Toy],
) -> tuple[dict[str, float], dict[str, Table], dict[str, list[float]]]:
    """Estimands, tables and items from what the models said."""
    items: dict[str, list[float]] = {}
    tables: dict[str, Table] = {"ranks": [], "curves": learning_curves(worlds, watched)}
    for pair in settings.pairs:
        for condition, suffix in (("before", "-before"), ("trained", ""), ("shuffled", "-shuffled")):
            if (said := answers.get(f"{pair}/{condition}")) is not None:
                items[f"{pair}{suffix}/rank"] = said.where(kind="implication").rank.tolist()
                tables["ranks"].append({"pair": pair, "condition": condition, "rank": mean(items[f"{pair}{suffix}/rank"])})
    for arm, suffix in (("trained", ""), ("before", "-before")):
        facts = [answers[f"{pair}/{arm}"].where(kind="fact").rank for pair in settings.pairs]
        items[f"{arm}/fact_rank"] = np.mean(facts, axis=0).tolist()
        if set(SPURIOUS) <= set(settings.pairs):
            ranks = [items[f"{pair}{suffix}/rank"] for pair in SPURIOUS]
            items[f"spurious{suffix}/rank"] = np.mean(ranks, axis=0).tolist()
        if {TRUE, COUNTERFACTUAL} <= set(settings.pairs):
            pairs = (np.array(items[f"{pair}{suffix}/rank"]) for pair in (COUNTERFACTUAL, TRUE))
            items[f"{arm}/counterfactual_minus_true"] = np.subtract(*pairs).tolist()
    ranks = [items[f"{pair}-before/rank"] for pair in settings.pairs]
    items["before/rank"] = np.mean(ranks, axis=0).tolist()
    estimands: dict[str, float] = {}
    if toys:
        items[f"{DOSED}-taught/rank"] = answers[f"{DOSED}/taught"].where(kind="implication").rank.tolist()
        enter_doses(settings, worlds, answers, toys, estimands, tables)
        enter_growth(settings, worlds, watched, estimands, tables)
    return {name: mean(values) for name, values in items.items()} | estimands, tables, items


def learning_curves(worlds: Mapping[str, KnowledgeWorld], watched: Watched) -> Table:
    """The probability of the right answer among those in use, epoch by epoch, in the designs with the declared bridges."""
    rows: Table = []
    for name, course in watched.items():
        pair, _, design = name.partition("/")
        if design == "trained":
            world = worlds[name]
            for epoch, said in course:
                for kind, used in (("implication", world.rule), ("fact", world.facts)):
                    share = said.where(kind=kind).among(used).mean("share")
                    rows.append({"pair": pair, "what": kind, "epoch": epoch, "share": share})
    return rows


def enter_doses(
    settings: LanguageModelSettings,
    worlds: Mapping[str, KnowledgeWorld],
    answers: Mapping[str, Answers],
    toys: Mapping[str, Toy],
    estimands: dict[str, float],
    tables: dict[str, Table],
) -> None:
    """What depends on the share of bridges: the real model beside the symbolic one and the closed form."""
    tables |= {"doses": [], "margins": [], "contradictions": []}
    model = settings.model
    told = {name: inferred(answers[name], world) for name, world in worlds.items() if name in answers and DOSED in name}
    for percent in DOSES:
        name = f"{DOSED}/trained" if percent == 20 else f"{DOSED}/dose-{percent}"
        rule, rival = told[name]
        accuracy, toy = rule.mean("right"), toys[f"dose-{percent}"]
        estimands |= {f"bridges-{percent}/margin": rule.mean("margin"), f"rival-{percent}/margin": rival.mean("margin")}
        for kind, share in ((model, accuracy), ("symbolic", toy.accuracy)):
            tables["doses"].append({"model": kind, "bridges": percent, "accuracy": share})
        if percent:
            theory = settings.theory(percent)
            for kind, value in ((model, margin_ratio(answers[name], worlds[name])), ("symbolic", toy.margin_ratio)):
                row = {"bridges_per_held_out": settings.bridges_per_held_out(percent), "ratio": value, "theory": theory}
                tables["margins"].append({"model": kind, **row})
    rule, rival = told[f"{DOSED}/before"]
    estimands |= {f"before-bridges-{percent}/margin": rule.mean("margin") for percent in DOSES}
    estimands["before/above_bound"] = margin_ratio(answers[f"{DOSED}/before"], worlds[f"{DOSED}/before"]) - settings.theory(20)
    estimands["before/rival_minus_rule"] = rival.mean("share") - rule.mean("share")
    for name, design in (("uncontradicted", f"dose-{DOSES[-1]}"), ("contradicted", "contradicted")):
        rule, rival = told[f"{DOSED}/{design}"]
        estimands[f"{name}/rival_minus_rule"] = rival.mean("share") - rule.mean("share")
        for kind, accuracy in ((model, rule.mean("right")), ("symbolic", toys[design].accuracy)):
            tables["contradictions"].append({"model": kind, "bridges": name, "accuracy": accuracy})


def enter_growth(
    settings: LanguageModelSettings,
    worlds: Mapping[str, KnowledgeWorld],
    watched: Watched,
    estimands: dict[str, float],
    tables: dict[str, Table],
) -> None:
    """How the held-out margin grows beside the bridges' with the epochs, and where it stands at their end."""
    tables["growth"] = []
    for design, arm in FOLLOWED.items():
        name = f"{DOSED}/{design}"
        for epoch, said in watched[name]:
            if epoch:
                ratio = margin_ratio(said, worlds[name])
                tables["growth"].append({"bridges": arm, "epoch": epoch, "ratio": ratio, "theory": settings.theory(20)})
        estimands[f"{arm}/above_bound"] = margin_ratio(watched[name][-1][1], worlds[name]) - settings.theory(20)


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
