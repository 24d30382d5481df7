"""Isolation of ngspice from the rest of the process: its start, its locale and its thread.

ngspice runs every command in the start-up files that it finds: ``spinit`` where ``SPICE_SCRIPTS``, ``SPICE_LIB_DIR`` or
the installation have it, ``.spiceinit`` in the working directory, else in the home directory that the user database
names (a user whom it does not list crashes ngspice). Such a file may come with a package that somebody sent, or set
options that change voltages. `without_startup_files` has ngspice start in a directory of this package whose files hold
nothing. That includes ``spinit`` of the installation, which only loads code models, and no deck has any.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread, get_ident, stack_size
from typing import Any, TypeVar

from harness.errors import SimulatorError
from harness.processes.directory import working_in

_STARTUP = Path(__file__).with_name("startup")
_HERE = dict.fromkeys(("HOME", "USERPROFILE", "SPICE_SCRIPTS", "SPICE_USERINIT_DIR"), ".")
_EVERY_CATEGORY = 0x3F  # LC_ALL_MASK as far as Linux and macOS agree
_STACK = 64 << 20  # bytes; ngspice parses formulas by recursion

T = TypeVar("T")


@contextmanager
def without_startup_files() -> Iterator[None]:
    """Change the directory and variables of the process, so that ngspice finds only empty files; then restore them.

    Raises:
        SimulatorError: this package lacks the empty files, or the working directory could not be returned to.
    """
    missing = [name for name in (".spiceinit", "spinit") if not (_STARTUP / name).is_file()]
    if missing:
        raise SimulatorError(f"{_STARTUP} lacks {' and '.join(missing)}, without which ngspice must not be started")
    hidden = {name: value for name, value in os.environ.items() if name.startswith(("SPICE_", "NGSPICE_"))}
    hidden |= {name: os.environ[name] for name in _HERE if name in os.environ}
    with _in_directory(_STARTUP):
        for name in hidden:
            del os.environ[name]
        os.environ.update(_HERE)
        try:
            yield
        finally:
            for name in _HERE:
                del os.environ[name]
            os.environ.update(hidden)


@contextmanager
def _in_directory(folder: Path) -> Iterator[None]:
    """Work in a folder, as `working_in` does."""
    with ExitStack() as stack:
        try:
            stack.enter_context(working_in(folder))
        except OSError as error:
            raise SimulatorError(f"ngspice cannot be started from this working directory: {error.strerror}") from error
        yield


class SimulatorThread:
    """A thread in which everything is done that touches ngspice, one thing after another.

    ngspice keeps its state in globals. It parses formulas by recursion, for which this thread has a stack that is large
    enough. It has the C locale, too, whatever that of the process: in Turkish, ngspice's ``Is`` is not ``is``. What
    needs no such stack can be done in any thread (`here`). A process that is forked gets a thread of its own.
    """

    def __init__(self) -> None:
        self._starting = Lock()
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def call(self, work: Callable[[], T]) -> T:
        """Do something in the thread and return what it returns, or raise what it raises."""
        if get_ident() == self._identity:
            return work()
        self._refuse_forked()
        with self._starting:
            if self._identity is None:
                self._start()
        done: Future[T] = Future()
        self._jobs.put((work, done))
        try:
            return done.result()
        except BaseException:
            done.cancel()  # in case it was this thread that was interrupted
            raise

    def here(self, work: Callable[[], T]) -> T:
        """Do something in the calling thread, while the thread does nothing: what is short need not wait for it."""
        if get_ident() == self._identity:
            return work()
        self._refuse_forked()
        use = _libc().uselocale
        with self._turn:
            before = use(None)
            try:
                use(_c_locale())
                self._at_work = True
                return work()
            finally:
                use(before)  # one call: no exception of Ctrl-C comes before it
                self._at_work = False

    def _refuse_forked(self) -> None:
        if self._forked_at_work:
            raise SimulatorError("this process was forked while ngspice was at work in it, and cannot use ngspice")

    def _forget(self) -> None:
        self._turn = Lock()
        self._forked_at_work = getattr(self, "_at_work", False)
        self._at_work = False
        self._starting = Lock()
        self._identity: int | None = None
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()

    def _start(self) -> None:
        before = stack_size(_STACK)
        try:
            thread = Thread(target=self._run, name="ngspice", daemon=True)
            thread.start()
        finally:
            stack_size(before)
        self._identity = thread.ident

    def _run(self) -> None:
        _libc().uselocale(_c_locale())
        while True:
            work, done = self._jobs.get()
            with self._turn:
                if done.set_running_or_notify_cancel():
                    self._at_work = True
                    _settle(work, done)
                    self._at_work = False
            del work, done  # results may be large


def _settle(work: Callable[[], Any], done: "Future[Any]") -> None:
    try:
        result = work()
    except BaseException as error:
        done.set_exception(error)
    else:
        done.set_result(result)


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    libc.newlocale.restype = libc.uselocale.restype = ctypes.c_void_p
    libc.newlocale.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
    libc.uselocale.argtypes = [ctypes.c_void_p]
    return libc


@cache
def _c_locale() -> Any:
    return _libc().newlocale(_EVERY_CATEGORY, b"C", None)
