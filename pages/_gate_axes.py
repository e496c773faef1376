"""Lets the two axes of a gate be chosen: a gene, the score of a gene set, or a number of each cell."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages._gene_search import gene_field, put_gene, search_gene
from pages._gene_sets import choose_gene_set, score_request
from pages._state import cell_table
from pages._waiting import answer
from scfm_core.analyses.measure_quality import MeasureQuality
from scfm_core.analyses.read_expression import log_expression
from scfm_core.analyses.score_gene_set import UNIT
from scfm_core.dataset import Dataset
from scfm_core.gates import GateAxis
from scfm_core.gene_search import gene_labels
from scfm_core.genes import symbol_of

GENE, SET, COUNTS = "A gene", "A gene set", "Counts per cell"
LOGS, RAW = "ln(1 + CP10K)", "counts"
LINEAR, LOG = "linear", "log"
QUALITY = {
    "Genes per cell": ("n_genes", "Genes detected per cell"),
    "Mitochondrial share": ("mitochondrial_share", "Mitochondrial share of counts (%)"),
    "Ribosomal share": ("ribosomal_share", "Ribosomal share of counts (%)"),
    "Doublet score": ("doublet_score", "Doublet score (scrublet, 0 to 1)"),
}
_FIRST = {
    "x": ("CD3D", "CD3E", "Cd3d", "Cd3e", "LYZ", "Lyz2"),
    "y": ("MS4A1", "CD79A", "Ms4a1", "Cd79a", "ACTB", "Actb"),
}
_SEEDS = {"x": 1, "y": 2}


@dataclass(frozen=True)
class _Source:
    """What is read for an axis: enough to tell its values from others."""

    kind: str
    which: str
    name: str
    title: str
    log: bool


def choose_axis(dataset: Dataset, side: str, key: str) -> GateAxis | None:
    """Let one axis, "x" or "y", be chosen; None while its values are computed or nothing is chosen."""
    kinds = [GENE, SET, COUNTS, *QUALITY, *numeric_columns(dataset)]
    words = "Horizontal axis" if side == "x" else "Vertical axis"
    kind = st.selectbox(words, kinds, key=f"{key}:{side}:kind", persist_state="session")
    if kind == GENE:
        return _gene_axis(dataset, side, key)
    if kind == SET:
        return _set_axis(dataset, side, key)
    if kind == COUNTS:
        title, values = "Counts per cell (UMI)", dataset.total_counts
    elif kind in QUALITY:
        column, title = QUALITY[kind]
        found = answer(MeasureQuality(dataset), place=f"{key}:{side}")
        if found is None:
            return None
        values = found.table[column].to_numpy(dtype=np.float64) * (100 if column.endswith("_share") else 1)
    else:
        title = kind
        values = pd.to_numeric(cell_table(dataset)[kind]).to_numpy(dtype=np.float64, na_value=np.nan)
    log = _choose_scale(side, key, LOG if kind in (COUNTS, "Genes per cell") else LINEAR)
    return _axis(dataset.identity, side, _Source(kind, kind, kind, title, log), values)


def numeric_columns(dataset: Dataset) -> list[str]:
    """Return the columns of the cell table that hold numbers."""
    table = cell_table(dataset)
    kinds = pd.api.types
    return [
        name for name in table
        if kinds.is_numeric_dtype(table[name]) and not kinds.is_bool_dtype(table[name]) and table[name].notna().any()
    ]  # fmt: skip


def _gene_axis(dataset: Dataset, side: str, key: str) -> GateAxis | None:
    place = f"{key}:{side}"
    if gene_field(dataset, place) not in st.session_state:
        labels = gene_labels(dataset)
        others = list(labels)[: 1 if side == "x" else 2]
        put_gene(dataset, place, next(labels[name] for name in (*_FIRST[side], *others[::-1]) if name in labels))
    gene_id = search_gene(dataset, place)
    unit = st.segmented_control(
        "Unit", [LOGS, RAW], default=LOGS, required=True, key=f"{place}:unit", persist_state="session",
        help="CP10K: counts per 10,000 of the cell. Counts: as measured, more in deeper cells.",
    )  # fmt: skip
    log = unit == RAW and _choose_scale(side, key, LINEAR)
    if gene_id is None:
        return None
    symbol = symbol_of(dataset, gene_id)
    title = f"{symbol}, ln(1 + counts per 10,000)" if unit == LOGS else f"{symbol}, counts (UMI)"
    values = _gene_values(dataset.identity, gene_id, str(unit), dataset)
    return _axis(dataset.identity, side, _Source(GENE, f"{gene_id} {unit}", symbol, title, log), values)


def _set_axis(dataset: Dataset, side: str, key: str) -> GateAxis | None:
    gene_set = choose_gene_set(dataset, f"{key}:{side}")
    if gene_set is None:
        return None
    request = score_request(dataset, gene_set)
    found = answer(request, place=f"{key}:{side}:score")
    if found is None:
        return None
    source = _Source(SET, request.identity, f"{gene_set.name} score", f"{gene_set.name}, {UNIT}", False)
    return _axis(dataset.identity, side, source, np.asarray(found.scores, dtype=np.float64))


def _choose_scale(side: str, key: str, start: str) -> bool:
    scale = st.segmented_control(
        "Scale", [LINEAR, LOG], default=start, required=True, key=f"{key}:{side}:scale:{start}", persist_state="session"
    )
    return scale == LOG


@st.cache_resource(show_spinner=False, max_entries=16)
def _gene_values(identity: str, gene_id: str, unit: str, _dataset: Dataset) -> NDArray[np.float64]:
    values = log_expression(_dataset, gene_id) if unit == LOGS else _dataset.expression(gene_id)
    return values.astype(np.float64)


@st.cache_resource(show_spinner=False, max_entries=16)
def _axis(identity: str, side: str, source: _Source, _values: NDArray[np.float64]) -> GateAxis:
    return GateAxis(name=source.name, title=source.title, values=_values, log=source.log, seed=_SEEDS[side])
