"""A page says everything a reviewer asks, as text; it is one file, valid, closed to scripts, and the same for the same rows."""

import base64
import csv
import dataclasses
import errno
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.claims.paper import Example, Headline, Paper
from assay.claims.study import Study
from assay.claims.verdict import Verdict, judge
from assay.core.errors import StoreError
from assay.report import page as pages
from assay.report.found import number_text
from assay.report.page import AtlasEntry, ExperimentData, index_page, study_page, write_atlas, write_report
from assay.report.tables import VerdictTable

VOID = {"meta", "link", "br", "wbr", "img", "input", "hr"}
SVG_LEAVES = {"path", "circle", "rect", "line", "use", "image"}


class Reader(HTMLParser):
    """A strict reader: keeps elements and text, and notes what a validator would complain about."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.faults.append(f"an attribute twice in <{tag}>")
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in SVG_LEAVES and tag not in {"g", "text", "tspan"}:
            self.faults.append(f"<{tag}/>")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    assert reader.faults == []
    return reader


def check_closed(html: str) -> Reader:
    """What must hold of every page, whatever was written into it."""
    reader = read(html)
    tags = {tag for tag, _ in reader.elements}
    assert not tags & {"script", "iframe", "object", "embed", "form", "base", "img", "foreignobject", "animate", "set"}
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in reader.elements:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert "style" not in attributes
        assert "src" not in attributes
        target = attributes.get("href") or ""
        if target.startswith("#"):
            assert target[1:] in ids
        elif tag == "a":
            assert re.match(
                r"https://arxiv\.org/abs/|https://doi\.org/|(\.\./|[a-z0-9-]+/)?[A-Za-z0-9_./-]+(#[a-z0-9-]+)?$", target
            )
            if target.startswith("https:"):
                assert attributes["rel"] == "noreferrer"
        else:
            assert target.startswith(("data:", "#")) or not target
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html)
    return reader


def test_the_page_is_closed_valid_and_accessible(written: Path) -> None:
    reader = check_closed((written / "index.html").read_text())
    elements = reader.elements
    assert ("html", {"lang": "en"}) in elements
    assert sum(tag == "main" for tag, _ in elements) == 1
    assert sum(tag == "h1" for tag, _ in elements) == 1
    assert all("scope" in attributes for tag, attributes in elements if tag == "th")
    assert sum(tag == "caption" for tag, _ in elements) == sum(tag == "table" for tag, _ in elements)
    pictures = [attributes for tag, attributes in elements if tag == "svg" and attributes.get("role") == "img"]
    assert len(pictures) == 1 + 7 + 2  # the forest, seven figures, two of them in a narrow layout as well
    ids = {attributes.get("id") for _, attributes in elements}
    assert all(set(str(attributes["aria-labelledby"]).split()) <= ids for attributes in pictures)
    headings = [int(tag[1]) for tag, _ in elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(headings))


def test_the_policy_allows_its_own_style_sheet_and_nothing_else(written: Path) -> None:
    html = (written / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    sheets = re.findall(r"<style>(.*?)</style>", html, re.S)
    assert len(sheets) == 1
    digest = base64.b64encode(hashlib.sha256(sheets[0].encode()).digest()).decode()
    own = {"default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'"}
    assert rules == own | {"style-src": f"'sha256-{digest}'"}
    assert "url(" not in sheets[0]
    assert "@import" not in sheets[0]


def test_a_reviewer_finds_everything(written: Path, verdicts: list[Verdict], data: ExperimentData, synthetic: Any) -> None:
    words = read((written / "index.html").read_text()).words
    study: Study = synthetic.STUDY
    for text in (
        study.paper.text,
        study.scale,
        *(departure.says for departure in study.departures),
        data.command,
        "weight decay",
        "threads",
        "share an error rate of 5 %",
    ):
        assert " ".join(text.split()) in words
    for verdict in verdicts:
        for text in (verdict.says, verdict.source, verdict.control.says, verdict.reason):
            assert text in words
    for figure in synthetic.FIGURES:
        assert figure.title in words
        assert figure.caption in words
    for text in (
        "4 supported, 1 not-reproduced, 1 inconclusive, 1 void, 1 not run of 8 claims.",
        "0.0312",  # our estimate, its interval, level and effect
        "[0.0278, 0.0345]",
        "98.57 % interval",
        "SD inside the rule",
        "≥ 2.996",  # the paper's
        "3 stored runs were made by an earlier version of the code",
        "C4 was edited after these runs were stored",
        "0.05 (preset: 0.03)",
        "code 0123456789abcdef",
        "Study version 1. The rows were made from 2026-01-01 to 2026-01-02.",
        "also stored: 2 runs at n_facts=4",
        "Supported; it had to be refuted (> 0.7)",
        "laptop preset, changed",
        "In expectation, at most 0.05 of the one family of claims holds a false verdict.",
        "[0.0278, 0.0345] nats",  # in its unit
        "10 runs; nats, at least 0",  # what the number is
        "10 runs; of the weakest step, share of items",  # a difference has not the range of what it is of
        "Positive: The solution of the theory, put in as weights.",
        "Negative: Shuffling the association removes the cause",
        "Means over n = 10 runs; bands are 95 % t intervals over runs, point by point.",
        "assay run recall-of-hidden-pairs --experiment depth",
    ):
        assert text in words, text


def test_files_stand_beside_the_page_and_every_link_leads_to_one(written: Path) -> None:
    html = (written / "index.html").read_text()
    linked = {target for target in re.findall(r'href="([^"#:]+)"', html) if not target.startswith("../")}
    assert {path for path in linked if not (written / path).is_file()} == set()
    names = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    assert names == linked | {"index.html"}
    assert {Path(name).suffix for name in names} == {".html", ".svg", ".pdf", ".csv", ".json", ".md", ".tex"}
    assert b"\r" not in (written / "verdicts.csv").read_bytes()
    for table in ("verdicts.csv", "figures/symbolic-verdicts.csv"):
        first = next(csv.DictReader((written / table).read_text().splitlines()))
        assert (first.get("unit") if "figures" in table else first["estimand_unit"], first["range"]) == ("nats", "at least 0")


def test_what_was_not_asked_is_counted_once_and_is_not_void(synthetic: Any, data: ExperimentData) -> None:
    runs, _ = synthetic.rows(10)
    left_out = [
        dataclasses.replace(run, estimands={name: value for name, value in run.estimands.items() if "/lift" not in name})
        for run in runs
    ]
    found = judge(synthetic.STUDY, {"symbolic": left_out})
    told = "4 supported, 1 not-reproduced, 1 void, 1 not-asked, 1 not run of 8 claims."
    assert told in read(study_page(synthetic.STUDY, found, [data])).words
    assert told in read(index_page([AtlasEntry(synthetic.STUDY, found, n_runs=10)])).words
    assert [record["verdict"] for record in VerdictTable(tuple(found)).records()].count("not-asked") == 1


def test_quick_runs_are_void_and_the_page_says_so(synthetic: Any, data: ExperimentData) -> None:
    runs, _ = synthetic.rows(2)
    plain = dataclasses.replace(synthetic.SYMBOLIC, figures=())
    void = judge(synthetic.STUDY, {"symbolic": runs}, quick=True)
    quick = dataclasses.replace(data, experiment=plain, preset="quick", n_runs=2, n_stale=0, edited_claims=())
    study = dataclasses.replace(synthetic.STUDY, experiments=(plain, synthetic.DEPTH))
    words = check_closed(study_page(study, void, [quick])).words
    assert "Quick preset. These runs exercise the plumbing" in words
    assert "7 void, 1 not run of 8 claims." in words
    assert "no number" not in words  # what was measured is shown, and decides nothing


def test_a_study_without_runs_has_a_page_that_says_how_to_run_it(synthetic: Any) -> None:
    words = check_closed(study_page(synthetic.STUDY, [], [])).words
    assert "8 not run of 8 claims." in words
    assert "assay run recall-of-hidden-pairs --experiment symbolic" in words
    assert "takes 40 s on two cores at the laptop preset" in words


def test_a_figure_that_cannot_be_drawn_says_why_in_its_place(
    synthetic: Any, verdicts: list[Verdict], data: ExperimentData
) -> None:
    weights = dataclasses.replace(synthetic.SYMBOLIC, figures=synthetic.FIGURES[-1:])
    study = dataclasses.replace(synthetic.STUDY, experiments=(weights,))
    words = check_closed(study_page(study, verdicts, [dataclasses.replace(data, experiment=weights, tables={})])).words
    assert "Not drawn: figure 'weights': a chart draws stored rows; no run has rows in a table 'weights'." in words
    assert "Trained weights beside both optima" in words


def test_a_figure_that_does_not_tell_the_story_is_folded(synthetic: Any, verdicts: list[Verdict], data: ExperimentData) -> None:
    first, *others = synthetic.FIGURES
    figures = (dataclasses.replace(first, further=True), *others)
    arm = dataclasses.replace(synthetic.SYMBOLIC, figures=figures)
    study = dataclasses.replace(synthetic.STUDY, experiments=(arm,))
    html = study_page(study, verdicts, [dataclasses.replace(data, experiment=arm)])
    check_closed(html)
    (fold,) = re.findall(r"<details>\s*<summary>Further figures</summary>.*?</details>", html, re.S)
    assert first.caption in fold
    assert not any(figure.caption in fold for figure in others)
    assert html.count("<figcaption>") == len(figures) + 1  # and the overview of verdicts, in the fold of the claims


def test_the_atlas_shows_studies_with_runs_first_by_wing(synthetic: Any, verdicts: list[Verdict]) -> None:
    headlines = (
        Headline("It infers.", claims=("C1",)),
        Headline("It is deep.", claims=("B1",)),
        Headline("It wonders.", reason="nobody can ask"),
    )
    study = dataclasses.replace(synthetic.STUDY, paper=dataclasses.replace(synthetic.STUDY.paper, headlines=headlines))
    other = dataclasses.replace(study, slug="not-yet", title="Not yet: when?")
    elsewhere = dataclasses.replace(study, slug="elsewhere", title="Elsewhere: where?")
    entries = [
        AtlasEntry(other, command="assay run not-yet"),
        AtlasEntry(study, verdicts, n_runs=10, n_stale=1, linked=True, wing="knowledge"),
        AtlasEntry(elsewhere, elsewhere=("symbolic: 2 runs at n_facts=4",), wing="games", command="assay run elsewhere"),
    ]
    reader = check_closed(index_page(entries))
    words = reader.words
    assert "4 supported, 1 not-reproduced, 1 inconclusive, 1 void, 17 not run of 24 claims." in words
    assert "10 runs1 stale run" in words
    assert words.index("games") < words.rindex("Elsewhere") < words.index("knowledge") < words.index("Not run yet")
    # Before all of them each study that has rows in a line: what it asks, and how its paper's headlines came out.
    glance = words[words.index("Elsewhere") : words.index("games")]
    assert glance.index("Where?") < glance.index("1 holds")
    assert "Not yet" not in glance
    assert words.index("It infers.") < words.index("Not run yet") < words.index("assay run not-yet")
    assert "also symbolic: 2 runs at n_facts=4" in words  # mentioned, not denied
    told = words[words.index("It infers.") :]
    assert told.startswith(f"It infers. C1: {number_text(verdicts[0])}, rule < 0.1 nats")
    links = [attributes["href"] for tag, attributes in reader.elements if tag == "a" and "title" in attributes]
    assert links[0] == links[1] == "recall-of-hidden-pairs/index.html#experiment-symbolic-1"
    assert links[-1] == "recall-of-hidden-pairs/index.html#experiment-depth"
    assert len(links) == 9  # a study without a page has no links


HOSTILE = [
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "{{ 7 * 7 }}{% raw %}",
    "</style></title></svg></textarea><!--",
    'javascript:alert(1) arXiv:2506.10887"onclick=',
    "\x00\x1b]0;owned\x07\x85",
    "\u202egnp.exe\u2066\u200f",
    "w" * 400,
    "\ud800\ufffe",
    "עברית العربية",
]
hostile = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20)).filter(lambda text: text.strip() != "")


@settings(max_examples=10)
@given(st.lists(hostile, min_size=10, max_size=10))
def test_hostile_text_stays_text(hostile_page: Callable[..., str], texts: list[str]) -> None:
    check_closed(hostile_page(texts))


def test_pictures_the_study_no_longer_has_are_removed(synthetic: Any, verdicts: list[Verdict], tmp_path: Path) -> None:
    old = tmp_path / synthetic.STUDY.slug / "figures" / "symbolic" / "old.svg"
    note = old.with_name("notes.txt")
    old.parent.mkdir(parents=True)
    old.write_text("<svg/>")
    note.write_text("mine")
    write_report(synthetic.STUDY, [], [], tmp_path)
    assert not old.exists()
    assert note.read_text() == "mine"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_named_and_the_old_page_stays(
    number: int, synthetic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = write_report(synthetic.STUDY, [], [], tmp_path)
    atlas = write_atlas([], tmp_path)
    before = page.read_bytes(), atlas.read_bytes()

    def refuse(path: Path, content: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(pages, "write_atomically", refuse)
    with pytest.raises(StoreError, match=f"could not be written: {os.strerror(number)}"):
        write_report(synthetic.STUDY, [], [], tmp_path, created="today")
    with pytest.raises(StoreError, match="--out"):
        write_atlas([], tmp_path, created="today")
    assert (page.read_bytes(), atlas.read_bytes()) == before


def test_a_folder_that_is_a_file_is_named(synthetic: Any, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(StoreError, match="could not be written"):
        write_report(synthetic.STUDY, [], [], tmp_path / "out")


PROGRAM = """
import dataclasses, sys, types
from pathlib import Path
module = types.ModuleType("assay_synthetic_report")
sys.modules["assay_synthetic_report"] = module
exec(compile(Path(sys.argv[1]).read_text(), sys.argv[1], "exec"), module.__dict__)
from assay.claims.verdict import judge
from assay.report.found import number_text
from assay.report.page import AtlasEntry, ExperimentData, write_atlas, write_report
figures = tuple(module.FIGURES[i] for i in (0, 3, 5, 6))  # one of each kind of chart
symbolic = dataclasses.replace(module.SYMBOLIC, figures=figures)
study = dataclasses.replace(module.STUDY, experiments=(symbolic,))
runs, tables = module.rows(4)
if sys.argv[3] == "shuffled":
    tables = {name: sorted(table, key=lambda row: -row["run"]) for name, table in reversed(tables.items())}
