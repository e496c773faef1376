"""Lets be chosen how groups are named: by marker genes, by a reference dataset, or by a CellTypist model."""

import tempfile
from pathlib import Path
from typing import Any

import streamlit as st

from pages._models import model_words, usable_models
from pages._perturb_sets import choose_file
from pages._state import datasets_here, grouping_columns
from pages._waiting import show_error
from pages._words import cells_of, counted, plain
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.grouping import Grouping
from scfm_core.analyses.match_cells import MatchCells
from scfm_core.analyses.name_by_celltypist import NameByCelltypist
from scfm_core.analyses.name_by_markers import NameByMarkers
from scfm_core.analyses.name_by_reference import NameByReference
from scfm_core.analyses.reference_space import has_shared_space
from scfm_core.cell_markers import MarkerTable, curated_markers, curated_tissues, markers_of_sets, typed_markers
from scfm_core.celltypist import CelltypistModel, add_model, files_of_celltypist, models_here
from scfm_core.dataset import Dataset
from scfm_core.errors import ScfmError
from scfm_core.request import Request

MARKERS, REFERENCE, CELLTYPIST = "Marker genes", "A reference dataset", "A CellTypist model"
CURATED, FILE, TYPED = "Curated", "A file (GMT)", "Typed"
_EXAMPLE = "B cell: MS4A1, CD79A, CD79B\nNK cell: GNLY, NKG7, KLRD1"


def choose_request(way: str, dataset: Dataset, grouping: Grouping, key: str) -> Request[Any] | None:
    """Let the details of one way be chosen; None, with a word, while they are not complete."""
    if way == MARKERS:
        table = _choose_markers(key)
        return None if table is None else NameByMarkers(dataset, grouping, table)
    if way == REFERENCE:
        matching = _choose_reference(dataset, key)
        return None if matching is None else NameByReference(matching, grouping)
    model = _choose_model(key)
    return None if model is None else NameByCelltypist(dataset, grouping, model)


def _choose_markers(key: str) -> MarkerTable | None:
    where = st.selectbox("Sets of marker genes", [CURATED, FILE, TYPED], key=f"{key}:where", persist_state="session")
    if where == CURATED:
        tissues = st.multiselect(
            "Tissues", curated_tissues(), key=f"{key}:tissues", placeholder="All",
            help="Only types that may be here: the fewer sets, the fewer that fit by accident.",
        )  # fmt: skip
        table = curated_markers(tissues)
        st.caption(f"{counted(len(table.types), 'type')} of cells, 12 textbook genes each. A first guess, no atlas.")
        return table
    if where == FILE:
        sets = choose_file(key)
        return None if sets is None else markers_of_sets(sets)
    text = st.text_area("One type a line", key=f"{key}:typed", placeholder=_EXAMPLE, height=140, max_chars=20_000)
    return typed_markers(text) if text.strip() else None


def _choose_reference(dataset: Dataset, key: str) -> MatchCells | None:
    others = [other for other in datasets_here() if other.identity != dataset.identity and grouping_columns(other)]
    if not others:
        st.info("No other dataset with named cells is here. Add one on the page Dataset.", icon=":material/database:")
        return None
    by_hash = {other.sha256: other for other in others}
    chosen = by_hash[
        st.selectbox(
            "Reference", list(by_hash), key=f"{key}:reference",
            format_func=lambda sha256: f"{plain(by_hash[sha256].title)} ({cells_of(by_hash[sha256].n_cells)})",
        )
    ]  # fmt: skip
    columns = [name for name in grouping_columns(chosen) if name in chosen.cells()]
    column = st.selectbox("Its names of cells", columns, key=f"{key}:column:{chosen.sha256[:10]}")
    usable = [spec for spec in usable_models() if has_shared_space(spec) and dataset.organism in spec.organisms]
    specs = {spec.key: spec for spec in sorted(usable, key=lambda spec: spec.key != "pca")}
    spec = specs[
        st.selectbox(
            "Compared in the space of", list(specs), key=f"{key}:model",
            format_func=lambda name: model_words(specs[name]),
            help="A pre-trained model has one space for all datasets. PCA is fitted to both, over the shared genes.",
        )
    ]  # fmt: skip
    n_neighbors = st.slider("Neighbours that vote", 3, 50, 15, key=f"{key}:neighbors")
    keep = st.toggle(
        "Name cells at any distance", key=f"{key}:far",
        help="Else a cell that lies farther from the reference than its own cells do gets no name: it may be of a type "
        "that the reference lacks. A shift between two batches looks the same; then turn this on and check by markers.",
    )  # fmt: skip
    return MatchCells(
        EmbedCells(dataset, spec), EmbedCells(chosen, spec), column, n_neighbors=n_neighbors,
        distance_quantile=1.0 if keep else 0.95,
    )  # fmt: skip


def _choose_model(key: str) -> CelltypistModel | None:
    _take_upload(key)
    here = {model.key: model for model in models_here()}
    offered = {str(path): path for path in files_of_celltypist()}
    if not here and not offered:
        st.info("No CellTypist model is here. Download one from celltypist.org and give its file.")
        return None
    names = {
        **{name: model.title for name, model in here.items()},
        **{name: path.stem for name, path in offered.items()},
    }
    start = st.session_state.get(f"{key}:added")
    index = list(names).index(start) if start in names else 0
    chosen = st.selectbox("Model", list(names), index=index, format_func=lambda name: plain(names[name]))
    return here[chosen] if chosen in here else add_model(offered[chosen])


def _take_upload(key: str) -> None:
    """Convert a file once; what is refused says why."""
    file = st.file_uploader(
        "Add a model (.pkl)", type=["pkl"], key=f"{key}:pkl", max_upload_size=500,
        help="The numbers are read out of the file by a reader that runs nothing in it, and kept in the workspace.",
    )  # fmt: skip
    if file is None or st.session_state.get(f"{key}:read") == file.file_id:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (Path(file.name).stem[:60] + ".pkl")
        path.write_bytes(file.getvalue())
        try:
            st.session_state[f"{key}:added"] = add_model(path).key
        except ScfmError as error:
            show_error(error)
            return
    st.session_state[f"{key}:read"] = file.file_id
