"""`assay run --all` goes on past what cannot run here; `assay store` knows what is stale, and why."""

from pathlib import Path
from typing import Never

import pytest
from typer.testing import CliRunner

from assay.cli import store
from assay.cli.main import app
from assay.core.errors import InputError, MissingExtra
from assay.runner import discovery
from assay.runner.fingerprint import fingerprint
from assay.runner.plan import Selection


def test_every_study_that_cannot_run_here_is_named_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slugs = list(discovery.studies().studies)

    def refuse(selection: Selection, *_: object, **__: object) -> Never:
        study = selection.study
        if study.slug == slugs[0]:
            raise MissingExtra("mujoco", "rl", study.slug)
        raise InputError("the model must be there; it is not")

    monkeypatch.setattr("assay.api.running.plan", refuse)
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path))
    found = CliRunner().invoke(app, ["run", "--all"])
    assert found.exit_code == InputError.exit_code
    for slug in slugs:
        assert f"assay: {slug} cannot run here: " in found.stderr
    assert "pip install 'assay[rl]'" in found.stderr


def test_one_study_that_cannot_run_here_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Never:
        raise InputError("the model must be there; it is not")

    monkeypatch.setattr("assay.api.running.plan", refuse)
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path))
    found = CliRunner().invoke(app, ["run", next(iter(discovery.studies().studies))])
    assert isinstance(found.exception, InputError)


def test_exact_checks_are_current_until_their_code_changes() -> None:
    study = next(one for one in discovery.studies().studies.values() if one.exact)
    name = next(experiment.name for experiment in study.experiments if experiment.exact)
    codes = store._codes({(study.slug, f"{name}/exact"), (study.slug, name), (study.slug, "gone"), ("gone", name)})
    assert codes == {
        (study.slug, f"{name}/exact"): fingerprint(study, name, "exact"),
        (study.slug, name): fingerprint(study, name),
    }
