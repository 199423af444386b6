"""A chart draws what its rows say, in light self-contained SVG, whatever the labels are."""

import base64
import csv
import dataclasses
import io
import math
import re
import zlib
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure as Sheet
from matplotlib.text import Annotation
from PIL import Image

from assay.claims.charts import Bars, Chart, Figure, Heat, Line, Lines, Scatter
from assay.claims.study import Table
from assay.core.errors import InputError
from assay.report.charts import draw
from assay.report.palette import INK, PAPER, RAMP, SERIES, SOFT
from assay.report.sketch import Picture, references
from assay.report.tables import csv_text

TAGS = {"svg", "g", "defs", "path", "use", "text", "image", "clipPath", "rect", "title", "desc"}
CURVE: Table = [
    {"run": run, "x": x, "g": g, "y": x * slope + 0.1 * run}
    for run in range(3)
    for g, slope in (("up", 2.0), ("down", -1.0))
    for x in (0, 1, 2)
]
KINDS: dict[str, Chart] = {
    "lines": Lines("t", "x", "y", by="g"),
    "bars": Bars("t", "g", "y"),
    "scatter": Scatter("t", "x", "y", label="g", by="g", diagonal=True),
    "heat": Heat("t", "x", "g", "y", annotate=True),
}


def picture(chart: Chart, table: Table | None = None, **more: Any) -> Picture:
    return draw(Figure("f", "A title", "A caption.", chart, **more), {"t": CURVE if table is None else table}, ident="f")


def paths(drawn: Picture, colour: str) -> list[list[tuple[float, float]]]:
    """The open polylines in a colour, as drawn."""
    root = ElementTree.fromstring(drawn.wide.inline)
    found = []
    for element in root.iter("path"):
        if element.get("stroke") == colour and element.get("fill") == "none" and "clip-path" in element.attrib:
            numbers = [float(number) for number in re.findall(r"-?[\d.]+", element.attrib["d"])]
            found.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_svg_is_self_contained_and_accessible(kind: str) -> None:
    drawn = picture(KINDS[kind])
    for text in (drawn.wide.inline, drawn.wide.standalone):
        root = ElementTree.fromstring(text)
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        assert all(str(name).startswith("f-") for name in ids)
        assert root.get("role") == "img"
        names = {element.get("id"): element for element in root.iter()}
        title, description = (names[name] for name in str(root.get("aria-labelledby")).split())
        assert title.text == "A title"
        assert description.text
        assert len(description.text) > 20
        for element in root.iter():
            tag = element.tag.rpartition("}")[2]
            assert tag in TAGS
            assert "style" not in element.attrib
            assert not any(name.startswith("on") for name in element.attrib)
            assert element.get("href", "#").startswith(("#", "data:image/png;base64,"))
    assert "A title" not in "".join(element.text or "" for element in ElementTree.fromstring(drawn.wide.inline).iter("text"))


def test_inline_colours_are_variables_and_a_file_has_the_light_ones() -> None:
    drawn = picture(KINDS["lines"])
    assert not re.search(r'(?:fill|stroke)="#', drawn.wide.inline)
    assert f"var(--{SERIES[0].name})" in drawn.wide.inline
    assert "var(" not in drawn.wide.standalone
    assert SERIES[0].light in drawn.wide.standalone


def test_a_curve_stands_where_its_means_are() -> None:
    rows: Table = [
        {"run": run, "x": x, "y": y} for x, y in ((0, 1.0), (1, 3.0), (3, 2.0)) for run, y in ((0, y - 0.1), (1, y + 0.1))
    ]
    (points,) = [path for path in paths(picture(Lines("t", "x", "y"), rows), f"var(--{SERIES[0].name})") if len(path) == 3]
    left, middle, right = points
    assert (middle[0] - left[0]) / (right[0] - left[0]) == pytest.approx(1 / 3, abs=0.01)
    assert (left[1] - middle[1]) / (left[1] - right[1]) == pytest.approx(2.0, abs=0.02)  # downwards in an SVG


