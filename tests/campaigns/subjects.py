"""Files that commands read, made by the commands themselves, and the commands that read them."""

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from harness.chip.bench.profile import profile_text
from tests.campaigns import children, killing
from tests.campaigns.children import Ended

TINY = """\
name = "tiny"
[data]
set = "xor"
held_out = 0
targets = ["0 V", "4 V"]
[network]
kind = "layered"
hidden = [2]
g_unit = "10 uS"
g_max = "100 uS"
input_gain = 4
bias = ["4 V", "4 V"]
amplifier_gain = 4
shift = ["-1 V", "0 V"]
diode = { saturation_current = "10 pA", emission = 2 }
[rule]
kind = "equilibrium-propagation"
variant = "centered"
nudging = "spring"
beta = "1 uS"
[update]
kind = "sgd"
rates = [6.25e-3, 3.125e-3]
decay = 0.99
[training]
epochs = 3
batch = 2
[chip]
kind = "nodal"
"""
"""An experiment that trains in a tenth of a second."""

_IMPERFECT = """
[subset]
choose = "random"
fraction = 0.5
[variation]
spread = 0.05
stuck_at_min = 0.01
source_offset = "5 mV"
line_bit = 1
temperature = 50
[programming]
law = "exponential"
pulses = 64
nonlinearity_up = 1.5
on_off_ratio = 20
mode = "verify"
[imperfect]
adc_bits = 10
adc_range = "12 V"
read_noise = "1 mV"
drift = 0.01
"""
_GRAPH = """\
name = "edges"
[data]
set = "xor"
held_out = 0
targets = ["0 V", "1 V"]
[network]
kind = "graph"
shape = "file"
file = "edges.csv"
inputs = ["a", "b"]
rails = { "c" = "4 V", "d" = "-4 V" }
outputs = ["e", "f"]
input_gain = 4
g_unit = "100 uS"
g_min = "0.1 uS"
g_max = "1 mS"
diode = { saturation_current = "10 pA", emission = 1 }
[rule]
kind = "equilibrium-propagation"
nudging = "current"
beta = "1 uS"
[update]
kind = "adam"
rates = [3e-2]
[training]
epochs = 1
batch = 4
[chip]
kind = "nodal"
"""
_CASCADE = """\
name = "tiny-cascade"
[data]
set = "xor"
held_out = 0
targets = ["-1 V", "1 V"]
[network]
kind = "cascade"
hidden = [3]
g_unit = "10 uS"
g_max = "100 uS"
input_gain = 5
bias = ["5 V", "5 V"]
buffer_gain = [4]
diode = { saturation_current = "1 nA", emission = 1 }
[rule]
kind = "hardware-linearization"
[update]
kind = "adam"
rates = [3e-2]
[training]
epochs = 1
batch = 4
[chip]
kind = "nodal"
"""
_SUITE = """\
[suite]
experiment = "tiny.toml"
seeds = 1
[[case]]
name = "as it is"
[case.bands]
test_accuracy = { below = 0.5, at_least = 0.1 }
phases = { within = 0.1, relative = true }
[[case]]
name = "few bits"
set = { "imperfect.adc_bits" = 8, "imperfect.adc_range" = "10 V" }
practice = 1
samples = 2
[case.bands]
gradient_cosine = { below = 0.5 }
voltage_error = { above = "1 V" }
"""
_MASKED = TINY + '[subset]\nchoose = "mask"\nfile = "mask.npz"\n'
_FOUNDRY = """\
cell = "my_cell"
library = "mine.lib"
source = "made up"
instance = "x{cell}"
terminals = [{ name = "A", net = "word" }, { name = "B", net = "bit" }]
[parameters]
r = "r"
scale = "2 * g"
"""


class BrokenCampaignError(Exception):
    """A command that has to succeed before anything can be told has failed."""


_LARGE = 1 << 30
"""Size of files that are not looked into, bytes."""


@dataclass(frozen=True)
class Subject:
    """Files of one kind and the commands that read them."""

    files: Mapping[str, bytes]
    """By their paths in the folder of a case."""
    targets: Sequence[str]
    """Those that are damaged."""
    commands: Sequence[str]
    """Words after ``harness``; TARGET is the damaged file, RUN the folder that it is in, OF the experiment about it."""
    seal: Callable[[dict[str, bytes]], dict[str, bytes]] = lambda files: files
    """Makes hashes in the files true again after the damage; applied in two of three cases."""


