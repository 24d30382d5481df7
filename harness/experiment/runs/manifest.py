"""The ``manifest.json`` in which a run records itself, and checks that it still holds.

The manifest keeps the settings that the run was made with, hashes of its data and of the other files that it read, and
the parts that trained it (`harness.training.parts`). An experiment.toml that was edited afterwards, or data that have
changed, are found by comparison and refused: what the run reached was not reached with them.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError, model_validator

from harness.chip.ngspice.session import open_session
from harness.datasets import Encoding, Scaling, Split
from harness.errors import RunError
from harness.experiment.settings import PLACES, Settings, differences, leaves, read_settings
from harness.files.reading import TABLE_LIMIT, JsonObject, read_bytes, read_text
from harness.plugins import Kind, installed
from harness.processes.versions import versions
from harness.training.runs import MANIFEST, Run
from harness.validation import first_finding
from harness.wording import command

TRAINED = ("data", "network")
"""Sections that no change of a trained network touches."""


class RecordedEncoding(BaseModel):
    """The encoding of a file of one's own (`harness.datasets.Encoding`); a width of null is infinite."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    channels: tuple[StrictStr, ...]
    filling: tuple[float, ...]
    centre: tuple[float, ...]
    width: tuple[float | None, ...]
    classes: tuple[StrictStr, ...]
    levels: tuple[float, float]
    offset: tuple[float, ...] | None = None
    per_volt: tuple[float, ...] | None = None

    @classmethod
    def of(cls, fitted: Encoding) -> "RecordedEncoding":
        """An encoding as a manifest keeps it."""
        scaling = fitted.scaling
        return cls(
            channels=fitted.channels,
            filling=fitted.filling.tolist(),
            centre=fitted.centre.tolist(),
            width=[None if np.isinf(width) else width for width in fitted.width.tolist()],
            classes=fitted.classes,
            levels=fitted.levels,
            offset=None if scaling is None else scaling.offset.tolist(),
            per_volt=None if scaling is None else scaling.per_volt.tolist(),
        )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Refuse lists that do not have an entry for every input, or for every value."""
        inputs = {len(self.channels), len(set(self.channels)), len(self.filling), len(self.centre), len(self.width)}
        outputs = {len(each) for each in (self.classes, self.offset, self.per_volt) if each is not None}
        if len(inputs) > 1 or len(outputs) > 1 or (self.offset is None) != (self.per_volt is None):
            raise ValueError("its lists differ in length")
        if not all(size is None or size > 0 for size in (*self.width, *(self.per_volt or ()))):
            raise ValueError("a volt is no more than 0 of an input or value")
        return self

    def encoding(self) -> Encoding:
        """The encoding, bit for bit as it was fitted."""
        scaling = None if self.offset is None else Scaling(np.array(self.offset), np.array(self.per_volt))
        width = np.array([np.inf if width is None else width for width in self.width])
        numbers = np.array(self.filling), np.array(self.centre), width
        return Encoding(self.channels, *numbers, self.classes, self.levels, scaling)

    def sha256(self) -> str:
        """Return the SHA-256 of the encoding."""
        return sha256(self.model_dump_json().encode()).hexdigest()


class RecordedPlugin(BaseModel):
    """A plug-in of another package, as a run records it."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    name: StrictStr
    distribution: StrictStr | None = None
    """None where Python code had registered it."""
    version: StrictStr | None = None

    def check(self, whose: str) -> None:
        """Refuse to go on with what was made with it, such as ``"run a"``, where it is not there or another package's.

        Raises:
            RunError: says what to install.
        """
        there = [plugin for plugin in installed(self.kind) if plugin.name == self.name]
        if self.distribution in (plugin.distribution for plugin in there):
            return
        what = f"{whose}: it was made with the {self.kind.words} {self.name!r}"
        if self.distribution is None:
            raise RunError(f"{what}, which a Python program had registered; open it there, after harness.register(…)")
        instead = f" (here {there[0].source} offers the name)" if there else ""
        pinned = f"'{self.distribution}=={self.version}'" if self.version else self.distribution
        raise RunError(
            f"{what} of {self.distribution} {self.version or ''}, which is not installed{instead}; install it with: "
            f"pip install {pinned}"
        )


