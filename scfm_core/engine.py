"""Runs requests in the background, each at most once; knows no analysis and no model."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol

from scfm_core.devices import use_device
from scfm_core.errors import Cancelled, ScfmError
from scfm_core.request import ItemT, PartT, Request, ResultT, recipe
from scfm_core.store import Store

_POLL_SECONDS = 0.1
_FINISHED_JOBS_KEPT = 64
_log = logging.getLogger(__name__)


class Task(Protocol):
    """A piece of work on a worker; a `concurrent.futures.Future` is one, and so is a Dask future."""

    def result(self, timeout: float | None = None) -> Any:
        """Wait for what the function returned; raises TimeoutError after ``timeout`` seconds."""

    def done(self) -> bool:
        """Whether `result` returns, or raises, at once."""

    def cancel(self) -> Any:
        """Give the work up if it has not begun."""


class Executor(Protocol):
    """Where work runs: threads of this process, or a Dask cluster."""

    @property
    def n_workers(self) -> int:
        """How many pieces of work run side by side."""

    def submit(self, function: Callable[[Any], Any], item: Any) -> Task:
        """Queue ``function(item)``."""

    def close(self) -> None:
        """Let go of the workers."""


class ThreadExecutor:
    """One thread per device of this process.

    Parameters
    ----------
    devices
        Torch's names, such as ``("cuda:0", "cuda:1")``; found out at the first piece of work where None.
    """

    def __init__(self, devices: Sequence[str] | None = None) -> None:
        self._devices = None if devices is None else list(devices)
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    @property
    def n_workers(self) -> int:
        """See `Executor.n_workers`."""
        return len(self._devices or [""])

    def submit(self, function: Callable[[Any], Any], item: Any) -> Task:
        """See `Executor.submit`."""
        with self._lock:
            if self._pool is None:
                self._pool = self._start()
        return self._pool.submit(function, item)

    def close(self) -> None:
        """See `Executor.close`."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> ThreadPoolExecutor:
        if self._devices is None:
            from scfm_core.tensors import available_devices  # torch is slow to import

            self._devices = available_devices()
        free = iter(list(self._devices))
        return ThreadPoolExecutor(len(self._devices), "device", initializer=lambda: use_device(next(free)))


@dataclass
class Progress:
    """How far one step of a job is.

    Attributes
    ----------
    step
        What is being done, in words.
    done, total, unit
        How much of what; total is 0 where it cannot be known.
    done_at_start
        How much of it lay ready from an earlier run and says nothing about speed.
    """

    step: str = "Waiting for its turn"
    done: int = 0
    total: int = 0
    unit: str = "cells"
    done_at_start: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the time to the end of this step; None while there is nothing to base it on."""
        new = self.done - self.done_at_start
        if new <= 0 or self.total <= 0:
            return None
        return (time.monotonic() - self.started) * (self.total - self.done) / new


class Job(Generic[ResultT]):
    """A request being computed; safe to poll from any thread.

    Attributes
    ----------
    id
        A short name for logs and error messages.
    log
        Lines of (seconds since the start, text).
    """

    def __init__(self, request: Request[ResultT], *, nested: bool = False) -> None:
        self.request = request
        self.id = uuid.uuid4().hex[:8]
        self.nested = nested
        self.log: list[tuple[float, str]] = []
        self.started = time.monotonic()
        self.seconds: float | None = None
        self.child: Job[Any] | None = None
        self._progress = Progress()
        self._stop = threading.Event()
        self._future: Future[ResultT] = Future()

    @property
    def finished(self) -> bool:
        """Whether `result` returns, or raises, at once."""
        return self._future.done()

    @property
    def progress(self) -> Progress:
        """How far the step is that runs now; a nested question's while one is being computed."""
        return self.child.progress if self.child else self._progress

    @property
    def done(self) -> int:
        """Units done of the step that runs now."""
        return self.progress.done

    @property
    def total(self) -> int:
        """Units in all of the step that runs now."""
        return self.progress.total

    @property
    def error(self) -> BaseException | None:
        """What went wrong; None while the job runs and where it went well."""
        return self._future.exception() if self.finished else None

    def result(self, timeout: float | None = None) -> ResultT:
        """Wait for the answer; raises what the request raised, or TimeoutError after ``timeout`` seconds."""
        return self._future.result(timeout)

    def cancel(self) -> None:
        """Stop at the next chunk; finished chunks are kept for the next time."""
        self._stop.set()
        if self.child and self.child.nested:
            self.child.cancel()


