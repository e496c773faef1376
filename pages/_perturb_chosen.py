"""Chosen genes are switched off, beside random genes and beside PCA: the question."""

from dataclasses import dataclass, replace

import streamlit as st

from pages._models import baseline, usable_models
from pages._perturb_asking import choose_cells, choose_genes, choose_model, cost_words
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_genes import PerturbGenes, estimated_passes
from scfm_core.dataset import Dataset
from scfm_core.tokens import Delete


@dataclass(frozen=True)
class Asked:
    """The question about a model and, where wanted, the same one about the baseline."""

    request: PerturbGenes
    beside: PerturbGenes | None

    @property
    def identities(self) -> tuple[str, ...]:
        """Equal where the answers are equal."""
        return tuple(request.identity for request in (self.request, self.beside) if request is not None)


def choose_edits(dataset: Dataset, key: str) -> tuple[tuple[Delete, ...], ...]:
    """Let genes be chosen, and whether they go one by one or together."""
    hint = "Switching off takes the gene out of the cell's input. The genes behind it move up."
    edits = [Delete(gene_id) for gene_id in choose_genes(dataset, key, "Genes to switch off", hint)]
    together = len(edits) > 1 and st.segmented_control(
        "Several genes", ["One by one", "Together"], default="One by one", required=True, key=f"{key}:together",
        persist_state="session",
    ) == "Together"  # fmt: skip
    return (tuple(edits),) if together else tuple((edit,) for edit in edits)


def build_question(dataset: Dataset, key: str) -> Asked | None:
    """Let the whole question be put together; None while no gene is chosen."""
    model = choose_model(key, usable_models())
    edits = choose_edits(dataset, key)
    cells, group_by = choose_cells(dataset, key, [edit.gene_id for edit in edits[0]] if edits else [])
    with st.expander("More: random genes, PCA"):
        null_genes = st.slider(
            "Random genes", 0, 500, 100, 10, key=f"{key}:null", persist_state="session",
            help="Each gene is compared with so many random genes that as many of the same cells hold, at a like rank.",
        )  # fmt: skip
        null_cells = st.slider(
            "Cells for the comparison", 4, 128, PerturbGenes.null_cells, 4, key=f"{key}:null-cells",
            persist_state="session", help="On so many cells of a group each gene, tested or random, is measured.",
        )  # fmt: skip
        seed = st.number_input(
            "Seed", 0, 9999, 0, key=f"{key}:seed", persist_state="session",
            help="Chooses the random genes and the cells for the comparison.",
        )  # fmt: skip
        compare = st.toggle("The same under PCA beside it", True, key=f"{key}:pca", persist_state="session")
    if not edits:
        return None
    request = PerturbGenes(
        EmbedCells(dataset, model), edits, cells=cells, group_by=group_by, null_genes=null_genes,
        null_cells=null_cells, seed=int(seed),
    )  # fmt: skip
    beside = replace(request, baseline=EmbedCells(dataset, baseline())) if compare and not model.is_baseline else None
    return Asked(request, beside)


@st.cache_data(show_spinner=False, max_entries=256)
def passes_of(identity: str, _request: PerturbGenes) -> int:
    """Return how many times a cell will go through the model."""
    return estimated_passes(_request)


def cost(asked: Asked) -> str:
    """Say how much work the question is."""
    n_passes = passes_of(asked.request.identity, asked.request)
    return cost_words(asked.request.baseline.dataset, asked.request.baseline.model, n_passes)


def controls(dataset: Dataset) -> Asked | None:
    """Let a question be built and asked; return the one whose answer stands on the page."""
    key = f"perturb:{dataset.sha256[:10]}"
    asked = build_question(dataset, key)
    if asked is None:
        st.caption("Choose a gene to switch off.")
    else:
        n_genes = sum(len(edit) for edit in asked.request.edits)
        label = "Switch this gene off" if n_genes == 1 else "Switch these genes off"
        if st.button(label, type="primary", key="perturb", width="stretch"):
            st.session_state[key] = asked
        st.caption(cost(asked))
    standing: Asked | None = st.session_state.get(key)
    if standing is not None and asked is not None and standing.identities != asked.identities:
        st.caption("The choices have changed since the answer beside was computed.")
    return standing
