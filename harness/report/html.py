"""Small pieces of HTML; every text is escaped here and only here."""

from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def safe(text: object) -> Markup:
    """Return a text as HTML; markup stays what it is."""
    return text if isinstance(text, Markup) else Markup(escape(str(text)))


def element(tag: str, *content: object, **attributes: str) -> Markup:
    """Return a tag with its content; attributes are given as ``class_`` or ``aria_label``."""
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    told = "".join(f' {name}="{escape(value)}"' for name, value in names.items())
    return Markup(f"<{tag}{told}>{''.join(map(safe, content))}</{tag}>")


def joined(parts: Iterable[object]) -> Markup:
    """Return parts after each other."""
    return Markup("\n".join(map(safe, parts)))


def table(titles: Sequence[str], rows: Iterable[Sequence[object]], *, about: str, numbers: Sequence[int] = (),
          wide: Sequence[int] = (), bars: Sequence[int] = ()) -> Markup:  # fmt: skip
    """Return a table in a container of its own that scrolls; the first column heads its rows.

    The caption is `about`; columns `numbers` are set to the right, columns `wide` and `bars` hold sentences and bars.
    """
    classes = dict.fromkeys(numbers, "number") | dict.fromkeys(wide, "wide") | dict.fromkeys(bars, "bars")

    def cell(tag: str, column: int, value: object, **attributes: str) -> Markup:
        given = {"class_": classes[column]} if column in classes else {}
        return element(tag, value, **attributes, **given)

    head = element("tr", *(cell("th", k, title, scope="col") for k, title in enumerate(titles)))
    body = [
        element("tr", *(cell("td" if k else "th", k, v, **({} if k else {"scope": "row"})) for k, v in enumerate(row)))
        for row in rows
    ]
    content = element("table", element("caption", about), element("thead", head), element("tbody", *body))
    return element("div", content, class_="scroll", tabindex="0", role="region", aria_label=about)


def picture(svg: str, caption: object = "", *, kind: str = "") -> Markup:
    """Return a figure of inline SVG."""
    told = element("figcaption", caption) if caption else ""
    return element("figure", Markup(svg), told, **({"class_": kind} if kind else {}))
