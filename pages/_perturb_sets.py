"""Lets gene sets be chosen: a file, the markers of this dataset, or a library from the network."""

import os
import tempfile
from pathlib import Path

import streamlit as st

from pages._waiting import answer, show_error
from pages._words import counted, plain
from scfm_core.analyses.marker_sets import MarkerSets
from scfm_core.dataset import Dataset
from scfm_core.errors import ScfmError
from scfm_core.gene_sets import GeneSets, fetch_gene_sets, read_gmt

OWN_FILE, MARKERS, LIBRARY = "A file (GMT)", "Markers of this dataset", "A library online"
_UPLOADED = "One of your own"
_KNOWN_LIBRARIES = ("MSigDB_Hallmark_2020", "GO_Biological_Process_2023", "Reactome_2022", "KEGG_2021_Human")


def choose_sets(dataset: Dataset, key: str) -> GeneSets | None:
    """Let gene sets be chosen; None, with a word where needed, while there are none."""
    column = dataset.roles.get("cell_type")
    ways = [*([MARKERS] if column else []), OWN_FILE, LIBRARY]
    way = st.selectbox("Gene sets", ways, key=f"{key}:sets", persist_state="session")
    if way == MARKERS and column is not None:
        found = answer(MarkerSets(dataset, column), place=f"{key}:markers")
        return None if found is None else found.gene_sets
    return choose_file(key) if way == OWN_FILE else _choose_library(key)


def choose_file(key: str) -> GeneSets | None:
    """Let a file of gene sets be given; what was read last stays."""
    kept = f"{key}:gmt-read"
    path = _choose_server_file(key)
    if path is not None:
        return _read_server_file(path)
    file = st.file_uploader(
        "Gene sets (GMT)", type=["gmt", "txt"], key=f"{key}:gmt", max_upload_size=20,
        help="One set a line: name, description, then its genes by symbol, with tabs between.",
    )  # fmt: skip
    if file is not None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / (Path(file.name).stem[:60] + ".gmt")
            path.write_bytes(file.getvalue())
            try:
                st.session_state[kept] = read_gmt(path)
            except ScfmError as error:
                st.session_state.pop(kept, None)
                show_error(error)
    sets: GeneSets | None = st.session_state.get(kept)
    if sets is not None:
        st.caption(f"{plain(sets.name)}: {counted(len(sets.sets), 'set')}.")
    return sets


def _choose_server_file(key: str) -> Path | None:
    """Let a file of gene sets in the server's data folder be chosen, where it holds one; None for one of one's own."""
    named = os.environ.get("SCFM_DATA_FOLDER")
    folder = Path(named).expanduser().resolve() if named else None
    found = sorted(folder.glob("*.gmt")) if folder is not None else []
    files = {path.name: path for path in found if path.resolve().parent == folder}
    if not files:
        return None
    chosen = st.selectbox("File", [_UPLOADED, *files], key=f"{key}:on-server", persist_state="session")
    return files.get(chosen)


def _read_server_file(path: Path) -> GeneSets | None:
    try:
        sets = _read_once(path, path.stat().st_mtime_ns)
    except ScfmError as error:
        show_error(error)
        return None
    st.caption(f"{plain(sets.name)}: {counted(len(sets.sets), 'set')}.")
    return sets


@st.cache_resource(show_spinner=False, max_entries=8)
def _read_once(path: Path, stamp: int) -> GeneSets:
    return read_gmt(path)


def _choose_library(key: str) -> GeneSets | None:
    kept = f"{key}:library-read"
    name = st.selectbox(
        "Library", _KNOWN_LIBRARIES, key=f"{key}:library", accept_new_options=True,
        help="A name of Enrichr. Only the name goes out; the sets are fetched and compared here.",
    )  # fmt: skip
    read: dict[str, GeneSets] = st.session_state.setdefault(kept, {})
    if name not in read and st.button("Fetch it", key=f"{key}:fetch"):
        try:
            with st.spinner(f"Fetching {plain(name)}"):
                read[name] = fetch_gene_sets(name)
        except ScfmError as error:
            show_error(error)
    return read.get(name)