class Recorded(BaseModel):
    """The part of a manifest that is believed later; older runs lack what has a default."""

    model_config = ConfigDict(frozen=True)

    experiment: StrictStr
    seed: StrictInt
    chip: JsonObject
    versions: dict[str, str]
    netlist_sha256: StrictStr
    data_sha256: StrictStr
    encoding: RecordedEncoding | None = None
    encoding_sha256: StrictStr | None = None
    settings: JsonObject | None = None
    files: dict[str, str] = {}
    own: tuple[str, ...] = ()
    plugins: tuple[RecordedPlugin, ...] = ()


def recorded(run: Run) -> Recorded:
    """The manifest of a run.

    Raises:
        RunError: it is damaged, or lacks a key.
    """
    try:
        return Recorded.model_validate(run.manifest)
    except ValidationError as error:
        first = error.errors()[0]
        key, why = ".".join(map(str, first["loc"])), "is missing" if first["type"] == "missing" else "is no such value"
        raise RunError(f"{run.path / MANIFEST} is damaged, or no run's: key {key!r} {why}") from error


def manifest_of(settings: Settings, data: Split, netlist: str, parts: JsonObject) -> JsonObject:
    """Return what a run needs to be repeated: versions, seed, tolerances, settings, and hashes of what it is made from.

    `netlist` is the hash of the full one, with the initial conductances; `parts` describe what will train it
    (`harness.training.parts`), data included.

    Raises:
        RunError: a file that the settings name cannot be read.
        NgspiceMissing: the experiment wants ngspice, and it cannot be loaded.
    """
    return {
        "experiment": settings.name,
        "seed": settings.training.seed,
        "chip": settings.chip.recorded(),
        "versions": versions_of(settings),
        "netlist_sha256": netlist,
        "data_sha256": parts["data"],
        **(_recorded_encoding(data) if settings.data.set == "csv" else {}),
        "files": _hashes(settings),
        "settings": settings.model_dump(mode="json", exclude_none=True),
        "parts": dict(parts),
        **({"plugins": [plugin.record for plugin in settings.plugins]} if settings.plugins else {}),
    }


def hash_of(netlist: str) -> str:
    """Return the hash of a netlist."""
    return sha256(netlist.encode()).hexdigest()


def _recorded_encoding(data: Split) -> JsonObject:
    if data.encoding is None:
        return {}
    kept = RecordedEncoding.of(data.encoding)
    return {"encoding": kept.model_dump(mode="json", exclude_none=True), "encoding_sha256": kept.sha256()}


def versions_of(settings: Settings) -> dict[str, str]:
    """Versions of all that decides a run's bits.

    Raises:
        NgspiceMissing: the experiment wants ngspice, and it cannot be loaded.
    """
    brought = {plugin.distribution: plugin.version or "" for plugin in settings.plugins if plugin.distribution}
    return versions() | settings.chip.versions() | brought


def _hashes(settings: Settings) -> dict[str, str]:
    """SHA-256 of the files besides the data that the settings name, by key."""
    named = {key: file for key, file in settings.files.items() if key != "data.file" and key not in PLACES}
    return {key: sha256(read_bytes(file, RunError, most=TABLE_LIMIT)).hexdigest() for key, file in named.items()}


