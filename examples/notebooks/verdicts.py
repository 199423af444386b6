# %% [markdown]
# # Verdicts in Python
# Run a study, look at what it says, change a setting, compare. Each `# %%` is a cell; editors and Jupytext open this file as a
# notebook.

# %%
from pathlib import Path

import assay

STUDY = Path(__file__).parents[1] / "birthday.py" if "__file__" in globals() else Path("examples/birthday.py")
[line.study for line in assay.studies()]

# %% [markdown]
# Eight runs, about two seconds. They are stored: the same call again computes nothing.

# %%
results = assay.run(STUDY)
results  # a table, in a notebook

# %%
(verdict,) = results.verdicts
verdict.verdict, verdict.estimate, (verdict.low, verdict.high)

# %% [markdown]
# The runs behind it, one row a run, and what each run measured by size of the group.

# %%
runs = results.to_dicts("runs")
sizes = results.tables["groups/sizes"]
len(runs), sizes[0]

# %% [markdown]
# Fewer groups a run: the same question with more noise. Runs of equal seeds are compared in pairs.

# %%
fewer = assay.run(STUDY, set={"n_groups": 2000})
comparison = assay.compare(results, fewer)
comparison.to_dicts()

# %%
page = assay.report(STUDY, out="reports")
page
