"""All pairs of some genes edited together, beside the sum of the two and beside random pairs: the answer."""

import pandas as pd
import streamlit as st

from pages._columns import PAIR_COLUMNS
from pages._perturb_edits import KINDS
from pages._show import TableFile, downloads, draw, provenance, say, two_lines
from pages._waiting import answer
from pages._words import count, file_stem, plain
from scfm_core.analyses.perturb_pairs import PairInteractions, PerturbPairs, pair_sentence
from scfm_core.plots.pair_matrix import pair_matrix
from scfm_core.tokens import edit_name

VECTOR, SIZE = "Where to", "How far"
_BY = {VECTOR: "vector", SIZE: "size"}


def beside(asked: PerturbPairs | None) -> PairInteractions | None:
    """Show the matrix of one group and what its clearest pair means; or what the page is about to show."""
    pairs = None if asked is None else answer(asked)
    if asked is None or pairs is None:
        two_lines(
            "What each pair of genes does to the cells beyond the sum of the two alone, in direction and in size: "
            "beside random pairs of like abundance. Two genes that need each other do more together, two that do the "
            "same do less.",
            "That the two genes meet in a cell. This is a statement about the model's input, not an experiment.",
        )
        return None
    key = f"paired:{asked.identity[:10]}"
    groups = list(dict.fromkeys(pairs.table["group"].astype(str)))
    group = groups[0] if len(groups) == 1 else st.selectbox("Cells shown", groups, key=f"{key}:group")
    way = st.segmented_control(
        "Beyond the sum", list(_BY), default=VECTOR, required=True, key=f"{key}:by", persist_state="session",
        help="Where to: the length of the part of the joint shift that the sum of the two does not hold. "
        "How far: how much farther the pair moves the cells than the sum.",
    )  # fmt: skip
    mine = ranked(pairs, group)
    row = _choose_pair(mine, f"{key}:{group}")
    with st.container(border=True, key="spoken"):
        words = plain(pair_sentence(row), longest=1800)
        st.markdown(words if str(row["kind_of"]) != "cannot tell" else f":gray[{words}]")
    figure = pair_matrix(pairs, group, _BY[way])
    draw(figure, f"{key}:matrix:{way}:{group}")
    say(figure)
    downloads("pairs", stem=file_stem(asked.baseline.dataset.title, "pairs", group, _BY[way]), figure=figure)
    return pairs


def below(asked: PerturbPairs, pairs: PairInteractions) -> None:
    """Show the table of all pairs in all groups, and hand it out."""
    columns = [name for name in PAIR_COLUMNS if name in pairs.table]
    st.dataframe(
        ranked(pairs), hide_index=True, column_config=PAIR_COLUMNS, column_order=columns, placeholder="-"
    )
    st.caption(f"{count(pairs.n_passes)} cells went through {plain(asked.baseline.model.title)}.")
    about = provenance(
        asked.baseline.dataset, asked, model=asked.baseline.model.title, edit=KINDS[edit_name(asked.genes[0])].title,
        size_beyond="1 - cosine of both less that of the two single shifts added",
        vector_beyond="length of the joint shift less the two single ones, over the sum of their lengths",
        test="empirical p among random pairs of like abundance; Benjamini-Hochberg over all rows",
    )  # fmt: skip
    tables = [
        TableFile(label="Pairs", table=lambda: pairs.table, about=about),
        TableFile(label="Random pairs", table=lambda: pairs.null, about=about, spreadsheet=False),
    ]
    downloads("pairs-table", stem=file_stem(asked.baseline.dataset.title, "pairs"), tables=tables)


def ranked(pairs: PairInteractions, group: str | None = None) -> pd.DataFrame:
    """Return the pairs of a group, or of all, the clearest first."""
    table = pairs.table if group is None else pairs.table[pairs.table["group"].astype(str) == group]
    order = ["vector_p_empirical", "vector_beyond"]
    return table.sort_values(order, ascending=[True, False], kind="stable", na_position="last", ignore_index=True)


def _choose_pair(table: pd.DataFrame, key: str) -> pd.Series:
    if len(table) == 1:
        return table.iloc[0]
    chosen = st.selectbox(
        "Pair", range(len(table)), key=f"{key}:pair",
        format_func=lambda place: f"{table.iloc[place]['edit_a']} and {table.iloc[place]['edit_b']}: "
        f"{table.iloc[place]['kind_of']}",
    )  # fmt: skip
    return table.iloc[chosen]
