"""The loops of `harness.chip.nodal.loops` as machine code, which Numba makes once.

Numba takes a fifth of a second to import and some seconds to compile, so that it does so only where no machine code is
kept (`harness.chip.nodal.machine_code.kept`): in ``__pycache__`` beside this file, else in the user's cache directory.
What it makes is an object file, which LLVM links without it (`harness.chip.nodal.machine_code.linked`), in this process
and in all others.

Numba reads settings from a file ``.numba_config.yaml`` in the working directory, which may come with data that somebody
sent, and from variables. So it is imported, and compiles, in the root directory of the file system, without such
variables.
"""

import atexit
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from sys import modules
from threading import Lock
from types import FunctionType, ModuleType
from typing import Any

from harness.chip.nodal.loops import beginning, coupling, elementary, entry, equations, kernel, memory, newton
from harness.devices import diode
from harness.errors import ChipError
from harness.processes.directory import working_in
from harness.wording import NOTICE

Settle = Callable[..., tuple[int, int, int]]
_LOG = logging.getLogger(__name__)
_ONE_AT_A_TIME = Lock()
_SAFE = Path(os.sep)
_LOOPS: tuple[ModuleType, ...] = (elementary, equations, beginning, coupling, newton, kernel, entry)
"""Modules whose functions are compiled, each after those that it takes functions of; the last one has `entry`."""
_SOURCES = [Path(str(module.__file__)) for module in (*_LOOPS, memory, diode)]
_SOURCES += [Path(__file__), Path(__file__).with_name("intrinsics.py")]
"""Files that machine code depends on."""
_COLOURS = "colorama.initialise"
"""A library that Numba uses for its messages where it is installed."""
_NO_VECTORS = "NUMBA_DISABLE_INTEL_SVML"
"""A variable by which Numba does without a library of Intel's, which is not everywhere."""


def settle() -> Settle:
    """Return `harness.chip.nodal.loops.kernel.settle` as machine code; it is loaded or compiled at the first call.

    Raises:
        ChipError: Numba cannot be imported, or not in this working directory; or the code cannot be linked.
    """
    with _ONE_AT_A_TIME:
        return _loaded()


@cache
def _loaded() -> Settle:
    from harness.chip.nodal.machine_code import kept, linked  # noqa: PLC0415 - LLVM takes its time

    folder = next(filter(kept.usable, kept.folders(_SOURCES)), None)
    if folder is None:
        _LOG.warning(
            "the nodal chip is compiled in every process anew, for seconds: nothing can be kept in %s, nor in your "
            "cache directory; let XDG_CACHE_HOME name a directory of yours",
            Path(__file__).parent,
        )
        return linked.Loops(_object_code(_compiled()))
    code = kept.read(folder)
    if code is None:
        _LOG.log(NOTICE, "the loops of the nodal solver are compiled, once, which takes some 15 seconds …")
        _LOG.info("they are compiled into %s", folder)
        code = _object_code(_compiled())
        try:
            kept.write(folder, code)
        except OSError as error:
            _LOG.info("machine code cannot be kept: %s", error)
    return linked.Loops(code)


def _compiled() -> str:
    """Return LLVM's text of the loops, as Numba has optimized it."""
    with _undisturbed():
        try:
            import numba  # noqa: PLC0415 - slow, and only once the surroundings are safe
        except ImportError as error:
            raise ChipError(f"the nodal chip needs Numba, which cannot be imported: {error}") from error
        function = _jitted(numba)
        function.compile(_signature(numba))
        text: str = function.inspect_llvm(function.signatures[0])
        return text


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
        if "numba" not in modules:
            os.environ[_NO_VECTORS] = "1"
            stack.callback(os.environ.pop, _NO_VECTORS)
        foreign = _COLOURS in modules
        try:
            yield
        finally:
            os.environ.update(settings)
            if not foreign and _COLOURS in modules:  # it would reset the colours of terminals that have none
                atexit.unregister(modules[_COLOURS].reset_all)


def _jitted(numba: ModuleType) -> Any:
    """Return `entry` as Numba's, to be compiled; the functions that it calls are, too."""
    from harness.chip.nodal.machine_code import intrinsics  # noqa: PLC0415 - it imports Numba

    before, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, 0
    made: dict[FunctionType, Any] = {
        getattr(memory, name): getattr(intrinsics, name) for name in ("cut", "reals", "wholes")
    }
    try:
        jit = partial(
            numba.njit, error_model="numpy", no_cfunc_wrapper=True, no_cpython_wrapper=True, _nrt=False
        )  # without wrappers and references, nothing of Python's is called
        for module in _LOOPS:
            names = {
                name: made.get(part, part) if isinstance(part, FunctionType) else part
                for name, part in vars(module).items()
            }
            for name, function in vars(module).items():
                if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                    names[name] = made[function] = jit(FunctionType(function.__code__, names, name))
    finally:
        numba.config.DISABLE_JIT = before
    return names["entry"]


def _signature(numba: ModuleType) -> Any:
    """Return the types of what `harness.chip.nodal.loops.entry.entry` returns and takes."""
    whole = numba.intp
    return numba.types.UniTuple(whole, 3)(whole, numba.float64, whole)


def _object_code(text: str) -> bytes:
    """Return the object file of what Numba has compiled, for this very processor.

    Raises:
        ChipError: it would call functions that cannot be linked.
    """
    from llvmlite import binding  # noqa: PLC0415 - it takes a tenth of a second

    from harness.chip.nodal.machine_code.linked import ENTRY, EXTERNAL, initialize  # noqa: PLC0415

    initialize()
    module = binding.parse_assembly(text)
    outside = [function for function in module.functions if function.linkage == binding.Linkage.external]
    called = sorted(function.name for function in outside if function.is_declaration)
    foreign = [name for name in called if name not in EXTERNAL and not name.startswith("llvm.")]
    if foreign:
        why = "Numba was imported before with settings that the nodal chip does without; let harness import it"
        raise ChipError(f"the nodal chip's machine code would call {', '.join(foreign)}: {why}")
    (own,) = (function for function in outside if not function.is_declaration)
    own.name = ENTRY
    x86 = binding.get_process_triple().startswith(("x86", "i"))
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=3,
        reloc="static" if x86 else "default",
        codemodel="jitdefault",
        jit=True,
    )
    code: bytes = machine.emit_object(module)
    return code
