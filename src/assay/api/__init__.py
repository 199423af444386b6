"""What `import assay` offers: everything that the command line does, as typed functions that print nothing.

    import assay

    results = assay.run("out-of-context-reasoning", experiments="symbolic", set={"weight_decay": [0, 0.03]}, on="processes")
    results.verdicts, results.to_dicts(), results.to_frame("runs")
    assay.report("out-of-context-reasoning", out="reports")

The command line stands on these functions: it reads options, calls one, and shows what it returns. `assay.NAME` loads what it
needs when it is first asked for, so that `import assay` itself stays light.
"""

import importlib
from typing import Any

__all__ = ["PLACES"]

# Where each public name is defined; `assay/__init__.py` says the same to type checkers, and a test holds that they agree.
PLACES = {
    "Comparison": "assay.api.comparing",
    "Results": "assay.api.results",
    "audit": "assay.audit.run",
    "audit_model": "assay.api.language_models",
    "audit_preferences": "assay.api.language_models",
    "check": "assay.api.checking",
    "compare": "assay.api.comparing",
    "estimate": "assay.api.running",
    "judge": "assay.api.running",
    "load_model": "assay.api.language_models",
    "power": "assay.api.checking",
    "report": "assay.api.running",
    "run": "assay.api.running",
    "studies": "assay.api.running",
    "study": "assay.api.running",
}


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(importlib.import_module(PLACES[name]), name)
    raise AttributeError(f"module 'assay.api' has no attribute '{name}'")
