"""Reads a stranger's pickle of arrays in named objects with an interpreter of its own, not with Python's unpickler.

A pickle is a program for a small stack machine. This one knows the instructions that put together text, numbers, lists,
dictionaries and numpy arrays, and keeps an object of a known class as its name and its attributes. No class is
imported, no function is called: what a name stands for is decided by a table here, and everything else is refused.
"""

import io
import pickletools
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scfm_core.checkpoints.files import read_bytes
from scfm_core.errors import ModelError

_FORMAT = re.compile(r"[fiu][1248]|b1|U\d{1,6}|O8?")
_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = frozenset({
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8",
})  # fmt: skip
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = frozenset({"MEMOIZE", "BINPUT", "LONG_BINPUT"})
_IGNORED = frozenset({"PROTO", "FRAME"})
_NUMPY = {
    ("numpy", "dtype"): "dtype",
    ("numpy", "ndarray"): "ndarray",
    ("numpy.core.multiarray", "scalar"): "scalar",
    ("numpy._core.multiarray", "scalar"): "scalar",
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
}
_BROKEN = (ValueError, TypeError, LookupError, AttributeError, OverflowError, MemoryError, UnicodeError)


@dataclass(eq=False)
class KeptObject:
    """An object of a class that was never imported: its name and what it was said to hold."""

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Name:
    what: str


@dataclass(eq=False)
class _Format:
    code: str
    order: str = "="

    @property
    def dtype(self) -> "np.dtype[Any]":
        return np.dtype(f"{self.order}{self.code}")


@dataclass(eq=False)
class _Array:
    """An array that waits for its content; a list of text where numpy would keep objects."""

    content: Any = None


def read_objects(path: Path, *, kinds: Collection[str], largest: int) -> Any:
    """Return what a pickle describes: text, numbers, lists, dictionaries, arrays, and `KeptObject` for the kinds.

    Parameters
    ----------
    kinds
        Dotted names of the classes whose attributes are kept.
    largest
        In bytes.

    Raises
    ------
    ModelError
        ``"unsafe-pickle"`` if the pickle asks for anything else, ``"broken-model"`` if it is cut off,
        ``"too-large"``, ``"git-lfs-pointer"``.
    """
    content = read_bytes(path, largest=largest)
    machine = _Machine(path.name, kinds)
    try:
        for instruction, argument, _ in pickletools.genops(io.BytesIO(content)):
            machine.step(instruction.name, argument)
    except _BROKEN as error:
        msg = (
            f"The pickle {path.name} ends too early or goes wrong ({type(error).__name__}); expected a whole file of "
            "arrays and text. Get the file again."
        )
        raise ModelError(msg, "broken-model") from error
    return _finished(machine.result)


