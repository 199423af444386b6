"""Published Dec-POMDPs as `.dpomdp` text, written from their definitions in words; values are of the literature."""

from fractions import Fraction
from itertools import product

# Undiscounted optimal values by horizon: Oliehoek, Spaan, Amato and Whiteson 2013 (JAIR 46) and the works cited there.
PUBLISHED = {
    "two generals": {2: "-2"},
    "recycling": {2: "7", 3: "10.660125", 4: "13.38"},
    "broadcast": {2: "2", 3: "2.99", 4: "3.89"},
    "grid": {3: "1.550444", 4: "2.241577"},
    "fire fighting": {2: "-4.383496", 3: "-5.736969", 4: "-6.578834"},
    "boxes": {2: "17.6", 3: "66.081", 4: "98.593613"},
}


def number(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}" if value.denominator > 1 else str(value.numerator)


def head(states: list[str], start: str, actions: list[str], observations: list[str]) -> list[str]:
    return [
        "agents: 2",
        "discount: 1",
        "values: reward",
        f"states: {' '.join(states)}",
        start,
        "actions:",
        *[" ".join(actions)] * 2,
        "observations:",
        *[" ".join(observations)] * 2,
    ]


def two_generals() -> str:
    """Two generals each hear with 85 % whether the enemy is small; attacking pays only together and against a small one."""
    lines = head(["small", "large"], "start: uniform", ["watch", "attack"], ["little", "much"])
    lines += ["T: * :", "uniform", "T: watch watch :", "identity", "O: * :", "uniform"]
    for state, right in (("small", "little"), ("large", "much")):
        for x, y in product(("little", "much"), repeat=2):
            p = [Fraction(17, 20) if seen == right else Fraction(3, 20) for seen in (x, y)]
            lines.append(f"O: watch watch : {state} : {x} {y} : {number(p[0] * p[1])}")
    lines += ["R: * : * : * : * : -10", "R: watch watch : * : * : * : -1"]
    lines += ["R: attack attack : small : * : * : 5", "R: attack attack : large : * : * : -20"]
    return "\n".join(lines)


def broadcast() -> str:
    """Two nodes share a channel and fill their buffers with 90 and 10 %; one message a step gets through if one alone sends."""
    lines = head(["S00", "S01", "S10", "S11"], "start: S11", ["send", "wait"], ["clash", "clear"])
    fills = (Fraction(9, 10), Fraction(1, 10))
    for acts in product(("send", "wait"), repeat=2):
        for full in product((0, 1), repeat=2):
            # A node that sends alone empties its buffer; both empty theirs when they clash and start again.
            gone = [act == "send" for act in acts]
            for then in product((0, 1), repeat=2):
                p = Fraction(1)
                for i in range(2):
                    stays = full[i] and not gone[i]
                    chance = Fraction(1) if stays else fills[i]
                    p *= chance if then[i] else 1 - chance
                lines.append(f"T: {acts[0]} {acts[1]} : S{full[0]}{full[1]} : S{then[0]}{then[1]} : {number(p)}")
            through = sum(gone) == 1 and bool(full[gone.index(True)])
            lines.append(f"R: {acts[0]} {acts[1]} : S{full[0]}{full[1]} : * : * : {int(through)}")
        for seen in product(("clash", "clear"), repeat=2):
            p = Fraction(1)
            for word in seen:
                p *= Fraction(9, 10) if (word == "clash") == (acts == ("send", "send")) else Fraction(1, 10)
            lines.append(f"O: {acts[0]} {acts[1]} : * : {seen[0]} {seen[1]} : {number(p)}")
    return "\n".join(lines)


