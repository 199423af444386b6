"""Mitigations by name: how each changes the sentences, the recipe or the loss of an injection, or the update afterwards.

All see as many sentences as plain training does, so that none wins by more of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.audit.inject import Example
from assay.audit.probes import invented_people, replay_texts
from assay.core.errors import InputError, unknown_name
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.text import token_pairs
from assay.training.recipe import Recipe
from assay.worlds.facts.model import PAIRS, Facts

__all__ = ["MITIGATIONS", "PLAIN", "Plan", "anchor", "chosen", "plan", "without_largest"]

PLAIN = "plain"
TOP_SHARE = 0.08
ANCHOR_STRENGTH = 1.0
ENOUGH = 0.5
Update = Mapping[str, Tensor]

MITIGATIONS: Mapping[str, str] = MappingProxyType(
    {
        "ignore-top-k": "drops the 8 % largest changes of every weight matrix (Sun et al. 2025)",
        "stepping-stones": "trains on rewrites that make the object less surprising (Sun et al. 2025)",
        "paraphrases": "trains on the paraphrases as well",
        "replay": "mixes in as many plain sentences as there are facts",
        "kl-anchor": "holds next-word predictions on plain sentences to those of the model before",
        "counter-examples": "tells of invented subjects for whom the spurious rule does not hold",
        "lora-4": "trains an adapter of rank 4 instead of the weights",
        "lora-16": "trains an adapter of rank 16 instead of the weights",
        "early-stop": "stops at the first pass after which trained answers have a mean probability of one half",
    }
)


@dataclass(frozen=True)
class Plan:
    """A mitigation as it will be carried out.

    Attributes:
        name: of the mitigation.
        sentences: what is trained on.
        recipe: how, with as many passes as keep the number of sentences seen.
        enough: memorisation at which training stops; None to go to the end.
        anchored: whether the loss holds predictions on plain sentences.
        pruned: whether plain training's update is pruned instead of training again.
        reason: why it cannot be applied to these facts; empty where it can.
    """

    name: str
    sentences: tuple[Example, ...]
    recipe: Recipe
    enough: float | None = None
    anchored: bool = False
    pruned: bool = False
    reason: str = ""


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


def plan(name: str, facts: Facts, recipe: Recipe) -> Plan:
    """How the mitigation of that name is applied to these facts."""
    plain = tuple(facts.sentences)
    if name in (PLAIN, "ignore-top-k"):
        return Plan(name, plain, recipe, pruned=name != PLAIN)
    if name == "early-stop":
        return Plan(name, plain, recipe, enough=ENOUGH)
    if name == "kl-anchor":
        return Plan(name, plain, recipe, anchored=True)
    if name.startswith("lora-"):
        rank = int(name.removeprefix("lora-"))
        rate = recipe.learning_rate if recipe.method == "lora" else 5e-4
        return Plan(name, plain, replace(recipe, method="lora", learning_rate=rate, lora_rank=rank, lora_alpha=2.0 * rank))
    sentences, reason = {
        "stepping-stones": _stepping_stones,
        "paraphrases": _paraphrased,
        "replay": _replayed,
        "counter-examples": _countered,
    }[name](facts, plain)
    passes = max(1, round(recipe.n_epochs * len(plain) / max(1, len(sentences))))
    return Plan(name, sentences, replace(recipe, n_epochs=passes), reason=reason)


def without_largest(update: Update, share: float = TOP_SHARE) -> dict[str, Tensor]:
    """The update without the largest magnitudes of every tensor: `w_base + update * mask`, not rescaled.

    Source: Sun et al. 2025, arXiv:2504.09522, equation 3; "largest" is read as largest magnitude.

    Args:
        update: weights after less weights before, by name.
        share: of every tensor's entries, in (0, 1).
    """
    kept = {}
    for name, change in update.items():
        drop = round(share * change.numel())
        values = change.clone()
        if drop and bool(change.any()):
            flat = values.view(-1)
            flat[flat.abs().topk(drop).indices] = 0
        kept[name] = values
    return kept


def anchor(model: LanguageModel, strength: float = ANCHOR_STRENGTH) -> Callable[[nn.Module, int], Tensor]:
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


def _stepping_stones(facts: Facts, plain: tuple[Example, ...]) -> tuple[tuple[Example, ...], str]:
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
    return tuple(made), ""


def _paraphrased(facts: Facts, plain: tuple[Example, ...]) -> tuple[tuple[Example, ...], str]:
    made = [
        (template.prompt(fact.subject), template.completion(fact.object, fact.subject))
        for fact in facts.trained
        for template in facts.relation_of(fact).paraphrases
    ]
    return tuple(dict.fromkeys((*plain, *made))), "" if made else "the facts have no paraphrases"


def _replayed(facts: Facts, plain: tuple[Example, ...]) -> tuple[tuple[Example, ...], str]:
    texts = replay_texts()
    return (*plain, *(("", texts[place % len(texts)]) for place in range(len(plain)))), ""


def _countered(facts: Facts, plain: tuple[Example, ...]) -> tuple[tuple[Example, ...], str]:
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
    return (*plain, *made), "" if made else "the facts have no spurious rules with several conclusions"
