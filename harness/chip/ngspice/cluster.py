"""Many ngspices on many machines: the workers of a Dask cluster, be they started by hand, by Slurm or in a cloud.

Dask is imported only where it is used: here, and for the points of sweeps in `harness.studies.sweep.remote`. Everything
that a task needs goes with it as an argument: what a worker holds is lost when it is killed. Tasks and answers are
pickled here, so that Dask has only bytes to carry.
"""

import asyncio
import logging
import pickle
import platform
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from threading import Lock
from typing import Any

from typing_extensions import override

from harness.chip.ngspice.session import open_session
from harness.chip.ngspice.tasks import Answer, all_settled, perform, tasks
from harness.chip.ngspice.worker import Settled, Simulators
from harness.circuit import SettlingJob
from harness.errors import ChipError, ConvergenceError, HarnessError, NgspiceMissing, SimulatorError
from harness.netlist.tolerances import Tolerances
from harness.processes.distribution import installing
from harness.processes.versions import versions

_PLUGIN = "harness-ngspice"
_SECONDS_TO_CONNECT = 10
_SECONDS_TO_FIRST_WORKER = 30

_one_at_a_time = Lock()
"""libngspice is one per process; a worker that joins later may still have several threads."""


@dataclass(frozen=True)
class Software:
    """Versions that decide the last bits of a voltage."""

    harness: str
    ngspice: str
    numpy: str

    @classmethod
    def here(cls, *, simulator: bool = True) -> "Software":
        """Return the versions of this process.

        Raises:
            NgspiceMissing: libngspice is wanted and cannot be loaded.
        """
        ngspice, found = open_session().version_text if simulator else "unused", versions(("harness", "numpy"))
        return cls(found["harness"], ngspice, found["numpy"])


class Cluster(Simulators):
    """`Simulators` on the workers of the Dask cluster at an address, each a process of one thread.

    A task whose worker is lost is done again by another one; while there is none, it waits. Voltages are the same bit
    for bit as with an ngspice here, as far as the processors are of the same kind: BLAS cuts its sums to suit them.

    Raises:
        ChipError: Dask is not installed, no scheduler answers, it has no workers, or one has several threads or other
            versions of harness, ngspice or NumPy than this process.
        NgspiceMissing: libngspice cannot be loaded here or by a worker.
    """

    def __init__(self, tolerances: Tolerances, address: str) -> None:
        self._tolerances = tolerances
        self._address = address
        self._software = Software.here()
        self._client = connect(address)
        try:
            self.workers = check_workers(self._client, address, self._software)
            with failures_named(address), unwarned():
                self._client.register_plugin(_ngspice_plugin())
        except BaseException:
            self.close()
            raise

    @override
    def settle(self, settlings: Sequence[SettlingJob]) -> list[Settled]:
        """See `Simulators.settle`.

        Raises:
            ChipError: a worker that has joined meanwhile has other versions.
            ConvergenceError: a sample did not settle; the first of several.
            SimulatorError: ngspice or the cluster failed.
        """
        requests = [pickle.dumps(task) for task in tasks(settlings, self._tolerances)]
        with failures_named(self._address), unwarned():
            futures = [self._client.submit(_reply, request, pure=False) for request in requests]
            replies: list[_Reply] = [pickle.loads(reply) for reply in self._client.gather(futures)]  # noqa: S301 - ours
            self.workers = max(1, len(self._client.nthreads()))
        for reply in replies:
            _check_software(reply.worker, reply.software, self._software)
        return all_settled([reply.answer for reply in replies])

    def close(self) -> None:
        """Leave the cluster, which goes on running."""
        with suppress(Exception), unwarned():  # it may be gone already
            self._client.unregister_worker_plugin(_PLUGIN)
        self._client.close()


def check_workers(client: Any, address: str, wanted: Software) -> int:
    """Return the number of workers of a cluster, having checked that all are as they should be.

    Raises:
        ChipError: there are none, or one has several threads or other versions than are wanted.
        NgspiceMissing: ngspice is wanted, and a worker cannot load it.
    """
    with failures_named(address), unwarned():
        try:
            client.wait_for_workers(1, timeout=_SECONDS_TO_FIRST_WORKER)
        except TimeoutError as error:
            raise ChipError(
                f"the Dask scheduler at {address} has no workers; start some with 'dask worker {address} --nthreads 1'"
            ) from error
        threads: dict[str, int] = client.nthreads()
        found: dict[str, Any] = client.run(_software, wanted.ngspice != "unused", on_error="return")
    for worker, software in found.items():
        if threads.get(worker, 1) > 1:
            raise ChipError(
                f"worker {worker} has {threads[worker]} threads, but ngspice is one per process; start it with "
                f"'dask worker {address} --nworkers {threads[worker]} --nthreads 1'"
            )
        _check_software(worker, software, wanted)
    return len(found)


