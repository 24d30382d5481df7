"""The virtual board behind a socket: lines as they come, hosts that go, the dead-man, and other people's programs."""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import pyvisa
from pymeasure.instruments import Instrument as MeasuredInstrument
from pymeasure.instruments import SCPIMixin
from qcodes.instrument import VisaInstrument

from harness.chip.bench.virtual import connection
from harness.chip.bench.virtual.connection import Door, tcp_door
from harness.chip.bench.virtual.instrument import Instrument
from harness.chip.bench.virtual.messages import framed
from harness.chip.bench.virtual.server import Server
from harness.chip.nodal.chip import NodalChip
from harness.errors import BoardError
from harness.measurement import Drive
from tests.chip.bench.served import Host, floats, listed, network, plain_board, pulsed_board, serving, until

INPUTS = np.array([[0.3, -0.2, 0.7]])
LIST = f"SOUR:LIST 1,{listed(INPUTS)}"


@pytest.fixture
def board() -> Instrument:
    return plain_board()


@pytest.fixture
def door(board: Instrument) -> Iterator[Door]:
    with serving(board) as opened:
        yield opened


@pytest.fixture
def host(door: Door) -> Iterator[Host]:
    found = Host(door)
    yield found
    found.close()


def test_lines_may_be_split_and_merged(host: Host) -> None:
    host.send("*OPC?", "OUTP?", "*CLS", "SYST:ERR?")
    assert [host.receive() for _ in range(3)] == ["1", "0", '0,"No error"']
    for byte in b"*OPC?\r\n":
        host.send_raw(bytes([byte]))
    assert host.receive() == "1"
    host.send_raw(b"\n\n*OP")
    assert host.silent()
    host.send_raw(b"C?\nOUTP?\n*")
    assert [host.receive(), host.receive()] == ["1", "0"]


def test_readings_come_over_the_wire_to_the_bit(host: Host) -> None:
    expected = NodalChip(network()).measure([Drive(INPUTS)])[0].nodes
    assert floats(host.ask(f"{LIST};READ:NODE?")).tobytes() == expected.tobytes()


def test_frames_come_over_the_wire(host: Host) -> None:
    assert host.ask(framed(1, "OUTP?")) == framed(1, "0")
    host.send(framed(2, "OUTP?")[:-1] + "!", framed(1, "OUTP?"), framed(3, "OUTP?"), framed(3, "OUTP?"))
    assert [host.receive() for _ in range(3)] == [framed(1, "0"), framed(3, "0"), framed(3, "0")]
    assert host.silent()


def test_hostile_bytes_do_no_harm(host: Host) -> None:
    rng = np.random.default_rng(0)
    for size in (1, 10, 1000, 100_000):
        host.send_raw(rng.bytes(size))
    host.send_raw(b"\n*CLS\n")
    assert host.ask("*IDN?").startswith("harness,")


