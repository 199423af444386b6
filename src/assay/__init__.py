"""Assay: a laboratory for one question: what does a learning system do with what it is told?

`assay.audit(model, facts)` audits a language model; it is loaded when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.audit.run import audit as audit

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "audit":
        import assay.audit as room  # a package that can be called

        return room
    raise AttributeError(f"module 'assay' has no attribute '{name}'")