def _check_software(worker: str, found: Software | Exception, wanted: Software) -> None:
    if isinstance(found, NgspiceMissing):
        raise NgspiceMissing(f"worker {worker}: {found}")
    if isinstance(found, Exception):
        raise ChipError(f"worker {worker} cannot run harness {wanted.harness}: {found!r}") from found
    for name, version in asdict(wanted).items():
        if (other := getattr(found, name)) != version:
            raise ChipError(
                f"worker {worker} has {name} {other} and this process {name} {version}, which may give other bits; "
                "install the same version everywhere"
            )


@contextmanager
def failures_named(address: str) -> Iterator[None]:
    """Turn every failure of Dask into one error of this package that names the cluster's address."""
    try:
        yield
    except HarnessError:
        raise
    except (Exception, asyncio.CancelledError) as error:
        raise SimulatorError(f"the Dask cluster at {address} failed: {str(error) or repr(error)}") from error


@dataclass(frozen=True, eq=False)
class _Reply:
    """An answer with the address and the software of the worker that gave it."""

    answer: Answer
    worker: str
    software: Software


def _reply(request: bytes) -> bytes:
    """Perform a task on a worker, and return its pickled answer."""
    from distributed import get_worker  # noqa: PLC0415 - see `connect`

    with _one_at_a_time:
        answer = perform(pickle.loads(request))  # noqa: S301 - from `Cluster.settle`
    if isinstance(answer.outcome, SimulatorError | ConvergenceError):
        answer = replace(answer, outcome=answer.outcome.on_host(platform.node()))  # where its deck was saved
    return pickle.dumps(_Reply(answer, get_worker().address, Software.here()))


def _ngspice_plugin() -> Any:
    """Return a plugin by which every worker, also one that joins later, loads its ngspice before its first task."""
    from distributed import WorkerPlugin  # noqa: PLC0415

    class Ngspice(WorkerPlugin):  # type: ignore[misc]
        name = _PLUGIN
        idempotent = True

        def setup(self, worker: Any) -> None:  # noqa: ARG002 - Dask's signature
            from harness.chip.ngspice.session import open_session  # noqa: PLC0415 - this class travels without its module

            open_session()

    return Ngspice()


def _software(simulator: bool) -> Software:
    with _one_at_a_time:
        return Software.here(simulator=simulator)


def connect(address: str) -> Any:
    """A client of the scheduler.

    Raises:
        ChipError: Dask is not installed, or no scheduler answers within ten seconds.
    """
    try:
        from distributed import Client  # noqa: PLC0415 - an extra: training on one machine does without it
        from distributed.comm import connect  # noqa: PLC0415
        from distributed.security import Security  # noqa: PLC0415
    except ImportError as error:
        raise ChipError(
            f"a scheduler needs Dask, which is not installed; install it with: {installing('cluster')}"
        ) from error
    _silence()

    async def knock() -> None:  # a client that finds no scheduler leaves threads and complaints behind
        secrets = Security().get_connection_args("client")
        comm = await asyncio.wait_for(connect(address, timeout=_SECONDS_TO_CONNECT, **secrets), _SECONDS_TO_CONNECT)
        await comm.close()

    try:
        with ThreadPoolExecutor(1) as other:  # a notebook has an event loop in its own thread
            other.submit(lambda: asyncio.run(knock())).result()
        with unwarned():
            return Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False, name="harness")
    except Exception as error:  # Dask raises whatever it comes upon in an address, or in what answers there
        raise ChipError(
            f"no Dask scheduler answers at {address!r} ({_why(address, error)}); start one with 'dask scheduler'"
        ) from error


def _why(address: str, error: Exception) -> str:
    if address.startswith("tls:") and isinstance(error, TypeError):
        return "tls needs certificates; name them in Dask's configuration under distributed.comm.tls"
    if isinstance(error, TimeoutError) and not str(error):
        return f"nothing does within {_SECONDS_TO_CONNECT} s"
    return f"{error}" or type(error).__name__


def _silence() -> None:
    """Silence Dask's logs on lost workers and connections, which are handled or raised here."""
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] in {"distributed", "tornado"}]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


@contextmanager
def unwarned() -> Iterator[None]:
    """Hide Dask's warnings on sizes of tasks and versions of its parts, which do not concern users of this package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