def settings_of(run: Run, overrides: Sequence[str] = ()) -> Settings:
    """The settings of a run as it was made, with changes; seeds that it took from training.seed stay as they were.

    Raises:
        RunError: ``experiment.toml`` is missing, or was edited since the run was made; names the key and both values.
        ExperimentError: a key or value is wrong.
    """
    for plugin in recorded(run).plugins:
        plugin.check(f"run {run.path}")
    text = read_text(run.experiment, RunError)
    settings = read_settings(text, str(run.experiment), folder=run.path)
    check_settings(run, settings)
    if not overrides:
        return settings
    pins = [f"{section}.seed={seed}" for section, seed in settings.seeds.items()]
    return read_settings(text, str(run.experiment), [*pins, *overrides], run.path)


def _chosen(settings: Settings) -> set[str]:
    """Return the keys that a run of such settings chooses: those that are open, and those that its device replaces."""
    replaced = settings.programming.chosen if settings.programming else frozenset[str]()
    return {key for key, value in leaves(settings.model_dump()) if value is None} | replaced | settings.rule.chosen


def check_settings(run: Run, settings: Settings, *, before: bool = False) -> None:
    """Refuse settings that are not those that a run was made with.

    With `before`, they are from before the run was made, which then chose what they leave open, such as β, and took the
    conductances of its device.

    Raises:
        RunError: a key differs, or a file that the settings name holds something else.
    """
    then = recorded(run)
    if then.settings is None:
        _check_old(run, then, settings)
        return
    chosen = _chosen(settings) if before else set()
    for key, (old, new) in differences(made_with(run, then), settings).items():
        if not _is_file(key) and key not in chosen:
            raise RunError(
                f"run {run.path}: {key} is {new}, but the run was made with {old}; put {run.experiment.name} back as "
                f"it was, or change it on purpose with 'harness train --from {run.path} --set {key}=…'"
            )
    _check_files(run, then, settings)


def check_trained(run: Run, settings: Settings, sections: Sequence[str] = TRAINED) -> None:
    """Refuse settings of another network or of other data than those that a run was made with.

    The `sections` must be the same, seeds included that they take from training.seed; others may differ.

    Raises:
        RunError: a key differs, or a file that the settings name holds something else.
    """
    then = recorded(run)
    made = made_with(run, then)
    for key, (old, new) in differences(made.pinned(), settings.pinned(), sections).items():
        if not _is_file(key):
            what = "another network than the trained one" if key.startswith("network.") else "other data"
            raise RunError(
                f"run {run.path}: {key} = {new} would make {what} (the run was made with {old}); train a new one"
            )
    _check_files(run, then, settings)


def changes_of(run: Run, settings: Settings) -> dict[str, str]:
    """Return the values that differ from the settings of a run, as people write them, by key."""
    made = made_with(run, recorded(run))
    return {key: new for key, (_, new) in differences(made.pinned(), settings.pinned()).items() if not _is_file(key)}


def _is_file(key: str) -> bool:
    """Return whether a key names a file or a board, which are compared by what they are, wherever they lie."""
    return key.partition(".")[2] == "file" or key in PLACES


def check_data(run: Run, data: Split) -> None:
    """Refuse data that are not those that a run was trained and tested on.

    Raises:
        RunError: a row, its encoding or the split differs.
    """
    then = recorded(run)
    if then.data_sha256 != data.sha256():
        new = f", or see what it makes of other rows with: {command('predict', run.path, 'FILE')}"
        raise RunError(
            f"run {run.path}: its data are not those that it was made with, so that rows which it holds out may be "
            f"rows that it was trained on (data_sha256 in {MANIFEST} differs); put the data back, train a new run"
            f"{new if then.encoding else ''}"
        )
    if then.encoding and data.encoding and RecordedEncoding.of(data.encoding) != then.encoding:
        raise RunError(
            f"run {run.path}: 'encoding' in {MANIFEST} is not how its data were encoded; it was edited or is damaged"
        )


def recorded_encoding(run: Run) -> Encoding | None:
    """Return the encoding of a run's training rows; None where an older version did not record it.

    Raises:
        RunError: it was edited.
    """
    then = recorded(run)
    if then.encoding is None:
        return None
    if then.encoding.sha256() != then.encoding_sha256:
        raise RunError(
            f"run {run.path}: 'encoding' in {MANIFEST} was edited or is damaged (encoding_sha256 differs); put it back"
        )
    return then.encoding.encoding()


