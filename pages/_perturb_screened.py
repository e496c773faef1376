"""Every gene of some cells deleted at once by a first-order estimate, the first of them exactly: the answer."""

import numpy as np
import pandas as pd
import streamlit as st

from pages._columns import PERCENT, in_percent
from pages._show import TableFile, downloads, draw, provenance, say, two_lines
from pages._waiting import answer
from pages._words import cells_of, count, counted, file_stem, plain, plain_number
from scfm_core.analyses.screen_genes import GeneScreen, ScreenGenes
from scfm_core.analyses.screen_words import quality_in_words
from scfm_core.plots.figure import Figure
from scfm_core.plots.gene_screen import estimate_against_exact, first_genes

SIZE, GOAL = "How far cells move", "Toward the goal"
EXACT, ESTIMATED = "exact", "estimated"
_FEWEST_DRAWN, _FEWEST_CELLS, _N_NAMED = 3, 3, 3
_HEIGHT = 600
_number, _text = st.column_config.NumberColumn, st.column_config.TextColumn
COLUMNS = {
    "rank": _number("Rank", help="By the estimate, among the genes that a tenth of the cells hold."),
    "symbol": _text("Gene"),
    "known": _text("Known how", help="exact: the deletion was also computed one by one, on some of the cells. "
                   "estimated: by the first-order estimate alone."),  # fmt: skip
    "estimate": _number("Estimated", format="%.3g", help="First-order estimate, mean over all cells of the screen that "
                        "hold the gene."),  # fmt: skip
    "exact": _number("Exact", format="%.3g", help="Deleted one by one, mean over the cells in the next column. Empty "
                     "where it was not confirmed."),  # fmt: skip
    "n_exact": _number("n cells, exact", help="Cells on which the gene was deleted one by one."),
    "n_cells": _number("n cells", help="Cells of the screen that hold the gene."),
    "share_holding": _number("Hold the gene", format=PERCENT, help="Share of the cells of the screen."),
    "gene_id": _text("Gene id"),
}


def beside(asked: ScreenGenes | None) -> None:
    """Show the finding, its figure, the table and the files; or what the page is about to show."""
    screen = None if asked is None else answer(asked)
    if asked is None or screen is None:
        two_lines(
            "Every gene of the chosen cells, ranked by how far its deletion would move them in the model, or toward a "
            "goal: estimated for all genes from a few passes, computed exactly for the first of them.",
            "That the first genes matter to real cells. The estimate is of what the model would do; genes behind the "
            "confirmed ones are known by the estimate alone.",
        )
        return
    goal = bool(screen.goal) and st.segmented_control(
        "Ranked by", [SIZE, GOAL], default=SIZE, required=True, key=f"screen:{asked.identity[:10]}:by"
    ) == GOAL  # fmt: skip
    _spoken(asked, screen, goal=goal)
    _draw(asked, first_genes(screen, by="goal" if goal else "size"), f"first:{goal}", height=_HEIGHT)
    table = ranked(screen, goal=goal)
    st.dataframe(
        in_percent(table), hide_index=True, column_config=COLUMNS, column_order=list(COLUMNS), placeholder="-"
    )
    _files(asked, screen)
    _agreement(asked, screen, goal=goal)


def ranked(screen: GeneScreen, *, goal: bool) -> pd.DataFrame:
    """Return the genes by one of the two rankings, with a word for how each number is known."""
    name = "goal" if goal else "size"
    table = screen.table
    out = pd.DataFrame(
        {
            "rank": table["goal_rank" if goal else "rank"],
            "symbol": table["symbol"],
            "known": np.where(table["n_exact"] > 0, EXACT, ESTIMATED),
            "estimate": table[f"{name}_estimate"],
            "exact": table[f"{name}_exact"],
            "n_exact": table["n_exact"].where(table["n_exact"] > 0),
            "n_cells": table["n_cells"],
            "share_holding": table["share_holding"],
            "gene_id": table["gene_id"],
        }
    )
    return out.sort_values(["rank", "estimate"], ascending=[True, False], kind="stable", ignore_index=True)


def _spoken(asked: ScreenGenes, screen: GeneScreen, *, goal: bool) -> None:
    """Say what the estimate puts first, and what stands first among the genes that are known exactly."""
    table = ranked(screen, goal=goal)
    first = ", ".join(str(symbol) for symbol in table["symbol"][table["rank"].notna()][:_N_NAMED])
    where = f" toward {asked.goal.value}" if goal and asked.goal is not None else ""
    words = f"Of {counted(len(table), 'gene')} in {cells_of(screen.n_cells)}, the estimate says that deleting one of "
    words += f"{first or 'none'} moves the cells most{where}."
    fewest = max(1, int(min(_FEWEST_CELLS, table["n_exact"].fillna(0).max())))  # one cell is extreme by chance
    exact = table[table["n_exact"] >= fewest]
    if exact.empty:
        words += " Nothing was confirmed exactly."
    else:
        row = exact.loc[exact["exact"].idxmax()]
        unit = "as a difference of cosines" if goal else "as 1 - cosine"
        words += (
            f" Of the {count(len(exact))} genes that were deleted exactly in at least {cells_of(fewest)}, "
            f"{row['symbol']} moves them most{where}: by {plain_number(row['exact'])} on average over "
            f"{cells_of(int(row['n_exact']))}, {unit}."
        )
    with st.container(border=True, key="spoken"):
        st.markdown(plain(f"{words} This is a statement about the model's input, not an experiment.", longest=1200))


def _agreement(asked: ScreenGenes, screen: GeneScreen, *, goal: bool) -> None:
    """Say which numbers are which, and show how well the estimate agrees with exact deletions."""
    st.caption(plain(quality_in_words(asked.baseline.model), longest=1200))
    quality = asked.baseline.model.screen
    if quality is not None:
        faster = quality.goal_speedup if goal else quality.size_speedup
        st.caption(
            f"{count(screen.n_estimated)} deletions were estimated, with {count(screen.n_passes)} passes of a cell "
            f"forward, those of the exact ones among them, and {count(screen.n_backward_passes)} back. In trials the "
            f"estimate was {count(faster)} times faster than exact deletions: "
            f"{plain(quality.measured_on, longest=900)}."
        )
    if (screen.table["n_exact"] > 0).sum() < _FEWEST_DRAWN:
        return
    st.subheader("How well the estimate agrees here", anchor=False)
    _draw(asked, estimate_against_exact(screen, by="goal" if goal else "size"), f"agreement:{goal}")


def _draw(asked: ScreenGenes, figure: Figure, name: str, *, height: int | None = None) -> None:
    draw(figure, f"screened:{asked.identity[:10]}:{name}", height=height)
    say(figure)
    downloads(f"screened-{name}", stem=_stem(asked), figure=figure)


def _files(asked: ScreenGenes, screen: GeneScreen) -> None:
    facts = provenance(
        asked.baseline.dataset,
        asked,
        model=asked.baseline.model.title,
        columns="size_estimate and goal_estimate: first-order estimates, means over the cells that hold the gene; "
        "size_exact and goal_exact: deleted one by one, means over n_exact cells; *_estimate_there: estimates on those",
        size="1 - cosine between a cell's vector before and after",
        goal=screen.goal or "none",
        seed=str(asked.seed),
    )
    tables = [TableFile(label="Genes", table=lambda: screen.table, about=facts)]
    downloads("screen-table", stem=_stem(asked), tables=tables)


def _stem(asked: ScreenGenes) -> str:
    return file_stem(asked.baseline.dataset.title, "screen", asked.baseline.model.key)
