"""Choose models, embed the cells, and see how much of each cell a model read."""

import numpy as np
import streamlit as st

from pages._attention import attention_view
from pages._batches import batch_words, choose_batch
from pages._frame import chosen_dataset, page_head
from pages._genes import gene_vectors_view
from pages._methods import methods_and_code
from pages._models import (
    baseline,
    embedded_models,
    embedding_of,
    is_here,
    model_card,
    model_cards,
    model_words,
    usable_models,
)
from pages._show import TableFile, downloads, provenance, two_lines
from pages._state import cell_table
from pages._waiting import answer, errors_as_text
from pages._weights import models_to_get
from pages._words import cells_of, count, file_stem, plain, share
from scfm_core.analyses.embed_cells import Embedding
from scfm_core.dataset import Dataset
from scfm_core.model import ModelSpec

CARDS, ATTENTION, GENES = "Model cards", "Attention of one cell", "Gene vectors"
BELOW = (CARDS, ATTENTION, GENES)


def controls(dataset: Dataset) -> list[ModelSpec]:
    """Let models be chosen and started; return those that stand on the page, PCA first."""
    others = sorted((spec for spec in usable_models() if spec != baseline()), key=lambda spec: spec.is_baseline)
    titles = {spec.key: model_words(spec) for spec in others}
    asked_key = f"asked-to-embed:{dataset.sha256}"
    chosen = st.multiselect(
        "Models",
        list(titles),
        default=list(titles)[:1],
        format_func=titles.__getitem__,
        key=f"embed:{dataset.sha256[:10]}",
        persist_state="session",
        help="A model turns each cell into a row of numbers, its vector. Cells that the model takes for alike have "
        "vectors that point the same way.",
    )
    picked = [spec for spec in others if spec.key in chosen]
    problem = choose_batch(dataset, picked)
    ready = embedded_models(dataset)
    asked = st.session_state.setdefault(asked_key, set())
    new = {spec.key: embedding_of(dataset, spec).identity for spec in picked if not (problem and spec.needs_batch)}
    waiting = [identity for key, identity in new.items() if key not in ready and identity not in asked]
    if st.button(
        f"Embed {cells_of(dataset.n_cells)}", type="primary", key="embed", width="stretch", disabled=not waiting
    ):
        asked.update(waiting)
    st.caption("PCA is always computed beside: a model should show more than PCA does.")
    return [
        baseline(),
        *(spec for spec in others if spec.key in ready or embedding_of(dataset, spec).identity in asked),
    ]


def result(dataset: Dataset, spec: ModelSpec) -> None:
    """Show one embedding's numbers, or how far it is."""
    request = embedding_of(dataset, spec)
    with st.container(border=True, height="stretch", key=f"embedding-{spec.key}"):
        st.markdown(f"**{plain(spec.title)}**" + (" :gray[baseline]" if spec.is_baseline else ""))
        if spec.needs_batch:
            st.caption(batch_words(dataset, spec))
        embedding = answer(request)
        if embedding is None:
            return
        numbers(dataset, embedding, seconds=embedded_models(dataset).get(spec.key))
        stem = file_stem(dataset.title, spec.key, "vectors")

        def table() -> object:
            columns = [f"{spec.key}_{number}" for number in range(1, embedding.points.shape[1] + 1)]
            frame = cell_table(dataset)[[]].copy()
            frame.insert(0, "genes_read", np.asarray(embedding.n_tokens))
            frame[columns] = np.asarray(embedding.points)
            return frame.rename_axis("cell").reset_index()

        about = provenance(dataset, request, model=spec.title)
        downloads(spec.key, stem=stem, tables=[TableFile(label="Vectors", table=table, about=about, spreadsheet=False)])


def numbers(dataset: Dataset, embedding: Embedding, *, seconds: float | None) -> None:
    """Show how many cells have a vector, its length, and how much of each cell was read."""
    n_tokens = np.asarray(embedding.n_tokens)
    n_placed = int(np.isfinite(embedding.points[:, 0]).sum())
    low, middle, high = np.percentile(n_tokens, [5, 50, 95])
    first, second = st.columns(2)
    first.metric("Cells with a vector", f"{count(n_placed)}", help=f"{share(n_placed / len(n_tokens))} of all cells.")
    second.metric("Numbers per cell", count(embedding.points.shape[1]))
    first, second = st.columns(2)
    first.metric(
        "Genes read, median",
        count(middle),
        help=f"Per cell. 5 % of the cells have fewer than {count(low)}, 5 % more than {count(high)}. A gene is read "
        "where the cell expresses it, the model knows it, and it is not beyond the longest input.",
    )
    took = "not known" if seconds is None else "below 1 s" if seconds < 1 else f"{count(seconds)} s"
    second.metric("Time taken", took, help="When it was computed; now it lies in the workspace.")
    if n_placed < len(n_tokens):
        st.caption(f"{cells_of(len(n_tokens) - n_placed)} hold no gene that the model knows and have no vector.")


def below(dataset: Dataset) -> None:
    """Show the models' cards, or look into one of them."""
    chosen = st.segmented_control(
        "More of the models", BELOW, default=CARDS, required=True, key="embedding:below", persist_state="session",
        label_visibility="collapsed",
    )  # fmt: skip
    if chosen == ATTENTION:
        attention_view(dataset)
    elif chosen == GENES:
        gene_vectors_view(dataset)
    else:
        every_card(dataset)


def every_card(dataset: Dataset) -> None:
    """Show the cards of the models that are here, and how to get the others."""
    ready = embedded_models(dataset)
    cards = model_cards()
    here = [spec for spec in cards if is_here(spec) or spec.published is None]
    for row in range(0, len(here), 2):
        for place, spec in zip(st.columns(2), here[row : row + 2], strict=False):
            with place:
                model_card(spec, embedded=spec.key in ready)
    models_to_get([spec for spec in cards if spec not in here])


page_head("Embedding", "Where does each model see each cell?")
current = chosen_dataset()
left, right = st.columns([1, 3], gap="medium")
with left:
    specs = controls(current)
with right:
    for row in range(0, len(specs), 2):
        for place, spec in zip(st.columns(2), specs[row : row + 2], strict=False):
            with place:
                result(current, spec)
    two_lines(
        "How many cells each model could place, and how many genes of a cell it read to do so.",
        "That the vectors hold more biology than PCA does: without training on these cells, published models often "
        "do not (Kedzierska 2025, doi:10.1186/s13059-025-03574-x). Compare them on the next page.",
    )
    methods_and_code(current, [embedding_of(current, spec) for spec in specs], "embedding")
with errors_as_text():
    below(current)
