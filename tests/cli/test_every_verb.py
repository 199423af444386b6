"""Without any extra every verb works, or says in one line what to install."""

import subprocess
import sys
from pathlib import Path


def test_every_verb_works_without_extras_or_says_what_to_install() -> None:
    script = Path(__file__).with_name("every_verb.py")
    done = subprocess.run([sys.executable, str(script), "--hide-extras"], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith(" calls, 0 faults")
