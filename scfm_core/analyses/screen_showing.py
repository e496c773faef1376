"""Lets a running screen be seen, as often as it is worth its price; knows no screen."""

import time
from collections.abc import Callable
from types import TracebackType

from scfm_core.request import Context

SECONDS_BETWEEN = 2.0
_LARGEST_SHARE = 0.2  # of the time goes into partial answers


class Showing:
    """Shows partial answers of a request, at once at first, then every two seconds at most.

    Where the request ends early, the last state is shown too, so that nothing that was finished is missing.

    Parameters
    ----------
    context
        Of the running request.
    build
        Makes the partial answer of what there is now; None while there is nothing to show.
    """

    def __init__(self, context: Context, build: Callable[[], object | None]) -> None:
        self._context, self._build = context, build
        self._next = time.monotonic()

    def update(self) -> None:
        """Say that there is more than before."""
        if time.monotonic() >= self._next:
            self._show()

    def _show(self) -> None:
        began = time.monotonic()
        partial = self._build()
        if partial is not None:
            self._context.show(partial)
        now = time.monotonic()
        self._next = now + max(SECONDS_BETWEEN, (now - began) / _LARGEST_SHARE)

    def __enter__(self) -> "Showing":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self._show()
