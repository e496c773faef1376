"""A request is a frozen question that knows how to compute its answer; requests nest."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import Field, fields, is_dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.model import ModelSpec
from scfm_core.workers import ItemT, PartT, Workers

_KEPT = {"question": "question asked", "version": "version asked"}  # fields that would hide the class of a request

ResultT = TypeVar("ResultT")

__all__ = ["Context", "ItemT", "PartT", "Request", "ResultT", "recipe"]


class Context(Workers, Protocol):
    """All that a running request may touch."""

    def compute(self, request: "Request[ResultT]") -> ResultT:
        """Return the answer to a nested question: stored, or computed now."""

    def map(
        self,
        function: Callable[[ItemT], PartT],
        items: Sequence[ItemT],
        *,
        step: str,
        sizes: Sequence[int] | None = None,
        unit: str = "cells",
    ) -> Iterator[PartT]:
        """Run ``function`` on the workers, once per item, and yield what it returns in the order of the items.

        Progress, cancel, retry after a dead worker and the keeping of finished chunks live here, once.

        Parameters
        ----------
        function
            A module-level function, or a `functools.partial` of one. It returns an array, a table, a plain value, or
            a dict of these by name.
        items
            Picklable values, each about one to two seconds of work.
        step
            What is being done, as the person at the screen reads it: "Embedding with PCA".
        sizes, unit
            How much each item weighs in the progress bar, and what is counted; one each where None.
        """

    def show(self, partial: object) -> None:
        """Let be seen what there is of the answer so far; it stays when the job is stopped, and is not stored.

        Parameters
        ----------
        partial
            A frozen value, mostly of the request's own result type; nobody changes it after it was shown.
        """


class Request(ABC, Generic[ResultT]):
    """A question with one answer.

    Sub-classes are frozen dataclasses whose fields are plain values, tuples, frozen dataclasses, a `Dataset`, a
    `ModelSpec`, or another request.
    """

    result_type: ClassVar[type]
    version: ClassVar[int] = 1  # raised when the same fields give other numbers

    @abstractmethod
    def run(self, context: Context) -> ResultT:
        """Compute the answer."""

    @cached_property
    def identity(self) -> str:
        """A hash, equal for two requests exactly if their answers are equal."""
        return hashlib.sha256(json.dumps(recipe(self), sort_keys=True).encode()).hexdigest()


def recipe(value: Any) -> Any:
    """Return a request, or a value inside one, as plain JSON values: the provenance that is stored with an answer."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Dataset():
            return {"dataset": value.identity}
        case ModelSpec():
            return {"model": value.key, "identity": value.identity}
        case tuple():
            return [recipe(item) for item in value]
        case bytes():
            return {"sha256": hashlib.sha256(value).hexdigest()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            asked = [field for field in fields(value) if not _left_out(field, getattr(value, field.name))]
            inner = {_KEPT.get(field.name, field.name): recipe(getattr(value, field.name)) for field in asked}
            version = {"version": value.version} if isinstance(value, Request) else {}
            return {"question": type(value).__name__, **version, **inner}
        case _:
            msg = f"A request holds plain values, found {type(value).__name__}."
            raise RequestError(msg)


def _left_out(field: Field[Any], value: Any) -> bool:
    """Whether a field came later than its class and says nothing new: answers from before keep their identity."""
    return "added_later" in field.metadata and bool(value == field.default)
