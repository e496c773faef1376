"""Refuses an HDF5 file that reaches outside itself, before any value is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from scfm_core.errors import DatasetError
from scfm_core.intake.limits import Limits, check_entries

# deflate, shuffle, fletcher32, szip, nbit, scale-offset, lzf: built into HDF5 and h5py, so that no plug-in is loaded
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}
_ADVICE = "Save the counts into one plain file of their own."


@contextmanager
def open_hdf5(path: Path, limits: Limits) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, after every object in it was looked at.

    Raises
    ------
    DatasetError
        With code ``"external-link"``, ``"dangling-link"``, ``"external-storage"``, ``"virtual-dataset"``,
        ``"unknown-filter"`` or ``"too-many-entries"``.
    """
    with h5py.File(path, "r", locking=False) as file:
        _check_objects(file, limits)
        yield file


def _check_objects(file: h5py.File, limits: Limits) -> None:
    """Walk over hard links alone; soft links are resolved only when no external link stands anywhere in the file."""
    soft: list[tuple[h5py.Group, str]] = []
    waiting, seen, n_links = [file["/"]], set(), 0
    while waiting:
        group = waiting.pop()
        for name in group:
            n_links += 1
            check_entries("The HDF5 file", n_links, limits)
            link = _link(group, name)
            if isinstance(link, h5py.SoftLink):
                soft.append((group, name))
                continue
            found = group[name]
            address = h5py.h5o.get_info(found.id).addr
            if isinstance(found, h5py.Dataset):
                _check_dataset(found)
            elif isinstance(found, h5py.Group) and address not in seen:
                seen.add(address)
                waiting.append(found)
    for group, name in soft:
        if not _leads_somewhere(group, name):
            msg = f"{_path(group, name)!r} in the file points to something that is not there. {_ADVICE}"
            raise DatasetError(msg, "dangling-link")


def _leads_somewhere(group: h5py.Group, name: str) -> bool:
    try:
        return group.get(name) is not None
    except (RuntimeError, OSError):  # links that point at each other
        return False


def _link(group: h5py.Group, name: str) -> Any:
    try:
        link = group.get(name, getlink=True)
    except TypeError:  # a link class of its own making
        link = None
    if not isinstance(link, h5py.HardLink | h5py.SoftLink):
        msg = f"{_path(group, name)!r} in the file points into another file, which is not followed. {_ADVICE}"
        raise DatasetError(msg, "external-link")
    return link


def _check_dataset(dataset: h5py.Dataset) -> None:
    if dataset.external:
        msg = f"{dataset.name!r} keeps its values in another file, which is not followed. {_ADVICE}"
        raise DatasetError(msg, "external-storage")
    if dataset.is_virtual:
        msg = f"{dataset.name!r} is put together from other files, which is not followed. {_ADVICE}"
        raise DatasetError(msg, "virtual-dataset")
    properties = dataset.id.get_create_plist()
    filters = {int(properties.get_filter(n)[0]) for n in range(properties.get_nfilters())}
    if not filters <= _FILTERS:
        msg = f"{dataset.name!r} is compressed by a method that is not read here. Write the file again with gzip."
        raise DatasetError(msg, "unknown-filter")


def check_storable(dataset: h5py.Dataset) -> None:
    """Refuse references, opaque bytes and nested sequences; text, numbers and tables of them remain.

    Raises
    ------
    DatasetError
        With code ``"unsafe-dtype"``.
    """
    dtype = dataset.dtype
    parts = [dtype[name] for name in dtype.names] if dtype.names else [dtype]
    for part in parts:
        plain = np.dtype(part).kind in "biufSU" or h5py.check_string_dtype(part) is not None
        if not plain or h5py.check_ref_dtype(part) is not None or h5py.check_opaque_dtype(part):
            msg = f"{dataset.name!r} holds values of type {part}, which are neither numbers nor text. {_ADVICE}"
            raise DatasetError(msg, "unsafe-dtype")


def _path(group: h5py.Group, name: str) -> str:
    return f"{group.name.rstrip('/')}/{name}"
