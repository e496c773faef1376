"""How far a model can be trusted: asked where the truth is known, simulated or measured: the question."""

import re

import streamlit as st

from pages._models import editable_models
from pages._perturb_asking import choose_model, group_names
from pages._state import grouping_columns
from pages._words import count, counted, plain
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.validation.validate_on_crispr import ValidateOnCrispr
from scfm_core.validation.validate_on_simulation import ValidateOnSimulation

SIMULATED, MEASURED = "A simulated network", "Knock-outs of this dataset"
NO_REPLICATES = "No column"
KINDS = {"ranks": "By rank", "values": "By value"}
Truth = ValidateOnSimulation | ValidateOnCrispr
_MOST_TARGETS = 5000
_CONTROL = re.compile(r"control|ctrl|non.?target|\bnt\b|scramble|safe|none|wild|\bwt\b|unperturbed", re.IGNORECASE)


def controls(dataset: Dataset) -> Truth | None:
    """Let a question be built and asked; return the one whose answer stands on the page."""
    key = f"truth:{dataset.sha256[:10]}"
    way = st.selectbox(
        "Where the truth is known", [SIMULATED, MEASURED], key=f"{key}:way", persist_state="session",
        help="A simulated network: its edges and its knock-outs are known exactly. Knock-outs of this dataset: a "
        "column says which gene was knocked out in each cell.",
    )  # fmt: skip
    asked = _simulated(key) if way == SIMULATED else _measured(dataset, key)
    if asked is not None and st.button("Compare with the truth", type="primary", key="truth", width="stretch"):
        st.session_state[key] = asked
    if asked is not None:
        st.caption(_cost(asked))
    standing: Truth | None = st.session_state.get(key)
    if standing is not None and asked is not None and standing.identity != asked.identity:
        st.caption("The choices have changed since the answer beside was computed.")
    return standing


def _simulated(key: str) -> ValidateOnSimulation | None:
    networks = st.multiselect(
        "Networks that are trained", list(KINDS), default=["ranks"], format_func=KINDS.__getitem__,
        key=f"{key}:networks", persist_state="session", select_all=False, wrap=True,
        help="A small network is trained on the unperturbed cells of the simulation alone, then asked for its "
        "knock-outs. By rank: it reads the order of genes. By value: it reads how much of each there is.",
    )  # fmt: skip
    seed = st.number_input(
        "Seed", 0, 9999, 0, key=f"{key}:seed", persist_state="session", help="Draws another network and other cells."
    )
    if not networks:
        st.caption("Choose a network.")
        return None
    return ValidateOnSimulation(seed=int(seed), networks=tuple(sorted(networks)))


def _measured(dataset: Dataset, key: str) -> ValidateOnCrispr | None:
    columns = grouping_columns(dataset, most_groups=_MOST_TARGETS)
    if not columns:
        st.caption("This dataset has no column that could name knocked-out genes. Open a perturb-seq file.")
        return None
    model = choose_model(key, editable_models())
    start = next((place for place, name in enumerate(columns) if _names_controls(dataset, name)), 0)
    column = st.selectbox(
        "Column of the knocked-out genes", columns, index=start, key=f"{key}:column", persist_state="session",
        help="Says for each cell which gene was knocked out, by symbol or Ensembl id.",
    )  # fmt: skip
    names = group_names(dataset, column)
    control = st.selectbox(
        "Label of control cells", names, index=next((n for n, name in enumerate(names) if _CONTROL.search(name)), 0),
        key=f"{key}:control:{column}", persist_state="session", help="Cells in which nothing was knocked out.",
    )  # fmt: skip
    with st.expander("More: replicates, cells"):
        others = [NO_REPLICATES, *(name for name in grouping_columns(dataset) if name != column)]
        replicates = st.selectbox(
            "Replicates", others, key=f"{key}:replicates:{column}", persist_state="session",
            help="Where there is no column, the dataset's batch or donor, if it names one.",
        )  # fmt: skip
        n_cells = st.slider("Control cells for each gene", 10, 500, ValidateOnCrispr.cells, 10, key=f"{key}:cells",
                            persist_state="session")  # fmt: skip
        seed = st.number_input("Seed", 0, 9999, 0, key=f"{key}:crispr-seed", persist_state="session")
    try:
        return ValidateOnCrispr(
            EmbedCells(dataset, model), column, control, cells=n_cells, seed=int(seed),
            replicate_column=None if replicates == NO_REPLICATES else replicates,
        )  # fmt: skip
    except RequestError as error:  # most columns of most datasets name no knock-outs
        st.caption(plain(error, longest=600))
        return None


def _names_controls(dataset: Dataset, column: str) -> bool:
    """Whether a column looks as if it named knock-outs: many values, one of them that of controls."""
    names = group_names(dataset, column)
    return len(names) > 2 and any(_CONTROL.search(name) for name in names)


def _cost(asked: Truth) -> str:
    if isinstance(asked, ValidateOnSimulation):
        n_networks = len(asked.networks)
        return (
            f"{count(asked.settings.n_cells)} simulated cells; {counted(n_networks, 'small network')} trained on them, "
            "some minutes each on a processor, once. The time left is told while it runs."
        )
    return (
        f"Up to {asked.most_targets} knock-outs, each in up to {asked.cells} cells and beside {asked.random_genes} "
        f"random genes, under {plain(asked.baseline.model.title)}. The time left is told while it runs."
    )