def recycling() -> str:
    """Two robots collect cans: little ones alone (2 each), big ones only together (5); searching wears the battery out.

    A high battery stays high with 70 % (little) or 50 % (big). A low one runs empty with 20 or 30 %: the robot is carried to
    the charger, which costs 10, and nobody earns anything in that step. Each robot sees its own battery.
    """
    lines = head(["hh", "hl", "lh", "ll"], "start: hh", ["recharge", "little", "big"], ["high", "low"])
    stays = {"little": Fraction(7, 10), "big": Fraction(1, 2)}
    empty = {"recharge": Fraction(0), "little": Fraction(1, 5), "big": Fraction(3, 10)}

    def law(level: str, act: str) -> list[tuple[str, bool, Fraction]]:
        """Next battery, whether it ran empty, probability."""
        if act == "recharge":
            return [("h", False, Fraction(1))]
        if level == "h":
            return [("h", False, stays[act]), ("l", False, 1 - stays[act])]
        return [("h", True, empty[act]), ("l", False, 1 - empty[act])]

    for levels, a, h in product(("hh", "hl", "lh", "ll"), stays | {"recharge": 0}, stays | {"recharge": 0}):
        earns = 5 if (a, h) == ("big", "big") else 2 * (a == "little") + 2 * (h == "little")
        paid, moves = Fraction(0), dict[str, Fraction]()
        for (to_a, dead_a, p), (to_h, dead_h, q) in product(law(levels[0], a), law(levels[1], h)):
            moves[to_a + to_h] = moves.get(to_a + to_h, Fraction(0)) + p * q
            paid += p * q * (-10 * (dead_a + dead_h) if dead_a or dead_h else earns)
        lines += [f"T: {a} {h} : {levels} : {to} : {number(p)}" for to, p in moves.items()]
        lines.append(f"R: {a} {h} : {levels} : * : * : {number(paid)}")
    words = {"h": "high", "l": "low"}
    lines += [f"O: * : {levels} : {words[levels[0]]} {words[levels[1]]} : 1" for levels in ("hh", "hl", "lh", "ll")]
    return "\n".join(lines)


def meeting_in_a_grid() -> str:
    """Two robots in a 2 x 2 grid want one cell; a move works with 60 %, else goes any other way or nowhere, 10 % each.

    Each sees only in which column it stands. They begin in opposite corners and earn 1 whenever they arrive in one cell.
    """
    moves = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0), "stay": (0, 0)}
    cells = [(0, 0), (1, 0), (0, 1), (1, 1)]  # column, row

    def step(cell: tuple[int, int], move: str) -> tuple[int, int]:
        to = cell[0] + moves[move][0], cell[1] + moves[move][1]
        return to if to in cells else cell

    def law(cell: tuple[int, int], act: str) -> dict[tuple[int, int], Fraction]:
        if act == "stay":
            return {cell: Fraction(1)}
        found: dict[tuple[int, int], Fraction] = {}
        for move in moves:
            p = Fraction(6, 10) if move == act else Fraction(1, 10)
            to = step(cell, move)
            found[to] = found.get(to, Fraction(0)) + p
        return found

    pairs = list(product(range(4), repeat=2))
    names = [f"c{i}{j}" for i, j in pairs]
    lines = head(names, "start: c12", list(moves), ["at-left", "at-right"])
    for (i, j), a, h in product(pairs, moves, moves):
        for (to_a, p), (to_h, q) in product(law(cells[i], a).items(), law(cells[j], h).items()):
            lines.append(f"T: {a} {h} : c{i}{j} : c{cells.index(to_a)}{cells.index(to_h)} : {number(p * q)}")
    for i, j in pairs:
        seen = ["at-right" if cells[k][0] else "at-left" for k in (i, j)]
        lines.append(f"O: * : c{i}{j} : {seen[0]} {seen[1]} : 1")
    lines += [f"R: * : * : c{i}{i} : * : 1" for i in range(4)]
    return "\n".join(lines)


def fire_fighting(n_houses: int = 3, n_levels: int = 3, *, as_published: bool = True) -> str:
    """Two agents choose houses of a row to fight fire at; every level of fire left costs 1 a step.

    Two at a house put its fire out. One lowers it by a level, with 60 % where a neighbour burns. Where nobody is, it grows
    by a level with 80 % where a neighbour burns (it may also spread so) and with 40 % alone. An agent sees flames with 20, 50
    or 80 % at level 0, 1 or more. All levels are equally likely at first.

    The definition is the MADP toolbox's (ProblemFireFighting). The file that circulates with it (fireFighting_2_3_3) rounds the
    probabilities of the next levels to two decimals (0.29 for 0.6 x 0.6 x 0.8), and the published values are that file's;
    `as_published=False` leaves the products exact.
    """
    levels = list(product(range(n_levels), repeat=n_houses))

    def name(state: tuple[int, ...]) -> str:
        return "f" + "".join(map(str, state))

    def law(state: tuple[int, ...], house: int, agents: int) -> dict[int, Fraction]:
        level = state[house]
        near = any(state[k] > 0 for k in (house - 1, house + 1) if 0 <= k < n_houses)
        if agents == 2:
            return {0: Fraction(1)}
        if level == 0 and not near:
            return {0: Fraction(1)}
        to = max(level - 1, 0) if agents else min(level + 1, n_levels - 1)
        p = (Fraction(6, 10) if near else Fraction(1)) if agents else Fraction(8, 10) if near else Fraction(4, 10)
        found = {to: p}
        found[level] = found.get(level, Fraction(0)) + 1 - p
        return found

    houses = [f"h{k}" for k in range(n_houses)]
    lines = head([name(state) for state in levels], "start: uniform", houses, ["flames", "none"])
    for state, a, h in product(levels, range(n_houses), range(n_houses)):
        each = [law(state, k, (a == k) + (h == k)) for k in range(n_houses)]
        for then in product(*each):
            p = Fraction(1)
            for k, level in enumerate(then):
                p *= each[k][level]
            if as_published:
                p = Fraction(round(100 * p), 100)
            if p:
                lines.append(f"T: h{a} h{h} : {name(state)} : {name(then)} : {number(p)}")
        flames = [(Fraction(2, 10), Fraction(5, 10), Fraction(8, 10))[min(state[k], 2)] for k in (a, h)]
        for x, y in product((0, 1), repeat=2):
            p = (1 - flames[0] if x else flames[0]) * (1 - flames[1] if y else flames[1])
            lines.append(f"O: h{a} h{h} : {name(state)} : {('flames', 'none')[x]} {('flames', 'none')[y]} : {number(p)}")
    lines += [f"R: * : * : {name(state)} : * : {-sum(state)}" for state in levels]
    return "\n".join(lines)


