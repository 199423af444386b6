"""In which order a training saw its examples: drawn, asked, kept on disk with the texts.

    order = Order.shuffled(len(texts), batch=8, epochs=1, rng=seeds("order"))
    for step in range(order.n_steps):
        take_step(examples[order.batch(step)])
    Transcript(order, texts).save(folder)

A transcript is what `assay provenance` reads. Loads no torch.
"""

import hashlib
import io
import json
import platform
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from assay.core.arrays import Ints
from assay.core.errors import InputError, StoreError
from assay.core.text import visible
from assay.store.files import write_atomically

__all__ = ["HEAD", "Order", "Transcript", "texts_digest"]

FORMAT = 1
HEAD, TEXTS = "order.json", "texts.jsonl"
ARRAYS = "order-{}.npz"  # with the first digits of its hash; the head names the one that counts
NAMED = ("assay", "numpy", "torch", "transformers")  # whose versions a head states
NEVER = -1


@dataclass(frozen=True, eq=False)
class Order:
    """Which examples each step saw.

    Attributes:
        examples: the numbers of the examples, in the order in which they were seen.
        bounds: where in `examples` each step begins, and where the last one ends.
        epochs: the step at which each pass begins.
        n_examples: how many examples there are; one that was never seen counts as well.
        seed: what the order was drawn from, where it is known.
    """

    examples: Int[np.ndarray, " seen"]
    bounds: Int[np.ndarray, " step_and_1"]
    epochs: tuple[int, ...]
    n_examples: int
    seed: int | None = None

    def __post_init__(self) -> None:
        bounds = self.bounds
        whole = len(bounds) > 1 and bounds[0] == 0 and bounds[-1] == len(self.examples) and bool((np.diff(bounds) > 0).all())
        if not whole:
            raise InputError("an order must have at least one step, and each step at least one example; it has an empty one")
        if self.examples.min() < 0 or self.examples.max() >= self.n_examples:
            outside = self.examples[(self.examples < 0) | (self.examples >= self.n_examples)][0]
            raise InputError(f"an order's examples must be among 0 to {self.n_examples - 1}; got {outside}")
        rising = all(a < b for a, b in zip(self.epochs, (*self.epochs[1:], self.n_steps), strict=True))
        if not self.epochs or self.epochs[0] != 0 or not rising:
            raise InputError(f"passes must begin at step 0 and then at rising steps below {self.n_steps}; got {self.epochs}")

    @classmethod
    def shuffled(cls, n: int, batch: int, epochs: int, rng: np.random.Generator, *, seed: int | None = None) -> "Order":
        """Every example once in each pass, in a uniformly random order drawn anew for each; the last batch may be smaller.

        Raises:
            InputError: n, batch or epochs is not positive.
        """
        if n < 1 or batch < 1 or epochs < 1:
            raise InputError(f"an order needs n, batch and epochs of at least 1; got {n}, {batch}, {epochs}")
        drawn = [rng.permutation(n) for _ in range(epochs)]
        return cls.of([some[start : start + batch] for some in drawn for start in range(0, n, batch)], n, epochs, seed=seed)

    @classmethod
    def of(
        cls, batches: Sequence[ArrayLike], n_examples: int, epochs: int | Sequence[int] = 1, *, seed: int | None = None
    ) -> "Order":
        """The order of given batches.

        Args:
            batches: the examples of each step.
            n_examples: how many there are.
            epochs: how many passes of equally many steps, or the step at which each begins.
            seed: what it was drawn from.

        Raises:
            InputError: a batch is empty, an example is not among 0 to n_examples - 1, or steps do not make that many passes.
        """
        steps = [np.asarray(batch, dtype=np.int64).ravel() for batch in batches]
        if not steps or (isinstance(epochs, int) and (epochs < 1 or len(steps) % epochs)):
            raise InputError(f"steps must make equal passes; got {len(steps)} steps for {epochs} passes")
        bounds = np.concatenate([[0], np.cumsum([len(step) for step in steps])]).astype(np.int64)
        starts = range(0, len(steps), len(steps) // epochs) if isinstance(epochs, int) else epochs
        return cls(np.concatenate(steps), bounds, tuple(starts), n_examples, seed)

    @property
    def n_steps(self) -> int:
        """How many steps there are."""
        return len(self.bounds) - 1

    def batch(self, step: int) -> Ints:
        """The examples of a step, from 0.

        Raises:
            InputError: there is no such step.
        """
        if not 0 <= step < self.n_steps:
            raise InputError(f"this order has steps 0 to {self.n_steps - 1}; got {step}")
        return self.examples[self.bounds[step] : self.bounds[step + 1]]

    def step_of(self, example: ArrayLike, epoch: int = -1) -> Ints:
        """The step at which each example was seen in a pass, the last one by default; -1 where it was not.

        Of one that was seen several times in the pass, the last time.

        Raises:
            InputError: there is no such pass, or no such example.
        """
        asked = self._known(example)
        if not -len(self.epochs) <= epoch < len(self.epochs):
            raise InputError(f"this order has {len(self.epochs)} passes; got pass {epoch}")
        epoch %= len(self.epochs)
        last = self.epochs[epoch + 1] if epoch + 1 < len(self.epochs) else self.n_steps
        at = slice(self.bounds[self.epochs[epoch]], self.bounds[last])
        found = np.full(self.n_examples, NEVER, dtype=np.int64)
        np.maximum.at(found, self.examples[at], self.steps[at])
        return np.asarray(found[asked])

    def between(self, examples: ArrayLike, a: int, b: int) -> Ints:
        """How often each of the examples was seen at the steps from a to before b.

        Raises:
            InputError: there is no such example, or a to b are no steps of this order.
        """
        asked = self._known(examples)
        if not 0 <= a <= b <= self.n_steps:
            raise InputError(f"steps must lie in 0 to {self.n_steps}, a before b; got {a} and {b}")
        seen = np.bincount(self.examples[self.bounds[a] : self.bounds[b]], minlength=self.n_examples)
        return np.asarray(seen[asked])

    @property
    def steps(self) -> Ints:
        """The step of every entry of `examples`."""
        return np.repeat(np.arange(self.n_steps), np.diff(self.bounds))

    def _known(self, examples: ArrayLike) -> Ints:
        asked = np.asarray(examples, dtype=np.int64)
        if asked.size and (asked.min() < 0 or asked.max() >= self.n_examples):
            raise InputError(f"this order's examples are 0 to {self.n_examples - 1}; got {asked.min()} to {asked.max()}")
        return asked


@dataclass(frozen=True, eq=False)
class Transcript:
    """An order with the texts that it speaks of.

    Attributes:
        order: the order.
        texts: by the number of the example.
        notes: what a reader of it should know, in sentences.
    """

    order: Order
    texts: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.texts) != self.order.n_examples:
            raise InputError(f"a transcript needs one text for each of {self.order.n_examples} examples; got {len(self.texts)}")

    def save(self, folder: Path) -> None:
        """Write the texts (JSON lines), the order (one npz file) and a head that names them.

        A log of fewer steps of the same texts can be read until the new head is there: a kill at any moment leaves one or the
        other.

        Raises:
            StoreError: the folder cannot be written.
        """
        arrays = io.BytesIO()
        order = self.order
        np.savez_compressed(arrays, examples=order.examples, bounds=order.bounds, epochs=np.array(order.epochs))
        sha256 = hashlib.sha256(arrays.getvalue()).hexdigest()
        name = ARRAYS.format(sha256[:12])
        head = {
            "format": FORMAT,
            "order": name,
            "n_examples": order.n_examples,
            "n_steps": order.n_steps,
            "n_passes": len(order.epochs),
            "seed": order.seed,
            "texts_sha256": texts_digest(self.texts),
            "order_sha256": sha256,
            "versions": {"python": platform.python_version(), **dict(_versions())},
        }
        lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in self.texts)
        try:
            write_atomically(folder / TEXTS, lines.encode("utf-8", "surrogatepass"))
            write_atomically(folder / name, arrays.getvalue())
            write_atomically(folder / HEAD, json.dumps(head, indent=2).encode())
            for earlier in folder.glob(ARRAYS.format("?" * 12)):
                if earlier.name != name:
                    earlier.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"a log of the order must be writable; {folder}: {error.strerror}. Free space, or name another folder"
            ) from error

    @classmethod
    def read(cls, path: Path) -> "Transcript":
        """The transcript in a folder, or in a file of JSON lines with `text` and `step` (and `epoch`), a line an example seen.

        Raises:
            InputError: there is none, it is cut or changed, its texts are not those of its order, or a line is not one.
        """
        if path.is_dir():
            return _read_folder(path)
        return _read_lines(path)


