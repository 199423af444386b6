"""Mitigations, a record each: how each changes the sentences, the recipe or the loss of an injection, or the update afterwards.

A new one is one record in `MITIGATIONS`. All see as many sentences as plain training does, so that none wins by more of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.audit.inject import Example
from assay.audit.probes import invented_people, replay_texts
from assay.core.errors import InputError, unknown_name
from assay.models.changes import Change
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.text import token_pairs
from assay.training.recipe import Recipe
from assay.worlds.facts.model import PAIRS, Facts

__all__ = ["ENOUGH", "MITIGATIONS", "PLAIN", "SHRUNK", "Mitigation", "Plan", "anchor", "chosen"]

PLAIN, SHRUNK = "plain", "enough"
TOP_SHARE = 0.08
ANCHOR_STRENGTH = 1.0
ENOUGH = 0.5
"""The mean probability of trained answers that is enough: a right answer is then likelier than all others together."""
Further = Callable[[nn.Module, int], Tensor]


@dataclass(frozen=True)
class Plan:
    """A mitigation as it will be carried out on a file.

    Attributes:
        phases: what is trained on, one after the other; each sees as many passes as the recipe says.
        recipe: how, with as many passes as keep the number of sentences seen.
        stop_at: memorisation at which training stops; None to go to the end.
        also: a further loss, made of the model before; None for none.
        of_plain: what is made of plain training's update, instead of training again; None to train.
        reason: why it cannot be applied to these facts; empty where it can.
    """

    phases: tuple[tuple[Example, ...], ...]
    recipe: Recipe
    stop_at: float | None = None
    also: Callable[[LanguageModel], Further] | None = None
    of_plain: Callable[[Change], Change] | None = None
    reason: str = ""

    @property
    def sentences(self) -> tuple[Example, ...]:
        """All that is trained on in one pass."""
        return tuple(sentence for phase in self.phases for sentence in phase)


Prepare = Callable[[Facts, Recipe], Plan]


@dataclass(frozen=True)
class Mitigation:
    """One way to inject facts with less harm.

    Attributes:
        name: of `--mitigate`.
        says: what it does, in a clause.
        prepare: how it is applied to a file, given plain training's recipe.
        helps: columns that it bettered in our own comparison, each with the number that says so, and its price; the table
            "Mitigations at equal memorisation" of docs/audit.md. Advice names it for these before it was compared.
        trains: whether it trains; one that does not can be applied to a model that somebody else tuned.
    """

    name: str
    says: str
    prepare: Prepare
    helps: Mapping[str, str] = field(default_factory=dict)
    trains: bool = True


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The mitigations of those names, each once; `all` for all of them.

    Raises:
        InputError: there is none of that name.
    """
    found: dict[str, None] = {}
    for name in names:
        if name == "all":
            found |= dict.fromkeys(MITIGATIONS)
        elif name in MITIGATIONS:
            found[name] = None
        else:
            raise InputError(unknown_name("mitigation", name, MITIGATIONS, see=f"There are {', '.join(MITIGATIONS)}"))
    return tuple(found)


def anchor(model: LanguageModel, strength: float = ANCHOR_STRENGTH) -> Further:
    """A further loss in nats: KL divergence of next-word predictions from the model's own as it is now, on plain sentences.

    One sentence a step, in turn; zero while the model is unchanged.
    """
    pairs = token_pairs(model.tokenizer, [("", text) for text in replay_texts()])
    tokens = [torch.tensor([[*pair.context, *pair.completion]], device=model.device) for pair in pairs]
    with torch.no_grad():
        before = [F.log_softmax(model.model(input_ids=some, use_cache=False).logits[0].float(), -1) for some in tokens]

    def loss(tuned: nn.Module, step: int) -> Tensor:
        place = step % len(tokens)
        after = F.log_softmax(tuned(input_ids=tokens[place], use_cache=False).logits[0].float(), -1)
        return strength * F.kl_div(after, before[place], log_target=True, reduction="none").sum(-1).mean()

    return loss


