"""`python -m tests.sabotage`: does anybody notice when one line of a study is wrong?

Draws mutations with a fixed seed from each study's own files, makes each in a copy of the source, and says whether a test of
the study fails, whether quick runs of it give another verdict (or break), or neither. Results are kept in a file, so that a
command that was killed goes on; a result counts as long as the study's files and the tests stay.

The study's own tests are asked first, since they stop at the first that fails. A quick run of a trained network is mostly luck:
a verdict is another one only if it is so on two sets of seeds, and the source as it is gives it on neither.
"""

import argparse
import concurrent.futures
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

from tests.sabotage.equivalents import EQUIVALENT
from tests.sabotage.mutations import Mutation, drawn, fields_of, literals_of, mutations_of

from assay.runner.discovery import find

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "src" / "assay" / "studies"
AT_LEAST = 60
SECONDS = 1800  # a mutation may also make a program endless
SETS = (0, 1)  # of seeds
CONTRACT = "tests/studies/test_contract.py"
COUNTED = "tests/studies/test_reference.py::test_counted_runs_had_the_settings_of_today"
DECLARING = ("claims", "figures", "__init__")


def folders() -> dict[str, Path]:
    """The studies' folders, by slug."""
    found = sorted(path.parent for path in STUDIES.glob("*/*/__init__.py"))
    return {folder.name.replace("_", "-"): folder for folder in found}


def declares(path: Path) -> bool:
    """Whether a file of a study's folder only declares: `claims.py`, `claims/further.py`, `language_model_claims.py`."""
    return any(part.removesuffix(".py").endswith(DECLARING) for part in path.parts)


def drawn_of(folder: Path, count: int, seed: str) -> list[Mutation]:
    """Some mutations of a study's files; claims and figures are declared, and judged by other tests."""
    files = [path for path in sorted(folder.rglob("*.py")) if not declares(path.relative_to(folder))]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in files}
    alternatives, fields = literals_of(list(texts.values())), fields_of(list(texts.values()))
    found = [one for path, text in texts.items() for one in mutations_of(path, text, alternatives, fields)]
    return drawn(found, count, seed, texts)