verdicts = judge(study, {"symbolic": runs})
data = ExperimentData(symbolic, "laptop", {"n_facts": 20}, False, 4, 0, (), tables, {"python": "3"}, 2.0, "assay run")
out = Path(sys.argv[2])
write_report(study, verdicts, [data], out)
write_atlas([AtlasEntry(study, verdicts, 4, linked=True)], out)
"""


def test_the_same_rows_give_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    source = str(Path(__file__).with_name("synthetic.py"))
    for name, seed, order in (("a", "1", "stored"), ("b", "77", "shuffled")):
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "SOURCE_DATE_EPOCH": "",
            "TZ": "UTC" if name == "a" else "Asia/Tokyo",
        }
        environment.pop("SOURCE_DATE_EPOCH")
        command = [sys.executable, "-c", PROGRAM, source, str(tmp_path / name), order]
        subprocess.run(command, check=True, env=environment)
    first, second = (
        {
            path.relative_to(tmp_path / name).as_posix(): path.read_bytes()
            for path in (tmp_path / name).rglob("*.*")
            if path.is_file()
        }
        for name in ("a", "b")
    )
    assert {Path(name).suffix for name in first} == {".html", ".svg", ".pdf", ".csv", ".json", ".md", ".tex"}
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_a_date_stands_on_the_page_only_when_it_is_given(synthetic: Any) -> None:
    assert study_page(synthetic.STUDY, [], []) == study_page(synthetic.STUDY, [], [])
    assert "on 2026-01-02" in study_page(synthetic.STUDY, [], [], created="2026-01-02")


def test_a_formula_breaks_behind_a_slash_or_a_bracket_and_stays_text(hostile_page: Callable[..., str]) -> None:
    page = hostile_page(["sqrt(m_train/m_test) <b> and / or (x)"] * 10)
    assert "sqrt(<wbr>m_train/<wbr>m_test) &lt;b&gt; and / or (x)" in page


def test_the_page_opens_with_what_was_found_the_task_its_figure_and_the_headlines(
    synthetic: Any, verdicts: list[Verdict], data: ExperimentData
) -> None:
    headlines = (
        Headline("Pairs are recalled.", claims=("C1",)),
        Headline("Recall fades.", reason="nothing here waits"),
        Headline("Depth helps.", claims=("B1",)),
    )
    example = Example((("a b ↦ c", "A *bridge* is told twice."),))
    study = dataclasses.replace(
        synthetic.STUDY, paper=Paper("Nobody", 2023, "A title", "", headlines=headlines), example=example
    )
    html = study_page(study, verdicts, [data])
    words = check_closed(html).words
    first = synthetic.FIGURES[0]
    order = [
        "What was found",
        "Of 7 claims",
        "The task, in one example",
        "a b ↦ c A bridge is told twice.",
        first.caption,
        "What the paper says, and what we found",
        "Pairs are recalled. holds",
        "0.0312 [0.0278, 0.0345] nats",
        "rule < 0.1 nats; paper: ≈ 0",
        "not run",
        "All verdicts",
        "Claims: 4 supported",
    ]
    places = [words.index(text) for text in order]
    assert places == sorted(places)
    assert "<dfn>bridge</dfn>" in html
    assert "nothing here waits" in words
    assert html.count(first.caption) == 1  # what opens the page is not drawn again
    assert "its figure opens this page" in words
    assert html.count('class="lane supported"') == 1  # the interval against its rule


def test_a_study_says_which_figure_opens_its_page(synthetic: Any, verdicts: list[Verdict], data: ExperimentData) -> None:
    figures = tuple(dataclasses.replace(figure, opens=i == 3, further=i == 3) for i, figure in enumerate(synthetic.FIGURES))
    arm = dataclasses.replace(synthetic.SYMBOLIC, figures=figures)
    study = dataclasses.replace(synthetic.STUDY, experiments=(arm, synthetic.DEPTH))
    words = read(study_page(study, verdicts, [dataclasses.replace(data, experiment=arm)])).words
    assert words.index(figures[3].caption) < words.index("All verdicts") < words.index(figures[0].caption)


def test_claims_are_folded_and_grouped_by_the_papers_question(
    synthetic: Any, verdicts: list[Verdict], data: ExperimentData
) -> None:
    arms = [
        dataclasses.replace(arm, family=family)
        for arm, family in ((synthetic.SYMBOLIC, "Is it bias?"), (synthetic.DEPTH, "How deep?"))
    ]
    study = dataclasses.replace(synthetic.STUDY, experiments=tuple(arms))
    html = study_page(study, verdicts, [dataclasses.replace(data, experiment=arms[0])])
    check_closed(html)
    (fold,) = re.findall(r"<details>\s*<summary>Claims: .*?</details>", html, re.S)
    assert all(verdict.source in fold for verdict in verdicts)
    places = [
        html.index(text) for text in (">Is it bias?<", 'id="experiment-symbolic"', ">How deep?<", 'id="experiment-depth"')
    ]
    assert places == sorted(places)


def test_an_effect_far_inside_its_rule_is_capped(synthetic: Any, verdicts: list[Verdict], data: ExperimentData) -> None:
    far = [dataclasses.replace(one, effect=3140.0 if one.claim == "C1" else -250.0) for one in verdicts]
    words = read(study_page(synthetic.STUDY, far, [data])).words
    assert "> 100 SD inside the rule" in words
    assert "> 100 SD short of the rule" in words
    assert "3140" not in words


def test_backticks_and_signs_are_set_as_a_page_sets_them(hostile_page: Callable[..., str]) -> None:
    page = hostile_page(["`emergence` is >= -0.5"] * 10)
    assert "<code>emergence</code> is ≥ −0.5" in page
    assert "`emergence`" not in page[page.index('id="departures"') : page.index('id="again"')]
