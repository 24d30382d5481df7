"""The notebook among the tutorials, executed as a reader would run all its cells.

`python -m tests.notebook` executes it and keeps its outputs in the file, which the site shows.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "docs" / "pages" / "tutorials" / "notebook.ipynb"
_STRICT, _USUAL = "import warnings\nwarnings.simplefilter('error')", "warnings.resetwarnings()"
"""Around the notebook's own cells: a kernel's own warnings, when it ends, are nobody's concern."""
_SECONDS = 120


def executed(folder: Path) -> nbformat.NotebookNode:
    """Return the notebook with the outputs that its cells have in an empty folder; a warning is an error.

    Raises:
        CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    before, after = nbformat.v4.new_code_cell(_STRICT), nbformat.v4.new_code_cell(_USUAL)
    notebook.cells = [before, *notebook.cells, after]
    with _own_folders(folder):
        NotebookClient(
            notebook, timeout=_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        ).execute()
    notebook.cells = notebook.cells[1:-1]
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = number
        cell.metadata.pop("execution", None)  # times of day
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
    return notebook


@contextmanager
def _own_folders(folder: Path) -> Iterator[None]:
    """Keep the kernel away from the user's settings of Jupyter and IPython."""
    own = {name: str(folder / ".jupyter") for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def main() -> None:
    """Execute the notebook and write it with its outputs."""
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(executed(Path(folder)), NOTEBOOK)


if __name__ == "__main__":
    main()
