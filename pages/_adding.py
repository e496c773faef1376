"""Ways to a dataset: the demos, a file of one's own, a file on the server, the datasets of the workspace."""

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import streamlit as st

from pages._state import datasets_here, open_demo_dataset, use_dataset, workspace
from pages._waiting import errors_as_text
from pages._words import card_line, cells_of, count, plain, title_of
from scfm_core.errors import ScfmError
from scfm_core.intake import DEMOS, Choices, Finding, Inspection, admit_file, inspect_file

_ENDINGS = ("h5ad", "h5", "zip", "gz", "csv", "tsv", "loom")
_ON_SERVER = (".h5ad", ".h5", ".zip", ".tar.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".loom", ".zarr")
_FILE, _REPORT, _UPLOADS = "file_at_the_door", "report_at_the_door", "uploads_so_far"
_NONE = "none"
_UPLOAD_AGE_SECONDS = 24 * 3600
_ROLES = {"cell_type": "Cell type", "batch": "Batch", "donor": "Donor", "condition": "Condition"}
_LOOK = {
    "good": (":material/check_circle:", "green"),
    "note": (":material/info:", "blue"),
    "warning": (":material/warning:", "orange"),
    "refusal": (":material/block:", "red"),
}
_WORD = {"good": "Good", "note": "Note", "warning": "Warning", "refusal": "Cannot be used"}


def demo_cards(*, first: bool) -> None:
    """Show the demo datasets, each opened by one click; the first one stands out where it is the way to begin."""
    for column, demo in zip(st.columns(len(DEMOS)), DEMOS, strict=True):
        with column.container(
            border=True, height="stretch", vertical_alignment="distribute", key=f"demo-{demo.key}"
        ):
            with st.container(gap="xsmall"):
                st.markdown(f"**{plain(demo.title)}**")
                st.caption(f"{cells_of(demo.n_cells)}, {count(demo.n_genes)} genes")
                st.markdown(plain(demo.summary, longest=400))
                st.caption(f"Source: {plain(demo.source, longest=200)}. Licence: {plain(demo.licence)}.")
            kind = "primary" if demo is DEMOS[0] and first else "secondary"
            if st.button("Open this demo", key=f"open-{demo.key}", type=kind, width="stretch"):
                with errors_as_text(), st.spinner("Opening the demo"):
                    open_demo_dataset(demo.key)
                    _forget_file()
                    st.rerun()


def file_fields() -> None:
    """Show the upload field and, where one is configured, the files of the server's data folder."""
    n_so_far = st.session_state.setdefault(_UPLOADS, 0)
    upload = st.file_uploader(
        "A file of your own",
        type=_ENDINGS,
        key=f"upload-{n_so_far}",
        help="AnnData (.h5ad, .zarr.zip), 10x (.h5, or the matrix folder as .zip or .tar.gz), .csv or .tsv "
        "(also gzipped), .loom. The file stays on this server.",
    )
    if upload is not None:
        with errors_as_text():
            path = _new_upload_path(upload.name)
            with path.open("wb") as out:
                shutil.copyfileobj(upload, out, length=1 << 20)
            st.session_state[_UPLOADS] = n_so_far + 1  # another key empties the field, and the memory behind it
            _take(path)
            st.rerun()
    _server_files()


def earlier_datasets(in_use: str | None) -> None:
    """List the datasets of the workspace, each opened again by one click."""
    others = [dataset for dataset in datasets_here() if dataset.identity != in_use]
    if not others:
        return
    st.markdown("**Datasets in this workspace**")
    for dataset in others[:12]:
        left, right = st.columns([5, 1], vertical_alignment="center")
        left.markdown(f"{title_of(dataset)}  \n:gray[{plain(card_line(dataset))}, content {dataset.sha256[:10]}]")
        if right.button("Open", key=f"open-{dataset.sha256[:16]}", width="stretch"):
            use_dataset(dataset)
            _forget_file()
            st.rerun()
    if len(others) > 12:
        st.caption(f"{count(len(others) - 12)} older ones are not listed.")


def file_waits() -> bool:
    """Whether a file waits to be added."""
    return st.session_state.get(_FILE) is not None


def file_at_the_door() -> None:
    """Show the doctor's report on the file that waits to be added."""
    path: Path = st.session_state[_FILE]
    with st.container(border=True, key="doctor"):
        with errors_as_text():
            _show_report(path, _report(path))
        st.button("Put this file aside", key="aside", on_click=_forget_file)


def show_findings(findings: Iterable[Finding]) -> None:
    """List what the doctor found, the gravest first, with what one click can change."""
    gravest = ("refusal", "warning", "note", "good")
    for position, finding in enumerate(sorted(findings, key=lambda finding: gravest.index(finding.level))):
        icon, colour = _LOOK[finding.level]
        left, right = st.columns([5, 1.6], vertical_alignment="center")
        with left, st.container(gap="xxsmall"):
            st.markdown(f":{colour}[{icon}] **{plain(finding.title, longest=200)}**")
            st.caption(f"{_WORD[finding.level]}. {plain(finding.reason, longest=900)}")
        if finding.remedy is not None and right.button(
            plain(finding.remedy.label), key=f"remedy-{position}-{finding.code}", width="stretch"
        ):
            _look_again(finding.remedy.choices)


def _show_report(path: Path, report: Inspection) -> None:
    left, right = st.columns([4, 1.2], vertical_alignment="center")
    left.subheader(f"What the input doctor says about {plain(report.file_name)}", anchor=False)
    organism = "organism not recognised" if report.organism == "unknown" else report.organism
    st.caption(
        f"{plain(report.file_format)}, {cells_of(report.n_cells)}, {count(report.n_genes)} genes, {plain(organism)}"
    )
    show_findings(report.findings)
    with st.expander("More: which column is what, where the counts are"):
        choices = _choose(report)
    if not report.admissible:
        st.markdown("The file cannot be used as it is. Mend what is marked red, or add another file.")
    elif right.button("Use this dataset", type="primary", key="admit", width="stretch"):
        with st.spinner("Reading the counts", show_time=True):
            dataset = admit_file(path, workspace().folder("datasets"), choices, title=_title(report.file_name))
        use_dataset(dataset)
        _forget_file()
        st.rerun()


def _choose(report: Inspection) -> Choices:
    """Let the person correct the recommended choices."""
    stem = f"choice:{report.file_name}"
    chosen: dict[str, str | None] = {}
    for column, (role, label) in zip(st.columns(len(_ROLES)), _ROLES.items(), strict=True):
        options = [_NONE, *report.columns]
        now = getattr(report.choices, role)
        index = options.index(now) if now in options else 0
        picked = column.selectbox(label, options, index=index, key=f"{stem}:{role}")
        chosen[role] = None if picked == _NONE else picked
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    sources = list(dict.fromkeys([report.choices.counts_from, *report.matrices]))
    counts_from = left.selectbox("Raw counts from", sources, key=f"{stem}:counts")
    organisms = ("human", "mouse", "unknown")
    index = organisms.index(report.choices.organism)
    organism = middle.selectbox("Organism", organisms, index=index, key=f"{stem}:org")
    choices = replace(report.choices, counts_from=counts_from, organism=organism, **chosen)
    if choices != report.choices and right.button("Look again with these choices", key=f"{stem}:again"):
        _look_again(choices)
    return choices


def _look_again(choices: Choices) -> None:
    path: Path = st.session_state[_FILE]
    with st.spinner("Looking at the file", show_time=True):
        st.session_state[_REPORT] = inspect_file(path, choices)
    st.rerun()


def _report(path: Path) -> Inspection:
    """Return the doctor's report, or raise why there is none; the file is looked at once."""
    if st.session_state.get(_REPORT) is None:
        with st.spinner("Looking at the file", show_time=True):
            try:
                st.session_state[_REPORT] = inspect_file(path)
            except ScfmError as error:
                st.session_state[_REPORT] = error
    report: Inspection | ScfmError = st.session_state[_REPORT]
    if isinstance(report, ScfmError):
        raise report
    return report


def _server_files() -> None:
    named = os.environ.get("SCFM_DATA_FOLDER")
    if not named:
        return
    folder = Path(named).expanduser().resolve()
    readable = (path for path in folder.glob("*") if path.name.lower().endswith(_ON_SERVER))
    files = sorted(path for path in readable if _inside(path, folder))
    if not files:
        st.caption("The server's data folder holds no file that can be read.")
        return
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    file = left.selectbox("Or a file on the server", files, format_func=lambda path: path.name, key="server-file")
    if right.button("Look at it", key="server-look", width="stretch"):
        _take(file)
        st.rerun()


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder)


def _take(path: Path) -> None:
    st.session_state[_FILE], st.session_state[_REPORT] = path, None


def _forget_file() -> None:
    path: Path | None = st.session_state.pop(_FILE, None)
    st.session_state.pop(_REPORT, None)
    uploads = workspace().folder("uploads")
    if path is not None and _inside(path, uploads):
        shutil.rmtree(path.parent, ignore_errors=True)


def _new_upload_path(name: str) -> Path:
    """Return a path of its own for an upload, with a name that keeps its endings and nothing else that is odd."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(name.replace("\\", "/")).name).lstrip(".")[-120:] or "upload"
    uploads = workspace().folder("uploads")
    for old in uploads.iterdir():  # left behind by visitors who went away
        if time.time() - old.stat().st_mtime > _UPLOAD_AGE_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    folder = uploads / uuid.uuid4().hex
    folder.mkdir()
    return folder / safe


def _title(file_name: str) -> str:
    lower = file_name.lower()
    for ending in sorted((*_ON_SERVER, ".zarr.zip"), key=len, reverse=True):
        if lower.endswith(ending):
            return file_name[: -len(ending)]
    return file_name
