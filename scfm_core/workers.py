"""What long work asks of whoever runs it; knows neither questions nor where the work runs."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

ItemT = TypeVar("ItemT")
PartT = TypeVar("PartT")


class Workers(Protocol):
    """Progress, cancel, retry and the keeping of what is finished live behind this, once."""

    def call(self, function: Callable[[], PartT], *, step: str) -> PartT:
        """Run one function on a worker, such as a `functools.partial`, and return what it returns."""

    def fold(
        self,
        function: Callable[[PartT | None, ItemT], PartT],
        items: Sequence[ItemT],
        *,
        step: str,
        sizes: Sequence[int] | None = None,
        unit: str = "steps",
    ) -> PartT:
        """Run ``function`` on a worker for one item after the other, each time with what it returned the time before.

        A training is such a thing. What was returned last is kept, so a stopped job goes on from there.

        Parameters
        ----------
        function
            A module-level function of the last state, None at first, and an item, or a `functools.partial` of one. It
            returns an array, a table, a plain value, or a dict of these by name, and leaves its arguments alone.
        items
            Picklable values, at least one, each a few seconds of work.
        step, sizes, unit
            What is being done, in words; how much each item weighs in the progress bar, and what is counted.
        """

    def log(self, text: str) -> None:
        """Tell the person at the screen something that happened."""