class _Machine:
    """The stack machine of a pickle, reduced to what describes data."""

    def __init__(self, name: str, kinds: Collection[str]) -> None:
        self._name, self._kinds = name, kinds
        self._stack: list[Any] = []
        self._memory: dict[int, Any] = {}
        self._handlers = self._known_instructions()
        self.result: Any = None

    def step(self, instruction: str, argument: Any) -> None:
        """Carry out one instruction."""
        if instruction in _VALUES:
            self._stack.append(argument)
        elif instruction in _CONSTANTS:
            self._stack.append(_CONSTANTS[instruction])
        elif instruction in _TUPLES:
            self._stack.append(tuple(self._pop() for _ in range(_TUPLES[instruction]))[::-1])
        elif instruction in _PUTS:
            self._memory[len(self._memory) if instruction == "MEMOIZE" else int(argument)] = self._stack[-1]
        elif instruction not in _IGNORED:
            handle = self._handlers.get(instruction)
            if handle is None:
                raise _unsafe(self._name, f"the instruction {instruction}")
            handle(argument)

    def _known_instructions(self) -> dict[str, Callable[[Any], None]]:
        return {
            "MARK": lambda _: self._stack.append(_MARK),
            "EMPTY_DICT": lambda _: self._stack.append({}),
            "EMPTY_LIST": lambda _: self._stack.append([]),
            "TUPLE": lambda _: self._stack.append(tuple(self._above_mark())),
            "APPEND": lambda _: self._append([self._pop()]),
            "APPENDS": lambda _: self._append(self._above_mark()),
            "SETITEM": lambda _: self._set([self._pop(), self._pop()][::-1]),
            "SETITEMS": lambda _: self._set(self._above_mark()),
            "BINGET": lambda place: self._stack.append(self._memory[place]),
            "LONG_BINGET": lambda place: self._stack.append(self._memory[place]),
            "GLOBAL": lambda names: self._name_global(*names.split(" ")),
            "STACK_GLOBAL": lambda _: self._name_global(*[self._pop(), self._pop()][::-1]),
            "REDUCE": lambda _: self._call(),
            "NEWOBJ": lambda _: self._call(),
            "BUILD": lambda _: self._build(),
            "STOP": lambda _: self._stop(),
        }

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            msg = "a mark where a value was expected"
            raise ValueError(msg)
        return value

    def _above_mark(self) -> list[Any]:
        values: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _append(self, values: list[Any]) -> None:
        _of_type(self._stack[-1], list).extend(values)

    def _set(self, pairs: list[Any]) -> None:
        target = _of_type(self._stack[-1], dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[_of_type(key, str)] = value

    def _name_global(self, module: str, name: str) -> None:
        what = _NUMPY.get((module, name), f"{module}.{name}")
        if (module, name) not in _NUMPY and what not in self._kinds:
            raise _unsafe(self._name, what)
        self._stack.append(_Name(what))

    def _call(self) -> None:
        arguments, named = _of_type(self._pop(), tuple), _of_type(self._pop(), _Name)
        self._stack.append(self._made(named.what, arguments))

    def _made(self, what: str, arguments: tuple[Any, ...]) -> Any:
        match what:
            case "dtype":
                code = _of_type(arguments[0], str)
                if not _FORMAT.fullmatch(code):
                    raise _unsafe(self._name, f"the number format {code[:20]!r}")
                return _Format(code)
            case "scalar":
                form, content = _of_type(arguments[0], _Format), _of_type(arguments[1], bytes)
                if form.code.startswith("O"):
                    raise _unsafe(self._name, "a number that is an object")
                return np.frombuffer(content, dtype=form.dtype)[0].item()
            case "array":
                return _Array()
            case "ndarray":
                raise _unsafe(self._name, "an array of its own making")
            case _ if not arguments:
                return KeptObject(what)
            case _:
                raise _unsafe(self._name, f"{what} with arguments")

    def _build(self) -> None:
        state, target = self._pop(), self._stack[-1]
        match target:
            case _Format():
                target.order = {"<": "<", ">": ">", "|": "=", "=": "="}[_of_type(state, tuple)[1]]
            case _Array():
                target.content = _array(*_of_type(state, tuple))
            case KeptObject():
                target.attributes = dict(_of_type(state, dict))
            case _:
                raise _unsafe(self._name, f"a state for {type(target).__name__}")

    def _stop(self) -> None:
        self.result = self._pop()
        if self._stack:
            msg = "values left over"
            raise ValueError(msg)


def _array(_version: int, shape: tuple[int, ...], form: _Format, is_fortran: bool, content: Any) -> Any:
    """Return an array, or for an array of objects of one dimension the list of its text."""
    if _of_type(form, _Format).code.startswith("O"):
        values = [_of_type(value, str) for value in _of_type(content, list)]
        if shape != (len(values),):
            msg = "another number of values than the shape says"
            raise ValueError(msg)
        return values
    flat = np.frombuffer(_of_type(content, bytes), dtype=form.dtype)
    return flat.reshape(shape, order="F" if is_fortran is True else "C")


def _finished(value: Any) -> Any:
    """Put the content of arrays in their place, in a dictionary and in the attributes of the objects in it."""
    match value:
        case _Array():
            return value.content
        case KeptObject():
            return KeptObject(value.kind, {name: _shallow(item) for name, item in value.attributes.items()})
        case dict():
            return {name: _finished(item) if isinstance(item, KeptObject) else _shallow(item)
                    for name, item in value.items()}  # fmt: skip
        case _:
            return value


def _shallow(value: Any) -> Any:
    return value.content if isinstance(value, _Array) else value


def _of_type(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        msg = f"{type(value).__name__} instead of {kind.__name__}"
        raise TypeError(msg)
    return value


def _unsafe(name: str, what: str) -> ModelError:
    msg = (
        f"The pickle {name} asks for {what[:120]}; expected a CellTypist model: text, numbers, arrays, a logistic "
        "regression and a scaler. It was not run. Do not use this file; get the model from its authors."
    )
    return ModelError(msg, "unsafe-pickle")
