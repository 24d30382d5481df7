"""A run's network on other rows, encoded as the rows that it was trained on were."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.datasets import Encoding, Split, new_rows
from harness.errors import DataError, ExperimentError, RunError
from harness.experiment.runs import manifest
from harness.experiment.settings import Settings
from harness.training.parts import own_parts
from harness.training.runs import MANIFEST, Run

if TYPE_CHECKING:  # pandas takes a quarter of a second to import
    from harness.datasets.frames import Rows

_HOW = ("label", "labels", "missing", "separator", "decimal", "encoding")
"""Keys of ``[data]`` that say how a file is written and no more; another file may need others."""


def settings_and_rows(
    run: Run, rows: "Rows", overrides: Sequence[str], fitted: Callable[[], Encoding | None]
) -> tuple[Settings, Split]:
    """The settings of a run with changes, and all rows of a file, an array or a data frame as new data.

    Overrides may be of the keys of ``[data]`` that say how the file is written; `fitted` fits the encoding to the run's
    own data again, for runs of the package's sets and of older versions.

    Raises:
        RunError: the run was edited, or nothing says how its rows were encoded.
        ExperimentError: a key or value is wrong.
        DataError: see `harness.datasets.new_rows` and `harness.datasets.frames.given_rows`.
    """
    made, wanted = manifest.settings_of(run).data, manifest.settings_of(run, overrides)
    if wanted.data.file != made.file:
        raise ExperimentError(
            f"data.file = {wanted.data.file} would have no effect: the rows are those of the new data"
            f"{f', {rows}' if isinstance(rows, str | Path) else ''}; leave data.file out, or name it as the new data"
        )
    if "data" in own_parts(run):
        raise RunError(f"run {run.path}: its data were made in Python, and no file tells how they were encoded")
    encoding = _encoding(run, fitted) if made.set == "csv" else fitted()
    if encoding is None:
        raise RunError(f"run {run.path}: its data do not tell how their rows were encoded")
    values = () if encoding.scaling is None else encoding.classes
    if made.set == "csv" and made.values != values:
        raise RunError(f"run {run.path}: 'encoding' in {MANIFEST} is of other outputs than its data.values")
    source = replace(wanted.data.csv, values=values)
    if isinstance(rows, str | Path):
        found = new_rows(replace(source, file=Path(rows)), encoding)
    else:
        from harness.datasets.frames import given_rows  # noqa: PLC0415 - see above

        found = given_rows(rows, source, encoding)
    data = wanted.data.model_copy(update={key: getattr(made, key) for key in _HOW})
    return wanted.model_copy(update={"data": data}), found


def _encoding(run: Run, fitted: Callable[[], Encoding | None]) -> Encoding | None:
    if (found := manifest.recorded_encoding(run)) is not None:
        return found
    try:
        return fitted()
    except (DataError, RunError) as error:
        raise RunError(
            f"run {run.path}: an older version made it and did not record how its rows were encoded ('encoding' in "
            f"{MANIFEST}), and its data cannot tell it any more: {error}"
        ) from error
