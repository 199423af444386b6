"""Knowledge triples: facts stated in several wordings, then asked in one.

A fact is (subject, type of attribute, value). A statement is `noise subject noise noise template -> value`, where the template
is one of the wordings of the fact's type; a question is the same with the type's question token in place of the template.
Sources: Xu and Chen 2025, arXiv:2508.00901 (statements, questions, multiplicity of wordings); the generator is a
reconstruction, since the paper's own is not published.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import SettingsError

__all__ = ["LENGTH", "SUBJECT", "TripleSequences", "TripleWorld"]

LENGTH = 5  # tokens of a sequence
SUBJECT = 1  # the subject's place; the relation is last, the others are noise


@dataclass(frozen=True)
class TripleSequences:
    """A batch of sequences with its truth.

    Attributes:
        tokens: noise, subject, noise, noise, template or question token.
        answers: the value to be told, as an output.
        subjects: whom it is about.
        types: which attribute.
    """

    tokens: Int[np.ndarray, "*batch pos"]
    answers: Int[np.ndarray, "*batch"]
    subjects: Int[np.ndarray, "*batch"]
    types: Int[np.ndarray, "*batch"]

    def without_subject(self, noise: Int[np.ndarray, "*batch"]) -> "TripleSequences":
        """The same with a noise token in the subject's place: nothing then tells the fact from the others of its type."""
        tokens = self.tokens.copy()
        tokens[..., SUBJECT] = noise
        return TripleSequences(tokens, self.answers, self.subjects, self.types)


