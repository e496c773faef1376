"""Sets of cells as text, and kept in a folder under the hash of their content, so that an address can name them."""

import base64
import hashlib
import json
import os
import re
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError

MOST_KEPT = 5000
_MOST_CELLS = 50_000_000
_LONGEST_LABEL = 300
_LETTERS = 16
_KEY = re.compile(rf"[0-9a-f]{{{_LETTERS}}}")


def packed(cells: CellSet) -> dict[str, Any]:
    """Return a set of cells as plain JSON values, its bits packed by zlib and written in base64.

    Examples
    --------
    >>> one = CellSet.from_positions("some", [1, 2], 10)
    >>> unpacked(packed(one)) == one
    True
    """
    bits = base64.b64encode(zlib.compress(cells.bits, 9)).decode()
    return {"label": cells.label[:_LONGEST_LABEL], "n_cells": cells.n_cells, "bits": bits}


def unpacked(value: object) -> CellSet:
    """Return the set of cells that `packed` wrote down.

    Raises
    ------
    RequestError
        If it is no such value, or claims to be larger than it may (code "bad-cells").
    """
    match value:
        case {"label": str() as label, "n_cells": int() as n_cells, "bits": str() as bits} if (
            0 < n_cells <= _MOST_CELLS and len(label) <= _LONGEST_LABEL and not isinstance(n_cells, bool)
        ):
            return CellSet(label=label, bits=_bits(bits, n_cells), n_cells=n_cells)
    msg = "Expected a set of cells with a label, a number of cells and packed bits, found something else. Make it anew."
    raise RequestError(msg, "bad-cells")


def keep_cells(folder: Path, cells: CellSet) -> str:
    """Write a set of cells into a folder, where it is not there yet, and return its name: the hash of its content.

    The folder holds the 5,000 sets that were kept last.
    """
    content = json.dumps(packed(cells), sort_keys=True)
    key = hashlib.sha256(content.encode()).hexdigest()[:_LETTERS]
    path = folder / f"{key}.json"
    if path.is_file():
        os.utime(path)
        return key
    partial = folder / f".part-{key}-{os.getpid()}"
    partial.write_text(content)
    partial.replace(path)
    _forget_oldest(folder)
    return key


def kept_cells(folder: Path, key: str) -> CellSet:
    """Return a set of cells by its name.

    Raises
    ------
    RequestError
        If there is none of this name (code "no-such-cells"), or the file is not what was kept ("bad-cells").
    """
    path = folder / f"{key}.json"
    if not _KEY.fullmatch(key) or not path.is_file():
        msg = f"The selection {key[:_LETTERS]} is not kept on this server. Ask for a session file, which holds it."
        raise RequestError(msg, "no-such-cells")
    content = path.read_text()
    if not hashlib.sha256(content.encode()).hexdigest().startswith(key):
        msg = f"The selection {key} was changed after it was kept. Select the cells again."
        raise RequestError(msg, "bad-cells")
    return unpacked(json.loads(content))


def _bits(text: str, n_cells: int) -> bytes:
    n_bytes = -(-n_cells // 8)
    unpack = zlib.decompressobj()
    try:
        bits = unpack.decompress(base64.b64decode(text, validate=True), n_bytes + 1)
    except (ValueError, zlib.error):
        bits = b""
    spare = 8 * n_bytes - n_cells
    if len(bits) != n_bytes or bits[-1] >> (8 - spare):
        msg = f"Expected {n_bytes:,} bytes for {n_cells:,} cells, found {len(bits):,} or none. Make the selection anew."
        raise RequestError(msg, "bad-cells")
    return bits


def _forget_oldest(folder: Path) -> None:
    found = []
    for path in folder.glob("*.json"):
        with suppress(FileNotFoundError):  # another process deleted it just now
            found.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(found)[: max(len(found) - MOST_KEPT, 0)]:
        path.unlink(missing_ok=True)