def test_rows_are_what_was_drawn() -> None:
    drawn = picture(Lines("t", "x", "y", by="g"))
    read = list(csv.DictReader(io.StringIO(csv_text(drawn.columns, drawn.rows))))
    assert drawn.columns == ("g", "x", "y", "low", "high", "n_runs")
    assert [(row["g"], row["x"]) for row in read] == [(g, str(x)) for g in ("up", "down") for x in (0, 1, 2)]
    assert float(read[2]["y"]) == pytest.approx(4.1)
    assert float(read[2]["low"]) < 4.1 < float(read[2]["high"])
    assert {row["n_runs"] for row in read} == {"3"}
    assert "n = 3 runs" in drawn.note
    assert "95 % t intervals over runs" in drawn.note


def test_one_run_has_no_band_and_says_so() -> None:
    one = [row for row in CURVE if row["run"] == 0]
    drawn = picture(Lines("t", "x", "y", by="g"), one)
    assert "One run: there is no interval to draw." in drawn.note
    assert all(row[3] is None and row[4] is None for row in drawn.rows)
    assert "fill-opacity" not in drawn.wide.inline
    assert "fill-opacity" in picture(Lines("t", "x", "y", by="g")).wide.inline


def test_missing_values_are_counted_and_never_drawn_as_zero() -> None:
    table: Table = [{"run": run, "x": x, "y": math.nan if x == 1 else 5.0 + run} for run in (0, 1) for x in (0, 1, 2)]
    drawn = picture(Lines("t", "x", "y"), table)
    assert [row[0] for row in drawn.rows] == [0, 2]
    assert "2 missing values are not drawn." in drawn.note


def test_points_that_no_run_measured_are_explained() -> None:
    chart = Bars("t", "g", "y", by="s")
    rows: Table = [
        {"run": run, "g": g, "s": s, "y": 1.0 + run} for run in range(3) for g in ("a", "b") for s in ("before", "after")
    ]
    told = "Where a point is missing, no run measured it."
    assert told not in picture(chart, rows).note
    assert told in picture(chart, [row for row in rows if (row["g"], row["s"]) != ("b", "after")]).note


def test_a_figure_of_two_rows_is_high_enough_to_read_and_numbers_name_their_axis() -> None:
    rows: Table = [{"run": run, "width": width, "y": 1.0 + run} for run in range(2) for width in (3, 4)]
    drawn = picture(Bars("t", "width", "y"), rows)
    assert "width" in drawn.wide.inline  # the axis of categories that are numbers has its column's name
    lying = picture(
        Bars("t", "g", "y"), [{"run": run, "g": name, "y": 1.0} for run in range(2) for name in ("a long name", "b")]
    )
    (height,) = re.findall(r'viewBox="0 0 [\d.]+ ([\d.]+)"', lying.wide.standalone)
    assert float(height) >= 150


def test_a_label_inside_a_plot_stands_above_what_is_drawn_on_its_own_ground() -> None:
    rows: Table = [{"run": run, "g": g, "y": 1.0 + run} for run in range(3) for g in range(2)]
    found = picture(Bars("t", "g", "y", lines=(Line(1.5, "chance"),)), rows).wide.standalone
    assert found.rindex(SERIES[0].light) < found.rindex(">chance<")


def test_a_log_axis_says_what_it_cannot_show() -> None:
    table: Table = [{"run": run, "x": x, "y": y + 1e-3 * run} for run in (0, 1) for x, y in ((1, 1.0), (2, 1e-2), (3, -0.5))]
    drawn = picture(Lines("t", "x", "y", y_scale="log"), table)
    assert "Values at or below zero (1) cannot stand on the logarithmic axis." in drawn.note
    assert "0.01" in drawn.wide.inline


