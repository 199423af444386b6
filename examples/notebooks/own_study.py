# %% [markdown]
# # A study of one's own
# What `assay new` writes, checked, run and changed from Python.

# %%
import subprocess
import sys
from pathlib import Path

import assay

subprocess.run([sys.executable, "-m", "assay", "new", "left-or-right", "--out", "."], check=True, capture_output=True)
study = assay.study(Path("left_or_right.py"))
[claim.sentence for claim in study.claims]

# %% [markdown]
# Is it fit to be judged? A player without the mechanism must not pass.

# %%
checked = assay.check(study, nulls=True)
checked.faults, checked.to_dicts()

# %% [markdown]
# A grid of settings: one verdict at each point.

# %%
results = assay.run(study, set={"n_draws": [2, 10, 100]})
[(row["settings"], row["verdict"]) for row in results.to_dicts()]

# %% [markdown]
# How many more runs would an open claim need?

# %%
[(line.need.claim, line.need.verdict, line.need.more) for line in assay.power(study, pilot=0)]
