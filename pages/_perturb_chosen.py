"""Chosen genes are edited, beside random genes and beside PCA: the question."""

from dataclasses import dataclass, replace

import streamlit as st

from pages._gene_search import put_genes, search_genes
from pages._models import baseline, editable_models
from pages._perturb_asking import choose_cells, choose_goal, choose_model, cost_words
from pages._perturb_edits import EditChoice, choose_kind
from pages._state import grouping_columns
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_genes import PerturbGenes, estimated_passes
from scfm_core.dataset import Dataset
from scfm_core.model import ModelSpec
from scfm_core.tokens import GeneEdit

ONE_BY_ONE, TOGETHER = "One by one", "Together"
NO_IDENTITY = "No column"


@dataclass(frozen=True)
class Asked:
    """The question about a model and, where wanted, the same one about the baseline."""

    request: PerturbGenes
    beside: PerturbGenes | None
    kind: EditChoice
    beside_wanted: bool

    @property
    def identities(self) -> tuple[str, ...]:
        """Equal where the answers are equal."""
        return tuple(request.identity for request in (self.request, self.beside) if request is not None)

    @property
    def dataset(self) -> Dataset:
        """The dataset that is asked about."""
        return self.request.baseline.dataset


@dataclass(frozen=True)
class _More:
    """What stands under More."""

    identity_by: str | None
    null_genes: int
    seed: int
    compare: bool


def key_of(dataset: Dataset) -> str:
    """Return what the names of this question's fields begin with."""
    return f"perturb:{dataset.sha256[:10]}"


def controls(dataset: Dataset) -> Asked | None:
    """Let a question be built and asked; return the one whose answer stands on the page."""
    key = key_of(dataset)
    asked = build_question(dataset, key)
    if asked is None:
        st.caption("Choose a gene and some cells.")
    else:
        n_genes = sum(len(edit) for edit in asked.request.edits)
        label = f"{asked.kind.words.title} {'this gene' if n_genes == 1 else 'these genes'}"
        if st.button(label, type="primary", key="perturb", width="stretch"):
            st.session_state[key] = asked
        st.caption(cost(asked.request))
    standing: Asked | None = st.session_state.get(key)
    if standing is not None and asked is not None and standing.identities != asked.identities:
        st.caption("The choices have changed since the answer beside was computed.")
    return standing


def build_question(dataset: Dataset, key: str) -> Asked | None:
    """Let the whole question be put together; None while something is missing."""
    model = choose_model(key, editable_models())
    kind = choose_kind(model, key)
    edits = _choose_edits(dataset, key, kind)
    where = choose_cells(dataset, key, [edits[0][0].gene_id] if edits else [])
    goal, alternatives = choose_goal(dataset, key)
    more = _choose_more(dataset, key)
    if not edits or where is None:
        return None
    request = PerturbGenes(
        EmbedCells(dataset, model), edits, cells=where.cells, group_by=where.group_by, goal=goal,
        alternatives=alternatives, identity_by=more.identity_by, null_genes=more.null_genes, seed=more.seed,
    )  # fmt: skip
    return Asked(request, _beside(request, model, kind) if more.compare else None, kind, more.compare)


def _beside(request: PerturbGenes, model: ModelSpec, kind: EditChoice) -> PerturbGenes | None:
    first = baseline()
    if model.is_baseline:
        return None
    if kind.kind not in first.gene_edits:
        st.caption(f"{first.title} cannot make this edit and does not stand beside it.")
        return None
    return replace(request, baseline=EmbedCells(request.baseline.dataset, first))


def _choose_edits(dataset: Dataset, key: str, kind: EditChoice) -> tuple[tuple[GeneEdit, ...], ...]:
    """Let genes be chosen, and whether they go one by one or together."""
    gene_ids = search_genes(dataset, key, hint="Up to 25 genes.")
    edits = [kind.edit(gene_id) for gene_id in gene_ids]
    together = len(edits) > 1 and st.segmented_control(
        "Several genes", [ONE_BY_ONE, TOGETHER], default=ONE_BY_ONE, required=True, key=f"{key}:together",
        persist_state="session", help="Together: one edit that changes all of them in a cell.",
    ) == TOGETHER  # fmt: skip
    return (tuple(edits),) if together else tuple((edit,) for edit in edits)


def _choose_more(dataset: Dataset, key: str) -> _More:
    columns, start = grouping_columns(dataset), dataset.roles.get("cell_type")
    offered = columns if start in columns else [NO_IDENTITY, *columns]  # the role is taken where none is named
    with st.expander("More: identity, random genes, PCA"):
        identity = st.selectbox(
            "Identity told by", offered, key=f"{key}:identity", persist_state="session",
            help="A cell is what most of its 15 nearest unperturbed cells are in this column, before and after.",
        )  # fmt: skip
        null_genes = st.slider(
            "Random genes", 0, 500, 100, 10, key=f"{key}:null", persist_state="session",
            help="Each gene is compared with so many random genes that as many of the same cells hold, at a like rank.",
        )  # fmt: skip
        seed = st.number_input(
            "Seed", 0, 9999, 0, key=f"{key}:seed", persist_state="session",
            help="Chooses the random genes and the cells for the comparison.",
        )  # fmt: skip
        compare = st.toggle("The same under PCA beside it", True, key=f"{key}:pca", persist_state="session")
    return _More(None if identity == NO_IDENTITY else identity, null_genes, int(seed), compare)


@st.cache_data(show_spinner=False, max_entries=256)
def passes_of(identity: str, _request: PerturbGenes) -> int:
    """Return how many times a cell will go through the model."""
    return estimated_passes(_request)


def cost(request: PerturbGenes) -> str:
    """Say how much work a question is."""
    return cost_words(request.baseline.dataset, request.baseline.model, passes_of(request.identity, request))


def take_to_chosen(dataset: Dataset, gene_ids: list[str]) -> None:
    """Put genes into this question, before the page is run again."""
    put_genes(dataset, key_of(dataset), gene_ids)
    st.session_state["perturb:mode"] = "Chosen genes"
