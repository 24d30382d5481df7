"""The notebook among the tutorials runs from its first cell to its last, and its page shows what it printed."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

from tests.notebook import NOTEBOOK, executed
from tests.pages import ROOT


def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebook_hook", ROOT / "docs" / "hooks" / "notebook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_cell_runs_and_shows_what_the_file_keeps(tmp_path: Path) -> None:
    kept = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    found = executed(tmp_path)
    for old, new in zip(kept["cells"], found.cells, strict=True):
        shown = [[kind(output) for output in cell.get("outputs", [])] for cell in (old, new)]
        assert shown[0] == shown[1], new.source
        assert not any(output.get("name") == "stderr" for output in new.get("outputs", []))
    assert (tmp_path / "runs" / "iris" / "result.json").exists()


def kind(output: dict[str, object]) -> list[str]:
    data = output.get("data", {})
    assert isinstance(data, dict)
    return [str(output["output_type"]), *sorted(data)]


def test_the_page_shows_code_tables_and_pictures() -> None:
    page = hook().page_of(json.loads(NOTEBOOK.read_text(encoding="utf-8")))
    assert page.startswith("# ")
    assert "```python\nfrom harness import Experiment" in page
    assert "<img src='data:image/png;base64," in page
    assert "<table" in page
    assert "[notebook.ipynb](notebook.ipynb)" in page


def test_texts_of_outputs_are_no_markup() -> None:
    cell = {"cell_type": "code", "source": ["1"], "outputs": [{"output_type": "stream", "text": ["<b>", "```\n"]}]}
    assert hook().page_of({"cells": [cell]}) == "```python\n1\n```\n\n<pre>&lt;b&gt;```\n</pre>\n"