def box_pushing() -> str:
    """Two robots in a row of four cells face, to the north, a small box, a large one (two cells wide) and a small box.

    Each turns left or right, goes forward or stays; turns and steps work with 90 %. A step north pushes: a small box pays 10,
    the large one 100 and needs both. It costs 5 to go against a wall or the other, to push the large box alone, and each when
    both want one empty cell; and 0.1 a robot and step. Payoffs are for what is tried, whether it works or not. Once a box is
    home the robots start again, in the corners, facing each other. Each sees what stands before it.
    """
    acts = ("left", "right", "forward", "stay")
    seen = ("empty", "wall", "robot", "small", "large")
    places = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    states = list(product(places, range(4), range(4)))  # facing north, east, south, west

    def name(place: tuple[int, int], o: int, q: int) -> str:
        return f"p{place[0]}{place[1]}{'NESW'[o]}{'NESW'[q]}"

    def before(cell: int, facing: int, other: int) -> str:
        if facing == 0:
            return "small" if cell in (0, 3) else "large"
        to = cell + {1: 1, 3: -1}.get(facing, 9)
        return "robot" if to == other else "empty" if 0 <= to < 4 else "wall"

    homes = ["left-home", "right-home", "both-home", "large-home"]
    lines = head([name(*state) for state in states] + homes, f"start: {name((0, 3), 1, 3)}", list(acts), list(seen))
    for home in homes:
        lines += [f"T: * : {home} : {name((0, 3), 1, 3)} : 1", f"O: * : {home} : empty empty : 1"]
    for place, o, q in states:
        i, j = place
        front = before(i, o, j), before(j, q, i)
        lines.append(f"O: * : {name(place, o, q)} : {front[0]} {front[1]} : 1")
        for a, h in product(acts, acts):
            tried = front[0] if a == "forward" else "", front[1] if h == "forward" else ""
            wants = i + {1: 1, 3: -1}.get(o, 0), j + {1: 1, 3: -1}.get(q, 0)
            clash = tried == ("empty", "empty") and wants[0] == wants[1]
            paid = Fraction(-2, 10) + 10 * tried.count("small") + 100 * (tried == ("large", "large")) - 10 * clash
            paid -= 5 * (tried.count("wall") + tried.count("robot") + (tried.count("large") == 1))
            moves = dict[str, Fraction]()
            for works in product((True, False), repeat=2):
                p = Fraction(1)
                for act, ok in zip((a, h), works, strict=True):
                    p *= Fraction(int(ok)) if act == "stay" else Fraction(9, 10) if ok else Fraction(1, 10)
                turn = {"left": -1, "right": 1}
                facing = [(f + turn.get(act, 0) * ok) % 4 for f, act, ok in zip((o, q), (a, h), works, strict=True)]
                pushed = [word if ok else "" for word, ok in zip(tried, works, strict=True)]
                cells = [to if word == "empty" else at for word, to, at in zip(pushed, wants, place, strict=True)]
                if cells[0] == cells[1]:
                    cells = list(place)
                if pushed == ["large", "large"]:
                    to = "large-home"
                elif "small" in pushed:
                    to = homes[2 if pushed == ["small", "small"] else pushed.index("small")]
                else:
                    to = name((cells[0], cells[1]), facing[0], facing[1])
                moves[to] = moves.get(to, Fraction(0)) + p
            lines += [f"T: {a} {h} : {name(place, o, q)} : {to} : {number(p)}" for to, p in moves.items() if p]
            lines.append(f"R: {a} {h} : {name(place, o, q)} : * : * : {number(paid)}")
    return "\n".join(lines)