def texts_digest(texts: Sequence[str]) -> str:
    """SHA-256 over the texts and their order."""
    whole = hashlib.sha256()
    for text in texts:
        coded = text.encode("utf-8", "surrogatepass")
        whole.update(f"{len(coded)}:".encode() + coded)
    return whole.hexdigest()


def _versions() -> Iterator[tuple[str, str]]:
    for name in NAMED:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _read_folder(folder: Path) -> Transcript:
    try:
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        known = isinstance(head, dict) and head.get("format") == FORMAT
        name = Path(str(head.get("order", "order.npz"))).name if known else ""
        arrays = (folder / name).read_bytes() if known else b""
        lines = (folder / TEXTS).read_text(encoding="utf-8", errors="surrogatepass").split("\n")
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise InputError(
            f"a log of the order must have {HEAD}, {TEXTS} and the order that the first names; {folder} has no {missing}. A "
            "training that was killed before its first pass ended leaves none"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"a log of the order must be readable; {folder}: {error}. Copy it anew") from error
    if not known:
        raise InputError(f"a log of the order must have the format {FORMAT}; {folder / HEAD} has another, or is none")
    if hashlib.sha256(arrays).hexdigest() != head.get("order_sha256"):
        raise InputError(f"a log of the order must be as it was written; {folder / name} is cut or changed. Copy it anew")
    try:
        with np.load(io.BytesIO(arrays), allow_pickle=False) as kept:
            order = Order(
                kept["examples"],
                kept["bounds"],
                tuple(int(step) for step in kept["epochs"]),
                int(head["n_examples"]),
                head.get("seed"),
            )
        texts = tuple(_text_of(line, folder / TEXTS, number) for number, line in enumerate(lines, 1) if line)
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"a log of the order must be one that was written by Assay; {folder}: {error}") from error
    if texts_digest(texts) != head.get("texts_sha256"):
        raise InputError(
            f"a log's texts must be those that its order speaks of; those in {folder / TEXTS} are other ones, or fewer. "
            "Put the file back that was written with the order"
        )
    return Transcript(order, texts)


