"""Small real requests whose work leaves a mark on disk, so that a test can count how often it was done, and where."""

import os
import signal
import time
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from scfm_core.errors import RequestError
from scfm_core.request import Request


def mark(folder: str, name: str) -> None:
    (Path(folder) / f"{name}.{os.getpid()}.{uuid.uuid4().hex}").touch()


def marks(folder: Path, name: str) -> int:
    return len(list(folder.glob(f"{name}.*")))


def wait_for(condition, timeout_seconds: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def square(folder: str, seconds: float, number: int) -> dict[str, np.ndarray]:
    time.sleep(seconds)
    mark(folder, f"piece-{number}")
    return {"squares": np.array([number * number])}


def fail(folder: str, number: int) -> int:
    mark(folder, "failed")
    if not (Path(folder) / "mended").exists():
        if (Path(folder) / "bug").exists():
            return number // 0
        msg = f"Piece {number} cannot be computed."
        raise RequestError(msg, "test-failure")
    return number


def die(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Squares:
    values: np.ndarray
    label: str


@dataclass(frozen=True)
class Square(Request[Squares]):
    folder: str
    n: int = 5
    seconds: float = 0.0
    label: str = "squares"

    result_type: ClassVar[type] = Squares

    def run(self, context):
        mark(self.folder, f"run-{self.label}")
        work = partial(square, self.folder, self.seconds)
        parts = list(context.map(work, range(self.n), step="Squaring", sizes=[10] * self.n))
        context.log("All squared")
        return Squares(np.concatenate([part["squares"] for part in parts]), self.label)


@dataclass(frozen=True)
class SumOfSquares(Request[Squares]):
    squares: Square
    name: str = "sum"

    result_type: ClassVar[type] = Squares

    def run(self, context):
        context.log("Asking for squares")
        mark(self.squares.folder, f"run-{self.name}")
        squares = context.compute(self.squares)
        total = context.call(partial(np.sum, squares.values), step="Adding up")
        return Squares(np.array([total]), self.name)


@dataclass(frozen=True)
class Failing(Request[Squares]):
    folder: str

    result_type: ClassVar[type] = Squares

    def run(self, context):
        values = list(context.map(partial(fail, self.folder), range(3), step="Failing", unit="pieces"))
        return Squares(np.array(values), "mended")


@dataclass(frozen=True)
class Deadly(Request[Squares]):
    """Kills every worker that touches it."""

    result_type: ClassVar[type] = Squares

    def run(self, context):
        return Squares(context.call(partial(die, None), step="Dying"), "never")


@dataclass(frozen=True)
class FirstOnly(Request[Squares]):
    """Stops reading the pieces after the first one."""

    folder: str

    result_type: ClassVar[type] = Squares

    def run(self, context):
        pieces = context.map(partial(square, self.folder, 0.05), range(20), step="Squaring")
        return Squares(next(pieces)["squares"], "first")


@dataclass(frozen=True)
class Shown(Request[Squares]):
    """Shows what it has after every piece; fails after the piece ``fails_after``."""

    folder: str
    n: int = 5
    seconds: float = 0.0
    fails_after: int = 10**9

    result_type: ClassVar[type] = Squares

    def run(self, context):
        values = np.empty(0, dtype=int)
        for part in context.map(partial(square, self.folder, self.seconds), range(self.n), step="Squaring"):
            values = np.concatenate([values, part["squares"]])
            context.show(Squares(values, f"so far {len(values)}"))
            if len(values) == self.fails_after:
                msg = "It went wrong."
                raise RequestError(msg, "test-failure")
        return Squares(values, "whole")


@dataclass(frozen=True)
class AfterShown(Request[Squares]):
    """Asks a question that shows its pieces, then shows something of its own where ``own``."""

    shown: Shown
    own: bool = False

    result_type: ClassVar[type] = Squares

    def run(self, context):
        if self.own:
            context.show(Squares(np.array([-1]), "own"))
        shown = context.compute(self.shown)
        mark(self.shown.folder, "asked")
        parts = list(context.map(partial(square, self.shown.folder, 0.05), range(20), step="Squaring again"))
        return Squares(np.concatenate([shown.values, *(part["squares"] for part in parts)]), "whole")


def add(folder: str, seconds: float, total: dict[str, np.ndarray] | None, number: int) -> dict[str, np.ndarray]:
    time.sleep(seconds)
    mark(folder, f"added-{number}")
    before = np.empty(0, dtype=int) if total is None else total["values"]
    return {"values": np.append(before, number + (before[-1] if len(before) else 0))}


@dataclass(frozen=True)
class RunningSum(Request[Squares]):
    """Each step needs what the one before gave."""

    folder: str
    n: int = 5
    seconds: float = 0.0
    steps: int = 1

    result_type: ClassVar[type] = Squares

    def run(self, context):
        mark(self.folder, "run-sum")
        work = partial(add, self.folder, self.seconds)
        total = context.fold(work, range(1, self.n + 1), step="Adding", sizes=[self.steps] * self.n, unit="steps")
        context.log("All added")
        return Squares(total["values"], "sum")
