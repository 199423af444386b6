"""Matplotlib's SVG made fit for a page: light, titled, without styles or foreign ids, in colours the page can change.

Inside a page a colour is a CSS variable, so that one drawing serves light and dark; on its own it is the light palette.
"""

import copy
import re
from collections.abc import Mapping
from xml.etree import ElementTree

__all__ = ["FONTS", "Drawing", "finish"]

FONTS = "Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_ENLARGED = 1.4  # on a page with room: labels then have about the size of its small text
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_ROUNDED = ("d", "x", "y", "points", "transform")
_KEPT_FROM_STYLE = re.compile(r"\s*([a-z-]+)\s*:\s*(.+?)\s*(?:;|$)")
_DEFAULTS = {("fill-opacity", "1"), ("stroke-opacity", "1"), ("stroke-dasharray", "none"), ("stroke-dashoffset", "0")}


class Drawing:
    """One picture as SVG, standing alone (`standalone`) or inside a page (`inline`)."""

    def __init__(self, root: ElementTree.Element, variables: Mapping[str, str]) -> None:
        self._root = root
        self._variables = variables

    @property
    def standalone(self) -> str:
        """A file of its own, in the light palette on a transparent ground."""
        root = copy.copy(self._root)
        root.attrib = {"xmlns": _NAMESPACE[1:-1]} | self._root.attrib
        return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'

    @property
    def inline(self) -> str:
        """An element for a page that defines the palette's variables; as large as a page with room shows it."""
        root = copy.deepcopy(self._root)
        for side in ("width", "height"):
            root.set(side, f"{_ENLARGED * float(root.attrib[side]):.0f}")
        for element in root.iter():
            for name in ("fill", "stroke"):
                if element.get(name) in self._variables:
                    element.set(name, self._variables[element.attrib[name]])
        return ElementTree.tostring(root, encoding="unicode")


def finish(svg: str, *, ident: str, title: str, description: str, variables: Mapping[str, str]) -> Drawing:
    """The drawing in `svg` with ids that begin with `ident`, a title and a description.

    Args:
        svg: what matplotlib wrote.
        ident: unique within the page.
        title: names the picture for readers who cannot see it.
        description: says what it shows.
        variables: CSS values by the palette's colours ("#0067a5").
    """
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_NAMESPACE)
    _prune(root)
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    root.attrib.clear()
    root.attrib |= {
        "class": "picture",
        "role": "img",
        "aria-labelledby": f"{ident}-title {ident}-description",
        "width": f"{width:g}",
        "height": f"{height:g}",
        "viewBox": f"0 0 {width:g} {height:g}",
        "font-family": FONTS,
        "stroke-linejoin": "round",
    }
    for element in root.iter():
        _plain_attributes(element)
    _rename(root, ident)
    _flatten(root)
    for name, text in (("description", description), ("title", title)):
        element = ElementTree.Element("desc" if name == "description" else name, {"id": f"{ident}-{name}"})
        element.text = text
        root.insert(0, element)
    return Drawing(root, variables)


def _prune(root: ElementTree.Element) -> None:
    """Drop metadata and style sheets (a rule for `*` would reach the whole page), and white space between elements."""
    for element in root.iter():
        for child in [child for child in element if child.tag in ("metadata", "style")]:
            element.remove(child)
        element.tail = None
        if element.tag not in ("text", "tspan"):
            element.text = None


def _plain_attributes(element: ElementTree.Element) -> None:
    """Styles as presentation attributes, which a strict policy allows; numbers to a hundredth of a point."""
    for name, value in _KEPT_FROM_STYLE.findall(element.attrib.pop("style", "")):
        if name != "font-family" and (name, value) not in _DEFAULTS:
            element.set(name, value.split(";")[0])
    if _LINK in element.attrib:
        element.set("href", re.sub(r"\s", "", element.attrib.pop(_LINK)))
    element.attrib.pop("{http://www.w3.org/XML/1998/namespace}space", None)
    if element.tag != "image":  # a picture of cells is stretched by its matrix; rounding it would misplace cells
        for name in _ROUNDED:
            if name in element.attrib:
                rounded = _NUMBER.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), element.attrib[name])
                element.set(name, " ".join(rounded.replace("-0 ", "0 ").split()))
    if re.fullmatch(r"rotate\(0 .*\)|translate\(0 0\)", element.get("transform", "")):
        del element.attrib["transform"]


def _rename(root: ElementTree.Element, ident: str) -> None:
    """Ids that nothing refers to are dropped, the others numbered under `ident`, so that a page may hold many drawings."""
    used: dict[str, str] = {}
    for element in root.iter():
        for name, value in element.attrib.items():
            found = re.fullmatch(r"#(.+)" if name == "href" else r"url\(#(.+)\)", value)
            if found:
                fresh = used.setdefault(found[1], f"{ident}-{len(used)}")
                element.set(name, value.replace(found[1], fresh))
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old in used:
            element.set("id", used[old])


def _flatten(element: ElementTree.Element) -> None:
    """Groups that say nothing give way to what is in them; groups and definitions that are empty go."""
    children: list[ElementTree.Element] = []
    for child in element:
        _flatten(child)
        if child.tag in ("g", "defs") and len(child) == 0:
            continue
        children.extend(child if child.tag == "g" and not child.attrib else [child])
    for child in list(element):
        element.remove(child)
    element.extend(children)
