"""Every gene of some cells deleted at once by a first-order estimate, the first of them exactly: the question."""

import numpy as np
import streamlit as st

from pages._models import usable_models
from pages._perturb_asking import choose_model, choose_some_cells, cost_words, draw_cells, group_names
from pages._state import grouping_columns
from pages._waiting import stored
from pages._words import count, counted, plain
from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.screen_genes import ScreenGenes
from scfm_core.dataset import Dataset

NO_GOAL = "No goal"
_GENES_GUESSED = 1000


def controls(dataset: Dataset) -> ScreenGenes | None:
    """Let a question be built and asked; return the one whose answer stands on the page."""
    key = f"screen:{dataset.sha256[:10]}"
    asked = build_question(dataset, key)
    if asked is not None:
        if st.button("Screen every gene", type="primary", key="screen", width="stretch"):
            st.session_state[key] = asked
        st.caption(cost(asked))
    standing: ScreenGenes | None = st.session_state.get(key)
    if standing is not None and asked is not None and standing.identity != asked.identity:
        st.caption("The choices have changed since the answer beside was computed.")
    return standing


def build_question(dataset: Dataset, key: str) -> ScreenGenes | None:
    """Let the whole question be put together; None while something is missing."""
    here = usable_models()
    offered = [spec for spec in here if spec.screen is not None]
    others = [spec.title for spec in here if spec.screen is None and not spec.is_baseline]
    if offered:
        model = choose_model(key, offered)
    if others:
        st.caption(
            f"Not offered for {plain(', '.join(others), longest=400)}: how well the estimate agrees with exact "
            "deletions was not measured there, or it did not agree well enough."
        )
    if not offered:
        return None
    _, cells = choose_some_cells(dataset, key, [])
    goal = _choose_goal(dataset, key)
    most, top, exact_cells, seed = _choose_more(key)
    mask, label = (np.ones(dataset.n_cells, dtype=bool), "all cells") if cells is None else (cells.mask, cells.label)
    drawn = draw_cells(dataset, mask, label, most)
    if drawn is None:
        return None
    return ScreenGenes(
        EmbedCells(dataset, model), cells=drawn, goal=goal, confirm_top=top, confirm_cells=exact_cells, seed=seed
    )


def _choose_goal(dataset: Dataset, key: str) -> State | None:
    columns = grouping_columns(dataset)
    if not columns:
        return None
    column = st.selectbox(
        "Goal told by", [NO_GOAL, *columns], key=f"{key}:goal-column", persist_state="session",
        help="With a goal the screen also says which deletions bring the cells closer to other cells.",
    )  # fmt: skip
    if column == NO_GOAL:
        return None
    return State(
        column, st.selectbox("Goal", group_names(dataset, column), key=f"{key}:goal:{column}", persist_state="session")
    )


def _choose_more(key: str) -> tuple[int, int, int, int]:
    """Let be chosen how many cells are screened, how many genes are confirmed on how many cells, and the seed."""
    with st.expander("More: how many cells, what is confirmed"):
        most = st.number_input(
            "Cells, at most", 1, 100_000, 100, key=f"{key}:most", persist_state="session",
            help="Drawn by chance, always the same ones.",
        )  # fmt: skip
        top = st.slider(
            "Genes confirmed exactly", 0, 100, ScreenGenes.confirm_top, 5, key=f"{key}:top", persist_state="session",
            help="The first so many of each ranking are deleted one by one, as they would be without the estimate.",
        )  # fmt: skip
        exact_cells = st.slider(
            "Cells for the confirmation", 5, 200, ScreenGenes.confirm_cells, 5, key=f"{key}:exact-cells",
            persist_state="session",
            help="Drawn by chance from the cells of the screen; those that hold the gene count.",
        )  # fmt: skip
        seed = st.number_input(
            "Seed", 0, 9999, 0, key=f"{key}:seed", persist_state="session",
            help="Draws the cells for the confirmation.",
        )  # fmt: skip
    return int(most), int(top), int(exact_cells), int(seed)


def cost(asked: ScreenGenes) -> str:
    """Say how much work the question is, and what it replaces."""
    baseline = asked.baseline
    embedding = stored(baseline)
    n_genes = _GENES_GUESSED if embedding is None else int(np.ceil(np.mean(embedding.n_tokens)))
    n_cells = baseline.dataset.n_cells if asked.cells is None else len(asked.cells)
    n_goals = 0 if asked.goal is None else 1
    n_passes = n_cells * (3 + asked.n_cuts + 2 * (asked.n_axes + n_goals))  # back costs about two forward
    n_exact = asked.confirm_top * (1 + n_goals) * min(asked.confirm_cells, n_cells)
    words = cost_words(baseline.dataset, baseline.model, n_passes + n_exact)
    return f"{words} To delete {counted(n_genes, 'gene')} of each cell one by one would be {count(n_genes * n_cells)}."
