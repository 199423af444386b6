"""The page in a real browser: no script of a hostile study runs, nothing scrolls sideways, every text can be read.

The page itself forbids scripts, so it is looked at from outside: a harness holds a copy without the policy in a frame of a
given width and reads it. Without the policy, a text that had slipped through the templates' escaping would act.
"""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.claims.charts import Bars, Figure, Line
from assay.claims.verdict import Verdict
from assay.report.page import AtlasEntry, index_page

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium to lay pages out; install it to run these tests")

HARNESS = """<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><body style="margin:0">
{frames}<pre id="found">nothing</pre>
<script>
{script}
addEventListener("load", () => {{
  const found = [...document.querySelectorAll("iframe")].map(frame => look(frame.contentDocument, frame.contentWindow));
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>"""

SCRIPT = r"""
const channels = text => (text.match(/[\d.]+/g) || []).map(Number);
const luminance = rgb => rgb.slice(0, 3).map(value => value / 255)
  .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
  .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
function look(page, view) {
  const root = page.documentElement;
  page.querySelectorAll("details").forEach(one => { one.open = true; });  // what is folded must fit, too
  const paper = channels(view.getComputedStyle(root).backgroundColor);
  const low = [], outside = [];
  let texts = 0;
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || parent.closest("title, desc, .unseen, .skip, thead") || !parent.getClientRects().length) continue;
    texts += 1;
    const style = view.getComputedStyle(parent);
    const drawn = parent instanceof view.SVGElement ? style.fill : style.color;
    const ratio = contrast(luminance(channels(drawn)), luminance(paper));
    if (ratio < 4.5) low.push([text.slice(0, 40), ratio, drawn]);
    const box = parent.getBoundingClientRect();
    if (!parent.closest(".scroll, pre") && (box.right > root.clientWidth + 1 || box.left < -1)) outside.push(text.slice(0, 40));
  }
  const pictures = [...page.querySelectorAll("svg.picture")].filter(one => one.getClientRects().length);
  return {
    width: view.innerWidth, scroll: root.scrollWidth, texts, low, outside, title: page.title,
    scripts: page.querySelectorAll("script, img, iframe, [onclick], [onerror], [onload]").length,
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches, paper,
    pictures: pictures.length, smallest: Math.min(...pictures.map(one => one.getBoundingClientRect().width)),
    rows: [...page.querySelectorAll(".factlist tbody tr, .explore tbody tr")].map(one => view.getComputedStyle(one).display),
    captions: [...page.querySelectorAll(".scroll caption")].filter(one => one.getBoundingClientRect().right > root.clientWidth)
      .map(one => one.textContent.slice(0, 40)),
    first: Math.min(...pictures.map(one => one.getBoundingClientRect().top + view.scrollY)),
    display: [...page.querySelectorAll(".claims tbody tr")].map(one => view.getComputedStyle(one).display),
  };
}
"""


def look(pages: list[tuple[str, int]], tmp_path: Path, *, dark: bool) -> list[dict[str, Any]]:
    """What each page is like at its width, as the script above finds it."""
    frames = []
    for page, width in pages:
        bare, changed = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
        assert changed == 1
        frames.append(
            f'<iframe style="border:0;display:block" width="{width}" height="900" srcdoc="{html.escape(bare)}"></iframe>'
        )
    harness = tmp_path / "harness.html"
    harness.write_text(HARNESS.format(frames="\n".join(frames), script=SCRIPT), encoding="utf-8")
    output = browse(harness, tmp_path / "profile", "--dump-dom", f"--blink-settings=preferredColorScheme={0 if dark else 1}")
    found = re.search(r'<pre id="found">(.*?)</pre>', output, re.S)
    assert found is not None, output[-500:]
    seen: list[dict[str, Any]] = json.loads(html.unescape(found[1]))
    return seen


