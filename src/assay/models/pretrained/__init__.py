"""Pretrained causal language models: fetched by name and hash, converted once, loaded without running anything they carry.

`load(name_or_folder)` (in `loading`) gives a `LanguageModel`; `registry` and `cache` are what `assay models` works on;
`headers` checks weight files in a limited child process before any library reads them; `text` turns prompts and completions
into tokens; `packing` lays many token sequences into one forward pass.
"""
