"""Opens a stranger's file in a process of its own, and turns whatever happens to that process into an answer."""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from scfm_core.dataset import Dataset, open_dataset
from scfm_core.errors import DatasetError
from scfm_core.intake.findings import Choices, Inspection, inspection_from_json
from scfm_core.intake.limits import Limits, limits_for

_LONGEST_ANSWER = 32 << 20
_log = logging.getLogger(__name__)


def inspect_file(path: Path, choices: Choices | None = None, *, limits: Limits | None = None) -> Inspection:
    """Let the input doctor look at a file.

    Parameters
    ----------
    path
        A file of any format that is read, or a folder (zarr, 10x matrix folder).
    choices
        What a person wants otherwise than recommended; take ``inspection.choices`` and replace a field.
    limits
        What reading may cost; by this machine's free memory and the size of the file where None.

    Returns
    -------
    The report. A file that cannot be used as it is gives a report too, with the reason as a refusal.

    Raises
    ------
    DatasetError
        If the file cannot be read at all or does what no honest file does.
    """
    with _scratch_folder(None) as scratch:
        answer = _run({"task": "inspect", **_job(path, choices, path.stem)}, Path(scratch), path, limits)
    return inspection_from_json(answer["inspection"])


def admit_file(
    path: Path,
    root: Path,
    choices: Choices | None = None,
    *,
    title: str | None = None,
    limits: Limits | None = None,
) -> Dataset:
    """Turn a file into a dataset under ``root``.

    Parameters
    ----------
    root
        The folder of datasets.
    choices
        As a person changed them; None for the recommended ones.
    title
        Name for the eye; the name of the file where None.

    Returns
    -------
    The dataset, cells in the order of the file. The same content admitted twice is the same dataset.

    Raises
    ------
    DatasetError
        If the file is refused; the code is that of the refusal.
    """
    root.mkdir(parents=True, exist_ok=True)
    job = _job(path, choices, title or path.name.split(".")[0] or path.name)
    with _scratch_folder(root) as scratch:
        answer = _run({"task": "admit", "root": str(root.resolve()), **job}, Path(scratch), path, limits)
    return open_dataset(root / answer["sha256"])


def _job(path: Path, choices: Choices | None, title: str) -> dict[str, Any]:
    if not path.exists():
        msg = f"There is no file {path.name!r}. Check the name."
        raise DatasetError(msg, "no-file")
    if path.is_file() and path.stat().st_size == 0:
        msg = f"{path.name!r} is empty. Upload it again."
        raise DatasetError(msg, "unknown-format")
    return {
        "path": str(path.resolve()),
        "file_name": path.name,
        "choices": None if choices is None else asdict(choices),
        "title": title,
    }


def _scratch_folder(root: Path | None) -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix=".intake-", dir=root, ignore_cleanup_errors=True)


def _run(job: Mapping[str, Any], scratch: Path, path: Path, limits: Limits | None) -> dict[str, Any]:
    limits = limits or limits_for(path)
    free = shutil.disk_usage(scratch).free // 2
    limits = replace(limits, unpacked_bytes=min(limits.unpacked_bytes, free))
    unpacked = scratch / "files"
    unpacked.mkdir()
    (scratch / "job").write_text(json.dumps({**job, "scratch": str(unpacked), "limits": asdict(limits)}))
    with (scratch / "answer").open("w+b") as answer, (scratch / "log").open("w+b") as log:
        status = _start_and_wait(scratch, answer, log, limits.time_seconds)
        answer.seek(0)
        text = answer.read(_LONGEST_ANSWER)
        log.seek(0)
        said = log.read(1 << 16).decode("utf-8", "replace").strip()
    if status != 0 or not text:
        _log.warning("reading %s ended with status %s: %s", path.name, status, said[-2000:])
        raise _died(path.name, status, said, limits)
    read: dict[str, Any] = json.loads(text)
    if "error" in read:
        raise DatasetError(read["error"]["message"], read["error"]["code"])
    return read


def _start_and_wait(scratch: Path, answer: IO[bytes], log: IO[bytes], time_seconds: int) -> int | None:
    """Return the exit status, None where the process had to be ended."""
    command = [sys.executable, "-P", "-m", "scfm_core.intake.child"]
    with (scratch / "job").open("rb") as job:
        process = subprocess.Popen(
            command,
            stdin=job,
            stdout=answer,
            stderr=log,
            cwd=scratch,
            env=_environment(scratch),
            start_new_session=True,
        )
    try:
        return process.wait(time_seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _environment(scratch: Path) -> dict[str, str]:
    """Return an environment without secrets, with one thread, and with no plug-ins for HDF5."""
    kept = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    package_root = Path(__file__).resolve().parents[2]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLOSC_NTHREADS"), "1")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        **threads,
        "PYTHONPATH": str(package_root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(scratch),
        "HOME": str(scratch),
        "HDF5_PLUGIN_PATH": "",
        "HDF5_PLUGIN_PRELOAD": "::",
        "MALLOC_ARENA_MAX": "2",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }


def _died(name: str, status: int | None, said: str, limits: Limits) -> DatasetError:
    if status is None or status == -24:  # SIGXCPU
        msg = f"{name!r} was not read within {limits.time_seconds:,} s. Cut it into samples, or bring it as .h5ad."
        return DatasetError(msg, "too-slow")
    if status == -9 or "MemoryError" in said:
        msg = f"{name!r} needs more memory than this machine can give to one file. Cut it into samples."
        return DatasetError(msg, "too-large")
    if status < 0:
        msg = f"{name!r} crashed the program that read it, so it is damaged or made to do harm. Write the file again."
        return DatasetError(msg, "intake-crashed")
    msg = (
        f"{name!r} could not be read because of a fault in scFM Explorer "
        f"({said.splitlines()[-1][:200] if said else 'no message'}). Please report it."
    )
    return DatasetError(msg, "intake-fault")