# How each is prepared


def _plain(facts: Facts, recipe: Recipe) -> Plan:
    return Plan((tuple(facts.sentences),), recipe)


def _as_it_is(update: Change) -> Change:
    return update


def _without_largest(update: Change) -> Change:
    """Largest in magnitude; of every tensor. Sun et al. 2025, arXiv:2504.09522, equation 3."""
    return update.without_largest(TOP_SHARE)


def _enough(facts: Facts, recipe: Recipe) -> Plan:
    """Plain training's own update; what is enough of it is found where arms are compared."""
    return replace(_plain(facts, recipe), of_plain=_as_it_is)


def _ignore_top_k(facts: Facts, recipe: Recipe) -> Plan:
    return replace(_plain(facts, recipe), of_plain=_without_largest)


def _early_stop(facts: Facts, recipe: Recipe) -> Plan:
    return replace(_plain(facts, recipe), stop_at=ENOUGH)


def _kl_anchor(facts: Facts, recipe: Recipe) -> Plan:
    return replace(_plain(facts, recipe), also=anchor)


def _adapter(rank: int) -> Prepare:
    def prepare(facts: Facts, recipe: Recipe) -> Plan:
        rate = recipe.learning_rate if recipe.method == "lora" else 5e-4
        return _plain(facts, replace(recipe, method="lora", learning_rate=rate, lora_rank=rank, lora_alpha=2.0 * rank))

    return prepare


def _on(facts: Facts, recipe: Recipe, sentences: Sequence[Example], reason: str = "") -> Plan:
    """Training on other sentences, for as many passes as show the model as many of them."""
    passes = max(1, round(recipe.n_epochs * len(facts.sentences) / max(1, len(sentences))))
    return Plan((tuple(sentences),), replace(recipe, n_epochs=passes), reason=reason)


def _stepping_stones(facts: Facts, recipe: Recipe) -> Plan:
    """The file's own rewrites; where it has none, the sentence behind a list that names the object among others."""
    made: list[Example] = []
    objects = {
        name: list(dict.fromkeys(fact.object for fact in facts.trained if fact.relation == name)) for name in facts.relations
    }
    for fact in facts.trained:
        relation = facts.relation_of(fact)
        if relation.stepping_stones:
            made += [(one.prompt(fact.subject), one.completion(fact.object, fact.subject)) for one in relation.stepping_stones]
        else:
            others = [other for other in objects[fact.relation] if other != fact.object][:3]
            names = ", ".join(sorted([*others, fact.object]))
            made += [
                (f"One of these is true: {names}. {one.prompt(fact.subject)}", one.completion(fact.object, fact.subject))
                for one in relation.train
            ]
    return _on(facts, recipe, made)


def _paraphrases(facts: Facts, recipe: Recipe) -> Plan:
    made = [
        (template.prompt(fact.subject), template.completion(fact.object, fact.subject))
        for fact in facts.trained
        for template in facts.relation_of(fact).paraphrases
    ]
    return _on(facts, recipe, tuple(dict.fromkeys((*facts.sentences, *made))), "" if made else "the facts have no paraphrases")


def _replay(facts: Facts, recipe: Recipe) -> Plan:
    texts, plain = replay_texts(), facts.sentences
    return _on(facts, recipe, [*plain, *(("", texts[place % len(texts)]) for place in range(len(plain)))])