def check_netlist(run: Run, settings: Settings, netlist: Callable[[], str], usual: Settings | None) -> None:
    """Refuse a netlist that is not the one that an older run, which recorded no settings, was made with.

    `netlist` makes the one with the initial conductances; `usual` is the packaged experiment of the same name, whose
    keys may tell what was edited.

    Raises:
        RunError: it differs.
    """
    then = recorded(run)
    if then.settings is None and then.netlist_sha256 != hash_of(netlist()):
        found = differences(usual, settings, ("network",)) if usual else {}
        told = "; ".join(f"{key} is {new}, and {old} in the packaged experiment" for key, (old, new) in found.items())
        raise RunError(
            f"run {run.path}: {run.experiment.name} describes another network than the run was made with "
            f"(netlist_sha256 in {MANIFEST} differs): {told or 'a key of [network] was edited'}; put it back"
        )


def check_result(run: Run) -> None:
    """Refuse a ``result.json`` that does not belong to the checkpoint and the tables beside it.

    Raises:
        RunError: it is of another experiment, or says something else than the last row of ``epochs.csv``.
    """
    result = run.result
    if result is None:
        return
    then, (_, epochs) = recorded(run), run.tables()
    last = vars(epochs[-1]) if epochs else {}
    beside = {
        "experiment": then.experiment,
        "seed": then.seed,
        "epochs": len(epochs),
        **{name: last.get(name) for name in ("test_accuracy", "test_loss")},
    }
    for key, value in beside.items():
        if result[key] != value:
            raise RunError(
                f"run {run.path}: result.json is of another run: its {key} is {result[key]!r}, but {value!r} after "
                "the files beside it; remove it and resume the run"
            )


def changes_since(run: Run, settings: Settings) -> list[str]:
    """Versions, and the linear solver, that differ from those that a run began with: its bits may differ too."""
    then = recorded(run)
    before, now = dict(then.versions), versions_of(settings)
    if (solver := then.chip.get("linear_solver")) is not None:
        before["the linear solver"], now["the linear solver"] = solver, open_session().linear_solver
    pairs = {name: (before.get(name, "none"), version) for name, version in now.items()}
    return [f"{name} {old} is now {new}" for name, (old, new) in pairs.items() if old != new]


def made_with(run: Run, then: Recorded) -> Settings:
    """The settings that a run was made with; keys that came later have their defaults.

    Older runs have them in ``experiment.toml`` alone.
    """
    if then.settings is None:
        return read_settings(read_text(run.experiment, RunError), str(run.experiment), folder=run.path)
    try:
        return Settings.model_validate(then.settings)
    except ValidationError as error:
        why = f"settings.{first_finding(error)}"
        raise RunError(f"{run.path / MANIFEST} is damaged, or of another version: {why}") from error


def _check_files(run: Run, then: Recorded, settings: Settings) -> None:
    if then.settings is None:
        return
    for key, digest in _hashes(settings).items():
        if then.files.get(key) != digest:
            raise RunError(f"run {run.path}: {key} holds something else than when the run was made; put the file back")


def _check_old(run: Run, then: Recorded, settings: Settings) -> None:
    """Refuse a run whose older manifest says otherwise."""
    chip = settings.chip.model_dump(mode="json")
    now = {"experiment": settings.name, "seed": settings.training.seed}
    pairs = {key: (getattr(then, key), value) for key, value in now.items()}
    pairs |= {f"chip.{key}": (value, chip[key]) for key, value in then.chip.items() if key in chip}
    for key, (old, new) in pairs.items():
        if old != new:
            raise RunError(
                f"run {run.path}: {run.experiment.name} is not as the run was made: {key} was {old!r} and is {new!r}"
            )
