"""Genes edited and read out as the authors of a model do it: the question."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages._gene_search import search_genes
from pages._models import usable_models
from pages._perturb_asking import choose_model, choose_some_cells, cost_words, draw_cells, group_names
from pages._perturb_edits import KINDS, choose_kind
from pages._state import grouping_columns
from pages._waiting import stored
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_as_authors import Kind, PerturbAsAuthors, State, States, estimated_passes
from scfm_core.dataset import Dataset
from scfm_core.model import ModelSpec
from scfm_core.tokens import Activate, Delete, Inhibit, Overexpress

ONE_BY_ONE, TOGETHER, EVERY = "One by one", "Together", "Each gene of a cell"
SIMILARITY, STATES = "How far cells move", "Toward a state"
_GENES_GUESSED = 1000


def controls(dataset: Dataset) -> PerturbAsAuthors | None:
    """Let a question be built and asked; return the one whose answer stands on the page."""
    key = f"authors:{dataset.sha256[:10]}"
    asked = build_question(dataset, key)
    if asked is not None:
        if st.button(f"{KINDS[kind_of(asked)].title} and compare", type="primary", key="as-authors", width="stretch"):
            st.session_state[key] = asked
        st.caption(cost(asked))
    standing: PerturbAsAuthors | None = st.session_state.get(key)
    if standing is not None and asked is not None and standing.identity != asked.identity:
        st.caption("The choices have changed since the answer beside was computed.")
    return standing


def kind_of(asked: PerturbAsAuthors) -> Kind:
    """Return what is done to the genes."""
    if asked.every_gene is not None:
        return asked.every_gene
    kinds: dict[type, Kind] = {
        Delete: "delete", Overexpress: "overexpress", Inhibit: "inhibit", Activate: "activate",
    }  # fmt: skip
    return kinds[type(asked.edits[0][0])]


def build_question(dataset: Dataset, key: str) -> PerturbAsAuthors | None:
    """Let the whole question be put together; None while something is missing."""
    models = [spec for spec in usable_models() if reads_ranks(spec)]
    if not models:
        st.caption("No model that reads genes by rank is here. The page Embedding says how to get one.")
        return None
    model = choose_model(key, models)
    choice = choose_kind(model, key)
    kind = choice.kind
    if kind in ("inhibit", "activate"):
        st.caption("The authors describe this edit; their code does not make it.")
    how = st.selectbox(
        "Which genes", [ONE_BY_ONE, TOGETHER, EVERY], key=f"{key}:how", persist_state="session",
        help="Chosen genes one by one or in one edit together; or each gene that a cell holds, one at a time.",
    )  # fmt: skip
    genes = () if how == EVERY else search_genes(dataset, key)
    states, complete = _choose_states(dataset, key)
    among, label = _choose_among(dataset, key, genes, states)
    most, max_genes, gene_level = _choose_more(key, every=how == EVERY)
    held = among if kind == "overexpress" or not genes else among & _holding(dataset, genes, together=how == TOGETHER)
    cells = draw_cells(dataset, held, label, most)
    if not complete or not (genes or how == EVERY):
        st.caption("Choose a gene." if complete else "Choose two states that differ.")
        return None
    if cells is None:
        return None
    singles = [choice.edit(gene) for gene in genes]
    edits = (tuple(singles),) if how == TOGETHER else tuple((single,) for single in singles)
    return PerturbAsAuthors(
        EmbedCells(dataset, model), edits=() if how == EVERY else edits, every_gene=kind if how == EVERY else None,
        max_genes=max_genes, cells=cells, states=states, gene_level=gene_level,
        quartiles=choice.quartiles if how == EVERY else 1,
    )  # fmt: skip


def reads_ranks(spec: ModelSpec) -> bool:
    """Whether the authors' readout means something for a model."""
    return not spec.is_baseline and spec.has_gene_vectors