def _text_of(line: str, path: Path, number: int) -> str:
    text = _row(line, path, number).get("text")
    if not isinstance(text, str):
        raise InputError(f"{path.name}, line {number}: a row must have a 'text'")
    return text


def _row(line: str, path: Path, number: int) -> dict[str, object]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(
            f"{path.name}, line {number}: a line must be a JSON object; got '{visible(line[:60])}'. A log that was cut ends "
            "so: remove the line"
        ) from error
    if not isinstance(row, dict):
        raise InputError(
            f"{path.name}, line {number}: a line must be a JSON object with 'text' and 'step'; got '{visible(line[:60])}'"
        )
    return row


def _read_lines(path: Path) -> Transcript:
    """A user's own log: rows of text and step, told apart into passes by `epoch` or by whole repetitions."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # a text may hold other ends of lines
    except FileNotFoundError as error:
        raise InputError(f"a log of the order must be a folder or a file of JSON lines; there is no {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"a log of the order must be a folder or a UTF-8 file of JSON lines; {path}: {error}") from error
    texts, steps, passes, notes = list[str](), list[int](), list[int](), list[str]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = _row(line, path, number)
        text, step, epoch = row.get("text"), row.get("step"), row.get("epoch", 0)
        whole = all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in (step, epoch))
        if not isinstance(text, str) or not whole:
            raise InputError(
                f"{path.name}, line {number}: a row must have a 'text' and a whole 'step' from 0 (and may have a whole "
                f"'epoch'); got '{visible(line[:80])}'"
            )
        assert isinstance(step, int)
        assert isinstance(epoch, int)
        texts.append(text)
        steps.append(step)
        passes.append(epoch)
    if not texts:
        raise InputError(f"a log of the order must have at least one row; {path} has none")
    falls = next((i for i in range(1, len(steps)) if (passes[i], steps[i]) < (passes[i - 1], steps[i - 1])), None)
    if falls is not None:
        notes.append(
            f"Rows are not sorted by step (first at row {falls + 1}: step {steps[falls]} after step {steps[falls - 1]}); each "
            "text is taken at its step."
        )
    placed = sorted(range(len(texts)), key=lambda i: (passes[i], steps[i]))
    texts, steps, passes = ([some[i] for i in placed] for some in (texts, steps, passes))  # type: ignore[assignment]
    if len(set(passes)) == 1 and (repeated := _whole_repetitions(texts)) > 1:
        n = len(texts) // repeated
        passes = [i // n for i in range(len(texts))]
        notes.append(f"The same {n:,} texts stand {repeated} times, each time all of them: taken as {repeated} passes.")
    return Transcript(*_ordered(texts, steps, passes), tuple(notes))


def _whole_repetitions(texts: Sequence[str]) -> int:
    """How many times all distinct texts stand one after the other, each once a time; 1 where they do not."""
    n = len(set(texts))
    if len(texts) % n or len(texts) == n:
        return 1
    return len(texts) // n if all(len(set(texts[i : i + n])) == n for i in range(0, len(texts), n)) else 1


def _ordered(texts: Sequence[str], steps: Sequence[int], passes: Sequence[int]) -> tuple[Order, tuple[str, ...]]:
    """The order of sorted rows. A text that stands several times in a pass is as many examples."""
    numbers: dict[tuple[str, int], int] = {}
    examples, bounds, epochs, copies = list[int](), list[int](), list[int](), dict[str, int]()
    for i, text in enumerate(texts):
        if i == 0 or passes[i] != passes[i - 1]:
            copies = {}
            epochs.append(len(bounds))
            bounds.append(i)
        elif steps[i] != steps[i - 1]:
            bounds.append(i)
        copies[text] = copies.get(text, -1) + 1
        examples.append(numbers.setdefault((text, copies[text]), len(numbers)))
    order = Order(np.array(examples), np.array([*bounds, len(texts)]), tuple(epochs), len(numbers))
    return order, tuple(text for text, _ in numbers)
