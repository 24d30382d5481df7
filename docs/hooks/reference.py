"""The hook that adds the generated pages of the reference to the site, as virtual files."""

from typing import Any

import command_pages
import key_pages
from mkdocs.structure.files import File, Files

_MAKERS = {f"{key_pages.FOLDER}/": key_pages.pages, f"{command_pages.FOLDER}/": lambda _: command_pages.pages()}
"""What makes the pages of a folder, which the navigation names by its path with a slash at the end."""


def on_config(config: Any) -> Any:
    """Replace the folders of generated pages in the navigation by their pages; MkDocs calls it first."""
    config.nav = _with_pages(config.nav)
    return config


def _with_pages(entry: Any) -> Any:
    match entry:
        case list():
            return [_with_pages(one) for one in entry]
        case dict():
            return {title: _with_pages(below) for title, below in entry.items()}
    return list(_MAKERS[entry](())) if entry in _MAKERS else entry


def on_files(files: Files, config: Any) -> Files:
    """Add the pages; MkDocs calls it before it reads the navigation."""
    others = {file.src_uri for file in files}
    for make in _MAKERS.values():
        for path, text in make(others).items():
            files.append(File.generated(config, path, content=text))
    return files
