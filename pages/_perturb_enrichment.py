"""What the genes that turn with an edit have in common: gene sets, with the genes that were followed as universe."""

import pandas as pd
import streamlit as st

from pages._enrichment import show_enriched
from pages._perturb_sets import choose_sets
from pages._perturb_standing import Standing
from pages._waiting import answer
from scfm_core.analyses.enrich_genes import EnrichGenes, Enrichment
from scfm_core.analyses.follow_genes import FollowingGenes


def show_enrichment(standing: Standing, followers: FollowingGenes, row: pd.Series) -> None:
    """Test gene sets among the genes that turn most."""
    st.subheader("What do these genes have in common?", anchor=False)
    mine, tested = (_of_line(table, row) for table in (followers.table, followers.tested))
    left, right = st.columns([1, 3], gap="medium")
    key = f"{standing.key}:enrich"
    with left:
        sets = choose_sets(standing.dataset, key)
        most = st.slider(
            "Genes that turn most", 5, max(6, min(200, len(mine))), min(50, max(6, len(mine))),
            key=f"{key}:n",
            help="So many of the most specific ones count as hits.",
        )  # fmt: skip
    if sets is None:
        return
    hits = tuple(mine["symbol"].head(most))
    asked = EnrichGenes(hits, tuple(tested["symbol"]), sets)
    with right:
        found = answer(asked, place="enrichment")
        if found is not None:
            st.session_state[f"{key}:found:{row['edit']}:{row['group']}"] = found
            show_enriched(standing.dataset, asked, found, standing.key)


def _of_line(table: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    return table[(table["edit"] == row["edit"]) & (table["group"].astype(str) == str(row["group"]))]


def enrichment_of(standing: Standing, row: pd.Series) -> Enrichment | None:
    """Return what was last tested for a line, for the report."""
    found: Enrichment | None = st.session_state.get(f"{standing.key}:enrich:found:{row['edit']}:{row['group']}")
    return found
