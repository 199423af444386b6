"""What is wrong with a file of facts, all of it: each fault with its place, in one error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from assay.core.errors import InputError

__all__ = ["Fault", "Faults", "refuse"]


class Fault(InputError):
    """One fault, on its way to the others.

    Attributes:
        place: where in the file, as it continues the file's name: `, line 4`, `: relation 'home', prompt`.
        says: what must hold, what was got, and what to do.
    """

    def __init__(self, place: str, says: str) -> None:
        self.place, self.says = place, says
        super().__init__(f"{place.removeprefix(', ')}: {says}")


def refuse(place: str, must: str, do: str) -> NoReturn:
    """Raise one fault of a facts file."""
    raise Fault(place, f"{must}. {do}")


class Faults:
    """The faults of one file."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._places: dict[str, list[str]] = {}

    def add(self, place: str, says: str) -> None:
        """Note a fault; the same said of several places is one line."""
        places = self._places.setdefault(says, [])
        if place not in places:
            places.append(place)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Notes the fault that the block raises, if it does."""
        try:
            yield
        except Fault as fault:
            self.add(fault.place, fault.says)

    def settle(self) -> None:
        """Raise all faults as one error, if there are any.

        Raises:
            InputError: a line for every fault, places that share it together.
        """
        if not self._places:
            return
        said = [(places, says) for says, places in self._places.items()]
        if len(said) == 1 and len(said[0][0]) == 1:
            raise InputError(f"{self.where}{said[0][0][0]}: {said[0][1]}")
        count = sum(len(places) for places, _ in said)
        lines = [f"  {_together(places)}: {says}" for places, says in said]
        raise InputError("\n".join((f"{self.where}: {count} faults", *lines)))


def _together(places: list[str]) -> str:
    """`line 2`, `lines 2, 5 to 9`, or the places one after another."""
    plain = [place.removeprefix(", ").removeprefix(": ") or "the file" for place in places]
    numbers = [place.removeprefix("line ") for place in plain]
    if len(plain) == 1 or not all(number.isdecimal() for number in numbers):
        return "; ".join(plain)
    spans: list[list[int]] = []
    for number in sorted({int(number) for number in numbers}):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return "lines " + ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in spans)
