"""Lets the cut-offs and the number of genes per group be set, as exact numbers."""

import streamlit as st

from scfm_core.analyses.choose_markers import Cutoffs

MOST_GENES = 2000


def choose_cutoffs(key: str) -> Cutoffs:
    """Let it be set which of the tested genes are shown."""
    n_genes = st.number_input(
        "Genes per group, at most", 1, MOST_GENES, 5, key=f"{key}:n", persist_state="session",
        help="The strongest ones that pass the cut-offs. Figures turn pages where there are many.",
    )  # fmt: skip
    every = st.toggle("All genes that pass", False, key=f"{key}:all", persist_state="session")
    with st.expander("More: cut-offs"):
        direction = st.segmented_control(
            "Direction", ["higher", "lower", "both"], default="higher", required=True, key=f"{key}:direction",
            persist_state="session", help="In the group, against what it is compared with.",
        )  # fmt: skip
        max_p = st.number_input(
            "Adjusted p, at most", 0.0, 1.0, 0.05, 0.01, format="%g", key=f"{key}:p", persist_state="session",
            help="Any number from 0 to 1, such as 1e-10. Adjusted over the genes of a group.",
        )  # fmt: skip
        fold = st.number_input(
            "log2 fold change, at least", 0.0, 50.0, 0.25, 0.05, format="%g", key=f"{key}:fold",
            persist_state="session", help="In either direction. 1 means twice as much, or half.",
        )  # fmt: skip
        held = st.number_input(
            "Held by, at least (%)", 0.0, 100.0, 10.0, 1.0, format="%g", key=f"{key}:share", persist_state="session",
            help="Share of the cells with at least one count, on the side where the gene is higher.",
        )  # fmt: skip
        other = st.number_input(
            "Held on the other side, at most (%)", 0.0, 100.0, 100.0, 1.0, format="%g", key=f"{key}:share-out",
            persist_state="session", help="Lower it for genes that hardly any other cell holds.",
        )  # fmt: skip
    return Cutoffs(
        n_per_group=None if every else int(n_genes), max_p_adjusted=max_p, min_log2_fold_change=fold,
        min_share=held / 100, max_share_other=other / 100, direction=direction,
    )  # fmt: skip
