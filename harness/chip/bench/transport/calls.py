"""A line to a library of functions: its messages are calls in JSON, so that they can be recorded and replayed.

A message is ``[number, [["name", [argument, …]], …]]``: calls that are made one after the other. Its answer is
``[number, [result, …]]``, or ``[number, [result, …], "error"]`` with the results of the calls before the one that
failed. The number tells answers apart: one that comes too late is not taken for that of the next message.

Calls are made by a thread of their own, since a function of a library may never return.
"""

import json
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from typing_extensions import override

from harness.chip.bench.line import LateError, Line, LineError

_CLOSING = 1.0
"""Seconds that closing waits for the instrument to be closed."""
Functions = Mapping[str, Callable[..., object]]


class CallLine(Line):
    """Calls of the functions of a library.

    The functions come from `connect`, which opens the instrument. One of them may be called ``close``: it is called
    when the line is closed or opened anew.
    """

    def __init__(self, name: str, connect: Callable[[], Functions]) -> None:
        """Connect.

        Raises:
            LineError: the instrument cannot be opened.
        """
        self._name = name
        self._connect = connect
        self._worker: _Worker | None = _Worker(self._functions())

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    def send(self, message: str) -> None:
        self._running.asked.put(message)

    @override
    def receive(self, seconds: float) -> str:
        try:
            return self._running.answered.get(timeout=seconds)
        except Empty:
            raise LateError(f"{self.name}: the library has not returned within {seconds:g} s") from None

    @override
    def reopen(self) -> None:
        self.close()
        self._worker = _Worker(self._functions())

    @override
    def close(self) -> None:
        if self._worker:
            self._worker.stop()
        self._worker = None

    @property
    def _running(self) -> "_Worker":
        if self._worker is None:
            raise LineError(f"{self.name}: the line is closed")
        return self._worker

    def _functions(self) -> Functions:
        try:
            return self._connect()
        except LineError:
            raise
        except Exception as error:
            raise LineError(f"{self.name}: the instrument cannot be opened: {_said(error)}") from error


class _Worker:
    """A thread that makes calls in their order."""

    def __init__(self, functions: Functions) -> None:
        self.asked: SimpleQueue[str | None] = SimpleQueue()
        self.answered: SimpleQueue[str] = SimpleQueue()
        self._functions = functions
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the instrument after the calls that are under way; one that never returns is left alone."""
        self.asked.put(None)
        self._thread.join(timeout=_CLOSING)

    def _serve(self) -> None:
        while (message := self.asked.get()) is not None:
            self.answered.put(self._answer(message))
        close = self._functions.get("close")
        self._functions = {}  # a library may close its instrument when nobody holds it any more
        if close:
            close()

    def _answer(self, message: str) -> str:
        number, calls = json.loads(message)
        results: list[Any] = []
        try:
            for name, arguments in calls:
                results.append(_plain(self._functions[name](*arguments)))
        except BaseException as error:  # libraries in Rust panic with exceptions that are no Exception
            return json.dumps([number, results, _said(error)])
        return json.dumps([number, results])


def _plain(result: object) -> Any:
    """Return what JSON can hold of a result; functions that return their instrument have none."""
    if hasattr(result, "tolist"):
        return result.tolist()
    return result if isinstance(result, (bool, int, float, str, list, tuple)) else None


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