def _choose_states(dataset: Dataset, key: str) -> tuple[States | None, bool]:
    """Let start, goal and alternatives be chosen; returns them and whether the choice is complete."""
    columns = grouping_columns(dataset)
    if not columns:
        return None, True
    way = st.selectbox(
        "What is measured", [SIMILARITY, STATES], key=f"{key}:way", persist_state="session",
        help="How far cells move: the cosine between a cell's vector before and after. Toward a state: whether the "
        "edited cells come closer to the mean vector of other cells.",
    )  # fmt: skip
    if way != STATES:
        return None, True
    column = st.selectbox("States are told by", columns, key=f"{key}:state", persist_state="session")
    names = group_names(dataset, column)
    start = st.selectbox("Start: cells that are edited", names, key=f"{key}:start:{column}", persist_state="session")
    goal = st.selectbox(
        "Goal", [name for name in names if name != start], key=f"{key}:goal:{column}", persist_state="session",
        help="Are the edited cells closer to these cells than before?",
    )  # fmt: skip
    others = st.multiselect(
        "Alternatives", [name for name in names if name not in (start, goal)], key=f"{key}:others:{column}",
        persist_state="session", placeholder="None", help="States that the cells might go to instead.",
    )  # fmt: skip
    if goal is None:
        return None, False
    found = [State(column, name) for name in (start, goal, *others)]
    return States(found[0], found[1], tuple(found[2:])), True


def _choose_among(
    dataset: Dataset, key: str, genes: Sequence[str], states: States | None
) -> tuple[NDArray[np.bool_], str]:
    """Let the cells be chosen: those of the start state, or what one wants; returns them and what they are called."""
    if states is not None:
        return states.start.mask(dataset), states.start.value
    _, cells = choose_some_cells(dataset, key, genes)
    return (np.ones(dataset.n_cells, dtype=bool), "all cells") if cells is None else (cells.mask, cells.label)


def _holding(dataset: Dataset, genes: Sequence[str], *, together: bool) -> NDArray[np.bool_]:
    """Return which cells hold a gene; all genes where these are edited together."""
    held = np.array([dataset.expression(gene_id) > 0 for gene_id in genes])
    return held.all(axis=0) if together else held.any(axis=0)


def _choose_more(key: str, *, every: bool) -> tuple[int, int | None, bool]:
    """Let be chosen how many cells are edited at most, how many genes of each, and whether single genes count."""
    with st.expander("More: how many cells, other genes"):
        most = st.number_input(
            "Cells, at most", 1, 100_000, 5 if every else 200, key=f"{key}:most:{every}", persist_state="session",
            help="Drawn by chance among the cells that can be edited, always the same ones.",
        )  # fmt: skip
        most_genes = st.number_input(
            "Genes per cell, at most", 2, 4096, 200, key=f"{key}:genes-most", persist_state="session",
            help="Those that stand first in the cell's list.",
        ) if every else None  # fmt: skip
        gene_level = st.toggle(
            "Compare every other gene too", False, key=f"{key}:gene-level", persist_state="session",
            help="The cosine of each other gene's vector before and after, in each cell. A long table.",
        )  # fmt: skip
    return int(most), None if most_genes is None else int(most_genes), gene_level


@st.cache_data(show_spinner=False, max_entries=256)
def _passes(identity: str, genes_per_cell: int, _request: PerturbAsAuthors) -> int:
    n_passes = estimated_passes(_request, genes_per_cell=genes_per_cell)
    states = () if _request.states is None else _request.states.all
    dataset: Any = _request.baseline.dataset
    return n_passes + sum(int(state.mask(dataset).sum()) for state in states)


def cost(asked: PerturbAsAuthors) -> str:
    """Say how much work the question is."""
    embedding = stored(EmbedCells(asked.baseline.dataset, asked.baseline.model)) if asked.every_gene else None
    guessed = _GENES_GUESSED if embedding is None else int(np.ceil(np.mean(embedding.n_tokens)))
    n_passes = _passes(asked.identity, guessed, asked)
    return cost_words(asked.baseline.dataset, asked.baseline.model, n_passes, first_embeds=False)
