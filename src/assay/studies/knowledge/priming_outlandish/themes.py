"""A world of themes: subjects, attributes that call for a theme's words, and how likely each keyword is in each context.

A row is a beginning and three statements of five words. A statement is `filler filler attribute subject keyword`, or,
described, `filler attribute subject description keyword`. An attribute calls for the words of its theme, some more strongly
than others; which of them, the subject says. A filler stands where no keyword comes. `ThemeWorld.conditional` is the exact
probability of every keyword behind a prompt.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import SettingsError

__all__ = ["BEGIN", "KINDS", "LENGTH", "N_SUBJECTS", "N_THEMES", "Text", "Texts", "ThemeWorld", "texts_of"]

BEGIN = 0
N_THEMES, N_WORDS, N_ATTRIBUTES, N_SUBJECTS = 4, 8, 3, 8
N_KEYWORDS = N_THEMES * N_WORDS
SUBJECT = 1 + N_KEYWORDS  # the first subject's token; keywords begin at 1
ATTRIBUTE = SUBJECT + N_SUBJECTS
DESCRIPTION = ATTRIBUTE + N_THEMES * N_ATTRIBUTES
FILLER = DESCRIPTION + N_KEYWORDS
N_STATEMENTS, STATEMENT = 3, 5
LENGTH = 1 + N_STATEMENTS * STATEMENT
STAYS = 0.9  # chance that a statement has the theme of the one before
DESCRIBED = 0.3  # share of statements with a description
MEANT = 0.3  # chance that a description's own keyword follows it
REPEATED = 0.5  # chance that a keyword is that of the row's last statement of the same theme
SHARPNESS, FALL = 2.0, 0.3  # of a subject's keywords; and how their popularity falls by rank
CALLS = (0.95, 0.2, 0.01)  # chance that a theme's first, second or third attribute is followed by a word of the theme
LEAK = (2e-3, 0.06)  # chance that it is followed by a word of one other theme, drawn evenly in logarithms
KINDS = ("likely", "middling", "unlikely")
N_FILLERS = 2  # at the beginning of a text, as in plain rows


@dataclass(frozen=True, eq=False)
class ThemeWorld:
    """One draw of the world.

    Attributes:
        n_tokens: size of the vocabulary.
        words: probability of a theme's word after a subject, [subject, theme, word].
        mixing: chance that an attribute is followed by a word of each theme, [attribute, theme]; else a filler comes.
        fillers: probability of each filler.
    """

    n_tokens: int
    words: Float[np.ndarray, "subject theme word"]
    mixing: Float[np.ndarray, "attribute theme"]
    fillers: Float[np.ndarray, " filler"]

    @classmethod
    def drawn(cls, n_tokens: int, *, rng: np.random.Generator) -> "ThemeWorld":
        """A world with so many tokens.

        Raises:
            SettingsError: they leave fewer than ten fillers.
        """
        n_fillers = n_tokens - FILLER
        if n_fillers < 10:
            raise SettingsError(f"a world of themes needs at least {FILLER + 10} tokens, ten of them fillers; got {n_tokens}")
        scores = SHARPNESS * rng.normal(size=(N_SUBJECTS, N_THEMES, N_WORDS)) - FALL * np.arange(N_WORDS)
        words = np.exp(scores)
        mixing = np.exp(rng.uniform(math.log(LEAK[0]), math.log(LEAK[1]), size=(N_THEMES * N_ATTRIBUTES, N_THEMES)))
        mixing[np.arange(len(mixing)), np.arange(len(mixing)) // N_ATTRIBUTES] = np.tile(CALLS, N_THEMES)
        mixing /= np.maximum(1, mixing.sum(1, keepdims=True))
        falling = 1 / np.arange(1, n_fillers + 1)
        return cls(n_tokens, words / words.sum(-1, keepdims=True), mixing, falling / falling.sum())

    def keywords(
        self, subject: Int[np.ndarray, " n"] | int, attribute: Int[np.ndarray, " n"] | int
    ) -> Float[np.ndarray, "*n keyword"]:
        """Probability of every keyword after a subject and an attribute (their places, from 0) with nothing before them."""
        whole = self.mixing[attribute][..., None] * self.words[subject]
        return np.asarray(whole.reshape(*whole.shape[:-2], N_KEYWORDS))

    def conditional(self, prompt: Int[np.ndarray, " place"]) -> Float[np.ndarray, " keyword"]:
        """Probability of every keyword after a prompt that ends in a subject or in a description behind one.

        Raises:
            SettingsError: no keyword is due there.
        """
        tokens = prompt.tolist()
        described = is_description(tokens[-1])
        place = len(tokens) - (2 if described else 1)
        attribute, subject = tokens[place - 1] - ATTRIBUTE, tokens[place] - SUBJECT
        if not (0 <= attribute < len(self.mixing) and 0 <= subject < N_SUBJECTS):
            raise SettingsError(f"a prompt must end in an attribute and a subject, then at most a description; got {tokens}")
        found = self.keywords(subject, attribute)
        earlier = [(tokens[i], _theme_before(tokens, i)) for i in range(place) if 1 <= tokens[i] <= N_KEYWORDS]
        same = [keyword for keyword, theme in earlier if theme == attribute // N_ATTRIBUTES]
        if same:
            called = found.sum()
            found = (1 - REPEATED) * found
            found[same[-1] - 1] += REPEATED * called
        if described:
            found = (1 - MEANT) * found
            found[tokens[-1] - DESCRIPTION] += MEANT
        return found

    def plain(self, n: int, *, rng: np.random.Generator) -> Int[np.ndarray, "n place"]:
        """Rows of plain text."""
        rows = np.full((n, LENGTH), BEGIN)
        theme = rng.integers(N_THEMES, size=n)
        last = np.zeros((n, N_THEMES), dtype=int)  # the row's last keyword after an attribute of each theme; 0 for none
        every = np.arange(n)
        for i in range(N_STATEMENTS):
            if i:
                theme = np.where(rng.random(n) < STAYS, theme, rng.integers(N_THEMES, size=n))
            subject = rng.integers(N_SUBJECTS, size=n)
            attribute = theme * N_ATTRIBUTES + rng.integers(N_ATTRIBUTES, size=n)
            word = _drawn(self.keywords(subject, attribute), rng)
            keyword = np.where(word < N_KEYWORDS, 1 + word, self.filling((n,), rng))
            repeats = (word < N_KEYWORDS) & (rng.random(n) < REPEATED) & (last[every, theme] > 0)
            keyword = np.where(repeats, last[every, theme], keyword)
            described = rng.random(n) < DESCRIBED
            meant = 1 + theme * N_WORDS + rng.integers(N_WORDS, size=n)
            keyword = np.where(described & (rng.random(n) < MEANT), meant, keyword)
            last[every, theme] = np.where(keyword <= N_KEYWORDS, keyword, last[every, theme])
            start = 1 + i * STATEMENT
            filler = self.filling((n, 2), rng)
            bare = np.stack([filler[:, 0], filler[:, 1], ATTRIBUTE + attribute, SUBJECT + subject, keyword], 1)
            told = np.stack([filler[:, 0], ATTRIBUTE + attribute, SUBJECT + subject, DESCRIPTION + meant - 1, keyword], 1)
            rows[:, start : start + STATEMENT] = np.where(described[:, None], told, bare)
        return rows

    def filling(self, shape: tuple[int, ...], rng: np.random.Generator) -> Int[np.ndarray, "..."]:
        """Tokens of fillers."""
        return FILLER + rng.choice(len(self.fillers), size=shape, p=self.fillers)

    def prefixes(
        self, theme: int, subjects: Int[np.ndarray, " subject"], n: int, *, rng: np.random.Generator
    ) -> Int[np.ndarray, "prefix place"]:
        """Beginnings that call for a word of a theme, about some of the subjects: `begin filler filler attribute subject`."""
        pairs = [(int(subject), theme * N_ATTRIBUTES + i) for subject in subjects for i in range(N_ATTRIBUTES)]
        chosen = np.array(pairs)[rng.permutation(len(pairs))[:n]]
        filler = self.filling((len(chosen), 2), rng)
        return np.stack([np.full(len(chosen), BEGIN), *filler.T, ATTRIBUTE + chosen[:, 1], SUBJECT + chosen[:, 0]], 1)


@dataclass(frozen=True)
class Text:
    """A statement that ends in its keyword.

    Attributes:
        keyword: its token.
        kind: of `KINDS`.
        fillers: what stands before the attribute; the first of them gives way to a description.
        subject, attribute: their tokens.
    """

    keyword: int
    kind: str
    fillers: tuple[int, ...]
    subject: int
    attribute: int

    @property
    def theme(self) -> int:
        """Of the keyword."""
        return (self.keyword - 1) // N_WORDS

    @property
    def description(self) -> int:
        """The token that describes the keyword."""
        return DESCRIPTION + self.keyword - 1

    @property
    def prompt(self) -> tuple[int, ...]:
        """What stands before the keyword."""
        return (BEGIN, *self.fillers, self.attribute, self.subject)

    @property
    def plain(self) -> tuple[int, ...]:
        """The text as it is."""
        return (*self.prompt, self.keyword)

    @property
    def stepping(self) -> tuple[int, ...]:
        """Its rewrite with the description right before the keyword, equally long."""
        return (BEGIN, *self.fillers[1:], self.attribute, self.subject, self.description, self.keyword)

    @property
    def elsewhere(self) -> tuple[int, ...]:
        """Its rewrite with the description at the beginning, equally long."""
        return (BEGIN, self.description, *self.fillers[1:], self.attribute, self.subject, self.keyword)

    def reworded(self, world: ThemeWorld, rng: np.random.Generator) -> "Text":
        """The same statement with other fillers."""
        return replace(self, fillers=tuple(world.filling((len(self.fillers),), rng).tolist()))


Texts = tuple[Text, ...]


def texts_of(world: ThemeWorld, subjects: Int[np.ndarray, " subject"], n_keywords: int, *, rng: np.random.Generator) -> Texts:
    """A text of every kind for each of so many keywords, spread evenly over the themes, about some of the subjects.

    All stand behind an attribute of the keyword's theme, among whose contexts the keyword's probability lies in the upper, the
    middle or the lower third. (Behind an attribute of another theme a keyword does not fit at all; no kind of the paper is so.)

    Raises:
        SettingsError: the keywords are not as many for each theme.
    """
    if n_keywords % N_THEMES or not 0 < n_keywords <= N_KEYWORDS:
        raise SettingsError(
            f"keywords must be as many for each of {N_THEMES} themes, {N_KEYWORDS} at the most; got {n_keywords}"
        )
    found = []
    for theme in range(N_THEMES):
        for word in sorted(rng.permutation(N_WORDS)[: n_keywords // N_THEMES].tolist()):
            keyword = 1 + theme * N_WORDS + word
            own = [(int(s), theme * N_ATTRIBUTES + i) for s in subjects for i in range(N_ATTRIBUTES)]
            ranked = sorted(own, key=lambda context: -float(world.keywords(*context)[keyword - 1]))
            thirds = np.array_split(np.array(ranked), len(KINDS))
            contexts = [third[int(rng.integers(len(third)))].tolist() for third in thirds]
            for kind, (subject, attribute) in zip(KINDS, contexts, strict=True):
                fillers = world.filling((N_FILLERS,), rng)
                found.append(Text(keyword, kind, tuple(fillers.tolist()), SUBJECT + subject, ATTRIBUTE + attribute))
    return tuple(found)


def is_description(token: int) -> bool:
    """Whether a token describes a keyword."""
    return DESCRIPTION <= token < FILLER


def _theme_before(tokens: list[int], place: int) -> int:
    """The theme of the attribute that called for the keyword at a place."""
    attribute = tokens[place - (3 if is_description(tokens[place - 1]) else 2)]
    return (attribute - ATTRIBUTE) // N_ATTRIBUTES


def _drawn(probabilities: Float[np.ndarray, "n keyword"], rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    """One place a row, drawn by its probabilities; the number of places where none is, for what is left of one."""
    return np.asarray((rng.random(len(probabilities))[:, None] > probabilities.cumsum(1)).sum(1))
