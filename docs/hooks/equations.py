r"""Equations in MathML, made when the site is built: browsers draw them without a script or a font from elsewhere.

Pages write TeX between dollar signs: ``$\beta$`` in a line, ``$$ … $$`` on lines of their own.
"""

import html
import re
from typing import Any

from math_core import LatexError, LatexToMathML
from mkdocs.exceptions import PluginError

_FOUND = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)
_CONVERTER = LatexToMathML(fancy_error=False)


def on_page_content(content: str, page: Any, **_: object) -> str:
    """Replace the TeX of a page by MathML; MkDocs calls it for every page.

    Raises:
        PluginError: TeX that cannot be read; names the page.
    """

    def mathml(found: re.Match[str]) -> str:
        tag, tex = found[1], html.unescape(found[2]).strip()[2:-2]  # without \( \) or \[ \]
        try:
            return _CONVERTER.convert_with_local_state(tex, displaystyle=tag == "div")
        except LatexError as error:
            raise PluginError(f"{page.file.src_uri}: the equation {tex.strip()!r} cannot be read: {error}") from error

    return _FOUND.sub(mathml, content)
