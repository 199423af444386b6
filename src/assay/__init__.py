"""Assay: a laboratory for one question: what does a learning system do with what it is told?

Everything that the command line does is a function here; see `assay.api` and docs/python.md. Each is loaded when it is first
asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.api.checking import check as check
    from assay.api.checking import power as power
    from assay.api.comparing import Comparison as Comparison
    from assay.api.comparing import compare as compare
    from assay.api.language_models import audit_model as audit_model
    from assay.api.language_models import audit_preferences as audit_preferences
    from assay.api.language_models import load_model as load_model
    from assay.api.results import Results as Results
    from assay.api.running import estimate as estimate
    from assay.api.running import judge as judge
    from assay.api.running import report as report
    from assay.api.running import run as run
    from assay.api.running import studies as studies
    from assay.api.running import study as study
    from assay.audit.run import audit as audit

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    import importlib

    if name in ("audit", "report", "studies"):  # packages that can be called
        return importlib.import_module(f"assay.{name}")
    api = importlib.import_module("assay.api")
    if name in api.PLACES:
        return getattr(api, name)
    raise AttributeError(f"module 'assay' has no attribute '{name}'")


def __dir__() -> list[str]:
    from assay.api import PLACES

    return sorted({*globals(), *PLACES})
