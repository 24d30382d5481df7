"""OpenMENA's firmware behind a pseudo-terminal, with linear cells, and lines that go wrong as a test wants."""

import os
import select
import tty
from collections.abc import Callable
from threading import Thread

import numpy as np

OHMS = 10e3
Fault = Callable[[list[str]], list[str]]


class Firmware:
    """A board: 8 × 8 cells, of which each pulse of 1 V and 1 µs changes one by 1 µS."""

    def __init__(self) -> None:
        self.siemens = np.linspace(1e-6, 64e-6, 64).reshape(8, 8)
        self.heard: list[str] = []
        self.faults: list[Fault] = []
        """What happens to the answers to the next commands (not to the questions behind them)."""
        self.deaf = 0
        """Commands that are lost, as while the board starts."""
        self._master, self._slave = os.openpty()
        self._stopped, self._stop = os.pipe()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        os.write(self._master, text.encode())

    def unplug(self) -> None:
        """Close the port at the board's side."""
        if self._thread.is_alive():
            os.write(self._stop, b"x")
            self._thread.join()
            for end in (self._slave, self._master, self._stop, self._stopped):
                os.close(end)

    def _serve(self) -> None:
        pending = b""
        while True:
            ready, _, _ = select.select([self._master, self._stopped], [], [])
            if self._stopped in ready:
                return
            pending += os.read(self._master, 65536)
            while b"\n" in pending:
                line, _, pending = pending.partition(b"\n")
                self._answer(line.decode().strip())

    def _answer(self, command: str) -> None:
        if command and self.deaf:
            self.deaf -= 1
            return
        said = self._said(command)
        question = command.startswith("INFEREMULTIPLE: 2") and len(command) == len("INFEREMULTIPLE: 201")
        if command and not question:
            self.heard.append(command)
            if self.faults:
                said = self.faults.pop(0)(said)
        self.say("".join(f"{line}\r\n" for line in said))

    def _said(self, command: str) -> list[str]:
        name, _, rest = command.partition(":")
        if name == "INFEREMULTIPLE":
            return self._inference(*(int(word) for word in rest.split()))
        if name == "WEIGHTMODIF":
            return self._pulses(rest.split())
        return []

    def _inference(self, samples: int, *codes: int) -> list[str]:
        if len(codes) != 8 * samples:
            return [f"Error: Expected {8 * samples} DAC values after N."]
        volts = np.reshape(codes, (samples, 8)) * 1.5 / 4095 - 0.75
        read = (volts @ self.siemens * OHMS + 0.1) * 4095 / 3.3
        rows = ["".join(f"{value:.2f}\t" for value in row) for row in np.clip(read, 0, 4095)]
        start = [f"Running inference for {samples} input vectors...", "INFEREMULTIPLE ADC Averages:"]
        return [*start, *rows, "INFEREMULTIPLE complete."]

    def _pulses(self, words: list[str]) -> list[str]:
        word, bit, sign, count, width = (int(words[k]) for k in (0, 1, 2, 3, 8))
        volts = [float(each) for each in words[4:8]]
        if not (0 <= word < 8 and 0 <= bit < 8 and sign in (1, -1) and count > 0):
            return ["Invalid arguments. Indices 0–7, sign 1/-1, pulses > 0"]
        height = volts[0] - volts[1] if sign == 1 else volts[2] - volts[3]
        self.siemens[word, bit] += height * width * count * 1e-6
        return []
