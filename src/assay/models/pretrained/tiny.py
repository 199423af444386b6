"""Tiny random language models of every family, with a tokenizer: for tests, and for trying something out within a second."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from assay.core.errors import UsageError, unknown_name
from assay.models.pretrained.library import optional, quiet
from assay.models.pretrained.loading import LanguageModel

__all__ = ["MAPPED", "UNMAPPED", "tiny_folder", "tiny_language_model", "tiny_model", "tiny_tokenizer"]

SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
HEADS_OF_8 = {**SIZES, "head_dim": 8}
NO_GROUPS = {name: size for name, size in SIZES.items() if name != "num_key_value_heads"}
ENDS = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
# Family -> configuration class and sizes. Those of MAPPED have a site map.
MAPPED: dict[str, tuple[str, dict[str, int]]] = {
    "llama": ("LlamaConfig", SIZES),
    "mistral": ("MistralConfig", SIZES),
    "qwen2": ("Qwen2Config", SIZES),
    "qwen3": ("Qwen3Config", HEADS_OF_8),
    "olmo": ("OlmoConfig", SIZES),
    "olmo2": ("Olmo2Config", SIZES),
    "olmo3": ("Olmo3Config", SIZES),
    "gemma": ("GemmaConfig", HEADS_OF_8),
    "gemma2": ("Gemma2Config", HEADS_OF_8),
    "gemma3_text": ("Gemma3TextConfig", HEADS_OF_8),
    "gpt2": ("GPT2Config", {"vocab_size": 300, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 128}),
    "gpt_neox": ("GPTNeoXConfig", NO_GROUPS),
}
UNMAPPED: dict[str, tuple[str, dict[str, int]]] = {
    "opt": ("OPTConfig", {**NO_GROUPS, "ffn_dim": 48, "word_embed_proj_dim": 32}),
    "bloom": ("BloomConfig", {"vocab_size": 300, "hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "mamba": ("MambaConfig", {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
}


def tiny_model(family: str, *, seed: int = 0) -> Any:
    """A random model of a family, in float32 and evaluation mode: two or three layers of width 32, 300 tokens.

    Raises:
        UsageError: there is no such family.
    """
    families = MAPPED | UNMAPPED
    if family not in families:
        raise UsageError(unknown_name("family", family, families, see=f"Families are {', '.join(families)}"))
    transformers = optional("transformers", "a language model")
    name, sizes = families[family]
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        config = getattr(transformers, name)(**sizes, **ENDS)
        return transformers.AutoModelForCausalLM.from_config(config).eval()


def tiny_tokenizer(merges: Sequence[tuple[str, str]] = (("Ġ", "P"), ("a", "r"), ("ĠP", "ar"), ("Ġ", "l"), ("i", "s"))) -> Any:
    """Byte-level BPE with a token for the end, the 256 bytes, and the given merges ("Ġ" is a space)."""
    tokenizers = optional("tokenizers", "a language model")
    byte_level = tokenizers.pre_tokenizers.ByteLevel
    tokens = ["<|end|>", *sorted(byte_level.alphabet()), *("".join(pair) for pair in merges)]
    inner = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=list(merges))
    )
    inner.pre_tokenizer = byte_level(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    inner.add_special_tokens(["<|end|>"])
    return optional("transformers", "a language model").PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<|end|>", eos_token="<|end|>", pad_token="<|end|>"
    )


def tiny_language_model(family: str = "llama", *, seed: int = 0) -> LanguageModel:
    """A random model with its tokenizer, made in memory."""
    return LanguageModel(f"tiny-{family}", tiny_model(family, seed=seed), tiny_tokenizer())


def tiny_folder(path: Path, family: str = "llama", *, seed: int = 0) -> Path:
    """The same, saved into a folder as transformers does."""
    made = tiny_language_model(family, seed=seed)
    made.save(path)
    return path
