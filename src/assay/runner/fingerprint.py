"""Which version of a study's code made a row; a row with another fingerprint than today's is stale: shown, never pooled."""

from assay.claims.study import Study
from assay.core.errors import InputError
from assay.core.settings import digest
from assay.runner.discovery import address_of, modules_of
from assay.store.sources import source_digest

__all__ = ["fingerprint"]


def fingerprint(study: Study, experiment: str, part: str = "") -> str:
    """Sixteen hexadecimal digits over the study's version and the sources that compute the experiment's numbers.

    The sources are those of the study's module, of the modules that define `measure`, and of what they import from their
    package and from Assay (see `assay.store.sources`). The same in every checkout; computed once per process.
    """
    modules = modules_of(study.experiment(experiment))
    try:
        own = address_of(study).module
        modules = [own, *modules]
    except InputError:  # a study that only this process knows; then nothing of its module counts as spare
        own = ""
    return digest([study.version, source_digest(modules, own=own)])
