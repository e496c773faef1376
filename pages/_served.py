"""Arrays that the browser fetches by itself: served as bytes under addresses that nobody can guess, newest kept."""

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from scfm_core.resources import asset

MOST_BYTES = 512 * 2**20
MOST_DESCRIPTIONS = 64  # each may hold a value per cell
_SECRET = secrets.token_bytes(32)  # an address is worth nothing to another run of the server
_FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
Describe = Callable[[int], Sequence[tuple[str, str]]]


class _Shelf:
    """Arrays by name, in memory; the ones that were not used for longest go first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._arrays: OrderedDict[str, NDArray[np.generic]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> NDArray[np.generic] | None:
        with self._lock:
            if name in self._arrays:
                self._arrays.move_to_end(name)
            return self._arrays.get(name)

    def put(self, name: str, array: NDArray[np.generic]) -> None:
        with self._lock:
            self._arrays[name] = array
            self._arrays.move_to_end(name)
            total = sum(kept.nbytes for kept in self._arrays.values())
            while total > self._most_bytes and len(self._arrays) > 1:
                total -= self._arrays.popitem(last=False)[1].nbytes


_shelf = _Shelf(MOST_BYTES)
_descriptions: OrderedDict[str, Describe] = OrderedDict()


def serve_array(what: str, make: Callable[[], NDArray[np.generic]]) -> str:
    """Return the address at which the browser fetches an array.

    Parameters
    ----------
    what
        Tells the content: equal words, equal bytes. The array is made only where it does not lie ready.
    """
    name = _name(what)
    if _shelf.get(name) is None:
        _shelf.put(name, np.ascontiguousarray(make()))
    return _address(f"array/{name}")


def serve_descriptions(what: str, describe: Describe) -> str:
    """Return the address under which the browser asks what is known of one cell: ``address/position``."""
    name = _name(what)
    _descriptions[name] = describe
    _descriptions.move_to_end(name)
    while len(_descriptions) > MOST_DESCRIPTIONS:
        _descriptions.popitem(last=False)
    return _address(f"cell/{name}")


def serve_bundle() -> str | None:
    """Return the address of the built cell map; None where it was not built, which needs Node."""
    path = asset("cell_map") / "build" / "cell_map.js"
    if not path.is_file():
        return None
    state = path.stat()
    return _address(f"bundle/{state.st_mtime_ns:x}-{state.st_size:x}.js")


def routes() -> list[Route]:
    """Return the routes that the server answers beside those of Streamlit."""
    return [
        Route(_address("array/{name}"), _array),
        Route(_address("cell/{name}/{position:int}"), _cell),
        Route(_address("bundle/{name}"), _bundle),
    ]


def _name(what: str) -> str:
    return hmac.new(_SECRET, what.encode(), hashlib.sha256).hexdigest()[:40]


def _address(path: str) -> str:
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}/cells/{path}" if base else f"/cells/{path}"


async def _array(request: Request) -> Response:
    array = _shelf.get(request.path_params["name"])
    if array is None:
        return Response("These bytes are no longer here. Reload the page.", status_code=404)
    return Response(array.tobytes(), media_type="application/octet-stream", headers=_FOREVER)


def _cell(request: Request) -> Response:
    describe = _descriptions.get(request.path_params["name"])
    if describe is None:
        return Response("Nothing is known of these cells. Reload the page.", status_code=404)
    try:
        rows = describe(request.path_params["position"])
    except IndexError:
        return Response("There is no such cell.", status_code=404)
    return JSONResponse([list(row) for row in rows], headers={"Cache-Control": "private, max-age=60"})


async def _bundle(request: Request) -> Response:
    path = asset("cell_map") / "build" / "cell_map.js"
    if not path.is_file():
        return Response("The cell map was not built.", status_code=404)
    return FileResponse(path, media_type="text/javascript", headers=_FOREVER)
