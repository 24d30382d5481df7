"""The loops of `harness.chip.nodal.loops.kernel` as machine code, by Numba.

Numba takes a fifth of a second to import and some seconds to compile, so neither is done before a network is to be
solved. The machine code is kept: in ``__pycache__`` beside the sources, else in the user's cache directory, else not.

What is kept are pickles, which may do anything when they are loaded. They are only taken from a directory that belongs
to this user and that nobody else may write to. Numba also reads settings, one of which says where pickles are, from a
file ``.numba_config.yaml`` in the working directory, which may come with data that somebody sent, and from variables.
So Numba is imported, and compiles, in the root directory of the file system, without such variables.
"""

import atexit
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from sys import modules
from tempfile import TemporaryFile
from threading import Lock
from types import FunctionType, ModuleType
from typing import Any

from platformdirs import user_cache_path

from harness.chip.nodal.loops import elementary, equations, kernel, newton
from harness.devices import diode
from harness.errors import ChipError
from harness.processes.directory import working_in

Settle = Callable[..., tuple[int, int, int]]
_LOG = logging.getLogger(__name__)
_ONE_AT_A_TIME = Lock()
_SAFE = Path(os.sep)
_PREFIX = "loops-"
_LOOPS: tuple[ModuleType, ...] = (elementary, equations, newton, kernel)
"""Modules whose functions are compiled, each after those that it takes functions of; the last one has `settle`."""
_COLOURS = "colorama.initialise"
"""A library that Numba uses for its messages where it is installed."""


def settle() -> Settle:
    """Return `harness.chip.nodal.loops.kernel.settle` as machine code; it is loaded or compiled at the first call.

    Raises:
        ChipError: Numba cannot be imported, or not in this working directory.
    """
    with _ONE_AT_A_TIME:
        return _loaded()


@cache
def _loaded() -> Settle:
    with _undisturbed():
        try:
            import numba  # noqa: PLC0415 - slow, and only once the surroundings are safe
        except ImportError as error:
            raise ChipError(f"the nodal chip needs Numba, which cannot be imported: {error}") from error
        folder = next(filter(_usable, _folders()), None)
        if folder is None:
            _LOG.warning(
                "the nodal chip is compiled in every process anew, for seconds: nothing can be kept in %s, nor in your "
                "cache directory; let XDG_CACHE_HOME name a directory of yours",
                Path(__file__).parent,
            )
        elif not any(folder.rglob("*.nbc")):
            _LOG.info("the nodal chip is compiled, once, into %s", folder)
        return _compiled(numba, folder)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep Numba from the settings of the working directory, and of variables, unless it has those already."""
    variables = {} if "numba" in modules else os.environ
    settings = {name: value for name, value in variables.items() if name.startswith("NUMBA_")}
    with ExitStack() as stack:
        try:
            stack.enter_context(working_in(_SAFE))
        except OSError as error:
            raise ChipError(f"Numba cannot be started from this working directory: {error.strerror}") from error
        for name in settings:
            del os.environ[name]
        foreign = _COLOURS in modules
        try:
            yield
        finally:
            os.environ.update(settings)
            if not foreign and _COLOURS in modules:  # it would reset the colours of terminals that have none
                atexit.unregister(modules[_COLOURS].reset_all)


def _folders() -> Iterator[Path]:
    """Where machine code of these very sources may be kept; the first is for all users of a package of their own."""
    sources = [Path(str(module.__file__)).read_bytes() for module in (*_LOOPS, diode)]
    name = _PREFIX + sha256(b"".join(sources)).hexdigest()[:16]
    yield Path(__file__).parent / "__pycache__" / name
    with suppress(RuntimeError):  # there is no home
        yield user_cache_path("harness") / name


def _usable(folder: Path) -> bool:
    """Return whether a directory is there, or could be made, that this user alone may write to."""
    if not folder.is_absolute():
        return False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
        if own:
            TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return own


def _compiled(numba: ModuleType, folder: Path | None) -> Settle:
    """Return machine code: that of a directory, where it is kept, if there is one."""
    settle = None if folder is None else _kept(numba, folder)
    if settle is None:
        settle = _jitted(numba, None)
        settle.compile(_signature(numba))
    settle.disable_compile()  # for arrays of other kinds: they are an error
    return settle


def _kept(numba: ModuleType, folder: Path) -> Any:
    """Return the machine code of a directory, compiled if it has none or damaged one; None if it cannot be kept."""
    for _ in range(2):
        settle = _jitted(numba, folder)
        if Path(settle.stats.cache_path).parent != folder:
            return None
        try:
            settle.compile(_signature(numba))
        except Exception as error:  # damaged pickles raise anything
            _LOG.info("machine code cannot be kept in %s: %s", folder, error)
        if settle.signatures:
            _remove_former(folder)
            return settle
        shutil.rmtree(folder, ignore_errors=True)
        if not _usable(folder):
            return None
    return None


def _jitted(numba: ModuleType, folder: Path | None) -> Any:
    """Return `settle` as Numba's, to be compiled; the functions that it calls are, too."""
    config = numba.config
    before = config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES, config.DISABLE_JIT
    config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES, config.DISABLE_JIT = str(folder or ""), "", 0
    made: dict[FunctionType, Any] = {}
    try:
        jit = partial(numba.njit, error_model="numpy", nogil=True, no_cfunc_wrapper=True)
        for module in _LOOPS:
            names = {
                name: made.get(part, part) if isinstance(part, FunctionType) else part
                for name, part in vars(module).items()
            }
            for name, function in vars(module).items():
                if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                    entry = module is _LOOPS[-1] and name == "settle"
                    options = {"cache": entry and folder is not None, "no_cpython_wrapper": not entry}
                    names[name] = made[function] = jit(FunctionType(function.__code__, names, name), **options)
    finally:
        config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES, config.DISABLE_JIT = before
    return names["settle"]


def _signature(numba: ModuleType) -> Any:
    """Return the types of the arguments of `harness.chip.nodal.loops.kernel.settle`, in their order."""
    whole, real = numba.intp, numba.float64
    plan = (whole[::1], whole[::1], whole[:, ::1], whole[:, ::1], real[:, ::1])
    drives = (
        real[:, :, ::1],
        real[:, :, ::1],
        real[:, :, ::1],
        real[:, :, ::1],
        real[:, :, ::1],
        real[:, ::1],
        whole[:, ::1],
    )
    return numba.types.UniTuple(whole, 3)(*plan, *drives, real, whole, real[:, :, ::1])


def _remove_former(folder: Path) -> None:
    """Remove machine code of former sources from beside a directory."""
    for former in folder.parent.glob(f"{_PREFIX}*"):
        if former != folder:
            shutil.rmtree(former, ignore_errors=True)
