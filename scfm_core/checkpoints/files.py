"""Reads small files of a stranger's checkpoint, and tells a git-lfs pointer from what it points to."""

import json
from pathlib import Path
from typing import Any

from scfm_core.errors import ModelError

_POINTER = b"version https://git-lfs"


def check_no_pointer(path: Path) -> None:
    """Refuse the text that git leaves in place of a large file where git-lfs is not installed."""
    with path.open("rb") as file:
        start = file.read(len(_POINTER))
    if start == _POINTER:
        msg = (
            f"The file {path.name} in {path.parent.name!r} is a git-lfs pointer of {path.stat().st_size} bytes, not "
            "the file itself: the repository was cloned without git-lfs. Install git-lfs and run 'git lfs pull', or "
            "download the file from the repository's page, or let 'scfm weights fetch' download the model."
        )
        raise ModelError(msg, "git-lfs-pointer")


def read_bytes(path: Path, *, largest: int) -> bytes:
    """Return the content of a file that is no git-lfs pointer and has at most ``largest`` bytes."""
    check_no_pointer(path)
    size = path.stat().st_size
    if size > largest:
        msg = f"Expected a file {path.name} of at most {largest:,} bytes, found {size:,}. Choose the published file."
        raise ModelError(msg, "too-large")
    return path.read_bytes()


def read_config(path: Path) -> dict[str, Any]:
    """Return the entries of a ``config.json``."""
    content = read_bytes(path, largest=1_000_000)
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        msg = f"Expected JSON in {path.name}, found something else ({error}). Get the file again."
        raise ModelError(msg, "broken-config") from error
    if not isinstance(config, dict):
        msg = f"Expected named sizes in {path.name}, found {type(config).__name__}. Get the file again."
        raise ModelError(msg, "broken-config")
    return config