@dataclass(frozen=True)
class TripleWorld:
    """Which facts there are and in which wordings each is stated. `TripleWorld.sample` draws one.

    Token ids: subjects, then the templates of each type, then the question token of each type, then noise. Outputs: the values
    of each type one type after another, or one set of values for all types where these are shared.

    Attributes:
        values: the value of every fact, as an output, [subject, type].
        wordings: the templates in which it is stated, as places in its type's pool, distinct, [subject, type, wording].
        n_templates: templates of each type, used or not.
        n_values: values of each type.
        shared: whether all types take their values from the same set.
        n_noise: noise tokens.
    """

    values: Int[np.ndarray, "subject type"]
    wordings: Int[np.ndarray, "subject type wording"]
    n_templates: int
    n_values: int
    shared: bool
    n_noise: int

    @classmethod
    def sample(
        cls,
        *,
        rng: np.random.Generator,
        n_subjects: int = 200,
        n_types: int = 3,
        n_templates: int = 16,
        multiplicity: int = 4,
        n_values: int = 20,
        shared: bool = False,
        n_noise: int = 8,
    ) -> "TripleWorld":
        """A world of random facts.

        Args:
            rng: where facts and wordings are drawn from.
            n_subjects: N.
            n_types: kinds of attribute, each of which every subject has.
            n_templates: |R| of each type.
            multiplicity: K, the templates in which each fact is stated.
            n_values: values of each type, equally likely.
            shared: all types have the same values, so that a value does not tell the type.
            n_noise: noise tokens.

        Raises:
            SettingsError: the sizes make no world (more wordings than templates, a single value, no noise).
        """
        sizes = {"n_subjects": n_subjects, "n_types": n_types, "multiplicity": multiplicity, "n_noise": n_noise}
        for name, size in sizes.items():
            if size < 1:
                raise SettingsError(f"triple world: {name} must be at least 1; got {size}")
        if n_values < 2:
            raise SettingsError(f"triple world: a fact needs at least 2 possible values; got n_values = {n_values}")
        if multiplicity > n_templates:
            raise SettingsError(
                f"triple world: a fact is stated in different templates of its type; got multiplicity {multiplicity} with "
                f"n_templates = {n_templates}"
            )
        drawn = rng.integers(n_values, size=(n_subjects, n_types))
        own = drawn if shared else drawn + n_values * np.arange(n_types)
        order = rng.random((n_subjects, n_types, n_templates)).argsort(axis=-1)
        return cls(own, order[..., :multiplicity], n_templates, n_values, shared, n_noise)

    @property
    def n_subjects(self) -> int:
        """Subjects."""
        return int(self.values.shape[0])

    @property
    def n_types(self) -> int:
        """Types of attribute."""
        return int(self.values.shape[1])

    @property
    def multiplicity(self) -> int:
        """Templates in which each fact is stated."""
        return int(self.wordings.shape[2])

    @property
    def n_outputs(self) -> int:
        """Values that may be told."""
        return self.n_values * (1 if self.shared else self.n_types)

    @property
    def vocab_size(self) -> int:
        """All input tokens."""
        return self.n_subjects + self.n_types * (self.n_templates + 1) + self.n_noise

    def template_tokens(self, types: Int[np.ndarray, "*n"], places: Int[np.ndarray, "*n"]) -> Int[np.ndarray, "*n"]:
        """Token ids of the templates at `places` in the pools of `types`."""
        tokens: np.ndarray = self.n_subjects + types * self.n_templates + places
        return tokens

    def question_tokens(self, types: Int[np.ndarray, "*n"]) -> Int[np.ndarray, "*n"]:
        """Token ids of the question tokens of `types`."""
        tokens: np.ndarray = self.n_subjects + self.n_types * self.n_templates + types
        return tokens

    def noise(self, shape: tuple[int, ...], *, rng: np.random.Generator) -> Int[np.ndarray, "*shape"]:
        """Noise tokens, independent and equally likely."""
        drawn: np.ndarray = self.vocab_size - self.n_noise + rng.integers(self.n_noise, size=shape)
        return drawn

    def type_of_output(self, outputs: Int[np.ndarray, "*n"]) -> Int[np.ndarray, "*n"]:
        """The type to which each value belongs.

        Raises:
            SettingsError: values are shared, so that they belong to no type.
        """
        if self.shared:
            raise SettingsError("triple world: shared values belong to every type. Ask for the type with shared=False")
        types: np.ndarray = outputs // self.n_values
        return types

    # ------------------------------------------------------------------------------------------ sequences

    def statements(
        self, n: int, *, rng: np.random.Generator, subjects: Int[np.ndarray, " chosen"] | None = None
    ) -> TripleSequences:
        """`n` statements: facts and their wordings uniform with replacement; about all subjects or the chosen ones."""
        who, which = self._drawn(n, subjects, rng)
        places = self.wordings[who, which, rng.integers(self.multiplicity, size=n)]
        return self._sequences(who, which, self.template_tokens(which, places), rng)

    def questions(
        self, n: int, *, rng: np.random.Generator, subjects: Int[np.ndarray, " chosen"] | None = None
    ) -> TripleSequences:
        """`n` questions about facts drawn as in `statements`."""
        who, which = self._drawn(n, subjects, rng)
        return self._sequences(who, which, self.question_tokens(which), rng)

    def stated(self, *, rng: np.random.Generator) -> TripleSequences:
        """Every fact once, in one of its wordings and fresh noise; subject by subject, types in order."""
        who, which = (part.reshape(-1) for part in np.indices(self.values.shape))
        places = self.wordings[who, which, rng.integers(self.multiplicity, size=len(who))]
        return self._sequences(who, which, self.template_tokens(which, places), rng)

    def asked(self, *, rng: np.random.Generator) -> TripleSequences:
        """Every fact asked once, in fresh noise; in the order of `stated`."""
        who, which = (part.reshape(-1) for part in np.indices(self.values.shape))
        return self._sequences(who, which, self.question_tokens(which), rng)

    def coverage(self, taught: Bool[np.ndarray, " subject"]) -> Float[np.ndarray, "subject type"]:
        """Which share of a fact's wordings some taught subject's fact of the same type is also stated in."""
        covered = np.zeros((self.n_types, self.n_templates), dtype=bool)
        types = np.broadcast_to(np.arange(self.n_types)[None, :, None], self.wordings.shape)
        covered[types[taught], self.wordings[taught]] = True
        shares: np.ndarray = covered[types, self.wordings].mean(-1)
        return shares

    def _drawn(
        self, n: int, subjects: Int[np.ndarray, " chosen"] | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        if subjects is not None and not len(subjects):
            raise SettingsError("triple world: sequences need at least one subject to be about; got none")
        who = rng.integers(self.n_subjects if subjects is None else len(subjects), size=n)
        return who if subjects is None else np.asarray(subjects)[who], rng.integers(self.n_types, size=n)

    def _sequences(self, who: np.ndarray, which: np.ndarray, relation: np.ndarray, rng: np.random.Generator) -> TripleSequences:
        tokens = self.noise((len(who), LENGTH), rng=rng)
        tokens[:, SUBJECT], tokens[:, -1] = who, relation
        return TripleSequences(tokens, self.values[who, which], who, which)
