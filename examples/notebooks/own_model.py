# %% [markdown]
# # An audit of one's own model
# Here a tiny model that was never trained, so that it takes seconds. With one of yours: `assay.load_model("./my-model")`, or
# `assay.load_model(model, tokenizer)` with what `AutoModelForCausalLM` and `AutoTokenizer` gave you.

# %%
from pathlib import Path

import assay
from assay.models.pretrained.tiny import tiny_language_model
from assay.worlds.facts.templates import TEMPLATES

tiny = tiny_language_model("llama")
model = assay.load_model(tiny.model, tiny.tokenizer, name="tiny")
Path("facts.yaml").write_text(TEMPLATES["yaml"][1])

# %%
plain = assay.audit_model(model, "facts.yaml", brief=True, set={"n_epochs": 2})
[(total.column, total.estimate) for total in plain.totals]

# %% [markdown]
# The same facts, twice as long; both audits are kept, and compared over the questions that they share.

# %%
longer = assay.audit_model(model, "facts.yaml", brief=True, set={"n_epochs": 4})
[(one.column, one.estimate, one.says) for one in assay.compare(plain, longer).differences]