def made_by(folder: Path, *commands: str, **how: object) -> None:
    """Run commands that have to succeed in a folder."""
    for command in commands:
        ended = children.run(command.split(), folder, limits=children.Limits(60.0, 300.0), **how)
        if ended.code != 0:
            raise BrokenCampaignError(
                f"harness {command}: exit code {ended.code}, signal {ended.signal}: {ended.err[-2000:]}"
            )


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file under a folder by its path in it; locks and huge files are left out."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.stat().st_size < _LARGE}


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder hold these files and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


class Subjects:
    """The subjects of every kind, made when they are first asked for in a scratch folder."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self.subject = cache(self._subject)
        self.undisturbed: dict[str, tuple[Ended, dict[str, bytes]]] = {}
        """How commands end, and what they leave, by their words; filled by the campaigns."""

    def _subject(self, kind: str) -> Subject:
        made: Subject = getattr(self, "_" + kind.replace("-", "_").replace(".", "_"))()
        return made

    def _made(self, name: str, files: Mapping[str, str], *commands: str) -> dict[str, bytes]:
        folder = self._scratch / name
        put(folder, {path: text.encode() for path, text in files.items()})
        made_by(folder, *commands)
        return content_of(folder)

    def _experiment(self) -> Subject:
        edges = "a,b,conductance,diode\n" + "".join(f"{edge}\n" for edge in _EDGES)
        files = self._made("experiment", {"tiny.toml": TINY})
        more = {
            "suite.toml": _SUITE,
            "imperfect.toml": TINY + _IMPERFECT,
            "graph.toml": _GRAPH,
            "edges.csv": edges,
            "cascade.toml": _CASCADE,
        }
        files |= {name: text.encode() for name, text in more.items()}
        return Subject(
            files,
            ["tiny.toml", "tiny.toml", "imperfect.toml", "imperfect.toml", "graph.toml", "cascade.toml"],
            [
                *("conductances export TARGET --to out.csv", "check TARGET --chip nodal --samples 1"),
                *("train TARGET --run out", "export TARGET --to out --samples 0", "show TARGET --to out.svg"),
            ],
        )

    def _edges(self) -> Subject:
        return Subject(
            self._subject("experiment").files,
            ["edges.csv"],
            ["conductances export graph.toml --to out.csv", "train graph.toml --run out"],
        )

    def _suite(self) -> Subject:
        files = self._made(
            "suite", {"tiny.toml": TINY, "suite.toml": _SUITE}, "regress suite.toml --update --reason first --workers 1"
        )
        return Subject(
            files, ["suite.toml"], ["regress suite.toml --list", "regress suite.toml --workers 1 --junit out.xml"]
        )

    def _golden(self) -> Subject:
        commands = ["regress suite.toml --workers 1", "regress suite.toml --update --reason again --workers 1"]
        return Subject(self.subject("suite").files, ["suite.golden.json"], commands)

    def _run_files(self) -> dict[str, bytes]:
        """A complete run, and one that was killed after its first epoch."""
        folder = self._scratch / "runs"
        put(folder, {"tiny.toml": TINY.encode()})
        made_by(folder, "train tiny.toml --run run")
        children.run(["train", "tiny.toml", "--run", "begun"], folder, before=_dies_in_the_second_epoch)
        return content_of(folder)

    def _run(self, *targets: str) -> Subject:
        files = self._run_files()
        if "begun/checkpoint.npz" not in files or "begun/result.json" in files:
            raise BrokenCampaignError("no run that was begun and not ended")
        commands = [
            *("evaluate RUN", "train --resume RUN", "conductances export RUN --to out.csv", "check RUN --chip nodal"),
            *("export RUN --to out --samples 0", "report RUN --to out.html", "show RUN --to out.svg"),
            *("audit RUN --chip nodal --samples 1",),
        ]
        return Subject(files, [f"{run}/{name}" for run in ("run", "begun") for name in targets], commands)

    def _run_experiment(self) -> Subject:
        return self._run("experiment.toml")

    def _run_manifest(self) -> Subject:
        return self._run("manifest.json")

    def _run_result(self) -> Subject:
        subject = self._run("result.json")
        return Subject(
            subject.files,
            ["run/result.json"],
            [*subject.commands[:4], "sweep RUN --over rule.beta=1e-6 --deploy --to out --workers 1"],
        )

    def _run_tables(self) -> Subject:
        subject = self._run("steps.csv", "epochs.csv")
        return Subject(
            subject.files, subject.targets, ["train --resume RUN", "report RUN --to out.html", "evaluate RUN"]
        )

    def _run_checkpoint(self) -> Subject:
        return self._run("checkpoint.npz")

    def _run_conductances(self) -> Subject:
        subject = self._run("conductances.npz")
        return Subject(subject.files, ["run/conductances.npz"], subject.commands)

    def _cells(self) -> Subject:
        folder = self._scratch / "cells"
        put(folder, self._run_files())
        made_by(folder, "conductances export run --to cells.csv", "conductances export run --to cells.npz")
        commands = ["conductances import run TARGET --to out", "conductances import run TARGET --to out --clip"]
        return Subject(content_of(folder), ["cells.csv", "cells.npz"], commands)

    def _weights(self) -> Subject:
        rng = np.random.default_rng(0)
        folder = self._scratch / "weights"
        put(folder, {"cascade.toml": _CASCADE.encode()})
        shapes = {"weights_0": (2, 3), "biases_0": (3,), "weights_1": (3, 2), "biases_1": (2,)}
        np.savez(folder / "weights.npz", **{name: rng.normal(size=shape) for name, shape in shapes.items()})
        return Subject(content_of(folder), ["weights.npz"], ["import-mlp weights.npz --into cascade.toml --run out"])

    def _mask(self) -> Subject:
        folder = self._scratch / "mask"
        put(folder, {"tiny.toml": TINY.encode(), "masked.toml": _MASKED.encode()})
        made_by(folder, "conductances export tiny.toml --to cells.npz")
        with np.load(folder / "cells.npz") as cells:
            arrays = {n.removesuffix(".siemens"): cells[n] for n in cells.files if n.endswith(".siemens")}
        np.savez(folder / "mask.npz", **{name: np.arange(g.size).reshape(g.shape) % 2 for name, g in arrays.items()})
        return Subject(content_of(folder), ["mask.npz"], ["train masked.toml --run out"])

    def _data(self) -> Subject:
        rng = np.random.default_rng(1)
        rows = [f"{a:.3f},{b:.2f},{'yes' if a > b else 'no'}\n" for a, b in rng.normal(size=(12, 2))]
        classes = TINY.replace(
            'set = "xor"\nheld_out = 0', 'set = "csv"\nfile = "rows.csv"\nlabel = "kind"\nheld_out = 0.3'
        )
        values = classes.replace('label = "kind"', 'values = ["v"]').replace('targets = ["0 V", "4 V"]\n', "")
        table = [f"{a:.3f},{b:.2f},{a - b:.3f}\n" for a, b in rng.normal(size=(12, 2))]
        text = {
            "rows.csv": "a,b,kind\n" + "".join(rows),
            "values.csv": "a,b,v\n" + "".join(table),
            "classes.toml": classes,
            "values.toml": values.replace("rows.csv", "values.csv"),
        }
        files = {name: content.encode() for name, content in text.items()}
        commands = ["conductances export OF --to out.csv", "check OF --chip nodal --samples 1", "train OF --run out"]
        return Subject(files, ["rows.csv", "rows.csv", "values.csv"], commands)

    def _pulses(self) -> Subject:
        conductance = [5e-6 + 1e-6 * (1 - 0.9**k) * 10 for k in range(20)]
        up = [f"{k},{g!r},up\n" for k, g in enumerate(conductance)]
        down = [f"{20 + k},{g!r},down\n" for k, g in enumerate(reversed(conductance))]
        programmed = TINY + '[programming]\nfile = "pulses.csv"\n'
        files = {"pulses.csv": "pulse,conductance,direction\n" + "".join(up + down), "programmed.toml": programmed}
        commands = [
            *("devices import pulses.csv --to out.svg", "conductances export programmed.toml --to out.csv"),
            *("train programmed.toml --run out", "show device pulses.csv --to out.svg"),
        ]
        return Subject({name: text.encode() for name, text in files.items()}, ["pulses.csv"], commands)

    def _package(self) -> Subject:
        files = self._made("package", {"tiny.toml": TINY}, "export tiny.toml --to package --samples 0 --tile 4x4")
        targets = [name for name in files if name.startswith("package/") and name.endswith(".cir")]
        return Subject(files, targets, ["verify package", "report package --to out.html"], _with_hashes)

    def _package_papers(self) -> Subject:
        subject = self.subject("package")
        targets = [name for name in subject.files if name.startswith("package/") and not name.endswith((".cir", ".md"))]
        return Subject(subject.files, targets, subject.commands, _with_hashes)

    def _other_packages(self) -> Subject:
        names = ("cdl", "spectre", "xyce")
        exports = (f"export tiny.toml --to package-{name} --dialect {name}" for name in names)
        return Subject(
            self._made("packages", {"tiny.toml": TINY}, *exports), [], [f"verify package-{name}" for name in names]
        )

    def _sweep(self) -> Subject:
        sweep = "sweep tiny.toml --over rule.beta=1e-7,1e-6 --set training.epochs=1 --workers 1 --to sweep"
        files = self._made("sweep", {"tiny.toml": TINY}, sweep)
        return Subject(files, ["sweep/sweep.json"], ["sweep --resume sweep --workers 1"])

    def _foundry(self) -> Subject:
        files = {"tiny.toml": TINY.encode(), "foundry.toml": _FOUNDRY.encode()}
        return Subject(files, ["foundry.toml"], ["export tiny.toml --cells foundry.toml --to out --samples 0"])

    def _cassette(self) -> Subject:
        return self._session("cassette.jsonl")

    def _profile(self) -> Subject:
        return self._session("profile.toml")

    def _calibration(self) -> Subject:
        return self._session("calibration.toml")

    def _session(self, target: str) -> Subject:
        """A training on a served board, which is replayed: no damaged address is ever opened."""
        folder = self._scratch / "bench"
        profile = profile_text("virtual") + '\n[calibration]\nfile = "calibration.toml"\n'
        put(folder, {"tiny.toml": TINY.encode(), "mine.toml": profile.encode()})
        serve = [sys.executable, "-m", "harness", "bench", "serve", "tiny.toml", "--port", "0", "--json"]
        with subprocess.Popen(serve, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as board:
            try:
                assert board.stdout is not None
                address = json.loads(board.stdout.readline())["resource"]
                made_by(
                    folder,
                    f"bench calibrate mine.toml tiny.toml --resource {address}",
                    f"train tiny.toml --profile mine.toml --set chip.resource={address} --run run",
                )
            finally:
                board.terminate()
        session = "run/bench/session-1/"
        return Subject(content_of(folder), [session + target], [f"train --replay {session}cassette.jsonl --run out"])

    def _images(self) -> Subject:
        """KMNIST's files, whose packing is told by size and balance alone."""
        files = {}
        for name, count in (("train", 60_000), ("t10k", 10_000)):
            images = bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4) for n in (count, 28, 28)) + bytes(count * 784)
            labels = bytes((0, 0, 8, 1)) + count.to_bytes(4) + bytes(k % 10 for k in range(count))
            files[f"images/{name}-images-idx3-ubyte.gz"] = gzip.compress(images, 1)
            files[f"images/{name}-labels-idx1-ubyte.gz"] = gzip.compress(labels, 1)
        tiny = TINY.replace('set = "xor"\nheld_out = 0', 'set = "kmnist"').replace("hidden = [2]", "hidden = [1]")
        commands = ["conductances export kmnist.toml --data-dir images --to out.csv"]
        return Subject({"kmnist.toml": tiny.encode(), **files}, [*files, *list(files)[1::2]], commands)


