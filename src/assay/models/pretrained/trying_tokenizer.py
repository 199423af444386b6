"""Reads a tokenizer file and encodes a sentence with it: a script for a limited child, see `folder_limits`, without Assay."""

import os
import sys

SENTENCE = "The capital of France is Paris. Zoë said: 12,345!"
MOST = 100  # tokens of a character


def tried(path: str) -> str:
    """What is wrong with it; empty where it reads the sentence."""
    from tokenizers import Tokenizer

    found = len(Tokenizer.from_file(path).encode(SENTENCE).ids)
    return "" if found <= MOST * len(SENTENCE) else f"it makes {found} tokens of {len(SENTENCE)} characters"


if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        import tokenizers  # noqa: F401 - without it nothing here can load the file either
    except ImportError:
        sys.exit(0)
    sys.exit(tried(sys.argv[1]) or 0)
