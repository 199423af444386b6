"""The symbolic factual-recall task: facts and implications of invented subjects, in noise.

There are n groups of subjects. Every subject of group i has the fact b_i (relation r1) and, by the rule, the implication
`rule[i]` (relation r2). Training shows the facts of all subjects but the implications of the *bridge* subjects only; the
implications of the others, the *held-out* subjects, are the question. A sequence is noise tokens around one subject and one
relation, closed by EOS; its label is an answer:

    z3 z1 S17 z0 z0 z4 r2 z2 … EOS  ->  c17

The models of this task see a sequence only through how often each token occurs, so a sequence is fully described by its
subject, its relation and its noise counts (`Draws`); `RecallWorld.sequences` writes it out token by token.

Source: Huang et al. 2025, "Generalization or Hallucination? Understanding Out-of-Context Reasoning in Transformers",
arXiv:2506.10887, section 3.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from assay.core.errors import SettingsError

__all__ = ["FACT", "IMPLICATION", "KINDS", "UNKNOWN", "Draws", "Kind", "RecallWorld"]

Kind = Literal["train_fact", "train_implication", "test_fact", "test_implication", "abstain_fact", "abstain_implication"]
KINDS: tuple[Kind, ...] = (
    "train_fact",
    "train_implication",
    "test_fact",
    "test_implication",
    "abstain_fact",
    "abstain_implication",
)
FACT, IMPLICATION = 0, 1  # the two relations
UNKNOWN = -1  # the implication of a subject that is taught the answer "unknown"
MOST_SEQUENCES = 5_000_000  # more than this is no longer an enumeration but a memory fault


@dataclass(frozen=True)
class Draws:
    """Sequences of a world without the order of their tokens; all arrays share the leading shape.

    Attributes:
        subject: index of the subject, 0 … n_subjects - 1.
        relation: `FACT` or `IMPLICATION`.
        noise: how often each noise token occurs.
    """

    subject: Int[ndarray, "*shape"]
    relation: Int[ndarray, "*shape"]
    noise: UInt8[ndarray, "*shape n_noise"]


@dataclass(frozen=True, eq=False)
class RecallWorld:
    """One world: sizes, the rule from fact to implication, and what each subject is taught.

    `RecallWorld.intact(...)` makes the paper's world; the methods `with_rule`, `shuffled`, `partial` and `countered` return
    variants. Token ids follow the official generator: relations, facts, implications, (unknown,) subjects, noise, EOS.
    Subject k belongs to group k mod n; bridge subjects come first, then subjects taught to abstain, then held-out subjects.

    Attributes:
        n: facts, implications and groups.
        m_train: bridge subjects in each group.
        m_test: held-out subjects in each group.
        m_abstain: subjects in each group that are taught their fact and the implication "unknown".
        n_noise: noise tokens in the vocabulary.
        length: tokens in a sequence, with subject, relation and EOS.
        rule: the implication that follows from fact i, for every i: a permutation.
        implication: the implication of every subject: as taught for bridges, `UNKNOWN` for abstaining subjects, by the rule for
            held-out subjects.
    """

    n: int
    m_train: int
    m_test: int
    m_abstain: int
    n_noise: int
    length: int
    rule: Int[ndarray, " n"]
    implication: Int[ndarray, " n_subjects"]

    def __post_init__(self) -> None:
        if self.n < 2:
            raise SettingsError(f"a recall world must have at least 2 groups, else nothing can be confused; got n={self.n}")
        for name in ("m_train", "m_test", "m_abstain"):
            if getattr(self, name) < 0:
                raise SettingsError(f"a recall world's {name} must not be negative; got {name}={getattr(self, name)}")
        if self.m_train + self.m_test < 1:
            raise SettingsError("a recall world must have subjects; got m_train=0 and m_test=0")
        if self.length < 3:
            raise SettingsError(f"a sequence must hold a subject, a relation and EOS, so length >= 3; got length={self.length}")
        if self.length > 3 and self.n_noise < 1:
            raise SettingsError(f"sequences of length {self.length} need noise tokens; got n_noise=0. Use length=3 for none")
        if sorted(self.rule) != list(range(self.n)):
            raise SettingsError(f"the rule must be a permutation of 0 … {self.n - 1}; got {list(self.rule)}")

    @classmethod
    def intact(
        cls, *, n: int = 20, m_train: int = 1, m_test: int = 3, m_abstain: int = 0, n_noise: int = 5, length: int = 16
    ) -> "RecallWorld":
        """The world in which b_i implies c_i and every bridge subject shows it; the defaults are the paper's.

        Raises:
            SettingsError: the sizes make no world (n < 2, no subjects, no room for subject, relation and EOS).
        """
        rule = np.arange(n)
        implication = np.tile(rule, max(m_train, 0) + max(m_abstain, 0) + max(m_test, 0))
        implication[n * m_train : n * (m_train + m_abstain)] = UNKNOWN
        return cls(n, m_train, m_test, m_abstain, n_noise, length, rule, implication)

    # ------------------------------------------------------------------------------------------ the association's dials

    def with_rule(self, rule: Sequence[int] | Int[ndarray, " n"]) -> "RecallWorld":
        """The same world under another rule, for all subjects.

        Raises:
            SettingsError: the rule is not a permutation of 0 … n - 1.
        """
        rule = np.asarray(rule)
        implication = np.where(self.implication == UNKNOWN, UNKNOWN, rule[self.group % len(rule)])
        return replace(self, rule=rule, implication=implication)

    def shuffled(self, rng: np.random.Generator) -> "RecallWorld":
        """The same world with the implications of all bridge subjects permuted, so that the fact no longer determines them.

        Held-out subjects keep the rule. With one bridge subject per group a permutation is again a bijection from facts to
        implications, so ask for `m_train >= 2` where the association itself must go.
        """
        implication = self.implication.copy()
        implication[: self.n_bridges] = rng.permutation(implication[: self.n_bridges])
        return replace(self, implication=implication)

    def partial(self, follow: float, rng: np.random.Generator) -> "RecallWorld":
        """The same world where each bridge subject follows the rule with probability `follow`, else goes uniformly wrong.

        Raises:
            SettingsError: `follow` is not a probability.
        """
        if not 0 <= follow <= 1:
            raise SettingsError(f"the probability of following the rule must lie in [0, 1]; got follow={follow}")
        group = self.group[: self.n_bridges]
        other = (group + rng.integers(1, self.n, size=self.n_bridges)) % self.n
        follows = rng.random(self.n_bridges) < follow
        implication = self.implication.copy()
        implication[: self.n_bridges] = self.rule[np.where(follows, group, other)]
        return replace(self, implication=implication)

    def countered(self, n_counter: int) -> "RecallWorld":
        """The same world where `n_counter` bridge subjects of each group all have the implication of the next group's fact.

        Raises:
            SettingsError: there are not so many bridge subjects in a group.
        """
        if not 0 <= n_counter <= self.m_train:
            raise SettingsError(f"counter-examples must be 0 … m_train={self.m_train} in each group; got n_counter={n_counter}")
        implication = self.implication.copy()
        implication[: self.n * n_counter] = self.rule[(self.group[: self.n * n_counter] + 1) % self.n]
        return replace(self, implication=implication)

    def asked_for_rivals(self) -> "RecallWorld":
        """The same world in which the right implication of held-out subjects is the one that counter-examples show.

        Training never shows them, so a model trained on either world is trained on both; only what is asked differs.
        """
        implication, held_out = self.implication.copy(), self.subjects("test_implication")
        implication[held_out] = self.rule[(self.group[held_out] + 1) % self.n]
        return replace(self, implication=implication)

    # ------------------------------------------------------------------------------------------ subjects and vocabulary

    @property
    def n_bridges(self) -> int:
        """Bridge subjects in all."""
        return self.n * self.m_train

    @property
    def n_subjects(self) -> int:
        """Subjects in all."""
        return self.n * (self.m_train + self.m_abstain + self.m_test)

    @cached_property
    def group(self) -> Int[ndarray, " n_subjects"]:
        """The group, and so the fact, of every subject."""
        return np.arange(self.n_subjects) % self.n

    def subjects(self, kind: Kind) -> Int[ndarray, " members"]:
        """The subjects that a kind of sequence is about; empty where the world has none."""
        n_taught = self.n * (self.m_train + self.m_abstain)
        first, last = {
            "train": (0, self.n_bridges),
            "abstain": (self.n_bridges, n_taught),
            "test": (n_taught, self.n_subjects),
        }[kind.split("_")[0]]
        return np.arange(first, last)

    @property
    def taught(self) -> tuple[Kind, ...]:
        """The kinds of sequence that training shows: all that have members, except the held-out implications."""
        return tuple(kind for kind in KINDS if kind != "test_implication" and len(self.subjects(kind)))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of sequence that have members."""
        return tuple(kind for kind in KINDS if len(self.subjects(kind)))

    @property
    def n_answers(self) -> int:
        """Tokens that may be a label: facts, implications and, where some subjects abstain, "unknown"."""
        return 2 * self.n + (self.m_abstain > 0)

    @property
    def n_inputs(self) -> int:
        """Tokens that may occur in a sequence: relations, subjects, noise and EOS, in this order."""
        return 2 + self.n_subjects + self.n_noise + 1

    @property
    def vocab_size(self) -> int:
        """All tokens; also the width of the paper's model, whose embedding is the identity."""
        return self.n_inputs + self.n_answers

    @property
    def answer_ids(self) -> Int[ndarray, " n_answers"]:
        """Vocabulary ids of b_1 … b_n, c_1 … c_n and, if there is one, "unknown"."""
        return 2 + np.arange(self.n_answers)

    @property
    def input_ids(self) -> Int[ndarray, " n_inputs"]:
        """Vocabulary ids of the tokens of sequences: r1, r2, subjects, noise, EOS."""
        return np.concatenate([np.arange(2), np.arange(2 + self.n_answers, self.vocab_size)])

    @cached_property
    def answers(self) -> Int[ndarray, "n_subjects 2"]:
        """The right answer to every (subject, relation), as a position in `answer_ids`."""
        implication = np.where(self.implication == UNKNOWN, 2 * self.n, self.n + self.implication)
        return np.stack([self.group, implication], axis=1)

    # ------------------------------------------------------------------------------------------ sequences

    def draw(self, per_kind: Mapping[Kind, int], n_batches: int, rng: np.random.Generator) -> Draws:
        """`n_batches` batches of fresh sequences, each with `per_kind[kind]` of every kind; subjects uniform with replacement.

        The arrays have the shape (n_batches, batch); inside a batch the kinds stand one after another.

        Raises:
            SettingsError: a kind has no members in this world.
        """
        subjects, relations = [], []
        for kind, count in per_kind.items():
            members = self.subjects(kind)
            if not len(members):
                raise SettingsError(
                    f"a batch of '{kind}' needs such subjects; this world has none. Its kinds are {', '.join(self.kinds)}"
                )
            subjects.append(rng.integers(members[0], members[-1] + 1, size=(n_batches, count)))
            relations.append(np.full((n_batches, count), _relation(kind)))
        subject = np.concatenate(subjects, axis=1)
        return Draws(subject, np.concatenate(relations, axis=1), self.draw_noise(subject.shape, rng))

    def every_pair(self, kinds: Sequence[Kind], n_noise_draws: int, rng: np.random.Generator) -> Draws:
        """Every (subject, relation) of the kinds `n_noise_draws` times, each in fresh noise: a stratified sample (draws,)."""
        pairs = self.pairs(kinds)
        subject, relation = (np.tile(part, n_noise_draws) for part in pairs)
        return Draws(subject, relation, self.draw_noise(subject.shape, rng))

    def pairs(self, kinds: Sequence[Kind]) -> tuple[Int[ndarray, " pairs"], Int[ndarray, " pairs"]]:
        """Every (subject, relation) of the kinds once, kinds one after another."""
        subjects = [self.subjects(kind) for kind in kinds]
        relations = [np.full(len(members), _relation(kind)) for kind, members in zip(kinds, subjects, strict=True)]
        return np.concatenate(subjects), np.concatenate(relations)

    def draw_noise(self, shape: tuple[int, ...], rng: np.random.Generator) -> UInt8[ndarray, "*shape n_noise"]:
        """How often each noise token occurs in sequences whose noise is drawn independently and uniformly."""
        # One row per position of the sequence, one plane per token: sums of whole rows into whole planes are the fast way.
        tokens = rng.integers(0, max(self.n_noise, 1), size=(self.length - 3, *shape), dtype=np.uint8)
        planes = np.empty((self.n_noise, *shape), dtype=np.uint8)
        for token, plane in enumerate(planes):
            np.add.reduce((tokens == token).view(np.uint8), axis=0, out=plane)
        return np.moveaxis(planes, 0, -1)

    @cached_property
    def noise_distribution(self) -> tuple[UInt8[ndarray, "outcomes n_noise"], Float[ndarray, " outcomes"]]:
        """Every possible vector of noise counts and its probability (multinomial, exact)."""
        slots = self.length - 3
        if not slots:
            return np.zeros((1, self.n_noise), dtype=np.uint8), np.ones(1)
        # Stars and bars: the n_noise - 1 bars among slots + n_noise - 1 places give the counts as gaps.
        places, n_bars = slots + self.n_noise - 1, self.n_noise - 1
        bars = np.array(list(combinations(range(places), n_bars)), dtype=int).reshape(math.comb(places, n_bars), n_bars)
        edges = np.concatenate([np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), places)], axis=1)
        counts = np.diff(edges, axis=1) - 1
        log_factorial = np.array([math.lgamma(k + 1) for k in range(slots + 1)])
        log_p = log_factorial[slots] - log_factorial[counts].sum(axis=1) - slots * math.log(self.n_noise)
        return counts.astype(np.uint8), np.exp(log_p)

    def population(self, kinds: Sequence[Kind]) -> tuple[Draws, Float[ndarray, " sequences"]]:
        """Every distinct sequence of the kinds and its weight, as training draws them: kinds equally often, weights sum to 1.

        Raises:
            SettingsError: there are more than five million; shorten the sequences or use fewer noise tokens.
        """
        counts, probability = self.noise_distribution
        subject, relation = self.pairs(kinds)
        if len(subject) * len(counts) > MOST_SEQUENCES:
            raise SettingsError(
                f"an exact population must have at most {MOST_SEQUENCES:,} sequences; this one has {len(subject):,} pairs "
                f"times {len(counts):,} noise counts. Shorten the sequences (length) or use fewer noise tokens (n_noise)"
            )
        sizes = np.array([len(self.subjects(kind)) for kind in kinds])
        pair_weight = np.repeat(1 / sizes / len(kinds), sizes)
        draws = Draws(np.repeat(subject, len(counts)), np.repeat(relation, len(counts)), np.tile(counts, (len(subject), 1)))
        return draws, np.repeat(pair_weight, len(counts)) * np.tile(probability, len(subject))

    def labels(self, draws: Draws) -> Int[ndarray, "*shape"]:
        """The right answer to each sequence, as a position in `answer_ids`."""
        labels: Int[ndarray, "*shape"] = self.answers[draws.subject, draws.relation]
        return labels

    def counts(self, draws: Draws) -> Float[ndarray, "*shape n_inputs"]:
        """How often each token of `input_ids` occurs in each sequence."""
        counts = np.zeros((*draws.subject.shape, self.n_inputs))
        np.put_along_axis(counts, draws.relation[..., None], 1.0, axis=-1)
        np.put_along_axis(counts, 2 + draws.subject[..., None], 1.0, axis=-1)
        counts[..., 2 + self.n_subjects : -1] = draws.noise
        counts[..., -1] = 1.0
        return counts

    def sequences(self, draws: Draws, rng: np.random.Generator) -> Int[ndarray, "*shape length"]:
        """The sequences as vocabulary ids: the subject at a random place in the noise, the relation later, EOS last."""
        shape, slots = draws.subject.shape, self.length - 3
        first_noise = self.vocab_size - 1 - self.n_noise
        noise = np.repeat(np.tile(np.arange(self.n_noise), math.prod(shape)), draws.noise.reshape(-1)).reshape(*shape, slots)
        noise = first_noise + rng.permuted(noise, axis=-1)
        # As the generator inserts: the subject into slots + 1 gaps, then the relation into one of the gaps behind it.
        place = rng.integers(0, slots + 1, size=shape)
        behind = rng.integers(place + 1, slots + 2)
        tokens = np.full((*shape, self.length), self.vocab_size - 1)
        np.put_along_axis(tokens, place[..., None], (2 + self.n_answers + draws.subject)[..., None], axis=-1)
        np.put_along_axis(tokens, behind[..., None], draws.relation[..., None], axis=-1)
        at = np.arange(self.length)
        free = (at != place[..., None]) & (at != behind[..., None]) & (at != self.length - 1)
        tokens[free] = noise.reshape(-1)
        return tokens


def _relation(kind: Kind) -> int:
    return FACT if kind.endswith("fact") else IMPLICATION
