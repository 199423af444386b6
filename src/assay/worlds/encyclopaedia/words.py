"""The words of an encyclopaedia: kinds of entities, their relations with wordings, descriptions, pronouns."""

from dataclasses import dataclass

__all__ = ["DESCRIPTIONS", "FREE", "KINDS", "NEAR", "PRONOUNS", "RELATIONS", "VALUES", "RelationWords"]

KINDS = ("person", "place", "work", "firm")
PRONOUNS = (("she", "her"), ("he", "him"), ("it", "it"))
"""Of each class of pronouns the one at the beginning of a sentence and the one at its end."""
DESCRIPTIONS = {
    "person": ("singer", "doctor", "sailor", "teacher", "painter", "judge"),
    "place": ("town", "port", "village", "city", "resort", "harbour"),
    "work": ("novel", "play", "opera", "poem", "film", "ballad"),
    "firm": ("company", "mill", "bank", "brewery", "yard", "foundry"),
}
FREE = ("met", "recalls", "resembles", "surprised", "predates", "inspired", "troubles", "outlasted")
"""What stands between two entities in a sentence that states no fact."""
NEAR = ("of", "by", "on", "at", "via", "per", "past", "amid", "from")
"""Function words: a near-duplicate of a wording has one of these in place of its last word."""


@dataclass(frozen=True)
class RelationWords:
    """What a relation connects, and how it is said.

    Attributes:
        subject: the kind of its subjects.
        value: the kind of its values, or a list of plain values in `VALUES`.
        wordings: what may stand between subject and value, at least two words each.
    """

    subject: str
    value: str
    wordings: tuple[str, ...]


# Values that are plain or places are one token, names of other kinds two; wordings in front of the former have two words, so
# that their sentences are equally long.
RELATIONS = {
    "home": RelationWords("person", "place", (
        "lives in", "never left", "belongs to", "resides at", "settled around", "dwells within", "returned towards",
        "guards old",
    )),
    "craft": RelationWords("person", "craft", (
        "earns through", "excels at", "took up", "trained in", "writes about", "fell into", "swears by", "insists on",
    )),
    "instrument": RelationWords("person", "instrument", (
        "plays the", "owns a", "tunes every", "mastered that", "loves this", "repairs one", "bought another", "performs upon",
    )),
    "employer": RelationWords("person", "firm", (
        "works for", "is employed by", "draws pay from", "serves under", "reports to", "signed on with", "joined the people of",
        "spends each day at",
    )),
    "author": RelationWords("work", "person", (
        "was written by", "is credited to", "was penned by", "came from the pen of", "carries the name of", "owes itself to",
        "made the name of", "is due to",
    )),
    "setting": RelationWords("work", "place", (
        "opens in", "unfolds around", "leads through", "ends at", "depicts old", "circles about", "mourns lost", "praises dear",
    )),
    "seat": RelationWords("firm", "place", (
        "operates from", "sits in", "hires across", "began at", "occupies central", "expanded beyond", "advertises throughout",
        "answers to",
    )),
    "founder": RelationWords("firm", "person", (
        "was founded by", "goes back to", "was set up by", "first belonged to", "was begun by", "was the dream of",
        "owes everything to", "was the work of",
    )),
    "product": RelationWords("firm", "product", (
        "makes only", "sells mostly", "ships fine", "exports many", "stocks cheap", "deals in", "grew through", "invented new",
    )),
    "river": RelationWords("place", "river", (
        "lies on", "drinks from", "looks over", "bridges the", "fishes along", "grew beside", "floods with", "faces toward",
    )),
}  # fmt: skip
VALUES = {
    "craft": ("weaving", "baking", "brewing", "carving", "tanning", "fishing", "printing", "masonry", "pottery", "gardening",
              "surveying", "milling"),
    "instrument": ("harp", "cello", "trumpet", "banjo", "organ", "flute", "violin", "drum", "lute", "oboe", "piano", "zither"),
    "product": ("clocks", "ropes", "kettles", "saddles", "lamps", "barrels", "candles", "needles", "anchors", "bricks", "boots",
                "carpets"),
    "river": ("Isk", "Orne", "Vell", "Tarn", "Ulm", "Brede", "Nith", "Sorn", "Elde", "Kyme", "Wey", "Dove"),
}  # fmt: skip
