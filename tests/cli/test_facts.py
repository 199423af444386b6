"""`assay facts` and the options that say how a file is read: what they print is what the audit reads."""

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from assay.cli.main import app
from assay.core.errors import AssayError
from assay.worlds.facts.file import parse_facts, read_facts
from assay.worlds.facts.templates import TEMPLATES

SOURCE = Path(__file__).parents[2] / "src" / "assay"
CASES = Path(__file__).parents[1] / "audit" / "cases"


def told(*arguments: str) -> tuple[str, str]:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


def test_every_form_of_a_template_is_printed_and_checked(tmp_path: Path) -> None:
    for name, (ending, _) in TEMPLATES.items():
        file = tmp_path / f"facts{ending}"
        file.write_text(told("facts", "template", "--form", name)[0])
        extra = ("--prompt", "home={subject} lives in") if name == "table" else ()
        assert "to inject in" in told("facts", "check", str(file), *extra)[1]
    with pytest.raises(AssayError, match="unknown form 'jsonlines'; did you mean 'jsonl'"):
        CliRunner().invoke(app, ["facts", "template", "--form", "jsonlines"], catch_exceptions=False)


def test_a_converted_file_is_read_as_the_file_itself(tmp_path: Path) -> None:
    printed, said = told("facts", "convert", str(CASES / "edits.json"), "--from", "easyedit")
    assert "Read as easyedit: 8 rows, 8 facts." in said
    assert parse_facts(printed, form=".json", where="f").digest == read_facts(CASES / "edits.json").digest
    table = tmp_path / "table.csv"
    table.write_text(TEMPLATES["table"][1])
    printed, _ = told("facts", "convert", str(table), "--prompt", "home={subject} lives in")
    assert parse_facts(printed, form=".json", where="f").sentences[0] == ("Ana Silva lives in", " Paris")
    joined, _ = told("facts", "convert", str(CASES / "semicolons.csv"), "--joint", " ")
    assert parse_facts(joined, form=".json", where="f").sentences[0] == ("The capital of Zubrovia is", " Lutz")


def test_options_that_are_not_of_their_form_are_refused() -> None:
    with pytest.raises(AssayError, match="--prompt must be NAME=TEXT"):
        CliRunner().invoke(app, ["facts", "check", str(CASES / "cloze.yaml"), "--prompt", "home"], catch_exceptions=False)


def test_messages_name_only_options_that_their_commands_have() -> None:
    """What reads a file is used by three commands, what asks a model by two."""
    root = typer.main.get_command(app)
    commands = dict(root.commands)  # type: ignore[attr-defined]
    wanted = {name: commands[name] for name in ("audit", "exposure", "provenance", "report")} | commands["facts"].commands
    wanted |= commands["grade"].commands
    options = {name: {option for parameter in command.params for option in parameter.opts} for name, command in wanted.items()}
    named = {
        folder: {
            found
            for file in (SOURCE / folder).glob("*.py")
            for found in re.findall(r"(?<![\w-])--[a-z][a-z-]+", file.read_text(encoding="utf-8"))
        }
        for folder in ("worlds/facts", "audit")
    }
    assert named["worlds/facts"] - {"--form", "--from"} <= options["audit"] & options["check"] & options["convert"]
    assert {"--form"} <= options["template"]
    assert {"--from"} <= options["convert"]
    assert {"--audit"} <= options["report"]  # of audits that are kept
    assert {"--assume-shuffled"} <= options["provenance"]
    assert {"--field"} <= options["exposure"]
    assert {"--prompt-field", "--correct-field"} <= options["pass-at-k"]
    elsewhere = {"--audit", "--assume-shuffled", "--field", "--prompt-field", "--correct-field"}
    assert named["audit"] - elsewhere <= options["audit"]
