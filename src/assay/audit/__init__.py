"""The audit of a user's own model: a file of facts, a forecast, injection, measurement, mitigations, one typed record.

`assay.audit(model, facts)` is a call of this package; what it does is `assay.audit.run.audit`. `assay.worlds.facts` reads the
file, `chats` renders what is a chat, `probes` makes questions, `disjoint` sees that their answers exclude each other, `columns`
turns answers into numbers, `totals` gives them intervals. Nothing heavy is loaded before the call.
"""

import sys

from assay.core.verbs import Verb

sys.modules[__name__].__class__ = Verb