def _dies_in_the_second_epoch() -> None:
    saved = []

    def found(operation: killing.Operation) -> bool:
        if len(saved) == 5:  # two batches and the end of an epoch, two batches of the next
            return True
        saved.extend([1] if operation.what == "rename" and "checkpoint.npz" in operation.path else [])
        return False

    killing.save_every_batch()
    killing.kill_when(Path.cwd(), found)


def _with_hashes(files: dict[str, bytes]) -> dict[str, bytes]:
    """A package whose manifest has the hashes of its files, as whoever sends it on purpose would make it."""
    try:
        manifest = json.loads(files["package/manifest.json"])
        for name in manifest["files"]:
            manifest["files"][name] = sha256(files[f"package/{name}"]).hexdigest()
        return {**files, "package/manifest.json": json.dumps(manifest).encode()}
    except (ValueError, KeyError, TypeError, RecursionError):  # it is the manifest that was damaged
        return files


_EDGES = (
    *("a,e,1e-4,none", "b,e,2e-4,none", "c,e,1e-4,forward", "d,f,1e-4,backward", "a,f,3e-4,none", "b,f,1e-4,none"),
    *("e,f,1e-4,none", "c,g,1e-4,both", "g,a,2e-4,none"),
)

KINDS = (
    *("experiment", "edges", "suite", "golden", "run-experiment", "run-manifest", "run-result", "run-tables"),
    *("run-checkpoint", "run-conductances", "cells", "weights", "mask", "data", "pulses", "package", "package-papers"),
    *("sweep", "foundry", "images", "cassette", "profile", "calibration"),
)