@pytest.mark.parametrize("kind", KINDS)
def test_panels_get_a_narrow_layout(kind: str) -> None:
    table: Table = [{**row, "p": f"panel {p}", "y": float(row["y"]) + p} for row in CURVE for p in range(3)]
    drawn = picture(dataclasses.replace(KINDS[kind], panel="p"), table)
    assert drawn.narrow is not None
    wide, narrow = (ElementTree.fromstring(one.inline) for one in (drawn.wide, drawn.narrow))
    widths = [float(root.attrib["viewBox"].split()[2]) for root in (narrow, wide)]
    assert widths[0] < 400 < widths[1]
    for root in (wide, narrow):
        texts = ["".join(element.itertext()) for element in root.iter("text")]
        assert [text for text in texts if text.startswith("panel")] == ["panel 0", "panel 1", "panel 2"]
    ids = [element.get("id") for root in (wide, narrow) for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))


def cells(drawn: Picture) -> np.ndarray:
    """The pixels of the largest picture within the drawing."""
    root = ElementTree.fromstring(drawn.wide.inline)
    images = [
        Image.open(io.BytesIO(base64.b64decode(element.attrib["href"].partition(",")[2]))).convert("RGBA")
        for element in root.iter("image")
    ]
    return np.asarray(max(images, key=lambda image: image.width))


def test_titles_of_panels_are_folded_and_never_cut() -> None:
    table: Table = [{**row, "p": name} for row in CURVE for name in ("short", "a title as long as a narrow panel is not")]
    for chart in (Lines("t", "x", "y", by="g", panel="p"), Heat("t", "x", "g", "y", panel="p")):
        drawn = picture(chart, table)
        assert drawn.narrow is not None
        texts = [one.text or "" for one in ElementTree.fromstring(drawn.narrow.inline).iter("text")]
        assert "a title as long as a narrow panel is not" in " ".join(texts)
        assert not any("…" in text for text in texts)


def test_names_of_rows_leave_panels_no_room_to_stand_abreast() -> None:
    table: Table = [{**row, "p": row["g"], "k": f"a name that is long {row['x']}"} for row in CURVE]
    drawn, curves = picture(Bars("t", "k", "y", panel="p"), table), picture(Lines("t", "x", "y", panel="p"), table)
    assert drawn.narrow is not None
    assert curves.narrow is not None

    def box(picture: str) -> tuple[float, float]:
        _, _, width, height = map(float, ElementTree.fromstring(picture).attrib["viewBox"].split())
        return width, height

    assert box(drawn.narrow.inline)[1] > 1.6 * box(drawn.wide.inline)[1] * box(drawn.narrow.inline)[0] / 580
    assert len(re.findall(">a name that is long 0<", drawn.narrow.inline)) == 2


def test_cells_stand_close_under_their_titles() -> None:
    """Labels leave cells less room than foreseen; the sheet is then as high as they are, and a tiny number is told as zero."""
    table: Table = [
        {"run": 0, "x": x, "y": y, "p": p, "v": 0.0001 if x == y else 1.0} for p in "ab" for x in range(3) for y in range(5)
    ]
    drawn = picture(Heat("t", "x", "y", "v", panel="p", annotate=True), table, names={"y": "a long name of the rows"})
    assert drawn.narrow is not None
    root = ElementTree.fromstring(drawn.narrow.inline)
    _, _, _, height = map(float, root.attrib["viewBox"].split())
    assert height < 250
    texts = [one.text for one in root.iter("text")]
    assert "0" in texts
    assert not any("0.0001" in (text or "") or "10⁻" in (text or "") for text in texts)


