"""The notebook among the tutorials as a page of the site: its cells, with the outputs that the file keeps."""

import html
import json
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

NOTEBOOK = "tutorials/notebook.ipynb"


def on_files(files: Files, config: Any) -> Files:
    """Add the page of the notebook; the file itself stays beside it, to be downloaded. MkDocs calls it once."""
    notebook = json.loads((Path(config["docs_dir"]) / NOTEBOOK).read_text(encoding="utf-8"))
    files.append(File.generated(config, NOTEBOOK.replace(".ipynb", ".md"), content=page_of(notebook)))
    return files


def page_of(notebook: dict[str, Any]) -> str:
    """Return a notebook's cells and their outputs as Markdown."""
    return "\n\n".join(filter(None, map(_cell, notebook["cells"]))) + "\n"


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source
    return "\n\n".join([f"```python\n{source}\n```", *filter(None, map(_output, cell["outputs"]))])


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return (
            f"<img src='data:image/png;base64,{''.join(data['image/png']).strip()}' alt='Picture that the cell drew'>"
        )
    if "text/html" in data:
        return f"<div class='output'>\n{''.join(data['text/html'])}\n</div>"
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"<pre>{html.escape(text)}</pre>" if text else ""
