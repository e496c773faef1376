"""Connects the engine to workers: threads of this process, or a Dask cluster, which it can also start.

Dask's messages are pickles, and whoever reaches a scheduler's port can run code as its user. The clusters started here
therefore listen on loopback alone; a scheduler named by ``SCFM_SCHEDULER`` must stand in a network that only trusted
people reach.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scfm_core.engine import Engine, Executor, Task, ThreadExecutor
from scfm_core.errors import ScfmError
from scfm_core.lifeline import GRACE_SECONDS
from scfm_core.store import Store
from scfm_core.workspace import Workspace

_CONNECT_SECONDS = 10
_POLL_SECONDS = 0.02
_WORKERS_COUNTED_SECONDS = 2.0
_LOG_BYTES = 2**20
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def connect(workspace: Workspace | None = None, *, device: str | None = None) -> Engine:
    """Return an engine on the cluster named by ``SCFM_SCHEDULER``, or on threads of this process where none is named.

    Parameters
    ----------
    workspace
        Where answers are kept; the one of the environment where None.
    device
        On which device the threads of this process compute, by torch's name; on every one there is where None. A
        cluster's workers have their own.

    Raises
    ------
    ScfmError
        If no scheduler answers at the address.
    """
    address = os.environ.get("SCFM_SCHEDULER")
    executor: Executor = DaskExecutor(address) if address else ThreadExecutor([device] if device else None)
    return Engine(Store((workspace or Workspace.from_environment()).root), executor)


class DaskExecutor:
    """Workers of a Dask cluster; a piece of work whose worker dies is done again by another one.

    Safe to use from any thread, such as those of a web server.

    Parameters
    ----------
    address
        Of the scheduler, such as ``"tcp://127.0.0.1:8786"``.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._client = _new_client(address)
        self._n_workers, self._counted = 1, -_WORKERS_COUNTED_SECONDS

    @property
    def n_workers(self) -> int:
        """See `scfm_core.engine.Executor.n_workers`."""
        if time.monotonic() - self._counted > _WORKERS_COUNTED_SECONDS:
            self._n_workers = max(1, sum(self._connected().nthreads().values()))
            self._counted = time.monotonic()
        return self._n_workers

    def submit(self, function: Callable[[Any], Any], item: Any) -> Task:
        """See `scfm_core.engine.Executor.submit`."""
        return _DaskTask(self._connected().submit(function, item, pure=False))

    def close(self) -> None:
        """See `scfm_core.engine.Executor.close`."""
        self._client.close()

    def _connected(self) -> Any:
        with self._lock:
            if self._client.status in ("closing", "closed"):  # the scheduler was away for longer than Dask waits
                self._client = _new_client(self._address)
            return self._client


class _DaskTask:
    """A `scfm_core.engine.Task` on a cluster, whose errors speak to the person at the screen."""

    def __init__(self, future: Any) -> None:
        self._future = future

    def result(self, timeout: float | None = None) -> Any:
        from distributed import KilledWorker

        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._future.done():  # Dask's own time-out loses a result now and then, see distributed.utils.sync
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(_POLL_SECONDS)
        try:
            return self._future.result()
        except KilledWorker as error:
            msg = (
                f"This piece of work took {error.allowed_failures + 1} workers down one after another, most likely "
                "because it needs more memory than a worker has. Choose fewer cells or a smaller model, or give each "
                "worker more memory: scfm serve --workers 1."
            )
            raise ScfmError(msg, "worker-killed") from error
        except CancelledError as error:
            msg = (
                "The connection to the workers was lost. What was finished is kept; start the job again to go on. "
                "If it happens again, restart scfm serve."
            )
            raise ScfmError(msg, "cluster-lost") from error

    def done(self) -> bool:
        return bool(self._future.done())

    def cancel(self) -> None:
        self._future.release()  # the scheduler drops what nobody waits for; unlike cancel() this never blocks


def _new_client(address: str) -> Any:
    from distributed import Client

    new_client: Callable[..., Any] = Client  # its constructor is not typed
    try:
        return new_client(address, timeout=_CONNECT_SECONDS, set_as_default=False, name="scfm")
    except (OSError, TimeoutError, ValueError) as error:
        msg = (
            f"No Dask scheduler answers at {address!r} (named by SCFM_SCHEDULER). Start one with scfm serve or "
            "dask scheduler, or unset SCFM_SCHEDULER to compute in this process."
        )
        raise ScfmError(msg, "no-scheduler") from error


