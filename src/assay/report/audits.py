"""The pages of either kind of audit."""

from pathlib import Path

from assay.audit.preference_record import PairAudit
from assay.audit.record import Audit
from assay.report.audit_page import write_audit
from assay.report.preference_page import write_preferences

__all__ = ["write_any"]


def write_any(found: Audit | PairAudit, out: Path, *, command: str = "") -> Path:
    """Write the page and its data into a folder and return the path of its `index.html`.

    Raises:
        StoreError: a file cannot be written.
    """
    if isinstance(found, PairAudit):
        return write_preferences(found, out, command=command)
    return write_audit(found, out, command=command)
