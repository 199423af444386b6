"""Pages, tables and figures, made from stored rows only.

`assay.report(study)` is a call of this package; what it does is `assay.api.running.report`.
"""

import sys

from assay.core.verbs import Verb

sys.modules[__name__].__class__ = Verb
