"""Which other genes turn when one is edited: their network, their table, and what they have in common."""

import pandas as pd
import streamlit as st

from pages._columns import FOLLOWER_COLUMNS
from pages._perturb_enrichment import show_enrichment
from pages._perturb_stages import in_its_turn
from pages._perturb_standing import Standing, name_of
from pages._show import TableFile, downloads, draw, provenance, say
from pages._waiting import errors_as_text
from pages._words import file_stem, plain
from scfm_core.analyses.follow_genes import FollowingGenes
from scfm_core.plots.gene_network import MAX_HUBS, gene_network

_SHOWN = 50


def show_followers(standing: Standing, row: pd.Series) -> None:
    """Show the genes whose vectors turn more than under random genes."""
    model = standing.asked.request.baseline.model
    if not model.has_gene_vectors:
        st.caption(f"{plain(model.title)} has no vectors of single genes, so no other genes can be followed.")
        return
    followers = in_its_turn(standing.chain.followers, place="followers")
    if followers is None:
        return
    mine = of_line(followers, row)
    if mine.empty:
        st.caption(plain(followers.reason or f"No other gene could be followed for {row['edit']}.", longest=400))
        return
    left, right = st.columns([3, 2], gap="medium")
    with left, errors_as_text():
        _network(standing, followers, row)
    with right, errors_as_text():
        _table(standing, mine, row)
    with errors_as_text():
        show_enrichment(standing, followers, row)


def of_line(followers: FollowingGenes, row: pd.Series) -> pd.DataFrame:
    """Return the other genes of one edit in one group, the most specific first."""
    table = followers.table
    mine = table[(table["edit"] == row["edit"]) & (table["group"].astype(str) == str(row["group"]))]
    return mine.sort_values("specific_z", ascending=False, kind="stable", ignore_index=True)


def _network(standing: Standing, followers: FollowingGenes, row: pd.Series) -> None:
    """Draw the edited genes and those that turn with them."""
    group = str(row["group"])
    edits = standing.effects.edits
    st.markdown(f"**Network in {plain(group)}**")
    most_place, controls = st.columns(2)
    chosen = controls.multiselect(
        "Edits in the network", edits, default=[row["edit"]], key=f"{standing.key}:network:{row['edit']}",
        select_all=False, max_selections=MAX_HUBS, wrap=True,
        help="Genes that several edits turn stand between them.",
    ) if len(edits) > 1 else [row["edit"]]  # fmt: skip
    most = most_place.slider("Genes, at most", 5, 60, 30, 5, key=f"{standing.key}:network-most")
    if not chosen:
        st.caption("Choose an edit.")
        return
    figure = gene_network(followers.table, tuple(chosen), group, most=most)
    draw(figure, f"{standing.key}:network-figure")
    say(figure)
    downloads("network", stem=file_stem(standing.dataset.title, "network", *chosen[:3]), figure=figure)


def _table(standing: Standing, mine: pd.DataFrame, row: pd.Series) -> None:
    st.markdown(f"**Other genes, {name_of(row)}**")
    columns = [name for name in FOLLOWER_COLUMNS if name in mine]
    st.dataframe(
        mine.head(_SHOWN), hide_index=True, column_config=FOLLOWER_COLUMNS, column_order=columns, height=430
    )
    st.caption(
        "z says how far the gene turns beyond what it does under random edits: a gene that turns under any edit ranks "
        "low. A gene's vector depends on all genes of its cell: a shift here is no evidence of regulation."
    )
    about = provenance(
        standing.dataset, standing.chain.followers, model=standing.asked.request.baseline.model.title,
        shift="mean of 1 - cosine of a gene's vector in its cell, before and after",
        test="one-sided empirical p against the same gene under random edits of the same cells",
    )  # fmt: skip
    stem = file_stem(standing.dataset.title, "other_genes", row["edit"], row["group"])
    downloads("followers", stem=stem, tables=[TableFile(label="Other genes", table=lambda: mine, about=about)])
