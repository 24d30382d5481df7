"""The libraries that drivers call: scripted ones are called as the real ones, and lacking ones are named."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.chip.bench.opening import open_line
from harness.chip.bench.profile import load_profile
from harness.chip.bench.transport.arc2 import FUNCTIONS
from harness.errors import BoardError, ChipError
from harness.measurement import Access
from tests.chip.bench.libraries import ArcInstrument, DaqTask, Pyarc2
from tests.chip.bench.profiles import changed

DAQ = changed(
    load_profile("arc2"),
    identity={"protocol": "nidaqmx", "resource": "DAQ::Dev1"},
    channels={"inputs": {"x0": "ao0"}, "complements": {}, "held": {}, "outputs": {"y0": ("ai0",)}, "nodes": None},
    can={"access": Access.OUTPUTS},
)
LIBRARIES = {
    "serial": ("bench", load_profile("openmena")),
    "pyarc2": ("arc2", load_profile("arc2")),
    "nidaqmx": ("daq", DAQ),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_that_is_not_installed_is_named_with_the_extra_that_brings_it(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = LIBRARIES[library][1]
    package = {"serial": "pyserial"}.get(library, library)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(BoardError, match=rf"library {library} is not installed.*pip install .*'{package}>="):
        open_line(profile)


def test_a_library_that_is_installed_and_cannot_be_loaded_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyarc2.py").write_text("raise ImportError('libusb-1.0.so.0: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pyarc2", raising=False)
    with pytest.raises(BoardError, match=r"pyarc2 cannot be loaded \(libusb-1\.0\.so\.0"):
        open_line(load_profile("arc2"))


def parameters(function: Callable[..., object]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.mark.parametrize("name", [*FUNCTIONS, "config_channels"])
def test_the_scripted_pyarc2_has_the_signatures_of_the_real_one(name: str) -> None:
    real = pytest.importorskip("pyarc2").Instrument
    assert parameters(getattr(ArcInstrument, name)) == parameters(getattr(real, name))


def test_the_scripted_pyarc2_is_opened_as_the_real_one() -> None:
    real = pytest.importorskip("pyarc2")
    assert parameters(Pyarc2.Instrument) == parameters(real.Instrument.__init__)
    assert isinstance(real.LIBARC2_VERSION, str)
    assert list(real.find_ids()) == []


def test_the_scripted_nidaqmx_has_the_parameters_of_the_real_one() -> None:
    real = pytest.importorskip("nidaqmx")
    from nidaqmx.constants import TerminalConfiguration
    from nidaqmx.system import Device
    from nidaqmx.task.collections import AIChannelCollection, AOChannelCollection

    for scripted, function in (
        (DaqTask.write, real.Task.write),
        (DaqTask.read, real.Task.read),
        (DaqTask.add_ao_voltage_chan, AOChannelCollection.add_ao_voltage_chan),
        (DaqTask.add_ai_voltage_chan, AIChannelCollection.add_ai_voltage_chan),
    ):
        own = parameters(scripted)
        assert own == parameters(function)[: len(own)]
    assert hasattr(real.Task, "__exit__")
    assert {"DIFF", "RSE"} <= set(TerminalConfiguration.__members__)
    assert {"product_type", "serial_num"} <= set(dir(Device))


def test_instruments_that_are_not_there_are_one_sentence_with_the_real_libraries(tmp_path: Path) -> None:
    pytest.importorskip("pyarc2")
    pytest.importorskip("nidaqmx")
    firmware = tmp_path / "efm03.bin"
    firmware.write_bytes(b"")
    for profile, address, said in (
        ("arc2", f"ARC2::3::{firmware}", "ArC TWO 3: it is not connected; connected are none"),
        ("arc2", f"ARC2::0::{tmp_path}/no.bin", r"no\.bin is no file; name the firmware"),
        ("arc2", "ARC2::0", "'ARC2::0' is no address of an ArC TWO; write its number and its firmware"),
        (DAQ, "DAQ::Dev1", "Dev1: the instrument cannot be opened: DaqNotFoundError: Could not find"),
        (DAQ, "Dev1", "'Dev1' is no address of a multifunction device"),
        ("openmena", f"ASRL{tmp_path}/tty::INSTR", "/tty: the port cannot be opened: no such file or directory$"),
        ("openmena", "ASRL77::INSTR", "COM77: the port cannot be opened"),
    ):
        with pytest.raises(ChipError, match=said) as error:
            open_line(load_profile(profile) if isinstance(profile, str) else profile, address)
        assert "\n" not in str(error.value)
