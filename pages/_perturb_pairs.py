"""All pairs of some genes edited together, beside the sum of the two and beside random pairs: the question."""

import streamlit as st

from pages._gene_search import search_genes
from pages._models import editable_models
from pages._perturb_asking import choose_cells, choose_model, cost_words
from pages._perturb_edits import choose_kind
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_pairs import LEAST_GENES, MOST_GENES, PerturbPairs, estimated_pair_passes
from scfm_core.dataset import Dataset


def controls(dataset: Dataset) -> PerturbPairs | None:
    """Let a question be built and asked; return the one whose answer stands on the page."""
    key = f"pairs:{dataset.sha256[:10]}"
    asked = build_question(dataset, key)
    if asked is None:
        st.caption(f"Choose {LEAST_GENES} to {MOST_GENES} genes and some cells.")
    else:
        if st.button("Edit all pairs", type="primary", key="pairs", width="stretch"):
            st.session_state[key] = asked
        st.caption(cost(asked))
    standing: PerturbPairs | None = st.session_state.get(key)
    if standing is not None and asked is not None and standing.identity != asked.identity:
        st.caption("The choices have changed since the answer beside was computed.")
    return standing


def build_question(dataset: Dataset, key: str) -> PerturbPairs | None:
    """Let the whole question be put together; None while something is missing."""
    model = choose_model(key, editable_models())
    kind = choose_kind(model, key)
    hint = f"{LEAST_GENES} to {MOST_GENES}. Every pair of them is edited together, and each alone."
    genes = search_genes(dataset, key, hint=hint, most=MOST_GENES, n_first=2)
    where = choose_cells(dataset, key, genes)
    with st.expander("More: random pairs, cells"):
        null_pairs = st.slider(
            "Random pairs", 0, 100, PerturbPairs.null_pairs, 5, key=f"{key}:null", persist_state="session",
            help="Each pair is compared with so many pairs of genes that as many of these cells hold at like ranks.",
        )  # fmt: skip
        most = st.slider(
            "Cells of a group, at most", 10, 1000, PerturbPairs.max_cells, 10, key=f"{key}:most",
            persist_state="session", help="Drawn by chance among those that hold both genes.",
        )  # fmt: skip
        seed = st.number_input("Seed", 0, 9999, 0, key=f"{key}:seed", persist_state="session",
                               help="Draws the cells and the random pairs.")  # fmt: skip
    if len(genes) < LEAST_GENES or where is None:
        return None
    return PerturbPairs(
        EmbedCells(dataset, model), tuple(kind.edit(gene) for gene in genes), cells=where.cells,
        group_by=where.group_by, null_pairs=null_pairs, max_cells=most, seed=int(seed),
    )  # fmt: skip


@st.cache_data(show_spinner=False, max_entries=64)
def _passes(identity: str, _request: PerturbPairs) -> int:
    return estimated_pair_passes(_request)


def cost(asked: PerturbPairs) -> str:
    """Say how much work the question is."""
    return cost_words(asked.baseline.dataset, asked.baseline.model, _passes(asked.identity, asked))
