"""At a terminal: colour, narrow tables, completion; around it: closed and full streams, removed folders, odd variables."""

import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.cli import completing, output
from assay.cli.main import app

ROWS = [
    {"claim": "C1", "verdict": "supported", "estimate": 0.5, "low": 0.4, "high": 0.6},
    {"claim": "C2", "verdict": "void", "estimate": 0.25, "low": None, "high": None},
]


def assay(*arguments: str, shell: str = "", flags: tuple[str, ...] = (), **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *flags, "-m", "assay", *arguments]
    environment = os.environ | more
    if shell:
        line = f'"$@" {shell}'
        command = ["bash", "-c", line, "bash", *command]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)


def test_a_narrow_table_is_a_block_a_row() -> None:
    narrow = output.table(ROWS, list(ROWS[0]), width=60)
    assert narrow.splitlines()[:6] == [
        "claim     C1", "verdict   supported", "estimate  0.5", "low       0.4", "high      0.6", "",
    ]  # fmt: skip
    assert "verdict   void" in narrow
    wide = output.table(ROWS, list(ROWS[0]), width=120)
    assert wide.splitlines()[0].split() == ["claim", "verdict", "estimate", "low", "high"]
    few = output.table(ROWS, ["claim", "verdict"], width=60)
    assert few.splitlines()[0].split() == ["claim", "verdict"]


def at_a_terminal(**more: str) -> str:
    """What a table looks like at a terminal of 120 columns."""
    script = f"from assay.cli import output; output.emit({ROWS!r}, as_json=False)"
    ours, theirs = pty.openpty()
    environment: Mapping[str, str] = {
        **{name: value for name, value in os.environ.items() if name != "NO_COLOR"}, "TERM": "xterm-256color", "COLUMNS": "120",
        **more,
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", script], stdout=theirs, env=environment, check=True, timeout=60)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return said.decode()


def test_verdicts_have_colour_at_a_terminal_and_not_where_it_is_unwanted() -> None:
    coloured = at_a_terminal()
    assert "\x1b[32msupported" in coloured
    assert "\x1b[2mvoid" in coloured
    assert "\x1b[32m" not in at_a_terminal(NO_COLOR="1")
    assert "\x1b[" not in output.table(ROWS, list(ROWS[0]))


def test_names_are_completed() -> None:
    assert "off-switch-game" in completing.studies_named("off")
    assert completing.mitigations_named("replay,early") == ["replay,early-stop"]
    assert completing.one_of("quick", "laptop")("q") == ["quick"]
    assert "smollm2-135m" in completing.models_named("smol")

    class Context:
        params: Mapping[str, object] = {"study": "out-of-context-reasoning"}
        args: Sequence[str] = ()

    assert completing.experiments_named(Context(), "sym") == ["symbolic"]  # type: ignore[arg-type]
    assert completing.experiments_named(Context(), "x") == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("assay run off-switch-game -e le", {"learners"}),  # and not 'learning', which is another study's
        ("assay report off-sw", {"off-switch-game"}),
        ("assay store rm off-sw", {"off-switch-game"}),
        ("assay store ls off-sw", {"off-switch-game"}),
        ("assay compare a b --study off-sw", {"off-switch-game"}),
        ("assay check lment --preset l", {"laptop"}),
        ("assay models add smol", {"smollm2-135m"}),
        ("assay provenance smol", {"smollm2-135m"}),
        ("assay facts check x --model smol", {"smollm2-135m"}),
    ],
)
def test_every_command_offers_the_names_it_takes(line: str, offered: set[str]) -> None:
    words = line.split()
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_ASSAY_COMPLETE": "complete_bash"}
    done = CliRunner().invoke(app, [], env=asked, prog_name="assay")
    assert set(done.stdout.split()) == offered


def test_names_that_are_written_down_are_those_that_there_are() -> None:
    pytest.importorskip("transformers", reason="needs the extra 'lm'")
    from assay.audit.inject import RECIPES
    from assay.audit.mitigations import MITIGATIONS
    from assay.audit.preference_mitigations import PAIR_MITIGATIONS
    from assay.training.preference import LOSSES

    assert set(completing.RECIPE_NAMES) == set(RECIPES)
    assert set(completing.MITIGATION_NAMES) == set(MITIGATIONS)
    assert set(completing.PAIR_MITIGATION_NAMES) == set(PAIR_MITIGATIONS)
    assert set(completing.METHOD_NAMES) == set(LOSSES)


def test_a_shell_is_offered_studies() -> None:
    script = "import sys; sys.argv[0] = 'assay'; from assay.cli.main import main; main()"  # as the installed command is called
    asked = {"_ASSAY_COMPLETE": "complete_bash", "COMP_WORDS": "assay run off-", "COMP_CWORD": "2"}
    done = subprocess.run([sys.executable, "-c", script], env=os.environ | asked, capture_output=True, text=True, timeout=240)
    assert "off-switch-game" in done.stdout, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_and_closed_streams_are_one_line_and_an_exit_code() -> None:
    full = assay("doctor", shell="> /dev/full")
    assert (full.returncode, len(full.stderr.splitlines())) == (4, 1), full.stderr
    assert "standard output must be writable; No space left on device" in full.stderr
    closed = assay("doctor", shell=">&-")
    assert (closed.returncode, len(closed.stderr.splitlines())) == (4, 1), closed.stderr
    assert "standard output must be writable" in closed.stderr
    silent = assay("show", "no-such-study", shell="2>&-")
    assert (silent.returncode, silent.stdout) == (2, "")
    early = assay("docs-reference", shell="| head -1; exit ${PIPESTATUS[0]}")
    assert (early.returncode, early.stderr) == (0, ""), early.stderr


def test_odd_surroundings_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = (
        f"cd {tmp_path}/gone; rmdir {tmp_path}/gone; {sys.executable} -m assay report off-switch-game --store {tmp_path}/s"
    )
    removed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=240)
    assert removed.returncode == 4, removed.stderr
    assert "Traceback" not in removed.stderr
    nobody = assay("store", "ls", ASSAY_STORE="~nosuchuser/store")
    assert (nobody.returncode, len(nobody.stderr.splitlines())) == (3, 1), nobody.stderr
    assert "begins with ~" in nobody.stderr
    bare = assay("list", flags=("-OO",), ASSAY_CACHE=str(tmp_path / "cache"))
    assert bare.returncode == 0, bare.stderr
    store = str(tmp_path / "store")
    drawn = assay("report", "off-switch-game", "--store", store, "--out", str(tmp_path / "pages"), MPLBACKEND="nonsense")
    assert drawn.returncode == 0, drawn.stderr
