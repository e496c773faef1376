"""From a selection to the page Perturbation, with the selection chosen in every kind of question there."""

import streamlit as st

from pages._groupings import grouping_choices
from pages._perturb_asking import ALL, GROUP, GROUPS, SELECTED
from scfm_core.dataset import Dataset

_KEYS = {"perturb": GROUPS, "pairs": GROUPS, "screen": GROUP, "authors": GROUP}


def take_selection(dataset: Dataset) -> None:
    """Choose the selection as the cells of every kind of question, before the page is run."""
    for name, groups in _KEYS.items():
        ways = [*([groups] if grouping_choices(dataset) else []), ALL, SELECTED]
        st.session_state[f"{name}:{dataset.sha256[:10]}:cells:{len(ways)}"] = SELECTED
    st.session_state["perturb:mode"] = "Chosen genes"