def test_zero_is_the_middle_colour_and_signs_differ() -> None:
    planted = {(0, 0): 2.0, (0, 1): 0.0, (0, 2): -1.0, (1, 0): -2.0, (1, 1): 1.0}
    table: Table = [{"run": run, "r": r, "c": c, "v": v} for (r, c), v in planted.items() for run in (0, 1)]
    drawn = picture(Heat("t", "r", "c", "v"), table)
    pixels = cells(drawn).astype(int)
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 3
    red, _, blue, alpha = (pixels[height // 2 :: height, width // 2 :: width, i] for i in range(4))
    assert alpha[0, 1] < 6  # zero shows the page
    assert alpha[0, 0] == alpha[1, 0] == 255
    assert alpha[0, 2] == pytest.approx(alpha[1, 1], abs=2) == pytest.approx(128, abs=4)
    assert red[0, 0] > blue[0, 0]
    assert blue[1, 0] > red[1, 0]
    assert "Grey cells have no value." in drawn.note
    assert len({red[1, 2], blue[1, 2]}) == 1
    assert alpha[1, 2] > 0


def test_a_band_that_would_flatten_the_curves_is_cut() -> None:
    def table(spread: float) -> Table:
        rise = [(run, x, x / 10 + spread * (x == 9) * (-1) ** run) for run in (0, 1) for x in range(11)]
        return [{"run": run, "x": x, "y": y} for run, x, y in rise]

    def ticks(drawn: Picture) -> list[float]:
        texts = [element.text or "" for element in ElementTree.fromstring(drawn.wide.inline).iter("text")]
        return [float(text.replace("−", "-")) for text in texts if re.fullmatch(r"−?[0-9.]+", text)]

    tame, wild = (picture(Lines("t", "x", "y"), table(spread)) for spread in (0.01, 0.4))
    assert "cut" not in tame.note
    assert "Bands that leave the axis are cut." in wild.note
    assert min(ticks(wild)) > -0.5
    assert wild.rows[9][2] < -4  # the table keeps the whole interval


def test_values_beyond_a_limit_have_its_colour() -> None:
    table: Table = [{"run": 0, "r": 0, "c": c, "v": v} for c, v in enumerate((9.5, 2.0, 1.0))]
    free, held = (picture(Heat("t", "r", "c", "v", limit=limit), table) for limit in (None, 2.0))
    alphas = []
    for drawn in (free, held):
        pixels = cells(drawn).astype(int)
        alphas.append(pixels[pixels.shape[0] // 2, pixels.shape[1] // 6 :: pixels.shape[1] // 3, 3][:3])
    assert alphas[1][0] == alphas[1][1] == 255 > alphas[0][1]
    assert alphas[1][2] == pytest.approx(128, abs=4)
    assert ("Values beyond ±2 have its colour." in held.note, "beyond" in free.note) == (True, False)
    assert [row[-2] for row in held.rows] == [9.5, 2.0, 1.0]


def test_a_large_heat_map_is_light() -> None:
    rng = np.random.default_rng(1)
    table: Table = [{"run": 0, "r": r, "c": c, "v": float(rng.normal())} for r in range(120) for c in range(100)]
    drawn = picture(Heat("t", "r", "c", "v"), table)
    assert len(drawn.wide.inline) < 80_000
    assert len(drawn.rows) == 12_000


def test_many_runs_are_drawn_as_quantiles() -> None:
    table: Table = [{"run": run, "g": "a", "y": float(run)} for run in range(2_000)]
    drawn = picture(Bars("t", "g", "y"), table)
    assert "Faint dots are 50 quantiles of the runs." in drawn.note
    assert len(drawn.wide.inline) < 20_000


def test_series_differ_without_colour() -> None:
    table: Table = [{"run": 0, "x": x, "g": f"g{i}", "y": float(i + x)} for i in range(6) for x in range(40)]
    drawn = picture(Lines("t", "x", "y", by="g"), table)
    root = ElementTree.fromstring(drawn.wide.inline)
    strokes = {
        element.get("stroke"): element.get("stroke-dasharray", "solid")
        for element in root.iter("path")
        if element.get("stroke", "").startswith("var(--c") and "clip-path" in element.attrib
    }
    assert len(strokes) == 6
    assert len(set(strokes.values())) == 6


def test_steps_of_a_quantity_have_steps_of_a_colour() -> None:
    table: Table = [{"run": 0, "x": x, "g": g, "y": float(g + x)} for g in (1, 2, 4, 8) for x in range(3)]
    drawn = picture(Lines("t", "x", "y", by="g"), table)
    used = re.findall(r"var\(--(r\d)\)", drawn.wide.inline)
    assert [name for i, name in enumerate(used) if name not in used[:i]] == ["r1", "r3", "r6", "r8"]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [INK, SOFT, *SERIES, *RAMP], ids=lambda colour: colour.name)
def test_every_colour_that_text_wears_has_contrast(colour: Any) -> None:
    for one, page in ((colour.light, PAPER.light), (colour.dark, PAPER.dark)):
        brighter, darker = sorted((luminance(one), luminance(page)), reverse=True)
        assert (brighter + 0.05) / (darker + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("chart", "table", "says"),
    [
        (Lines("none", "x", "y"), CURVE, "no run has rows in a table 'none'"),
        (Lines("t", "x", "loss"), CURVE, "'loss' is absent. The table has: g, run, x, y"),
        (Lines("t", "g", "y"), CURVE, "must hold numbers; got 'up' in 'g'. Use Bars"),
        (Bars("t", "x", "g"), CURVE, "the column 'g' must hold numbers; got 'up'"),
        (Heat("t", "x", "g", "y", panel="p"), CURVE, "'p' is absent"),
        (Scatter("t", "x", "y"), [{"run": 0, "x": math.nan, "y": 1.0}], "has none in the stored rows"),
    ],
)
def test_what_cannot_be_drawn_is_named(chart: Chart, table: Table, says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        picture(chart, table)


HOSTILE = [
    "<script>alert(1)</script>",
    "\x1b[31m\x00",
    "\u202eabc",
    "$x_$ ^{",
    "w" * 300,
    '"><b onload=1>',
    "]]>--",
    "\ufffe",
    "\ud800",
    "漢字",
]
hostile = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=12))


@settings(max_examples=4)
@given(st.lists(hostile, min_size=6, max_size=6), st.sampled_from(sorted(KINDS)))
def test_hostile_labels_stay_text(names: list[str], kind: str) -> None:
    chart: Any = dataclasses.replace(KINDS[kind], panel="p")
    if kind in ("lines", "bars", "scatter"):
        chart = dataclasses.replace(
            chart, lines=(Line(0.5, names[0]), Line(1.0, names[1], "x")), x_label=names[2], y_label=names[3]
        )
    table: Table = [{**row, "g": names[4] if row["g"] == "up" else names[5], "p": names[p]} for row in CURVE for p in range(2)]
    drawn = draw(Figure("f", names[0], names[1], chart, {names[4]: names[1]}), {"t": table}, ident="f")
    for one in (drawn.wide, drawn.narrow or drawn.wide):
        root = ElementTree.fromstring(one.inline)
        assert {element.tag for element in root.iter()} <= TAGS
        for element in root.iter("text"):
            text = element.text or ""
            assert len(text) <= 60
            assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]", text)
    assert drawn.pdf.startswith(b"%PDF")


def test_the_pdf_carries_no_date_and_embeds_true_type() -> None:
    drawn = picture(KINDS["lines"])
    assert b"CreationDate" not in drawn.pdf
    assert b"/Type3" not in drawn.pdf
    assert b"/TrueType" in drawn.pdf or b"/CIDFontType2" in drawn.pdf
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", drawn.pdf, re.S)
    assert any(b" l\n" in zlib.decompress(stream) for stream in streams if stream[:1] == b"x")


def test_labels_above_a_plot_do_not_run_into_each_other() -> None:
    ax = Sheet(figsize=(4, 3)).subplots()
    ax.set_xlim(0, 10)
    references(
        ax, [Line(4.5, "chance among ten", "x"), Line(4, "chance among five", "x"), Line(9.5, "all", "x")], several=False
    )
    height = {text.get_text(): text.xyann[1] for text in ax.texts if isinstance(text, Annotation)}
    assert height["chance among ten"] > height["chance among five"] == height["all"]
