"""`harness list`: parse, call, print."""

import click

from harness.cli.options import json_option
from harness.cli.terminal import OUT, print_json, table
from harness.datasets import BUILT_IN, IMAGE_SETS
from harness.experiment.packaged import packaged_experiments
from harness.experiment.runs.bench import packaged_boards
from harness.plugins import Kind, installed


@click.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the packaged experiments, the data sets, the profiles of boards, and the plug-ins of installed packages."""
    experiments, brought = packaged_experiments(), [plugin for kind in Kind for plugin in installed(kind)]
    sizes, boards = _sizes(), packaged_boards()
    if as_json:
        rows = {name: dict(zip(("samples", "channels", "classes"), size, strict=True)) for name, size in sizes.items()}
        plugins = [{**plugin.record, "hidden": plugin.hidden} for plugin in brought]
        print_json({"experiments": experiments, "data_sets": rows, "profiles": boards, "plugins": plugins})
        return
    OUT.print(table(("experiment", "what it is"), experiments.items()))
    sets = [*((name, *map(str, size)) for name, size in sizes.items()), ("csv", "your own", "columns", "labels")]
    OUT.print(table(("data set", "samples", "channels", "classes"), sets))
    OUT.print(table(("profile of a board", "tested against"), boards.items()))
    if brought:
        OUT.print(table(("plug-in", "name", "of"), ((p.kind.words, p.name, p.source) for p in brought)))
        for plugin in brought:
            if plugin.hidden:
                OUT.print(f"{plugin} is hidden by the built-in {plugin.kind.words} of that name", soft_wrap=True)


def _sizes() -> dict[str, tuple[int, int, int]]:
    """Return samples, channels and classes of each data set, without reading (or downloading) image sets."""
    tables = {name: make() for name, make in BUILT_IN.items()}
    sizes = {n: (len(t.labels), t.features.shape[1], len(t.classes)) for n, t in tables.items()}
    return sizes | {n: (s.samples, s.channels, len(s.classes)) for n, s in IMAGE_SETS.items()}
