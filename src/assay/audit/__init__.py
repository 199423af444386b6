"""The audit of a user's own model: a file of facts, a forecast, injection, measurement, mitigations, one typed record.

`assay.audit(model, facts)` is a call of this package; what it does is `assay.audit.run.audit`. `assay.worlds.facts` reads the
file, `chats` renders what is a chat, `probes` makes questions, `disjoint` sees that their answers exclude each other, `columns`
turns answers into numbers, `totals` gives them intervals. Nothing heavy is loaded before the call.
"""

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """A package that can be called, because its name is also the verb that users know it by."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from assay.audit.run import audit

        return audit(*arguments, **options)


sys.modules[__name__].__class__ = _Room
