"""Gene vectors: what each gene is to a model, in the cells at hand or before any cell is read."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages._gene_search import search_gene
from pages._models import embedded_models, model_words, usable_models
from pages._show import TableFile, downloads, provenance, two_lines
from pages._state import selection
from pages._waiting import answer, errors_as_text
from pages._words import about, cells_of, count, counted, file_stem, plain
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.embed_genes import EmbedGenes, GeneEmbedding, GeneVectors, StaticGeneVectors
from scfm_core.dataset import Dataset
from scfm_core.model import ModelSpec

IN_CELLS, STATIC = "In these cells", "Before any cell"
ALL, SELECTED = "All cells", "The selection"
_N_NEAREST, _OFTEN = 15, 10
_number, _text = st.column_config.NumberColumn, st.column_config.TextColumn
NEAREST_COLUMNS = {
    "symbol": _text("Gene"),
    "similarity": _number("Cosine similarity", format="%.3f", help="1: the vectors point the same way, 0: they have "
                          "nothing in common."),  # fmt: skip
    "n_cells": _number("n cells", help="Cells in which the model read the gene."),
    "gene_id": _text("Gene id"),
}


def gene_vectors_view(dataset: Dataset) -> None:
    """Let gene vectors be computed and handed out, and show which genes are alike to the model."""
    left, right = st.columns([1, 3], gap="medium")
    request = None
    with left, errors_as_text():
        request = _controls(dataset)
    with right, errors_as_text():
        vectors = None if request is None else answer(request, place="genes")
        if request is not None and vectors is not None:
            _result(dataset, request, vectors)
        else:
            two_lines(
                "One vector for each gene that the model reads: the mean over the cells that hold it, or the one it "
                "has before any cell is read.",
                "That genes with like vectors do the same in a cell: the model learned which genes come together.",
            )


def _controls(dataset: Dataset) -> EmbedGenes | StaticGeneVectors | None:
    key = f"genes:{dataset.sha256[:10]}"
    specs = [spec for spec in usable_models() if spec.has_gene_vectors]
    if not specs:
        st.caption("No model that is here has gene vectors. Get one of the published models.")
        return None
    keys = [spec.key for spec in specs]
    name = st.selectbox(
        "Model", keys, format_func=lambda key: model_words(specs[keys.index(key)]), key=f"{key}:model",
        persist_state="session",
    )  # fmt: skip
    model = specs[keys.index(name)]
    kind = st.selectbox(
        "Which vector", [IN_CELLS, STATIC], key=f"{key}:kind", persist_state="session",
        help="In these cells: what the model makes of the gene in its cell, the mean over the cells that hold it. "
        "Before any cell: the entry of the gene in the model's own table.",
    )  # fmt: skip
    asked = StaticGeneVectors(dataset, model) if kind == STATIC else _in_cells(dataset, model, key)
    if st.button("Compute gene vectors", type="primary", key="gene-vectors", width="stretch"):
        st.session_state[key] = asked
    if isinstance(asked, EmbedGenes):
        st.caption(_cost(dataset, asked))
    standing: EmbedGenes | StaticGeneVectors | None = st.session_state.get(key)
    if standing is not None and standing.identity != asked.identity:
        st.caption("The choices have changed since the answer beside was computed.")
    return standing


def _in_cells(dataset: Dataset, model: ModelSpec, key: str) -> EmbedGenes:
    chosen = selection()
    ways = [ALL, *([SELECTED] if chosen is not None else [])]
    way = st.selectbox("Cells", ways, key=f"{key}:cells:{len(ways)}", persist_state="session")
    return EmbedGenes(EmbedCells(dataset, model), cells=chosen if way == SELECTED else None)


def _cost(dataset: Dataset, asked: EmbedGenes) -> str:
    n_cells = len(asked.chosen_cells)
    seconds = embedded_models(dataset).get(asked.baseline.model.key)
    words = f"{cells_of(n_cells)} go{'es' if n_cells == 1 else ''} through the model once"
    return f"{words}, {about(seconds * n_cells / dataset.n_cells)} here." if seconds else f"{words}."


def _result(dataset: Dataset, request: EmbedGenes | StaticGeneVectors, vectors: GeneVectors) -> None:
    model = request.baseline.model if isinstance(request, EmbedGenes) else request.model
    table = _genes(dataset, vectors)
    n_genes, size = len(table), np.asarray(vectors.points).shape[1]
    st.markdown(
        f"**{plain(model.title)}** has a vector of {count(size)} numbers for {counted(n_genes, 'gene')} of this "
        f"dataset's {count(dataset.n_genes)}."
    )
    gene_id = search_gene(dataset, f"genes:{model.key}", label="Which genes are like")
    if gene_id is None:
        return
    row = int(vectors.rows[dataset.gene_ids.index(gene_id)])
    if row < 0:
        st.caption("The model has no vector of this gene here: no chosen cell holds it, or the model does not know it.")
    else:
        shown = _nearest(table, np.asarray(vectors.points), row)
        columns = {name: column for name, column in NEAREST_COLUMNS.items() if name in shown}
        st.dataframe(shown, hide_index=True, column_config=columns, column_order=list(columns))
    two_lines(
        f"The {_N_NEAREST} genes whose vectors point most nearly the same way"
        + (f", of those read in at least {_OFTEN} cells" if isinstance(request, EmbedGenes) else "")
        + ". The file holds the vectors of all genes.",
        "That these genes do the same in a cell: the model learned which genes come together, and at like ranks.",
    )
    kind = "in these cells" if isinstance(request, EmbedGenes) else "before any cell"
    downloads(
        "gene-vectors",
        stem=file_stem(dataset.title, model.key, "gene_vectors", kind.split()[0]),
        tables=[
            TableFile(
                label="Gene vectors", table=lambda: _with_vectors(table, vectors, model.key), spreadsheet=False,
                about=provenance(dataset, request, model=model.title, vectors=kind),
            )
        ],
    )  # fmt: skip


def _genes(dataset: Dataset, vectors: GeneVectors) -> pd.DataFrame:
    """Return one row per vector: the symbol of the first gene of the dataset that it belongs to, and its id."""
    symbols = dict(zip(vectors.rows[::-1].tolist(), dataset.gene_symbols[::-1], strict=True))
    ids = list(vectors.gene_ids)
    table = pd.DataFrame({"symbol": [symbols.get(row, ids[row]) for row in range(len(ids))], "gene_id": ids})
    if isinstance(vectors, GeneEmbedding):
        table["n_cells"] = np.asarray(vectors.n_cells)
    return table


def _nearest(table: pd.DataFrame, points: Any, row: int) -> pd.DataFrame:
    lengths = np.linalg.norm(points, axis=1)
    similarity = points @ points[row] / np.maximum(lengths * lengths[row], 1e-30)
    often = table["n_cells"].to_numpy() >= _OFTEN if "n_cells" in table else np.ones(len(table), dtype=bool)
    order = [place for place in np.argsort(-similarity, kind="stable") if place != row and often[place]]
    return table.assign(similarity=similarity).iloc[order[:_N_NEAREST]]


def _with_vectors(table: pd.DataFrame, vectors: GeneVectors, key: str) -> pd.DataFrame:
    points = np.asarray(vectors.points)
    columns = [f"{key}_{number}" for number in range(1, points.shape[1] + 1)]
    return pd.concat([table, pd.DataFrame(points, columns=columns)], axis=1)
