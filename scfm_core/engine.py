"""Runs requests in the background, each at most once; knows no analysis and no model."""

import hashlib
import logging
import os
import pickle
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, cast

from scfm_core.devices import use_device
from scfm_core.errors import Cancelled, ScfmError
from scfm_core.request import ItemT, PartT, Request, ResultT, recipe
from scfm_core.store import Store

_POLL_SECONDS = 0.1
_FINISHED_JOBS_KEPT = 64
logger = logging.getLogger(__name__)


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
        Torch's names, such as ``("cuda:0", "cuda:1")``. Where None: the one named by ``SCFM_DEVICE``, else all there
        are, found out at the first piece of work.
    """

    def __init__(self, devices: Sequence[str] | None = None) -> None:
        self._devices = None if devices is None else list(devices)
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def n_workers(self) -> int:
        """See `Executor.n_workers`."""
        return len(self._devices or [""])

    def submit(self, function: Callable[[Any], Any], item: Any) -> Task:
        """See `Executor.submit`."""
        with self._lock:
            if self._closed:  # between a job's look whether it was stopped and its next piece
                msg = "The engine was closed while the job ran. Finished pieces are kept."
                raise Cancelled(msg, "cancelled")
            if self._pool is None:
                self._pool = self._start()
            return self._pool.submit(function, item)

    def close(self) -> None:
        """See `Executor.close`."""
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> ThreadPoolExecutor:
        if self._devices is None:
            self._devices = _devices_here()
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
    nested
        Whether only other jobs asked for it; then it is stopped with the last of them.
    """

    def __init__(self, request: Request[ResultT], *, nested: bool = False) -> None:
        self.request = request
        self.id = uuid.uuid4().hex[:8]
        self.nested = nested
        self.started = time.monotonic()
        self.seconds: float | None = None
        self._lines: list[tuple[float, str]] = []
        self._child: Job[Any] | None = None
        self._n_parents = 0
        self._progress = Progress()
        self._partial: Any = None
        self._stop = threading.Event()
        self._future: Future[ResultT] = Future()

    @property
    def finished(self) -> bool:
        """Whether `result` returns, or raises, at once."""
        return self._future.done()

    @property
    def progress(self) -> Progress:
        """How far the step is that runs now; a nested question's while one is being computed."""
        child = self._child
        return child.progress if child else self._progress

    @property
    def done(self) -> int:
        """Units done of the step that runs now."""
        return self.progress.done

    @property
    def total(self) -> int:
        """Units in all of the step that runs now."""
        return self.progress.total

    @property
    def log(self) -> list[tuple[float, str]]:
        """Lines of (seconds since the start, text), those of nested questions among them."""
        child = self._child
        return [*self._lines, *(self._lines_of(child) if child else [])]

    @property
    def partial(self) -> Any:
        """What the request has shown of its answer so far; None before the first, and once the answer is there.

        Where it has shown nothing itself: what a nested question shows while it is being computed, or had shown when it
        was stopped or failed. A stopped or failed job keeps what it had shown last.
        """
        own, child = self._partial, self._child
        return child.partial if own is None and child is not None else own

    @property
    def error(self) -> BaseException | None:
        """What went wrong; None while the job runs and where it went well."""
        return self._future.exception() if self.finished else None

    def result(self, timeout: float | None = None) -> ResultT:
        """Wait for the answer; raises what the request raised, or TimeoutError after ``timeout`` seconds."""
        return self._future.result(timeout)

    def wait(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds and return whether the job is finished; raises nothing."""
        wait([self._future], timeout)
        return self.finished

    def cancel(self) -> None:
        """Stop at the next chunk; finished chunks are kept for the next time."""
        if not self.finished:
            self._stop.set()

    def _note(self, text: str) -> None:
        self._lines.append((time.monotonic() - self.started, text))

    def _lines_of(self, child: "Job[Any]") -> list[tuple[float, str]]:
        offset = child.started - self.started
        return [(max(0.0, offset + at), text) for at, text in child.log]


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
        return self._submit(request, nested=False)

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
        with self._lock:
            return [job for job in reversed(self._jobs.values()) if not job.nested]

    def close(self) -> None:
        """Stop all jobs and let go of the workers."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        self._executor.close()

    def _submit(self, request: Request[ResultT], *, nested: bool) -> Job[ResultT]:
        with self._lock:
            job: Job[ResultT] | None = self._jobs.get(request.identity)
            is_new = job is None or job.error is not None or job._stop.is_set()
            if job is None or is_new:
                job = Job(request, nested=nested)
                self._jobs.pop(request.identity, None)  # so that the new job stands last
                self._jobs[request.identity] = job
                self._forget_old_jobs()
            job.nested = job.nested and nested
            job._n_parents += nested
        if is_new:
            self._begin(job)
        else:
            self.store.touch(request.identity)
        return job

    def _leave(self, child: Job[Any]) -> None:
        """Say that a parent waits no longer; a child that nobody else wants is stopped."""
        with self._lock:
            child._n_parents -= 1
            if child.nested and child._n_parents == 0:
                child.cancel()

    def _begin(self, job: Job[ResultT]) -> None:
        stored = self.store.get(job.request.identity, job.request.result_type)
        if stored is None:
            threading.Thread(target=self._run, args=(job,), name=f"job-{job.id}", daemon=True).start()
        else:
            job.seconds = 0.0
            job._future.set_result(stored)

    def _run(self, job: Job[ResultT]) -> None:
        try:
            answer = self._keep(job, job.request.run(_Running(self, job)))
        except BaseException as error:  # delivered to whoever waits for the job
            if not isinstance(error, ScfmError) and not job.nested:  # a nested job's error is logged by its parent
                logger.exception("job %s (%r) failed", job.id, job.request)
            traceback.clear_frames(error.__traceback__)  # a kept error must not keep arrays
            job.seconds = time.monotonic() - job.started
            job._future.set_exception(error)
        else:
            job.seconds = time.monotonic() - job.started
            job._future.set_result(answer)
            job._partial = None  # the answer is there; finished jobs are kept for long

    def _keep(self, job: Job[ResultT], answer: ResultT) -> ResultT:
        identity = job.request.identity
        try:
            self.store.put(identity, answer, recipe(job.request), seconds=time.monotonic() - job.started)
        except OSError as error:  # a full disk, say: what was computed is still worth showing
            logger.warning("job %s: the answer could not be stored: %s", job.id, error)
            job._note(f"The answer could not be stored and will be computed again next time: {error}")
            return answer
        stored: ResultT | None = self.store.get(identity, job.request.result_type)
        return answer if stored is None else stored

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
        self._job._note(text)

    def show(self, partial: object) -> None:
        self._job._partial = partial

    def compute(self, request: Request[ResultT]) -> ResultT:
        self._raise_if_cancelled()
        child = self._engine._submit(request, nested=True)
        watched = not child.finished
        self._job._child = child if watched else None
        try:
            while not child.finished:
                child.wait(_POLL_SECONDS)
                self._raise_if_cancelled()
        finally:
            if watched:
                self._job._lines.extend(self._job._lines_of(child))
                if not child.finished or child.error is not None:
                    self._job._partial = self._job.partial  # the nested one's, where this one has none
                self._job._child = None
            self._engine._leave(child)
        return child.result()

    def call(self, function: Callable[[], PartT], *, step: str) -> PartT:
        with closing(self.map(partial(_call, function), [None], step=step, unit="")) as parts:
            return next(parts)

    def map(
        self,
        function: Callable[[ItemT], PartT],
        items: Sequence[ItemT],
        *,
        step: str,
        sizes: Sequence[int] | None = None,
        unit: str = "cells",
    ) -> Generator[PartT, None, None]:
        weights = [1 if unit else 0] * len(items) if sizes is None else list(sizes)
        progress = self._begin_step(step, total=sum(weights), unit=unit)
        pieces = _Pieces(self._engine, self._job.request.identity, function, _named(self._n_maps, items))
        self._n_maps += 1
        try:
            for position, weight in enumerate(weights):
                part = pieces.kept(position)
                if part is None:
                    part = self._wait(pieces.task(position))
                else:
                    progress.done_at_start += weight
                pieces.drop(position)
                progress.done += weight
                yield part
                self._raise_if_cancelled()
        finally:
            pieces.cancel()

    def fold(
        self,
        function: Callable[[PartT | None, ItemT], PartT],
        items: Sequence[ItemT],
        *,
        step: str,
        sizes: Sequence[int] | None = None,
        unit: str = "steps",
    ) -> PartT:
        weights = [1] * len(items) if sizes is None else list(sizes)
        progress = self._begin_step(step, total=sum(weights), unit=unit)
        chain = _Chain(self._engine, self._job.request.identity, function, _named_in_turn(self._n_maps, items))
        self._n_maps += 1
        progress.done = progress.done_at_start = sum(weights[: chain.n_done])
        for weight in weights[chain.n_done :]:
            self._raise_if_cancelled()
            chain.take(self._wait(chain.task()))
            progress.done += weight
        return cast(PartT, chain.state)

    def _begin_step(self, step: str, *, total: int, unit: str) -> Progress:
        self._job._progress = progress = Progress(step=step, total=total, unit=unit)
        self.log(step if not unit else f"{step}: {total:,} {unit}")
        return progress

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


class _Pieces:
    """The pieces of one `Context.map`: kept from an earlier run, running ahead of whoever reads them, or to come."""

    def __init__(
        self, engine: Engine, identity: str, function: Callable[[Any], Any], named: Sequence[tuple[str, Any]]
    ) -> None:
        self._executor, self._store, self._identity = engine._executor, engine.store, identity
        self._work = partial(_work, function, engine.store, identity)
        self._named = named
        self._running: dict[int, Task] = {}
        self._next = 0

    def kept(self, position: int) -> Any | None:
        """Return a piece that lies finished from an earlier run, else None; sees to it that work is queued ahead."""
        while self._next < len(self._named) and len(self._running) < 2 * self._executor.n_workers:
            name = self._named[self._next][0]
            if not (name and self._store.has_part(self._identity, name)):
                self.task(self._next)
            self._next += 1
        return None if position in self._running else self._store.get_part(self._identity, self._named[position][0])

    def task(self, position: int) -> Task:
        """Return the work on a piece, queued now where it was not."""
        if position not in self._running:
            self._running[position] = self._executor.submit(self._work, self._named[position])
        return self._running[position]

    def drop(self, position: int) -> None:
        """Forget a piece that was handed over."""
        self._running.pop(position, None)

    def cancel(self) -> None:
        """Give up what was not handed over."""
        for task in self._running.values():
            task.cancel()


class _Chain:
    """The steps of one `Context.fold`: each needs what the one before returned, so only the last one is kept."""

    def __init__(
        self, engine: Engine, identity: str, function: Callable[[Any, Any], Any], named: Sequence[tuple[str, Any]]
    ) -> None:
        self._executor, self._store, self._identity = engine._executor, engine.store, identity
        self._function, self._named = function, named
        self.n_done, self.state = self._kept()

    def task(self) -> Task:
        """Return the work on the next step, queued now."""
        work = partial(_work, partial(self._function, self.state), self._store, self._identity)
        return self._executor.submit(work, self._named[self.n_done])

    def take(self, state: Any) -> None:
        """Take what a step returned, and forget the one before it."""
        if self.n_done:
            self._store.drop_part(self._identity, self._named[self.n_done - 1][0])
        self.n_done, self.state = self.n_done + 1, state

    def _kept(self) -> tuple[int, Any]:
        for n_done in range(len(self._named), 0, -1):
            state = self._store.get_part(self._identity, self._named[n_done - 1][0])
            if state is not None:
                return n_done, state
        return 0, None


def _named_in_turn(n_map: int, items: Sequence[ItemT]) -> list[tuple[str, ItemT]]:
    """Name each step by all that was done up to it."""
    digest, named = hashlib.sha256(), []
    for number, item in enumerate(items):
        digest.update(pickle.dumps(item, protocol=5))
        named.append((f"{n_map}-after-{number}-{digest.hexdigest()[:16]}", item))
    return named


def _named(n_map: int, items: Sequence[ItemT]) -> list[tuple[str, ItemT]]:
    """Name each piece by its place and content, so that a run with other pieces never takes a kept one for its own.

    A piece that is alone has no name and is not kept.
    """
    if len(items) == 1:
        return [("", items[0])]
    digests = [hashlib.sha256(pickle.dumps(item, protocol=5)).hexdigest()[:16] for item in items]
    names = [f"{n_map}-{number}-{digest}" for number, digest in enumerate(digests)]
    return list(zip(names, items, strict=True))


def _work(function: Callable[[ItemT], PartT], store: Store, identity: str, named: tuple[str, ItemT]) -> PartT:
    """Compute a piece on the worker, and keep it there, so that it outlives whoever waits for it."""
    name, item = named
    part = function(item)
    if name:
        try:
            store.put_part(identity, name, part)
        except OSError as error:  # a full disk, say
            logger.warning("piece %s of %s could not be kept: %s", name, identity[:12], error)
    return part


def _call(function: Callable[[], PartT], _: None) -> PartT:
    return function()


def _devices_here() -> list[str]:
    named = os.environ.get("SCFM_DEVICE")
    if named:
        return [named]
    from scfm_core.tensors import available_devices  # torch is slow to import

    return available_devices()
