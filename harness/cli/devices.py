"""`harness devices` and `harness show device`: parse, call, print."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from harness.cli.options import FILE, json_option, picture_form
from harness.cli.terminal import OUT, drawn, print_json
from harness.errors import CircuitError
from harness.files.reading import JsonObject
from harness.units import show
from harness.wording import did_you_mean

_CURVATURES = ("curvature_up", "curvature_down")


@click.group()
def devices() -> None:
    """Published devices, and devices of one's own from measured pulses.

    Cells are written by a device's pulses where an experiment has a [programming] section; `harness show device` draws
    published devices, measured pulses and memristor models.
    """


@devices.command("list")
@json_option
def list_devices(as_json: bool) -> None:
    """List the published devices and the memristor models, with their sources.

    Nonlinearity is NeuroSim's label, up and down, above 0 where steps shrink on the way; "not verified" names the
    figures that were not found in a source and should be looked up before they are quoted.
    """
    from harness.devices.curves import SPECIMENS  # noqa: PLC0415 - SciPy's integrators take a second to import

    rows = _rows()
    if as_json:
        print_json({"devices": rows, "models": [shown.name for shown in SPECIMENS]})
        return
    titles = ("device", "kind", "conductance", "pulses", "nonlinearity")
    table = Table(*titles, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    notes = Table(box=None, pad_edge=False, show_header=False)
    for row in rows:
        spans, pulses, bends, energy, unverified = _cells(row)
        table.add_row(row["name"], row["kind"].removeprefix("digital "), spans, pulses, bends)
        note = f"{row['paper']} ({row['year']})" if row["year"] else row["paper"]
        note += f"; {energy} a pulse" if row["energy"] is not None else ""
        notes.add_row(row["name"], note + (f"; not verified: {unverified}" if unverified else ""))
    for part in (table, notes):
        OUT.print(part, soft_wrap=False)
    OUT.print(
        f"memristor models for harness show device: {', '.join(shown.name for shown in SPECIMENS)}", soft_wrap=False
    )


@devices.command("import")
@click.argument("file", type=FILE)
@click.option("--name", help="What to call the device [default: the file's name].")
@click.option(
    "--to", "picture", type=FILE, help="Picture of the data and the fit: FILE.png or FILE.svg [default: NAME.png]."
)
@click.option(
    "--noise",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Largest step against its direction, as a fraction of the measured range; training allows 0.1.",
)
@json_option
def import_device(file: Path, name: str | None, picture: Path | None, noise: float, as_json: bool) -> None:
    """Fit the update law to the measured pulses in FILE and say how well it fits.

    FILE is CSV with a row for each pulse and columns pulse (a rising count), conductance (S, or with a unit, as in
    12.5 µS or in the heading "conductance (uS)") and direction (up or down, SET or RESET). Prints the [programming]
    section that trains with it.
    """
    from harness.devices.measured import fit, read_curves  # noqa: PLC0415
    from harness.devices.pulses import label_of_curvature  # noqa: PLC0415

    def draw() -> bytes:
        from harness.pictures.devices import draw_measured  # noqa: PLC0415 - matplotlib takes a second to import

        return draw_measured(curves, found, name or "", format=form)

    name = name or file.stem
    target = picture or Path(f"{name}.png")
    form = picture_form(target)
    found, curves = fit(file, noise), read_curves(file, noise)
    done = drawn(target, draw)
    law, (low, high) = found.response, found.response.bounds
    labels = {end: label_of_curvature(getattr(law, f"curvature_{end}")) for end in ("up", "down")}
    section = f'[programming]\nfile = {json.dumps(str(file), ensure_ascii=False)}\nrange = "device"\nmode = "open-loop"'
    if as_json:
        fitted = {key: value for key, value in asdict(law).items() if key not in _CURVATURES}
        shown = {**fitted, "nonlinearity_up": labels["up"], "nonlinearity_down": labels["down"]}
        errors = {"rms_error": found.rms_error, "rms_error_S": found.rms_error * (high - low)}
        about = {"name": name, "curves": len(curves), "rows": sum(curve.pulses.size for curve in curves)}
        scatter = {"cycle_to_cycle": found.cycle_to_cycle}
        print_json(
            {**about, **shown, **errors, **scatter, "picture": str(target) if done else None, "section": section}
        )
        return
    table = Table("figure", "value", title=name, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_row("conductance", f"{show(low, 'S')} … {show(high, 'S')}")
    table.add_row("pulses up, down", f"{law.pulses_up:g}, {law.pulses_down:g}")
    table.add_row("nonlinearity up, down", f"{labels['up']:.2f}, {labels['down']:.2f}")
    table.add_row(
        "rms error of the fit",
        f"{100 * found.rms_error:.2g} % of the range, {show(found.rms_error * (high - low), 'S')}",
    )
    table.add_row("cycle to cycle, with read noise", f"{100 * found.cycle_to_cycle:.2g} % of the range")
    OUT.print(table)
    wrote = f"wrote {target}; an" if done else "an"
    OUT.print(f"{wrote} experiment trains with this device by\n\n{section}\n")
    reach = f"{show(low, 'S')} to {show(high, 'S')}"
    own = "its own g_min, g_max and g_unit do not count"
    OUT.print(f"Its cells then reach from {reach}, and fresh ones are spread over that: {own}.", soft_wrap=False)


def draw_device(subject: str, form: Literal["png", "svg"]) -> bytes:
    """Return the picture of a published device, a CSV file of measured pulses or a memristor model.

    Raises:
        CircuitError: no such device; says which there are.
        DataError: a file that cannot be used.
    """
    from harness.devices.curves import SPECIMENS, specimen  # noqa: PLC0415
    from harness.devices.measured import fit, read_curves  # noqa: PLC0415
    from harness.devices.presets import POTENTIOMETERS, PRESETS, preset  # noqa: PLC0415
    from harness.pictures import devices as drawing  # noqa: PLC0415 - matplotlib takes a second to import

    path, models = Path(subject), [shown.name for shown in SPECIMENS]
    published = [device.name for device in PRESETS] + [device.name for device in POTENTIOMETERS]
    if path.suffix.casefold() == ".csv":
        return drawing.draw_measured(read_curves(path), fit(path), path.stem, format=form)
    if subject.casefold() in models:
        return drawing.draw_memristor(specimen(subject), format=form)
    if subject.casefold() not in map(str.casefold, published):
        meant = did_you_mean(subject, [*published, *models], or_list=True)
        raise CircuitError(f"there is no device {subject!r}{meant} (a file of measured pulses ends in .csv)")
    return drawing.draw_published(preset(subject), format=form)


def _rows() -> list[JsonObject]:
    """Return what the table and `--json` say of every published device, in SI units."""
    from harness.devices.presets import POTENTIOMETERS, PRESETS  # noqa: PLC0415

    rows: list[JsonObject] = []
    for device in PRESETS:
        row = {key: value for key, value in asdict(device).items() if key != "device_type"}
        rows.append({"name": device.name, "kind": str(device.device_type), **row})
    for pot in POTENTIOMETERS:
        low, high = pot.response().bounds
        ends = {"g_min": low, "g_max": high, "pulses_up": pot.positions - 1, "pulses_down": pot.positions - 1}
        none = dict.fromkeys(("year", "nonlinearity_up", "nonlinearity_down", "energy"))
        about = {"name": pot.name, "kind": str(pot.device_type), "paper": pot.datasheet}
        rows.append({**about, **ends, **none, "verified": pot.verified, "unverified": pot.unverified})
    return rows


def _cells(row: JsonObject) -> tuple[str, str, str, str, str]:
    """Return conductance, pulses, nonlinearity, energy and unverified figures as texts."""
    low, high = row["g_min"], row["g_max"]
    spans = "–" if low is None else f"{show(low, 'S')} … {show(high, 'S')}"
    labels = row["nonlinearity_up"], row["nonlinearity_down"]
    bends = "–" if None in labels else f"{labels[0]:.3g}, {labels[1]:.3g}"
    energy = "–" if row["energy"] is None else show(row["energy"], "J")
    return spans, f"{row['pulses_up']:.0f}, {row['pulses_down']:.0f}", bends, energy, ", ".join(row["unverified"])
