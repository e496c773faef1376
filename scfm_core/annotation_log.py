"""The log of what people call cells: one line of JSON per act, only ever added to; it knows not what they add up to."""

import hashlib
import json
import os
import uuid
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from scfm_core.errors import DatasetError

Kind = Literal["column", "rename", "delete", "give", "clear", "undo", "redo"]
_LOCK_SECONDS = 20.0
_HELD_BYTES = 4  # of the number of cells, before the bits


@dataclass(frozen=True, kw_only=True)
class Act:
    """One thing that a person did to the labels of a dataset.

    Attributes
    ----------
    id
        Names the act.
    time
        When it was written: UTC, ISO 8601 to the millisecond.
    act
        ``"column"``: made a column called ``label``. ``"rename"``: called the column ``label`` from then on.
        ``"delete"``: took the column away. ``"give"``: called the cells ``label``. ``"clear"``: took the label from the
        cells. ``"undo"``, ``"redo"``: made the act ``of`` undone, or done again.
    column
        Id of the act that made the column.
    term
        Id of the ontology's term for the label; empty without one.
    n_cells
        Number of the cells that were given or cleared.
    cells
        Name of the file that holds them.
    of
        Id of the act that is undone or done again.
    """

    id: str
    author: str
    act: Kind
    time: str = ""
    column: str = ""
    label: str = ""
    term: str = ""
    n_cells: int = 0
    cells: str = ""
    of: str = ""


@dataclass(frozen=True)
class AnnotationLog:
    """The log in one folder; several processes may write to it at once."""

    folder: Path

    def read(self) -> tuple[Act, ...]:
        """Return all acts, oldest first; a line that was cut off while it was written is no act.

        Raises
        ------
        DatasetError
            If the log was written by a version of scFM Explorer that knows of other acts.
        """
        if not self._path.is_file():
            return ()
        rows = [row for line in self._path.read_bytes().split(b"\n") if (row := _row(line)) is not None]
        known = {field.name for field in fields(Act)}
        for row in rows:
            if set(row) != known or row["act"] not in get_args(Kind):
                msg = "The labels of this dataset were written by another version of scFM Explorer. Use that one."
                raise DatasetError(msg, "labels-version")
        return tuple(Act(**row) for row in rows)

    def stamp(self) -> tuple[int, int]:
        """Return numbers that change with every act: size in bytes, time of writing in nanoseconds."""
        if not self._path.is_file():
            return 0, 0
        state = self._path.stat()
        return state.st_size, state.st_mtime_ns

    def add(self, make: Callable[[tuple[Act, ...]], Sequence[Act]]) -> None:
        """Write the acts that ``make`` returns when it is told all acts before; nobody else writes in between.

        Raises
        ------
        DatasetError
            If another process holds the log for too long.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "log.lock", timeout=_LOCK_SECONDS):
                time = datetime.now(UTC).isoformat(timespec="milliseconds")
                acts = [replace(act, time=time) for act in make(self.read())]
                self._append(b"".join(json.dumps(asdict(act), ensure_ascii=False).encode() + b"\n" for act in acts))
        except TimeoutError as error:
            msg = (
                f"Expected to write the label within {_LOCK_SECONDS:.0f} s, but somebody else is writing labels of "
                "this dataset all the time. Give it again."
            )
            raise DatasetError(msg, "labels-locked") from error

    def keep_cells(self, mask: NDArray[np.bool_]) -> str:
        """Write which cells are meant, shape ``(n_cells,)``, and return the name of the file; equal cells share one."""
        bits = len(mask).to_bytes(_HELD_BYTES, "little") + np.packbits(mask, bitorder="little").tobytes()
        name = f"{hashlib.sha256(bits).hexdigest()[:32]}.bits"
        path = self.folder / "cells" / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{uuid.uuid4().hex}.part")
            partial.write_bytes(zlib.compress(bits))
            partial.replace(path)
        return name

    def cells(self, name: str) -> NDArray[np.bool_]:
        """Read which cells are meant, shape ``(n_cells,)``.

        Raises
        ------
        DatasetError
            If the file is gone or holds something else.
        """
        path = self.folder / "cells" / Path(name).name
        try:
            bits = zlib.decompress(path.read_bytes())
        except (OSError, zlib.error) as error:
            msg = f"The file {path.name!r} with the cells of a label is gone or damaged. Put it back, or undo that."
            raise DatasetError(msg, "labels-damaged") from error
        n_cells = int.from_bytes(bits[:_HELD_BYTES], "little")
        packed = np.frombuffer(bits, dtype=np.uint8, offset=_HELD_BYTES)
        return np.unpackbits(packed, count=n_cells, bitorder="little").astype(bool)

    @property
    def _path(self) -> Path:
        return self.folder / "log.jsonl"

    def _append(self, lines: bytes) -> None:
        with self._path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # the last writer was cut off
                    lines = b"\n" + lines
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())


def new_id() -> str:
    """Return a name for an act."""
    return uuid.uuid4().hex[:12]


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
