"""Short English texts that are generated, about twenty-four tokens each: what the language model reads. NumPy only."""

import numpy as np

__all__ = ["english_texts"]

NAMES = (
    "Ada", "Bruno", "Carla", "Dmitri", "Elsa", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Leo", "Mina", "Nils", "Olga",
    "Pavel", "Rosa", "Samir", "Tilda", "Umberto", "Vera", "Wim", "Yara", "Zoltan", "Amara", "Boris", "Celia", "Dario", "Edda",
    "Finn", "Gwen", "Hana", "Igor", "Jola", "Karim", "Lena", "Marek", "Nadia", "Otto", "Petra",
)  # fmt: skip
TRADES = (
    "baker", "tailor", "sailor", "teacher", "miller", "painter", "farmer", "doctor", "clerk", "gardener", "driver", "singer",
    "cook", "smith", "nurse", "pilot", "weaver", "judge", "potter", "miner",
)  # fmt: skip
THINGS = (
    "copper key", "blue lantern", "torn map", "silver spoon", "wooden flute", "glass bead", "heavy ledger", "red scarf",
    "broken clock", "paper kite", "leather boot", "tin whistle", "green bottle", "old camera", "stone figure", "brass compass",
    "wool blanket", "small mirror", "ivory comb", "black umbrella", "rusty saw", "straw hat", "clay jug", "iron kettle",
)  # fmt: skip
PLACES = (
    "bridge", "mill", "harbour", "chapel", "station", "orchard", "market", "tower", "ferry", "quarry", "library", "bakery",
    "courtyard", "lighthouse", "barn", "cellar", "attic", "garden", "school", "well",
)  # fmt: skip
TOWNS = (
    "Velden", "Ostrava", "Marlow", "Tarrant", "Lindau", "Corvo", "Selby", "Dunmore", "Arles", "Pirna", "Kolding", "Wexford",
    "Salla", "Brugg", "Tomar", "Zadar", "Narva", "Hythe", "Ravello", "Umea",
)  # fmt: skip
PATTERNS = (
    "{name} the {trade} lost a {thing} near the {place} in {town}. {friend} found it {n} days later.",
    "On day {n}, {name} of {town} sold the {thing} to {friend}, a {trade} who lived by the {place}.",
    "Nobody in {town} knew why {name} hid the {thing} under the {place}. Only {friend} the {trade} guessed it.",
    "{friend} wrote to {name}: bring the {thing} to the {place} in {town}, and tell the {trade} nothing before {n}.",
    "For {n} years the {trade} {name} kept a {thing} at the {place} of {town}, until {friend} asked for it.",
)


def english_texts(n: int, *, rng: np.random.Generator) -> list[str]:
    """Different texts about people who lose, sell and hide things."""
    found: dict[str, None] = {}
    while len(found) < n:
        name, friend = rng.choice(NAMES, size=2, replace=False)
        text = str(rng.choice(PATTERNS)).format(
            name=name, friend=friend, trade=rng.choice(TRADES), thing=rng.choice(THINGS), place=rng.choice(PLACES),
            town=rng.choice(TOWNS), n=rng.integers(2, 90),
        )  # fmt: skip
        found[text] = None
    return list(found)
