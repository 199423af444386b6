"""A hundred odd game files, malformed and strange ones of every field, and what each must come to.

An entry is (what is odd, file name, content, options, outcome): a value the solution must have, or words of the refusal.
"""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from assay.worlds.games.templates import TEMPLATES

Odd = tuple[str, str, bytes, tuple[str, ...], dict[str, Any] | str]
DOORS = """agents: 2
discount: 1
values: reward
states: L R
start: uniform
actions:
listen left
listen left
observations:
hl hr
hl hr
T: * :
uniform
O: * :
uniform
R: * : * : * : * : -1
"""
TREE = """EFG 2 R "t" { "A" "H" }
c "" 1 "" { "x" 1/2 "y" 1/2 } 0
p "" 1 1 "" { "l" "r" } 0
p "" 2 1 "" { "u" "d" } 0
t "" 1 "" { 3 3 }
t "" 2 "" { 0 0 }
p "" 2 1 "" { "u" "d" } 0
t "" 3 "" { 1 1 }
t "" 4 "" { 2 2 }
p "" 1 2 "" { "l" "r" } 0
p "" 2 1 "" { "u" "d" } 0
t "" 5 "" { 0 0 }
t "" 6 "" { 5 5 }
p "" 2 1 "" { "u" "d" } 0
t "" 7 "" { 1 1 }
t "" 8 "" { 1 1 }
"""
STRATEGIC = 'NFG 1 R "g" { "Row" "Column" } { 2 2 }\n\n3 3 5 0 0 5 1 1\n'


def changed(kind: str, change: Callable[[Any], Any]) -> bytes:
    game = copy.deepcopy(TEMPLATES[kind])
    found = change(game)
    return json.dumps(game if found is None else found, ensure_ascii=False).encode("utf-8", "surrogatepass")


