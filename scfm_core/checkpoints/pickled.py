"""Reads a stranger's pickled or JSON dictionary of text and numbers; nothing that lies in the file is ever called.

A pickle is a program. Two fences stand around it: its instructions are read first and refused unless they belong to
the few that build a dictionary; then Python's unpickler runs with stand-ins for the two numpy functions that published
dictionaries name, which can make a number and nothing else. numpy itself is not called.
"""

import io
import json
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any, NoReturn

from scfm_core.checkpoints.files import read_bytes
from scfm_core.errors import ModelError

LARGEST_BYTES = 16_000_000  # the largest published dictionary has 4 million

_ALLOWED = frozenset({
    "PROTO", "FRAME", "STOP", "MARK", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_TUPLE", "TUPLE", "TUPLE1",
    "TUPLE2", "TUPLE3", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1",
    "LONG4", "BINFLOAT", "FLOAT", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET",
    "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
})  # fmt: skip
_TUPLES = frozenset({"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
_MEMORY = frozenset({"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"})
_SCALARS = frozenset({("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")})
_DTYPES = {"i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
           "f2": "e", "f4": "f", "f8": "d"}  # fmt: skip
_BROKEN = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError, RecursionError, MemoryError,
    OverflowError, struct.error,
)  # fmt: skip


def read_dictionary(path: Path) -> dict[str, str | int | float]:
    """Return the dictionary in a ``.pkl`` or ``.json`` file.

    Raises
    ------
    ModelError
        ``"unsafe-pickle"`` if a pickle asks for anything beyond text, numbers and numpy's scalars;
        ``"broken-dictionary"`` if the file is cut off or holds something else; ``"git-lfs-pointer"``.
    """
    content = read_bytes(path, largest=LARGEST_BYTES)
    found = _from_json(content, path.name) if path.suffix == ".json" else _from_pickle(content, path.name)
    if type(found) is not dict:
        raise _broken(path.name, f"{type(found).__name__} instead of a dictionary")
    for key, value in found.items():
        if type(key) is not str or type(value) not in (str, int, float):
            named = repr(key[:40]) if type(key) is str else f"of a {type(key).__name__}"
            raise _broken(path.name, f"the entry {named} of type {type(value).__name__}")
    return found


def _from_json(content: bytes, name: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _broken(name, f"no JSON ({error})") from error


def _from_pickle(content: bytes, name: str) -> Any:
    try:
        _check_instructions(content, name)
        return _DictionaryUnpickler(content, name).load()
    except _BROKEN as error:
        raise _broken(name, f"a pickle that ends or goes wrong ({type(error).__name__})") from error


def _check_instructions(content: bytes, name: str) -> None:
    """Refuse a pickle with an instruction that no dictionary needs, before any of them runs.

    A tuple may only be what a function is called with: Python's own hash of tuples within tuples has no limit, and as
    keys of a dictionary they end the process.
    """
    n_bytes, holds_tuple = len(content), False
    for instruction, argument, _ in pickletools.genops(content):
        if holds_tuple and instruction.name not in (*_MEMORY, "REDUCE", "BUILD"):
            raise _unsafe(name, "a tuple")
        holds_tuple = instruction.name in _TUPLES or (holds_tuple and instruction.name in _MEMORY)
        if instruction.name not in _ALLOWED:
            raise _unsafe(name, f"the instruction {instruction.name}")
        if instruction.name in ("LONG_BINPUT", "PUT") and int(argument or 0) > n_bytes:  # reserves memory up to there
            raise _unsafe(name, "a memory that is larger than the file")


class _DictionaryUnpickler(pickle.Unpickler):
    """Python's unpickler, which gets a stand-in for each global and nothing for a persistent id."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(io.BytesIO(content))
        self._name = name

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Return a stand-in of ours for what a pickle calls by name."""
        if (module_name, global_name) == ("numpy", "dtype"):
            return _MakeDtype()
        if (module_name, global_name) in _SCALARS:
            return _MakeScalar()
        raise _unsafe(self._name, f"{module_name}.{global_name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuse: the dictionaries hold themselves whole."""
        raise _unsafe(self._name, "an object outside the file")


class _MakeDtype:
    """Stands in for ``numpy.dtype``. Without attributes, so that a pickle cannot give it any."""

    __slots__ = ()

    def __call__(self, code: str, align: bool, copy: bool) -> "_Dtype":
        _check_plain((code, align, copy))
        return _Dtype(code)


class _Dtype:
    """A number format: an integer or a float of up to eight bytes."""

    __slots__ = ("order", "size")

    def __init__(self, code: str) -> None:
        self.size = _DTYPES[code]
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the byte order out of what numpy stores of a number format: version, order and five defaults."""
        _check_plain(state)
        if state[1] not in ("<", ">", "|", "="):
            msg = "no byte order"
            raise ValueError(msg)
        self.order = "=" if state[1] == "|" else state[1]


class _MakeScalar:
    """Stands in for numpy's ``scalar``: bytes of a format -> a Python number."""

    __slots__ = ()

    def __call__(self, dtype: _Dtype, content: bytes) -> int | float:
        if type(dtype) is not _Dtype or type(content) is not bytes:
            msg = "no number"
            raise TypeError(msg)
        number: int | float = struct.unpack(dtype.order + dtype.size, content)[0]
        return number


def _check_plain(arguments: tuple[Any, ...]) -> None:
    """Refuse tuples within a tuple, which a pickle could pile up."""
    if any(type(argument) not in (str, int, bool, type(None)) for argument in arguments):
        msg = "no number format"
        raise TypeError(msg)


def _unsafe(name: str, what: str) -> ModelError:
    msg = (
        f"The pickle {name} asks for {what}; expected a dictionary of text and numbers only. It was not run. "
        "Do not use this file; get the dictionaries from the authors' repository."
    )
    return ModelError(msg, "unsafe-pickle")


def _broken(name: str, found: str) -> ModelError:
    msg = f"The dictionary {name} should map text to text or numbers, found {found}. Get the file again."
    return ModelError(msg, "broken-dictionary")