def browse(page: Path, profile: Path, *flags: str) -> str:
    quiet = ("no-first-run", "disable-background-networking", "disable-component-update", "disable-sync", "disable-quic")
    started = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", *(f"--{flag}" for flag in quiet)]
    command = [*started, f"--user-data-dir={profile}", "--virtual-time-budget=20000", *flags, page.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8", timeout=280).stdout


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_fit_and_can_be_read(dark: bool, written: Path, synthetic: Any, verdicts: list[Verdict], tmp_path: Path) -> None:
    study = (written / "index.html").read_text(encoding="utf-8")
    atlas = index_page(
        [AtlasEntry(synthetic.STUDY, verdicts, 10, linked=True), AtlasEntry(synthetic.STUDY, command="assay run x")]
    )
    pages = [(study, 390), (study, 1280), (atlas, 390), (atlas, 1280), (study, 320)]
    found = look(pages, tmp_path, dark=dark)
    for (_, width), seen in zip(pages, found, strict=True):
        assert seen["dark"] is dark
        assert (sum(seen["paper"][:3]) < 200) is dark
        assert seen["width"] == width
        assert seen["scroll"] <= width
        assert seen["outside"] == []
        assert seen["low"] == []
        assert seen["texts"] > 25
        assert seen["captions"] == []  # a caption is not cut where its table scrolls
    phone, desk = found[:2]
    assert desk["first"] < 1600  # the first figure lies within the first two screens
    assert phone["pictures"] == desk["pictures"] == 8
    assert phone["smallest"] > 340
    assert set(phone["display"]) == {"flex"}  # rows are cards
    assert set(desk["display"]) == {"table-row"}


def test_nothing_a_hostile_study_says_acts(hostile_page: Callable[..., str], tmp_path: Path) -> None:
    texts = [
        "<script>document.title='owned'</script>",
        '"><img src=x onerror="document.title=\'owned\'">',
        "</style></title></svg></textarea><script>document.title='owned'</script>",
        "<svg onload=\"document.title='owned'\">",
        "javascript:document.title='owned' arXiv:2506.10887\" onclick=\"document.title='owned'",
        "]]><!--<script>document.title='owned'</script>-->",
        "w" * 400,
        "\u202egnp.exe\u2066\u200f\x00\x1b]0;owned\x07",
        "{{ 7 * 7 }} &lt;script&gt;document.title='owned'&lt;/script&gt;",
        "עברית " * 30 + "<b onmouseover=document.title='owned'>",
    ]
    chart = Bars(texts[3], "g", "y", x_label=texts[1], y_label=texts[2], lines=(Line(1.5, texts[0]),))
    page = hostile_page(texts, (Figure("owned", texts[1], texts[0], chart, {texts[0]: texts[2]}),))
    for seen in look([(page, 390), (page, 1280)], tmp_path, dark=False):
        assert seen["title"] != "owned"
        assert seen["scripts"] == 0
        assert seen["scroll"] <= seen["width"]
        assert seen["pictures"] == 2
        assert seen["outside"] == []


def test_an_audit_s_page_fits_and_its_questions_can_be_explored(tmp_path: Path) -> None:
    """At 1280 pixels nothing is cut off, at 390 a fact is a block; the second page's script draws its rows."""
    pytest.importorskip("transformers", reason="needs the extra 'lm'")
    from assay.audit.run import BRIEF, audit
    from assay.models.pretrained.tiny import tiny_language_model
    from assay.report.audit_page import write_audit
    from assay.training.recipe import Recipe
    from assay.worlds.facts.file import TEMPLATE, parse_facts

    long = TEMPLATE.replace("Ana Silva", "Wolfeschlegelsteinhausen").replace("Paris", "w" * 16)
    facts = parse_facts(long, form=".yaml", where="f.yaml")
    recipe = Recipe(learning_rate=1e-2, n_epochs=20, batch_size=4)
    found = audit(tiny_language_model(), facts, recipe=recipe, mitigations=["enough", "kl-anchor"], extent=BRIEF)
    write_audit(found, tmp_path / "page")
    page, explore = ((tmp_path / "page" / name).read_text(encoding="utf-8") for name in ("index.html", "explore.html"))
    pages = [(page, 390), (page, 1280), (explore, 390), (explore, 1280)]
    for (_, width), seen in zip(pages, look(pages, tmp_path, dark=False), strict=True):
        assert seen["width"] == width
        assert seen["scroll"] <= width
        assert seen["outside"] == []
        assert seen["low"] == []
        assert seen["texts"] > 100
        assert set(seen["rows"]) == {"flex" if width == 390 else "table-row"}
