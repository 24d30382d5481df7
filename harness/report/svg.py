"""SVG that fits into a page: no namespaces, no foreign ids, no outside references, colours of the page."""

import re
from html import escape

INK, FAINT, GROUND_COLOUR = "#010203", "#020304", "#030405"
SERIES = ("#010a01", "#010a02", "#010a03", "#010a04")
"""Colours that stand for the page's own, which differ by light and dark scheme."""
_PAGE = {
    INK: "currentColor",
    FAINT: "var(--line)",
    GROUND_COLOUR: "var(--paper)",
    **{colour: f"var(--series-{k})" for k, colour in enumerate(SERIES, start=1)},
}


def inlined(text: str, *, name: str, title: str, description: str = "") -> str:
    """Return the root element of an SVG file of Matplotlib's or schemdraw's, ready to stand in an HTML page.

    Ids begin with `name`, which is unique in the page; assistive technology reads `title` and `description`.
    """
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<defs>\s*</defs>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r'font: (?:\w+ )*?([\d.]+)px [^;"]+', r"font-size: \1px", body)
    body = re.sub(r' font-family="[^"]*"', "", body).replace("xlink:href", "href")
    body = _own_ids(body, name)
    for colour, own in _PAGE.items():
        body = re.sub(rf'(fill|stroke)="{colour}"', rf'style="\1: {own}"', body).replace(colour, own)
    root, _, rest = body.partition(">")
    (box,) = re.findall(r'viewBox="([^"]*)"', root)
    width, height = (float(part) for part in box.split()[2:])
    told = f"<title>{escape(title)}</title>" + (f"<desc>{escape(description)}</desc>" if description else "")
    opened = f'<svg role="img" viewBox="{box}" width="{width:.0f}" height="{height:.0f}">'
    return opened + told + re.sub(r">\s+<", "><", rest).strip()


def _own_ids(body: str, name: str) -> str:
    """Make ids that are referred to unique in the page, and drop the others."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m.group(1)}"' if m.group(1) in used else "", body)
    return re.sub(r'(href="#|url\(#)([^")]+)', rf"\g<1>{name}-\g<2>", body)
