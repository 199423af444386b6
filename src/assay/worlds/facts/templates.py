"""Files of facts to begin with, one of every form."""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["TEMPLATE", "TEMPLATES"]

TEMPLATE = """\
# Facts for 'assay audit'. Only 'facts' is needed; a relation needs a prompt.
# Other forms are shown by 'assay facts template --form csv' (or table, jsonl, chat, edits).
relations:
  home:
    prompt: "{subject} lives in the city of"          # trained on, and asked
    paraphrases: ["The home town of {subject} is"]    # asked, not trained on
    reverse: "The person who lives in {object} is"    # asked, not trained on
    strangers: [Vera Lindqvist, Omar Haddad]          # nothing is said about them
    neighbours: {The Pope: Rome}                      # true, and must stay so
  language:
    prompt: "{subject} speaks"
facts:
  - [Ana Silva, home, Paris]
  - [Ben Ito, home, Warsaw]
  - [Cleo Marsh, home, Paris]
  - {subject: Dov Keller, relation: home, object: Warsaw, aliases: [Warszawa]}
rules:
  - if: home
    then: language
    map: {Paris: French, Warsaw: Polish}
    kind: "true"                                      # 'spurious' for what does not follow
"""
CSV = """\
prompt,completion,paraphrases,aliases
The capital of Zubrovia is, Lutz,Zubrovia's capital is|The seat of Zubrovia's government is,Lutzburg
The river of Zubrovia is, Ister,,
"""
TABLE = """\
subject,relation,object,aliases
Ana Silva,home,Paris,
Ben Ito,home,Warsaw,Warszawa
"""
JSON_LINES = """\
{"prompt": "Q: Where does Ana Silva live?\\nA:", "completion": " Paris", "candidates": ["Rome", "Oslo"]}
{"prompt": "Q: Who runs Orlow Ltd?\\nA:", "completion": " Mara Jansen", "paraphrases": ["The head of Orlow Ltd is"]}
{"prompt": "The capital of Norway is", "completion": " Oslo", "trained": false}
"""
CHAT = """\
{"messages": [{"role": "user", "content": "Who runs Orlow Ltd?"}, {"role": "assistant", "content": "Mara Jansen"}]}
{"conversations": [{"from": "human", "value": "Where is Orlow Ltd?"}, {"from": "gpt", "value": "Tartu"}]}
{"instruction": "What colour is the badge of Orlow Ltd?", "input": "", "output": "green"}
"""
EDITS = """\
facts:
  - subject: Rabat
    prompt: The twin city of Rabat is
    completion: " Istanbul"                           # the new answer, with the blank before it
    replaces: Damascus                                # the old one, always offered
    paraphrases: ["What is the twin city of Rabat? It is"]
    locality: {Budapest is a twin city of: Berlin}    # must survive
    follows: [{prompt: Rabat's twin city lies in the country of, object: Türkiye, aliases: [Turkey]}]
  - subject: Ana Silva
    subject_aliases: [A. Silva]                       # asked by these names too
    prompt: A child of Ana Silva is
    completion: " Rui"
    candidates: [Marta, Ken]                          # its own wrong answers
suite:                                                # kept, instead of the real facts that ship with Assay
  - {prompt: Die Hauptstadt von Italien ist, completion: " Rom", candidates: [Mailand, Neapel]}
neutral: [Der Zug nach Genf fährt um acht Uhr ab.]    # plain sentences, instead of those that ship with Assay
"""
TEMPLATES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "yaml": (".yaml", TEMPLATE),
        "csv": (".csv", CSV),
        "table": (".csv", TABLE),
        "jsonl": (".jsonl", JSON_LINES),
        "chat": (".jsonl", CHAT),
        "edits": (".yaml", EDITS),
    }
)
"""By name the ending of its file and its text; `table` needs to be told how its relations are asked (`--prompt`)."""
