"""The content of ``sweep.json``, checked before any of it is believed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from harness.experiment.runs.manifest import RecordedPlugin
from harness.experiment.settings import Settings
from harness.files.reading import JsonObject
from harness.studies.sweep.deployment import Deployment
from harness.studies.sweep.points import Point, column

_Value = StrictStr | StrictInt | StrictFloat


class _RecordedPoint(BaseModel):
    name: Annotated[str, Field(strict=True, pattern=r"^[^/\x00]+$")]
    values: dict[str, _Value]
    settings: Settings
    chip: StrictInt | None = None
    control: StrictStr = ""

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.name in (".", ".."):
            raise ValueError(f"{self.name!r} is no name of a folder in the sweep")
        return self

    @property
    def point(self) -> Point:
        return Point(self.name, self.values, self.settings, self.chip, self.control)


Points = Annotated[list[_RecordedPoint], Field(min_length=1)]


class _RecordedDeployment(BaseModel):
    origins: Points
    run: Annotated[str, Field(strict=True, min_length=1, pattern=r"^[^\x00]+$")] | None
    tune: Annotated[int, Field(strict=True, ge=0)]
    train: StrictBool

    @property
    def deployment(self) -> Deployment:
        run = None if self.run is None else Path(self.run)
        return Deployment([origin.point for origin in self.origins], run, self.tune, self.train)


class _RecordedPlugins(BaseModel):
    plugins: list[RecordedPlugin] = []


class RecordedSweep(BaseModel):
    """The parts of ``sweep.json`` that are read again; the rest is for people."""

    points: Points
    random: dict[str, Any] = {}
    deployment: _RecordedDeployment | None = None

    @model_validator(mode="after")
    def _of_one_sweep(self) -> Self:
        """Refuse points that no sweep has beside each other, or whose values are not those of their settings."""
        first, names = self.points[0], [point.name for point in self.points]
        if len(set(names)) < len(names):
            raise ValueError("two points have one name")
        for point in self.points:
            if list(point.values) != list(first.values) or (point.chip is None) != (first.chip is None):
                raise ValueError(f"points {first.name} and {point.name} differ in what they have values of")
        if unknown := self.random.keys() - first.values.keys():
            raise ValueError(f"random: no point has a value of {min(unknown)}")
        if self.deployment is not None:
            seeds = {origin.settings.training.seed for origin in self.deployment.origins}
            if lacking := [p.name for p in self.points if p.settings.training.seed not in seeds]:
                raise ValueError(f"deployment: there are no conductances for the seed of point {lacking[0]}")
        _check_values([point.point for point in self.points])
        return self


def read_recorded(content: JsonObject, whose: str) -> RecordedSweep:
    """Return the sweep that a ``sweep.json`` describes.

    Args:
        content: of the file.
        whose: the sweep, for errors about plug-ins.

    Raises:
        ValidationError: a value is not what it must be.
        RunError: a plug-in that the sweep was made with is not there.
    """
    for plugin in _RecordedPlugins.model_validate(content).plugins:  # settings that name it cannot be read without it
        plugin.check(whose)
    return RecordedSweep.model_validate(content)


def _check_values(points: Sequence[Point]) -> None:
    """Refuse values that are not those of the settings beside them: they head the rows of the table."""
    for key in points[0].values:
        try:
            own = column([point.settings for point in points], key)
        except AttributeError:  # the key goes on behind a value
            raise ValueError(f"values: {key} is no key of an experiment") from None
        for point, value in zip(points, own, strict=True):
            if point.values[key] != value:
                raise ValueError(
                    f"point {point.name}: {key} is {point.values[key]!r} in its values, {value!r} in its settings"
                )
