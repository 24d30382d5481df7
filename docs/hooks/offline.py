"""The site needs no network: a page that would load a script, a style or a picture from elsewhere ends the build."""

import re
from typing import Any

from mkdocs.exceptions import PluginError

_ELSEWHERE = re.compile(
    r"""<(?:script|img|iframe|source|video)\b[^>]*\bsrc=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|preload|icon))[^>]*\bhref=["']?(?:https?:)?//[^"'\s>]+""",
    re.IGNORECASE,
)


def on_post_page(output: str, page: Any, **_: object) -> str:
    """Return a page as it is; MkDocs calls it for every page.

    Raises:
        PluginError: it would load something from elsewhere; names page and address.
    """
    if found := _ELSEWHERE.search(output):
        raise PluginError(f"{page.file.src_uri} would load from elsewhere: {found[0]}; put the file into docs/pages")
    return output