def chosen(seed: int, studies: Sequence[str]) -> list[tuple[str, Mutation]]:
    """At least `AT_LEAST` mutations over all studies, the same number a study and three or more."""
    found = folders()
    each = max(3, -(-AT_LEAST // len(found)))
    return [
        (slug, one)
        for slug, folder in found.items()
        if not studies or slug in studies
        for one in drawn_of(folder, each, f"{seed}/{slug}")
    ]


def copied(folder: Path) -> Path:
    """A copy of what the tests need, below `folder`."""
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist", "reports", "site")
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name not in ("build", "dist", "reports", "site"):
            if path.is_dir():
                shutil.copytree(path, folder / path.name, ignore=skipped)
            else:
                shutil.copy2(path, folder / path.name)
    return folder


def called(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    try:
        return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", "")


def look(root: Path, slug: str, seeds: int) -> dict[str, str] | None:
    """What quick runs of a study say on the first or the second set of seeds; None where they do not end well."""
    found = called(root, "tests/sabotage/look.py", slug, str(seeds))
    if found.returncode:
        return None
    said: dict[str, str] = json.loads(found.stdout.splitlines()[-1])
    return said


Words = dict[str, set[str]]  # by claim: the verdicts that the source as it is gives


def words_of(root: Path, slug: str) -> Words | None:
    """What quick runs of a study say on both sets of seeds; None where they do not end well."""
    found: Words = {}
    for seeds in SETS:
        said = look(root, slug, seeds)
        if said is None:
            return None
        for name, word in said.items():
            found.setdefault(name, set()).add(word)
    return found


def other_verdicts(root: Path, slug: str, unharmed: Words) -> list[str]:
    """The claims that quick runs judge as the source as it is never does, on either set of seeds; or that the runs break."""
    found: list[str] = []
    for place, seeds in enumerate(SETS):
        said = look(root, slug, seeds)
        if said is None:
            return ["the quick runs break"]
        other = [name for name, word in said.items() if word not in unharmed.get(name, ())]
        found = [name for name in other if not place or name in found]
        if not found:
            break
    return found


def failing_test(root: Path, *which: str) -> str:
    """The first of these tests that fails; empty where all pass."""
    found = called(root, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *which)
    if not found.returncode:
        return ""
    failed = [line.split(" ")[1] for line in found.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0] if failed else f"pytest ended with {found.returncode}"


def ordered_tests(slug: str, mutated: str = "") -> list[str]:
    """A study's own tests, of its counted runs too; those that name the mutated module come first."""
    module = Path(mutated).stem
    files = sorted(own_tests(folders()[slug]).glob("test_*.py"), key=lambda file: (module not in file.read_text(), file))
    found = [file.relative_to(ROOT).as_posix() for file in files]
    if not (ROOT / "reference" / f"{slug}.tar.xz").is_file():
        return found
    counted = f"{COUNTED}[{slug}]"
    return [counted, *found] if module == "settings" else [*found, counted]


def missing(slug: str) -> str:
    """What a study needs and cannot be imported here."""
    needed = {module: None for experiment in find(slug).experiments for module in experiment.needs}
    return ", ".join(module for module in needed if importlib.util.find_spec(module) is None)


def own_tests(folder: Path) -> Path:
    """The folder of a study's own tests."""
    return ROOT / "tests" / "studies" / folder.parent.name / folder.name


def asked_elsewhere(mutated: str) -> list[str]:
    """Files of tests outside a study's own that import the mutated module: a part that was written before its study."""
    module = Path(mutated).relative_to("src").with_suffix("").as_posix().replace("/", ".")
    own = own_tests(ROOT / Path(mutated).parent)
    imports = (f"from {module} import", f"from {module.rpartition('.')[0]} import {module.rpartition('.')[2]}\n")
    return [
        file.relative_to(ROOT).as_posix()
        for file in sorted((ROOT / "tests").rglob("test_*.py"))
        if own not in file.parents and any(line in file.read_text() for line in imports)
    ]


class BrokenSource(Exception):
    """The source as it is does not pass: a test that fails anyway would seem to notice everything."""


@cache
def must_pass(slug: str, *which: str) -> None:
    """Nothing where the source as it is passes these tests."""
    if failing := failing_test(ROOT, *which):
        raise BrokenSource(f"{slug}: the source as it is must pass {failing}. Mend it first")


@cache
def unharmed_words(slug: str) -> Words:
    """What quick runs of the source as it is say."""
    words = words_of(ROOT, slug)
    if words is None:
        raise BrokenSource(f"{slug}: quick runs of the source as it is break. Mend it first")
    return words


def tried(slug: str, mutation: Mutation) -> dict[str, object]:
    """What notices a mutation: a test of the study or of this file; else the claims whose verdict differs; else the contract.

    Raises:
        BrokenSource: what is asked fails without the mutation, too.
    """
    contract = (CONTRACT, "-k", slug)
    with tempfile.TemporaryDirectory() as folder:
        root = copied(Path(folder))
        path = root / mutation.path
        path.write_text(mutation.applied(path.read_text()))
        begun, test, differ = time.monotonic(), failing_test(root, *ordered_tests(slug, mutation.path)), list[str]()
        if not test and (elsewhere := asked_elsewhere(mutation.path)):  # one that notices is enough
            must_pass(slug, *elsewhere)
            test = failing_test(root, *elsewhere)
        if not test:
            differ = other_verdicts(root, slug, unharmed_words(slug))
        if not test and not differ:
            must_pass(slug, *contract)
            test = failing_test(root, *contract)
    return {"study": slug, **asdict(mutation), "verdicts": differ, "test": test, "seconds": round(time.monotonic() - begun)}


def state_of(folder: Path) -> str:
    """A digest over a study's files and its tests: what a result holds for."""
    whole = hashlib.sha256()
    for path in sorted(
        [*folder.rglob("*.py"), *own_tests(folder).rglob("*.py"), ROOT / CONTRACT, ROOT / COUNTED.partition("::")[0]]
    ):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:12]


def reason(mutation: Mutation) -> str:
    """Why a mutation is equivalent; empty if it is not known to be."""
    return EQUIVALENT.get((mutation.path.removeprefix("src/assay/studies/"), mutation.before, mutation.after), "")


def outcome(result: dict[str, object]) -> str:
    """verdict, test or neither."""
    return "verdict" if result["verdicts"] else "test" if result["test"] else "neither"


def kept(file: Path) -> dict[str, dict[str, object]]:
    """The results that were written so far, by name; a line that a kill cut short is left out."""
    found: dict[str, dict[str, object]] = {}
    for line in file.read_text().splitlines() if file.is_file() else []:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        found[record["name"]] = record
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 if something notices every mutation that is not equivalent, 1 if not, 2 if the source itself is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--study", action="append", default=[], choices=sorted(folders()), help="only this; may be repeated")
    parser.add_argument("--only", type=int, metavar="N", help="only the N-th mutation of the list")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="show the mutations and try none")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "sabotage.jsonl", help="where results are kept")
    parser.add_argument("-n", type=int, default=1, metavar="WORKERS", help="how many are tried at once")
    given = parser.parse_args(arguments)

    wanted = list(enumerate(chosen(given.seed, given.study), 1))
    wanted = [one for one in wanted if given.only in (None, one[0])]
    if given.list:
        for number, (slug, mutation) in wanted:
            print(f"{number:3} {slug:34} {mutation.kind:9} {mutation.path.rpartition('/')[2]}:{mutation.line}")
            print(f"      - {mutation.before}\n      + {mutation.after}")
        return 0
    states = {slug: state_of(folder) for slug, folder in folders().items()}
    names = {one[0]: f"{states[slug]}-{mutation.name(slug)}" for one in wanted for slug, mutation in [one[1]]}
    done = kept(given.out)
    todo = [one for one in wanted if names[one[0]] not in done and not reason(one[1][1])]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        for slug in sorted({slug for _, (slug, _) in todo}):
            if absent := missing(slug):  # tests that need them are skipped, and would notice nothing
                raise BrokenSource(f"{slug}: its tests need {absent}, which is not installed. Run: make setup")
            print(f"{slug}: tests of the source as it is", file=sys.stderr)
            must_pass(slug, *ordered_tests(slug))
        begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(given.n) as pool:
            futures = {pool.submit(tried, slug, mutation): number for number, (slug, mutation) in todo}
            for count, future in enumerate(concurrent.futures.as_completed(futures), 1):
                if future.exception():
                    pool.shutdown(cancel_futures=True)
                result = {"name": names[futures[future]], **future.result()}
                done[str(result["name"])] = result
                with given.out.open("a") as stream:
                    stream.write(json.dumps(result) + "\n")
                left = (time.monotonic() - begun) / count * (len(futures) - count) / 60
                print(f"{count} of {len(futures)}: {result['study']}, {outcome(result)}; {left:.0f} min left", file=sys.stderr)
    except BrokenSource as error:
        print(error, file=sys.stderr)
        return 2
    return report([(number, slug, mutation, done.get(names[number])) for number, (slug, mutation) in wanted])


def report(found: Sequence[tuple[int, str, Mutation, dict[str, object] | None]]) -> int:
    """Print the table; 1 if nobody notices one of the mutations."""
    counts: Counter[str] = Counter()
    for number, slug, mutation, result in found:
        same = reason(mutation)
        word = "equivalent" if same else outcome(result) if result is not None else "not tried"
        counts[word] += 1
        by = same or (", ".join(map(str, result["verdicts"])) or result["test"] if result else "")  # type: ignore[call-overload]
        print(f"{number:3} {slug:34} {mutation.kind:9} {word:10} {mutation.path.rpartition('/')[2]}:{mutation.line}  {by}")
        if word in ("neither", "equivalent"):
            print(f"      - {mutation.before}\n      + {mutation.after}")
    print(", ".join(f"{count} {word}" for word, count in counts.most_common()))
    return 1 if counts["neither"] else 0


if __name__ == "__main__":
    sys.exit(main())
