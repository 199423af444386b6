"""A hundred odd game files: each is solved or refused in words, never with a traceback or a wrong number."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assay.cli.game import app
from assay.core.errors import InputError

sys.path.insert(0, str(Path(__file__).parent))

from odd_game_files import odd_files

FILES = list(odd_files())


def test_there_are_a_hundred() -> None:
    assert len({says for says, *_ in FILES}) == len(FILES) >= 100


@pytest.mark.parametrize(("name", "content", "options", "outcome"), [f[1:] for f in FILES], ids=[f[0] for f in FILES])
def test_an_odd_file(
    name: str, content: bytes, options: tuple[str, ...], outcome: dict[str, Any] | str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    arguments = ["solve", str(tmp_path / name), "--json", *options]
    if isinstance(outcome, str):
        with pytest.raises(InputError, match=re.compile(outcome)) as refused:
            CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert refused.value.exit_code == 3
        return
    found = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert (found.exit_code, found.stderr) == (0, "")
    solved = json.loads(found.stdout)
    assert {key: solved[key] for key in outcome} == outcome


def test_standard_input_is_a_file_too() -> None:
    content = next(f[2] for f in FILES if f[0] == "a byte-order mark")
    found = CliRunner().invoke(app, ["solve", "-", "--json"], input=content, catch_exceptions=False)
    assert json.loads(found.stdout)["value"] == "3/8"