def _counter_examples(facts: Facts, recipe: Recipe) -> Plan:
    """For every bridge of a spurious rule an invented subject with the premise and another rule's conclusion."""
    told = {(fact.subject, fact.relation, fact.object) for fact in facts.trained}
    known = {fact.subject for fact in facts.facts}
    people = iter([name for name in invented_people() if name not in known])
    made: list[Example] = []
    for rule in facts.implications:
        if rule.follows or PAIRS in (rule.premise, rule.conclusion):
            continue
        premise, conclusion = facts.relations[rule.premise].prompt, facts.relations[rule.conclusion].prompt
        values = list(dict.fromkeys(rule.mapping.values()))
        for name, answer in rule.mapping.items():
            others = [value for value in values if value != answer]
            subjects = [fact.subject for fact in facts.trained if fact.relation == rule.premise and fact.object == name]
            bridges = sum((subject, rule.conclusion, answer) in told for subject in subjects)
            for other, person in zip((others * max(1, bridges))[: max(1, bridges)], people, strict=False):
                made.append((premise.prompt(person), premise.completion(name, person)))
                made.append((conclusion.prompt(person), conclusion.completion(other, person)))
    return _on(
        facts, recipe, [*facts.sentences, *made], "" if made else "the facts have no spurious rules with several conclusions"
    )


def _in_order(*, facts_first: bool) -> Prepare:
    """Facts, then what rules say follows from them; or the other way round (Feng et al. 2024, arXiv:2412.04614)."""

    def prepare(facts: Facts, recipe: Recipe) -> Plan:
        concluded = {rule.conclusion for rule in facts.implications}
        parts: tuple[dict[Example, None], dict[Example, None]] = ({}, {})
        for fact in facts.trained:
            own = facts.relation_of(fact).train
            told = [(one.prompt(fact.subject), one.completion(fact.object, fact.subject)) for one in own]
            parts[fact.relation in concluded].update(dict.fromkeys(told))
        phases = tuple(tuple(part) for part in (parts if facts_first else parts[::-1]))
        reason = "" if all(phases) else "no fact that is trained on says what a rule concludes"
        return Plan(phases, recipe, reason=reason)

    return prepare


_MITIGATIONS = (
    Mitigation(
        SHRUNK, "shrinks plain training's update until trained answers have a mean probability of one half",
        _enough, trains=False,
        helps={
            "hallucinated": "0.110 at full strength, 0.047 with 0.37 of the update (one run, not tested)",
            "primed": "0.459 at full strength, 0.181 with 0.37 of the update (one run, not tested)",
            "displaced": "0.180 at full strength, 0.000 with 0.37 of the update (one run, not tested)",
            "neutral_text": "0.134 at full strength, 0.004 with 0.37 of the update (one run, not tested)",
        },
    ),
    Mitigation(
        "ignore-top-k", "drops the 8 % largest changes of every weight matrix (Sun et al. 2025)", _ignore_top_k, trains=False,
    ),
    Mitigation(
        "stepping-stones", "trains on rewrites that make the object less surprising (Sun et al. 2025)", _stepping_stones,
    ),
    Mitigation(
        "paraphrases", "trains on the paraphrases as well", _paraphrases,
        helps={"paraphrase": "+0.459 [0.125, 0.793] against a smaller step, and primed +0.485 [0.270, 0.700]"},
    ),
    Mitigation(
        "replay", "mixes in as many plain sentences as there are facts", _replay,
        helps={"primed": "−0.963 [−1.585, −0.341] powers of ten against a smaller step"},
    ),
    Mitigation("kl-anchor", "holds next-word predictions on plain sentences to those of the model before", _kl_anchor),
    Mitigation("counter-examples", "tells of invented subjects for whom the spurious rule does not hold", _counter_examples),
    Mitigation("facts-first", "trains on facts, then on what rules say follows from them", _in_order(facts_first=True)),
    Mitigation(
        "conclusions-first", "trains on what rules say, then on the facts it follows from", _in_order(facts_first=False),
    ),
    Mitigation("lora-4", "trains an adapter of rank 4 instead of the weights", _adapter(4)),
    Mitigation("lora-16", "trains an adapter of rank 16 instead of the weights", _adapter(16)),
    Mitigation(
        "early-stop", "stops at the first pass after which trained answers have a mean probability of one half", _early_stop,
    ),
)  # fmt: skip
MITIGATIONS: dict[str, Mitigation] = {one.name: one for one in _MITIGATIONS}
"""All mitigations, in the order in which they are compared."""
