"""Many genes of some cells edited one by one, estimated at once or exactly: the question."""


import numpy as np
import streamlit as st

from pages._models import editable_models
from pages._perturb_asking import choose_goal, choose_model, choose_some_cells, cost_words, draw_cells
from pages._perturb_edits import choose_kind_name
from pages._perturb_listed import choose_listed
from pages._waiting import stored
from pages._words import count, counted, plain
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.screen_cost import estimated_screen_passes
from scfm_core.analyses.screen_exactly import ScreenExactly
from scfm_core.analyses.screen_genes import ScreenGenes
from scfm_core.analyses.screen_passes import EDITS
from scfm_core.dataset import Dataset
from scfm_core.model import ModelSpec

ESTIMATED, EXACT = "Estimate, then exact", "Exact"
Screen = ScreenGenes | ScreenExactly
_GENES_GUESSED = 1000


def controls(dataset: Dataset) -> Screen | None:
    """Let a question be built and asked; return the one whose answer stands on the page."""
    key = key_of(dataset)
    asked = build_question(dataset, key)
    if asked is not None:
        if st.button("Screen these genes", type="primary", key="screen", width="stretch"):
            st.session_state[key] = asked
        st.caption(cost(asked))
    standing: Screen | None = st.session_state.get(key)
    if standing is not None and asked is not None and standing.identity != asked.identity:
        st.caption("The choices have changed since the answer beside was computed.")
    return standing


def key_of(dataset: Dataset) -> str:
    """Return what the names of this question's fields begin with."""
    return f"screen:{dataset.sha256[:10]}"


def build_question(dataset: Dataset, key: str) -> Screen | None:
    """Let the whole question be put together; None while something is missing."""
    model = choose_model(key, editable_models())
    kind = choose_kind_name(model, key, tuple(EDITS))
    exactly = _choose_way(model, kind, key) == EXACT
    genes = choose_listed(dataset, key)
    _, cells = choose_some_cells(dataset, key, [])
    goal, _ = choose_goal(dataset, key, alternatives=False)
    mask, label = (np.ones(dataset.n_cells, dtype=bool), "all cells") if cells is None else (cells.mask, cells.label)
    drawn = draw_cells(dataset, mask, label, _choose_most(key))
    if drawn is None or genes == ():
        st.caption("Name some genes." if drawn is not None else "Choose cells.")
        return None
    if exactly:
        per_gene, seed = _choose_exact(key)
        return ScreenExactly(
            EmbedCells(dataset, model), genes=genes, kind=kind, cells=drawn, goal=goal, cells_per_gene=per_gene,
            seed=seed,
        )  # fmt: skip
    top, exact_cells, seed = _choose_confirmed(key)
    return ScreenGenes(
        EmbedCells(dataset, model), cells=drawn, goal=goal, confirm_top=top, confirm_cells=exact_cells, seed=seed,
        genes=genes,
    )  # fmt: skip


def _choose_way(model: ModelSpec, kind: str, key: str) -> str:
    """Let be chosen whether the effects are estimated, where the model and the edit allow it."""
    if model.screen is not None and kind == "delete":
        return str(st.selectbox(
            "How", [ESTIMATED, EXACT], key=f"{key}:how", persist_state="session",
            help="Estimate, then exact: all deletions of a cell estimated from a few passes, the first genes of the "
            "ranking then deleted one by one. Exact: each gene edited in some cells that hold it.",
        ))  # fmt: skip
    why = (
        "Only deletions can be estimated"
        if kind != "delete"
        else f"How well deletions can be estimated was not measured for {plain(model.title)}, or not well enough"
    )
    st.caption(f"{why}: every gene is edited exactly.")
    return EXACT


def _choose_most(key: str) -> int:
    return int(st.number_input(
        "Cells, at most", 1, 100_000, 100, key=f"{key}:most", persist_state="session",
        help="Drawn by chance, always the same ones.",
    ))  # fmt: skip


def _choose_exact(key: str) -> tuple[int, int]:
    with st.expander("More: cells for each gene"):
        per_gene = st.slider(
            "Cells for each gene", 1, 200, ScreenExactly.cells_per_gene, key=f"{key}:per-gene", persist_state="session",
            help="On so many of the cells that hold it each gene is edited, drawn by chance.",
        )  # fmt: skip
        seed = _choose_seed(key)
    return per_gene, seed


def _choose_confirmed(key: str) -> tuple[int, int, int]:
    """Let be chosen how many genes are confirmed on how many cells, and the seed."""
    with st.expander("More: what is confirmed"):
        top = st.slider(
            "Genes confirmed exactly", 0, 100, ScreenGenes.confirm_top, 5, key=f"{key}:top", persist_state="session",
            help="The first so many of each ranking are deleted one by one, as they would be without the estimate.",
        )  # fmt: skip
        exact_cells = st.slider(
            "Cells for the confirmation", 5, 200, ScreenGenes.confirm_cells, 5, key=f"{key}:exact-cells",
            persist_state="session",
            help="Drawn by chance from the cells of the screen; those that hold the gene count.",
        )  # fmt: skip
        seed = _choose_seed(key)
    return top, exact_cells, seed


def _choose_seed(key: str) -> int:
    return int(st.number_input("Seed", 0, 9999, 0, key=f"{key}:seed", persist_state="session", help="Draws the cells."))


def cost(asked: Screen) -> str:
    """Say how much work the question is, and what it replaces."""
    baseline = asked.baseline
    words = cost_words(baseline.dataset, baseline.model, estimated_screen_passes(asked))
    if isinstance(asked, ScreenExactly):
        return words
    embedding = stored(baseline)
    n_genes = _GENES_GUESSED if embedding is None else int(np.ceil(np.mean(embedding.n_tokens)))
    n_cells = baseline.dataset.n_cells if asked.cells is None else len(asked.cells)
    return f"{words} To delete {counted(n_genes, 'gene')} of each cell one by one would be {count(n_genes * n_cells)}."
