"""Named streams of randomness: adding a consumer shifts nobody else, and nothing draws from a global generator."""

import hashlib
from dataclasses import dataclass

import numpy as np

__all__ = ["Seeds"]


@dataclass(frozen=True)
class Seeds:
    """A tree of random streams below one integer; every node and leaf is addressed by its name.

    `seeds("world")` is always the same fresh generator for the same root and name, whatever else was drawn before.
    """

    root: int
    path: tuple[str, ...] = ()

    def __call__(self, name: str) -> np.random.Generator:
        """A fresh NumPy generator for the stream called `name` below this node."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self._words(name))))

    def child(self, name: str) -> "Seeds":
        """The node called `name` below this one, for a part that draws several streams of its own."""
        return Seeds(self.root, (*self.path, name))

    def integer(self, name: str) -> int:
        """A 63-bit integer of the stream `name`, for libraries that take a seed (`torch.Generator().manual_seed`)."""
        words = self._words(name)
        return (words[0] << 32 | words[1]) & (2**63 - 1)

    def _words(self, name: str) -> list[int]:
        # Length-prefixed parts, so that ("ab", "c") and ("a", "bc") are different streams.
        key = b"".join(f"{len(part.encode())}:".encode() + part.encode() for part in (str(self.root), *self.path, name))
        digest = hashlib.sha256(key).digest()
        return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4)]
