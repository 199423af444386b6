"""One paper a file (or folder): its claims and the code that measures them; found by walking this folder.

`assay.studies()` is a call of this package: the list of all studies.
"""

import sys

from assay.core.verbs import Verb

sys.modules[__name__].__class__ = Verb