class Engine:
    """The one door to the core: submit a request, get a job back; an equal request joins the running job.

    Parameters
    ----------
    store
        Where answers are kept.
    executor
        Where work runs; a thread per device of this process where None.
    """

    def __init__(self, store: Store, executor: Executor | None = None) -> None:
        self.store = store
        self._executor = executor or ThreadExecutor()
        self._jobs: dict[str, Job[Any]] = {}
        self._lock = threading.Lock()

    def submit(self, request: Request[ResultT]) -> Job[ResultT]:
        """Start a request, join the job that already computes it, or return the stored answer as a finished job."""
        job = self._submit(request, nested=False)
        job.nested = False  # whoever asks for it by name keeps it from being cancelled with a parent
        return job

    def compute(self, request: Request[ResultT]) -> ResultT:
        """Submit a request and wait for its answer."""
        return self.submit(request).result()

    def answer(self, request: Request[ResultT]) -> ResultT | None:
        """Return the answer if it is there already, else None; computes nothing."""
        job = self._jobs.get(request.identity)
        if job is not None and job.finished and job.error is None:
            known: ResultT = job.result()
            return known
        stored: ResultT | None = self.store.get(request.identity, request.result_type)
        return stored

    def jobs(self) -> list[Job[Any]]:
        """Return the jobs of this process that somebody asked for, newest first."""
        return [job for job in reversed(list(self._jobs.values())) if not job.nested]

    def close(self) -> None:
        """Stop all jobs and let go of the workers."""
        for job in list(self._jobs.values()):
            job.cancel()
        self._executor.close()

    def _submit(self, request: Request[ResultT], *, nested: bool) -> Job[ResultT]:
        with self._lock:
            job = self._jobs.get(request.identity)
            if job is not None and job.error is None and not job._stop.is_set():
                return job
            job = Job(request, nested=nested)
            stored = self.store.get(request.identity, request.result_type)
            self._jobs.pop(request.identity, None)
            self._jobs[request.identity] = job
            self._forget_old_jobs()
            if stored is not None:
                job.seconds = 0.0
                job._future.set_result(stored)
            else:
                threading.Thread(target=self._run, args=(job,), name=f"job-{job.id}", daemon=True).start()
            return job

    def _run(self, job: Job[ResultT]) -> None:
        try:
            answer = job.request.run(_Running(self, job))
            self.store.put(job.request.identity, answer, recipe(job.request))
            stored = self.store.get(job.request.identity, job.request.result_type)
            job.seconds = time.monotonic() - job.started
            job._future.set_result(answer if stored is None else stored)
        except BaseException as error:  # noqa: BLE001 - delivered to whoever waits for the job
            if not isinstance(error, ScfmError):
                _log.error("job %s (%r) failed", job.id, job.request, exc_info=error)
            job.seconds = time.monotonic() - job.started
            job._future.set_exception(error)

    def _forget_old_jobs(self) -> None:
        finished = [identity for identity, job in self._jobs.items() if job.finished]
        for identity in finished[:-_FINISHED_JOBS_KEPT]:
            del self._jobs[identity]


class _Running:
    """The context of one job, see `scfm_core.request.Context`."""

    def __init__(self, engine: Engine, job: Job[Any]) -> None:
        self._engine, self._job = engine, job
        self._n_maps = 0

    def log(self, text: str) -> None:
        self._job.log.append((time.monotonic() - self._job.started, text))

    def compute(self, request: Request[ResultT]) -> ResultT:
        self._raise_if_cancelled()
        child = self._engine._submit(request, nested=True)
        self._job.child = child
        try:
            while not child.finished:
                self._raise_if_cancelled()
                threading.Event().wait(_POLL_SECONDS / 10)
        except Cancelled:
            if child.nested:
                child.cancel()
            raise
        finally:
            self._job.child = None
            self._job.log.extend((child.started - self._job.started + at, text) for at, text in list(child.log))
        return child.result()

    def call(self, function: Callable[[], PartT], *, step: str) -> PartT:
        return next(self.map(partial(_call, function), [None], step=step, unit=""))

    def map(
        self,
        function: Callable[[ItemT], PartT],
        items: Sequence[ItemT],
        *,
        step: str,
        sizes: Sequence[int] | None = None,
        unit: str = "cells",
    ) -> Iterator[PartT]:
        identity, store = self._job.request.identity, self._engine.store
        names = [f"{self._n_maps}-{position}" for position in range(len(items))]
        self._n_maps += 1
        weights = [1] * len(items) if sizes is None else list(sizes)
        self._job._progress = progress = Progress(step=step, total=sum(weights) if unit else 0, unit=unit)
        self.log(step if not unit else f"{step}: {progress.total:,} {unit}")
        running: dict[int, Task] = {}
        queued = 0
        try:
            for position, name in enumerate(names):
                while queued < len(items) and len(running) < 2 * self._engine._executor.n_workers:
                    if not store.has_part(identity, names[queued]):
                        running[queued] = self._engine._executor.submit(function, items[queued])
                    queued += 1
                if position in running:
                    part = self._wait(running[position])
                    del running[position]
                    if len(items) > 1:
                        store.put_part(identity, name, part)
                else:
                    part = store.get_part(identity, name)
                    progress.done_at_start += weights[position]
                progress.done += weights[position] if unit else 0
                yield part
                self._raise_if_cancelled()
        finally:
            for task in running.values():
                task.cancel()

    def _wait(self, task: Task) -> Any:
        while True:
            self._raise_if_cancelled()
            try:
                return task.result(timeout=_POLL_SECONDS)
            except TimeoutError:
                if task.done():  # finished meanwhile, or the work itself ran into a time-out
                    return task.result()

    def _raise_if_cancelled(self) -> None:
        if self._job._stop.is_set():
            msg = "The job was stopped. What it had finished is kept; start it again to go on."
            raise Cancelled(msg, "cancelled")


def _call(function: Callable[[], PartT], _: None) -> PartT:
    return function()