@dataclass(frozen=True)
class Cluster:
    """A scheduler and its workers, programs of their own that end with this process.

    Attributes
    ----------
    address
        Of the scheduler.
    processes
        The scheduler first, then one nanny per worker; a nanny starts its worker again when it dies.
    """

    address: str
    processes: tuple[subprocess.Popen[bytes], ...]

    @property
    def running(self) -> bool:
        """Whether every program is alive."""
        return all(process.poll() is None for process in self.processes)

    def close(self) -> None:
        """End all programs; what they were computing is lost, finished chunks are kept."""
        end_programs(self.processes)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_cluster(
    n_workers: int | None = None, *, workspace: Workspace | None = None, timeout_seconds: float = 60.0
) -> Cluster:
    """Start a scheduler and workers on loopback, on ports that are free.

    Each worker is one process that does one piece of work at a time. Where there are GPUs each worker sees one of them.

    Parameters
    ----------
    n_workers
        One per GPU where None, and one on a machine without.
    workspace
        What the workers see as theirs, and where their logs go; the one of the environment where None.

    Raises
    ------
    ScfmError
        If the scheduler or a worker does not come up in time.
    """
    workspace = workspace or Workspace.from_environment()
    gpus = visible_gpus()
    n_workers = n_workers or len(gpus) or 1
    deadline = time.monotonic() + timeout_seconds
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with tempfile.TemporaryDirectory(prefix="scfm-") as folder:
            file = Path(folder) / "scheduler.json"
            processes.append(_start_scheduler(file, workspace))
            address = _address(file, processes, deadline=deadline)
        for number in range(n_workers):
            environment = _worker_environment(n_workers, gpus[number % len(gpus)] if gpus else None)
            processes.append(_start_worker(address, number, n_workers, workspace, environment))
        _wait_for_workers(address, n_workers, processes, deadline=deadline)
    except BaseException:
        end_programs(processes)
        raise
    return Cluster(address, tuple(processes))


def visible_gpus() -> list[str]:
    """Return the NVIDIA GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name and name != "-1"]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, check=False, timeout=30)
    return [str(number) for number in range(listed.stdout.count("GPU "))] if listed.returncode == 0 else []


def start_program(
    module: str,
    *arguments: str,
    log: Path | None = None,
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a Python module as a program that ends with this process.

    Parameters
    ----------
    log
        File to which its output is appended; the output of this process where None.
    environment
        Variables set beside those of this process.
    """
    command = [sys.executable, "-m", "scfm_core.lifeline", module, *arguments]
    environment = {**os.environ, **(environment or {})}
    if log is None:
        return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, cwd=cwd, start_new_session=True)
    with log.open("ab" if log.exists() and log.stat().st_size < _LOG_BYTES else "wb") as sink:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=sink, stderr=sink, env=environment, cwd=cwd, start_new_session=True
        )


def _start_scheduler(file: Path, workspace: Workspace) -> subprocess.Popen[bytes]:
    return start_program(
        "distributed.cli.dask_scheduler",
        *("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
        *("--scheduler-file", str(file)),
        log=workspace.folder("logs") / "scheduler.log",
    )


def _start_worker(
    address: str, number: int, n_workers: int, workspace: Workspace, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    return start_program(
        "distributed.cli.dask_worker",
        address,
        *("--host", "127.0.0.1", "--nanny", "--nworkers", "1", "--nthreads", "1", "--name", f"worker-{number}"),
        *("--memory-limit", f"{0.9 / n_workers:.3f}", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
        *("--local-directory", str(workspace.folder("scratch-dask")), "--death-timeout", "60"),
        log=workspace.folder("logs") / f"worker-{number}.log",
        environment={**environment, "SCFM_WORKSPACE": str(workspace.root)},
    )


def _worker_environment(n_workers: int, gpu: str | None) -> dict[str, str]:
    from dask.system import CPU_COUNT  # knows the limits of a container

    n_threads = str(max(1, CPU_COUNT // n_workers))
    threads = {name: os.environ.get(name, n_threads) for name in _THREAD_VARIABLES}
    return threads if gpu is None else {**threads, "CUDA_VISIBLE_DEVICES": gpu}


def _address(file: Path, processes: list[subprocess.Popen[bytes]], *, deadline: float) -> str:
    while True:
        _raise_if_down(processes, deadline)
        try:
            return str(json.loads(file.read_text())["address"])
        except (OSError, ValueError):  # not there yet, or half written
            time.sleep(0.05)


def _wait_for_workers(
    address: str, n_workers: int, processes: list[subprocess.Popen[bytes]], *, deadline: float
) -> None:
    with _new_client(address) as client:
        while len(client.nthreads()) < n_workers:
            _raise_if_down(processes, deadline)
            time.sleep(0.05)


def _raise_if_down(processes: list[subprocess.Popen[bytes]], deadline: float) -> None:
    if time.monotonic() > deadline or any(process.poll() is not None for process in processes):
        msg = "The workers did not come up. The folder logs/ in the workspace says why; then start again."
        raise ScfmError(msg, "cluster-down")


def end_programs(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End programs that `start_program` started: gently, then by force."""
    for process in reversed(processes):
        if process.stdin is not None:
            process.stdin.close()  # the lifeline
    for process in processes:
        try:
            process.wait(GRACE_SECONDS + 1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # a worker may outlive its nanny by a moment