def put(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(game: Any) -> None:
        for key in path[:-1]:
            game = game[key]
        game[path[-1]] = value

    return change


def drop(*path: Any) -> Callable[[Any], None]:
    def change(game: Any) -> None:
        for key in path[:-1]:
            game = game[key]
        del game[path[-1]]

    return change


def odd_files() -> Iterator[Odd]:
    yield from _whole_files()
    yield from _fields()
    yield from _numbers()
    yield from _names()
    yield from _laws()
    yield from _steps_and_matrices()
    yield from _pomdps()
    yield from _trees()
    yield from _sizes()


def _whole_files() -> Iterator[Odd]:
    for says, name, content, outcome in (
        ("empty file", "a.json", b"", "the file is empty"),
        ("blank lines only", "a.json", b" \n\n", "the file is empty"),
        ("no UTF-8", "a.json", b"\xff\xfe{", "must be UTF-8"),
        ("an HTML page", "a.json", b"<!DOCTYPE html><html></html>", "HTML or XML page"),
        ("an XML file", "a.json", b"<?xml version='1.0'?><a/>", "HTML or XML page"),
        ("cut in the middle", "a.json", b'{"format": "assay-game/1", "kind"', "must be JSON; line 1"),
        ("two documents", "a.json", b"{}{}", "must be JSON"),
        ("a list", "a.json", b"[]", "must be a JSON object"),
        ("a bare number", "a.json", b"3", "must be a JSON object"),
        ("a bare text", "a.json", b'"game"', "must be a JSON object"),
        ("null", "a.json", b"null", "must be a JSON object"),
        ("a hundred thousand brackets", "a.json", b"[" * 100_000, "nested too deeply"),
        ("a key twice", "a.json", b'{"format": "assay-game/1", "format": "assay-game/1"}', "a key must appear once"),
        ("plain words", "a.json", b"once upon a time", "must be JSON"),
        ("YAML", "a.json", b"kind: off-switch\nname: g\n", "must be JSON"),
        ("an integer of 6,000 digits", "a.json", b'{"format": ' + b"9" * 6000 + b"}", "at most 100 digits"),
        ("NaN", "a.json", changed("off-switch", put("states", 0, "act", value=float("nan"))), "must be finite"),
        ("Infinity", "a.json", changed("off-switch", put("states", 0, "act", value=float("inf"))), "must be finite"),
        ("a byte-order mark", "a.json", b"\xef\xbb\xbf" + changed("off-switch", lambda game: None), {"value": "3/8"}),
        (
            "two byte-order marks",
            "a.json",
            b"\xef\xbb\xbf\xef\xbb\xbf" + changed("matrix", lambda game: None),
            {"game": "Prisoner's dilemma"},
        ),
        ("a comment and a source", "a.json", changed("off-switch", put("source", value={"doi": "10.1/x"})), {"value": "3/8"}),
    ):
        yield says, name, content, (), outcome


def _fields() -> Iterator[Odd]:
    off = "off-switch"
    for says, content, outcome in (
        ("no format", changed(off, drop("format")), "the field 'format' must be given"),
        ("another format", changed(off, put("format", value="assay-game/9")), "format must be"),
        ("no kind", changed(off, drop("kind")), "the field 'kind' must be given"),
        ("kind misspelled", changed(off, put("kind", value="off-swich")), "did you mean 'off-switch'"),
        ("kind a number", changed(off, put("kind", value=1)), "kind must be a non-empty text; got the number 1"),
        ("field misspelled", changed(off, put("human_observation", value=[])), "did you mean 'human_observations'"),
        ("no states", changed(off, put("states", value=[])), "non-empty list"),
        ("states an object", changed(off, put("states", value={})), "non-empty list of objects; got an empty object"),
        ("a state is a text", changed(off, put("states", 0, value="rain")), r"states\[0\] must be a JSON object"),
        ("a state without name", changed(off, drop("states", 0, "name")), "the field 'name' must be given"),
        ("two states of one name", changed(off, put("states", 1, "name", value="rain")), "must be distinct"),
        ("a state without sees", changed(off, drop("states", 0, "sees")), "the field 'sees' must be given"),
        ("sees empty", changed(off, put("states", 0, "sees", value=[])), "non-empty list"),
        ("sees a text", changed(off, put("states", 0, "sees", value="clouds")), "non-empty list"),
        ("a pair of one", changed(off, put("states", 0, "sees", value=[["clouds"]])), "an entry of sees must be"),
        (
            "a pair the wrong way round",
            changed(off, put("states", 0, "sees", value=[["wet forecast", "clouds"]])),
            "Exchange the two",
        ),
        ("messages both ways", changed(off, put("messages", value={"to_human": 2, "to_assistant": 2})), "must go one way"),
        ("zero messages", changed(off, put("messages", value={"to_human": 0})), "at least 1"),
        ("half a message", changed(off, put("messages", value={"to_human": 1.5})), "whole number"),
        ("a million messages", changed(off, put("messages", value={"to_human": 10**6})), "at most 1,000 messages"),
        ("messages to the other side", changed("assistance", put("messages", value={"to_assistant": 2})), "messages to H only"),
        (
            "messages to the other side, two stages",
            changed("two-stage-assistance", put("messages", value={"to_human": 2})),
            "messages to A only",
        ),
        ("a horizon where there is one step", changed(off, put("horizon", value=3)), "belongs to the kind 'sequential'"),
        ("an unknown first mover", changed("assistance", put("first", value="nature")), "first must be 'assistant' or 'human'"),
        ("nothing legal", changed(off, put("legal", value={"human": {"clouds": []}})), "non-empty list of actions"),
        (
            "legal for an unknown observation",
            changed(off, put("legal", value={"human": {"fog": ["ON"]}})),
            "unknown human observation",
        ),
        ("an unknown legal action", changed(off, put("legal", value={"human": {"clouds": ["YES"]}})), "unknown human action"),
        ("ON alone is legal", changed(off, put("legal", value={"human": {"clouds": ["ON"]}})), {"value": "3/8"}),
        (
            "second payoffs where there is one stage",
            changed("assistance", put("states", 0, "second_reward", value={})),
            "belongs to",
        ),
        ("a cost of waiting that is a list", changed(off, put("waiting_cost", value=[1])), "must be a finite number"),
    ):
        yield says, "a.json", content, (), outcome


def _numbers() -> Iterator[Odd]:
    for says, value, outcome in (
        ("a payoff '3_0'", "3_0", "must be a finite number"),
        ("fullwidth digits", "３", "must be a finite number"),
        ("a payoff of zero denominator", "1/0", "must be a finite number"),
        ("a percentage", "50%", "must be a finite number"),
        ("true as a payoff", True, "must be a finite number"),
        ("null as a payoff", None, "must be a finite number"),
        ("a list as a payoff", [1], "must be a finite number"),
        ("an exponent of a billion", "1e1000000000", "must be a finite number"),
        ("a payoff of 99 digits", "9" * 99, {"game": "Take the umbrella?"}),
        ("a payoff of 1e-99", "1e-99", {"game": "Take the umbrella?"}),
        ("spaces round a number", " 2 ", {"value": "3/8"}),
        ("a number with plus", "+2", {"value": "3/8"}),
        ("a comma for the point", "2,0", "must be a finite number"),
    ):
        yield says, "a.json", changed("off-switch", put("states", 0, "act", value=value)), (), outcome


def _names() -> Iterator[Odd]:
    off = "off-switch"
    for says, content, outcome in (
        ("an empty observation name", changed(off, put("human_observations", 0, value="")), "must be a non-empty text"),
        ("a blank observation name", changed(off, put("human_observations", 0, value="  ")), "must be a non-empty text"),
        ("a number as a name", changed(off, put("human_observations", 0, value=7)), r"is the number 7; names are texts"),
        ("a name twice", changed(off, put("human_observations", value=["clouds", "clouds"])), "must be distinct"),
        ("names as one text", changed(off, put("human_observations", value="clouds")), "must be a list of texts"),
        ("half a surrogate pair", changed(off, put("name", value="\ud800")).replace(b"\xed\xa0\x80", b"\\ud800"), "surrogate"),
        ("control characters", changed(off, put("name", value="\x1b[2Jgone")), {"game": "\\x1b[2Jgone"}),
        ("a name that turns direction", changed(off, put("name", value="a\u202eb")), {"game": "a\\u202eb"}),
        ("an empty name of the game", changed(off, put("name", value="")), "name must be a non-empty text"),
        (
            "one letter in two spellings",
            changed(off, put("human_observations", value=["é", "e\u0301"])),
            "must be distinct",
        ),
        (
            "a name unlike any declared",
            changed(off, put("states", 0, "sees", value=[["fog", "wet forecast"]])),
            "unknown human observation",
        ),
        ("a name of 100,000 letters", changed(off, put("name", value="x" * 100_000)), {"value": "3/8"}),
    ):
        yield says, "a.json", content, (), outcome


def _laws() -> Iterator[Odd]:
    off, one = "off-switch", "assistance"
    for says, content, outcome in (
        ("priors that sum to 0.9", changed(off, put("states", 0, "prior", value=0.2)), "sum to exactly 1"),
        ("float noise in a prior", changed(off, put("states", 0, "prior", value=0.33333333333333331)), r"too little: rounding"),
        ("a negative prior", changed(off, put("states", 0, "prior", value=-1)), "no negative probability"),
        ("every prior zero", changed(off, lambda g: [row.update(prior=0) for row in g["states"]] and None), "sum to exactly 1"),
        (
            "a negative probability hidden by a sum",
            changed(off, put("states", 0, "sees", value=[["clouds", "wet forecast", 2], ["clouds", "wet forecast", -1]])),
            "no negative probability",
        ),
        ("a law of nothing", changed(one, put("states", 0, "assistant_sees", value={})), "name of an observation or an object"),
        (
            "a law that is a number",
            changed(one, put("states", 0, "assistant_sees", value=1)),
            "name of an observation or an object",
        ),
        (
            "a law that sums to 1/2",
            changed(one, put("states", 0, "human_sees", "show", value={"cheap": 0.5})),
            "sum to exactly 1",
        ),
        ("an action nobody declared", changed(one, put("states", 0, "reward", value={"burn": {}})), "unknown assistant action"),
        (
            "an action left out",
            changed(one, put("states", 0, "reward", value={"show": {"take": 1, "leave": 0}})),
            "must speak of",
        ),
        ("a reply left out", changed(one, put("states", 0, "reward", value={"*": {"take": 1}})), "'leave' is missing"),
        (
            "a state that cannot occur, wrong inside",
            changed(off, lambda g: g["states"].append({"name": "z", "prior": 0})),
            "'act' must be given",
        ),
        (
            "second payoffs by nothing declared",
            changed("two-stage-assistance", put("states", 0, "second_reward", value={"x": {"y": 1}})),
            "unknown first action",
        ),
    ):
        yield says, "a.json", content, (), outcome


def _steps_and_matrices() -> Iterator[Odd]:
    seq, mat = "sequential", "matrix"
    for says, content, options, outcome in (
        ("no horizon anywhere", changed(seq, drop("horizon")), (), "--horizon N"),
        ("a horizon of zero", changed(seq, put("horizon", value=0)), (), "at least 1"),
        ("a discount of 2", changed(seq, put("discount", value=2)), (), r"discount must lie in \[0, 1\]"),
        ("discount 0", changed(seq, lambda game: None), ("--discount", "0"), {"horizon": 3}),
        ("a next state nobody declared", changed(seq, put("states", 0, "next", value="nowhere")), (), "unknown state"),
        (
            "a matrix of three columns of names",
            changed(mat, put("actions", value=[["a"], ["b"], ["c"]])),
            (),
            "two lists of names",
        ),
        ("a row too short", changed(mat, put("payoffs", 0, value=[[3, 3]])), (), "must have one cell for each"),
        (
            "a cell of one number",
            changed(mat, put("payoffs", 0, 0, value=[3])),
            (),
            "must be .row player's, column player's. payoff",
        ),
        ("no payoffs", changed(mat, drop("payoffs")), (), "the field 'payoffs' must be given"),
        ("half a round", changed(mat, put("rounds", value=0.5)), (), "rounds must be a whole number"),
        ("one player", changed(mat, put("players", value=["Row"])), (), "must be two names"),
        ("payoffs of 1e90", changed(mat, put("payoffs", 0, 0, value=["1e90", "1e90"])), (), {"game": "Prisoner's dilemma"}),
    ):
        yield says, "a.json", content, options, outcome


def _pomdps() -> Iterator[Odd]:
    steps = ("--horizon", "2")
    for says, text, outcome in (
        ("a Dec-POMDP as it should be", DOORS, {"value": "-2"}),
        ("costs for rewards", DOORS.replace("values: reward", "values: cost"), {"value": "2"}),
        ("three agents", DOORS.replace("agents: 2", "agents: 3"), "one or two agents; this one has 3"),
        ("no discount", DOORS.replace("discount: 1\n", ""), "'discount:' must be given"),
        ("discount 1.5", DOORS.replace("discount: 1", "discount: 1.5"), "line 2: discount must lie"),
        (
            "actions of one agent only",
            DOORS.replace("actions:\nlisten left\n", "actions:\n"),
            "one line for each of the 2 agents",
        ),
        ("states numbered zero", DOORS.replace("states: L R", "states: 0"), "must number 1 to"),
        ("a billion states", DOORS.replace("states: L R", "states: 1000000000"), "must number 1 to"),
        ("90,000 states", DOORS.replace("states: L R", "states: 90000"), "at most 2,000,000 entries"),
        ("a row that sums to 2", DOORS + "T: listen listen : L :\n1 1\n", "sum to exactly 1"),
        ("a row of transitions too short", DOORS + "T: listen listen : L :\n1\n", "must have 2 numbers; got 1"),
        ("no transitions", DOORS.replace("T: * :\nuniform\n", ""), "sum to exactly 1; it sums to 0"),
        ("a reward on what is heard", DOORS + "R: * : * : * : hl hl : 5\n", "line 17: rewards that depend on the observation"),
        ("identity for observations", DOORS.replace("O: * :\nuniform", "O: * :\nidentity"), "'identity' stands for"),
        ("an unknown entry", DOORS + "reset: L\n", "unknown entry 'reset'"),
        ("an unknown state", DOORS + "T: * : M : L : 1\n", "unknown state 'M'"),
        ("an action of too high a number", DOORS + "R: 0 7 : * : * : * : 1\n", "must be below 2"),
        ("start in no state", DOORS.replace("start: uniform", "start exclude: L R"), "it excludes them all"),
        ("an entry twice", DOORS + "discount: 1\n", "must be given once"),
        ("a word for a number", DOORS + "R: * : * : * : * : many\n", "line 17: R: a reward must be a finite number"),
    ):
        yield says, "a.dpomdp", text.encode(), steps, outcome
    yield "a Dec-POMDP without steps", "a.dpomdp", DOORS.encode(), (), "--horizon N"


def _trees() -> Iterator[Odd]:
    for says, name, text, outcome in (
        ("a tree as it should be", "a.efg", TREE, {"value": "7/2"}),
        ("a tree cut off", "a.efg", TREE[:-60], "line"),
        ("a tree that goes on", "a.efg", TREE + 't "" 9 "" { 1 1 }\n', "the tree is complete here"),
        ("three players", "a.efg", TREE.replace('"A" "H"', '"A" "H" "N"'), "this one has 3"),
        ("chances that sum to 3/4", "a.efg", TREE.replace('"y" 1/2', '"y" 1/4'), "sum to exactly 1"),
        ("imperfect recall", "a.efg", _forgetful(), "imperfect recall"),
        ("an open quotation mark", "a.efg", TREE.replace('"t"', '"t'), "line"),
        ("an old version", "a.efg", TREE.replace("EFG 2", "EFG 1"), "the version of an EFG file must be 2"),
        ("a node of no kind", "a.efg", TREE.replace('c "" 1', 'x "" 1'), "must begin with c, p or t"),
        ("a strategic game as it should be", "a.nfg", STRATEGIC, {"game": "g"}),
        ("a strategic game of too few payoffs", "a.nfg", STRATEGIC.replace(" 1 1\n", "\n"), "must be a number|ends too early"),
        ("a strategic game of three", "a.nfg", STRATEGIC.replace('"Row" "Column"', '"a" "b" "c"'), "this one has 3"),
        ("a strategic game of a billion", "a.nfg", STRATEGIC.replace("{ 2 2 }", "{ 99999 99999 }"), "at most 1,000,000 cells"),
    ):
        yield says, name, text.encode(), (), outcome


def _forgetful() -> str:
    return """EFG 2 R "drunk driver" { "A" }
p "" 1 1 "" { "exit" "on" } 0
t "" 1 "" { 0 }
p "" 1 1 "" { "exit" "on" } 0
t "" 2 "" { 4 }
t "" 3 "" { 1 }
"""


def _sizes() -> Iterator[Odd]:
    names = [f"o{i}" for i in range(1400)]
    spread = [{"name": n, "prior": f"1/{len(names)}", "act": 1, "sees": [[n, n]]} for n in names]
    wide = [f"o{i}" for i in range(40)]
    some = [{"name": n, "prior": f"1/{len(wide)}", "act": i % 3 - 1, "sees": [[n, n]]} for i, n in enumerate(wide)]

    def observed(seen: list[str], states: Any) -> Callable[[Any], None]:
        return lambda game: game.update(
            human_observations=seen, assistant_observations=seen, **({"states": states} if states else {})
        )

    extra = ["clouds", "clear", "wet forecast", "dry forecast"]
    yield "1,400 names that never occur", "a.json", changed("off-switch", observed(extra + names, None)), (), {"value": "3/8"}
    yield "1,400 names that do", "a.json", changed("off-switch", observed(names, spread)), (), "at most 2,000,000 cells"
    yield "3^40 policies", "a.json", changed("off-switch", observed(wide, some)), (), "--limit"
    table = [[[i * j % 7, i + j] for j in range(30)] for i in range(30)]
    actions = [[f"r{i}" for i in range(30)], [f"c{j}" for j in range(30)]]
    matrix = changed("matrix", lambda game: game.update(actions=actions, payoffs=table))
    yield "a matrix of 30 by 30", "a.json", matrix, (), "candidate supports"
    yield (
        "two doors for a thousand steps",
        "a.json",
        changed("sequential", lambda g: None),
        ("--horizon", "1000", "--limit", "1000"),
        "at most 1,000 entries together; they have 500,500",
    )
    yield (
        "two doors for forty steps",
        "a.json",
        changed("sequential", lambda g: None),
        ("--horizon", "40"),
        "at most 50,000,000 joint histories of observations.*--limit",
    )
