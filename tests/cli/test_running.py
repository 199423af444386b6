"""`assay run --all` goes on past what cannot run here."""

from pathlib import Path
from typing import Never

import pytest
from typer.testing import CliRunner

from assay.claims.study import Study
from assay.cli.main import app
from assay.core.errors import InputError, MissingExtra
from assay.runner import discovery


def test_every_study_that_cannot_run_here_is_named_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slugs = list(discovery.studies().studies)

    def refuse(study: Study, *_: object, **__: object) -> Never:
        if study.slug == slugs[0]:
            raise MissingExtra("mujoco", "rl", study.slug)
        raise InputError("the model must be there; it is not")

    monkeypatch.setattr("assay.runner.plan.plan", refuse)
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path))
    found = CliRunner().invoke(app, ["run", "--all"])
    assert found.exit_code == InputError.exit_code
    for slug in slugs:
        assert f"assay: {slug} cannot run here: " in found.stderr
    assert "pip install 'assay[rl]'" in found.stderr


def test_one_study_that_cannot_run_here_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Never:
        raise InputError("the model must be there; it is not")

    monkeypatch.setattr("assay.runner.plan.plan", refuse)
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path))
    found = CliRunner().invoke(app, ["run", next(iter(discovery.studies().studies))])
    assert isinstance(found.exception, InputError)