def test_a_message_that_is_too_long_is_dropped_as_a_whole(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST", 1000)
    host.send_raw(b"*OPC?;" * 400_000 + b"\n")
    assert host.ask("SYST:ERR?").startswith('-223,"Too much data')
    assert host.ask("SYST:ERR?") == '0,"No error"'


def test_answers_that_nobody_reads_make_a_host_wait_and_nobody_else(door: Door) -> None:
    lazy = Host(door)
    lazy._socket.setblocking(False)
    with suppress(BlockingIOError):
        for _ in range(10_000):
            lazy._socket.send(b"*IDN?\n" * 10_000)
        pytest.fail("the board takes messages without end")
    other = Host(door)
    assert other.ask("*OPC?") == "1"
    lazy.close()
    other.close()


def test_a_new_connection_ends_the_one_before_and_grounds(board: Instrument, door: Door, host: Host) -> None:
    host.ask(f"SENS:DEL 0.001;{LIST};READ:OUTP?")
    host.ask(framed(7, "OUTP?"))
    assert board.applied
    second = Host(door)
    assert second.ask("OUTP?") == "0"
    assert host.closed()
    assert second.ask("READ:OUTP?;SYST:ERR?").startswith("-221")
    assert second.ask(framed(1, "OUTP?")) == framed(1, "0")
    second.close()


def test_pulses_that_a_dead_host_has_left_unread_are_not_applied() -> None:
    board = pulsed_board(wait=time.sleep)
    with serving(board, latency=0.2) as door:
        first = Host(door)
        first.send("*CLS", "CELL:PULS 0,0,2,1e-3,1")
        time.sleep(0.05)  # within the first message
        second = Host(door)
        assert second.ask("CELL:COUN?") == "0"
        first.close()
        second.close()


def test_a_new_connection_does_not_wait_for_the_samples_of_the_one_before() -> None:
    with closing(Server()) as server, tcp_door(0) as door:
        thread = Thread(target=server.serve, args=(plain_board(wait=server.wait), door))
        thread.start()
        first = Host(door)
        first.send(f"SENS:DEL 60;{LIST};READ:OUTP?")
        time.sleep(0.05)  # within the wait
        second = Host(door)
        assert second.ask("OUTP?") == "0"
        server.stop()
        thread.join(10)
        assert not thread.is_alive()
        first.close()
        second.close()


def test_pins_are_grounded_when_the_host_goes(board: Instrument, host: Host) -> None:
    host.ask(f"{LIST};READ:OUTP?")
    assert board.applied
    host.close()
    until(lambda: not board.applied)


def test_pins_are_grounded_at_the_end(board: Instrument) -> None:
    with serving(board) as door:
        host = Host(door)
        host.ask(f"{LIST};READ:OUTP?")
        assert board.applied
    assert not board.applied
    assert host.closed()
    host.close()


def test_a_silent_host_is_a_dead_man(board: Instrument) -> None:
    told: list[str] = []
    with serving(board, dead_man=0.1, tell=told.append) as door:
        host = Host(door)
        host.ask(f"{LIST};READ:OUTP?")
        for _ in range(10):
            time.sleep(0.03)
            assert host.ask("OUTP?") == "1"
        until(lambda: not board.applied)
        assert told == ["no message for 0.1 s: all pins are grounded"]
        assert host.ask("READ:OUTP?;SYST:ERR?").startswith("-221")
        host.ask(f"SYST:TIM 0;{LIST};READ:OUTP?")
        time.sleep(0.2)
        assert host.ask("OUTP?") == "1"
        host.ask("SYST:TIM 0.05;*OPC?")
        until(lambda: not board.applied)
        host.close()
        again = Host(door)
        again.ask(f"{LIST};READ:OUTP?")
        until(lambda: not board.applied)
        again.close()
    assert len(told) == 3


def test_latency_and_settling_take_their_time() -> None:
    with serving(plain_board(wait=time.sleep), latency=0.05) as door:
        host = Host(door)
        began = time.monotonic()
        host.ask(f"SENS:DEL 0.05;{LIST};READ:OUTP?;READ:OUTP?")
        assert 0.15 <= time.monotonic() - began < 5
        host.close()


def test_a_port_in_use_is_refused() -> None:
    with tcp_door(0) as door:
        assert door.listener is not None
        port = door.listener.getsockname()[1]
        assert door.resource == f"TCPIP0::127.0.0.1::{port}::SOCKET"
        assert door.listener.getsockname()[0] == "127.0.0.1"
        with pytest.raises(BoardError, match=rf"port {port} of 127.0.0.1 cannot be had \(Address already in use\)"):
            tcp_door(port)
    with pytest.raises(BoardError, match=r"port 99999 of 127.0.0.1 cannot be had"):
        tcp_door(99999)


def test_only_this_machine_is_listened_on(door: Door) -> None:
    assert door.listener is not None
    elsewhere = socket.socket()
    with pytest.raises(ConnectionRefusedError):  # another address of this machine
        elsewhere.connect(("127.0.0.2", door.listener.getsockname()[1]))
    elsewhere.close()


def test_pyvisa_talks_to_it(door: Door) -> None:
    manager = pyvisa.ResourceManager("@py")
    found = manager.open_resource(door.resource, read_termination="\n", write_termination="\n", timeout=5000)
    assert isinstance(found, pyvisa.resources.MessageBasedResource)
    assert found.query("*IDN?").startswith("harness,virtual board of plain,")
    found.write(f"{LIST};NUDG:OFF")
    outputs = found.query_ascii_values("READ:OUTP?")
    assert np.array_equal([outputs], NodalChip(network()).measure([Drive(INPUTS)])[0].outputs)
    found.close()
    manager.close()


class Measured(SCPIMixin, MeasuredInstrument):
    """A driver as users of PyMeasure write it."""

    delay = MeasuredInstrument.setting("SENS:DEL %g", """Wait before a reading, s.""")
    outputs = MeasuredInstrument.measurement("READ:OUTP?", """Voltages of the outputs, V.""")
    conductance = MeasuredInstrument.measurement("CELL:COND? 0,0", """That of the first cell, S.""")


def test_pymeasure_talks_to_it(door: Door) -> None:
    found = Measured(
        door.resource, "virtual board", visa_library="@py", read_termination="\n", write_termination="\n", timeout=5000
    )
    assert found.id.startswith("harness,virtual board of plain,")
    found.delay = 1e-3
    found.write(LIST)
    assert found.outputs == NodalChip(network()).measure([Drive(INPUTS)])[0].outputs[0].tolist()
    assert found.conductance == network().arrays[0].conductances[0, 0]
    assert found.complete == "1"
    assert found.check_errors() == []
    found.write("FOO")
    assert found.check_errors() == [[-113.0, '"Undefined header: FOO"']]
    found.shutdown()
    found.adapter.close()


def test_qcodes_talks_to_it(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = VisaInstrument("board", door.resource, terminator="\n", visalib="@py", timeout=5)
    try:
        delay = found.add_parameter("delay", set_cmd="SENS:DEL {}", unit="s")
        outputs = found.add_parameter("outputs", get_cmd=f"{LIST};READ:OUTP?", get_parser=floats, unit="V")
        assert found.get_idn()["vendor"] == "harness"
        delay(1e-3)
        assert np.array_equal(outputs(), NodalChip(network()).measure([Drive(INPUTS)])[0].outputs[0])
        assert re.match("0,", found.ask("SYST:ERR?"))
    finally:
        found.close()


def test_a_closed_terminal_of_a_host_leaves_the_board(board: Instrument) -> None:
    """A pseudo-terminal has one connection, however often a host opens and closes it."""
    with serving(board, connection.terminal_door()) as door:
        path = door.resource.removeprefix("ASRL").removesuffix("::INSTR")
        for _ in range(2):
            number = os.open(path, os.O_RDWR | os.O_NOCTTY)
            os.write(number, b"*OPC?\n")
            assert os.read(number, 100) == b"1\n"
            os.close(number)
