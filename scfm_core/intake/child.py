"""The program that opens a stranger's file: started for one file, limited in memory and time, speaks JSON.

Reads one job from standard input, writes one answer to standard output: ``{"inspection": ...}``, ``{"sha256": ...}`` or
``{"error": {"message": ..., "code": ...}}``.
"""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from scfm_core.dataset import write_dataset
from scfm_core.errors import DatasetError
from scfm_core.intake import readers
from scfm_core.intake.doctor import Examination, examine
from scfm_core.intake.findings import Inspection, choices_from_json
from scfm_core.intake.limits import Limits

_FORBIDDEN = (
    "pickle.find_class",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.getaddrinfo",
)


def main() -> None:
    """Do the job on standard input."""
    answer_file = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answer
    job = json.load(sys.stdin)
    limits = Limits(**job["limits"])
    _limit_process(limits)
    try:
        answer = _do(job, limits)
    except MemoryError as error:
        refused = readers.unreadable(job["file_name"], error)
        answer = {"error": {"message": str(refused), "code": refused.code}}
    except DatasetError as error:
        answer = {"error": {"message": str(error), "code": error.code}}
    json.dump(answer, answer_file)
    answer_file.close()


def _do(job: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    path, scratch = Path(job["path"]), Path(job["scratch"])
    wanted = None if job["choices"] is None else choices_from_json(job["choices"])
    with readers.open_file(path, scratch, limits) as contents:
        examination = examine(contents, wanted, title=job["title"])
        columns = tuple(str(name) for name in contents.cells.columns)
        matrices = tuple(candidate.name for candidate in contents.candidates)
        file_format = contents.file_format
    if job["task"] == "admit":
        return {"sha256": _admit(examination, Path(job["root"]))}
    inspection = Inspection(
        file_name=job["file_name"],
        file_format=file_format,
        n_cells=examination.n_cells,
        n_genes=examination.n_genes,
        organism=examination.choices.organism,
        findings=examination.findings,
        choices=examination.choices,
        columns=columns,
        matrices=matrices,
    )
    return {"inspection": inspection.to_json()}


def _admit(examination: Examination, root: Path) -> str:
    if examination.dataset is None:
        refusal = next(finding for finding in examination.findings if finding.level == "refusal")
        msg = f"{refusal.title}. {refusal.reason}"
        raise DatasetError(msg, refusal.code)
    return write_dataset(root, examination.dataset).sha256


def _limit_process(limits: Limits) -> None:
    """Bound memory, time and file size of this process; start nothing, connect nowhere, unpickle nothing."""
    sys.addaudithook(_refuse)
    if sys.platform == "win32":  # has no such limits; the parent still ends the process in time
        return
    import resource

    bounds = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_CPU: limits.time_seconds,
        resource.RLIMIT_FSIZE: limits.unpacked_bytes,
        resource.RLIMIT_CORE: 0,
    }
    for name, bound in bounds.items():
        _, hard = resource.getrlimit(name)
        wanted = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        with suppress(ValueError, OSError):  # macOS lets no limit be set on the address space
            resource.setrlimit(name, (wanted, wanted))


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN):
        msg = f"Reading a file must not do {event}. The file was refused."
        raise DatasetError(msg, "forbidden-action")


if __name__ == "__main__":
    main()
