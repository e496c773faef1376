"""Many genes of some cells edited one by one, estimated at once or exactly: the answer, also while it is computed."""

import pandas as pd
import streamlit as st

from pages._columns import PERCENT, in_percent
from pages._gene_search import MOST_GENES
from pages._perturb_chosen import take_to_chosen
from pages._perturb_edits import KINDS
from pages._perturb_screen import Screen
from pages._show import TableFile, downloads, draw, provenance, say, two_lines
from pages._waiting import answer, job_of
from pages._words import cells_of, count, counted, file_stem, plain, plain_number
from scfm_core.analyses.screen_genes import GeneScreen
from scfm_core.analyses.screen_words import quality_in_words
from scfm_core.plots.figure import Figure
from scfm_core.plots.gene_screen import estimate_against_exact, first_genes, screen_volcano

SIZE, GOAL = "How far cells move", "Toward the goal"
VOLCANO, FIRST = "Volcano", "First genes"
_FEWEST_DRAWN, _FEWEST_CELLS, _N_NAMED, _SHOWN_SO_FAR = 3, 3, 3, 200
_number, _text = st.column_config.NumberColumn, st.column_config.TextColumn
COLUMNS = {
    "rank": _number("Rank", help="Among the genes that a tenth of the cells hold."),
    "symbol": _text("Gene"),
    "method": _text("Known how", help="exact: the edit was computed one by one, on some of the cells. estimated: by "
                    "the first-order estimate alone."),  # fmt: skip
    "estimate": _number("Estimated", format="%.3g", help="First-order estimate, mean over all cells of the screen that "
                        "hold the gene."),  # fmt: skip
    "exact": _number("Exact", format="%.3g", help="Edited one by one, mean over the cells in the column n cells, "
                     "exact. Empty where that was not done."),  # fmt: skip
    "z": _number("z", format="%.3g", help="Beside the screened genes of like abundance."),
    "p": _number("p", format="%.2g", help="Among the screened genes of like abundance."),
    "p_adjusted": _number("Adjusted p", format="%.2g", help="Benjamini-Hochberg over the ranked genes."),
    "n_exact": _number("n cells, exact", help="Cells on which the gene was edited one by one."),
    "n_cells": _number("n cells", help="Cells of the screen that hold the gene."),
    "share_holding": _number("Hold the gene", format=PERCENT, help="Share of the cells of the screen."),
    "donors_agree": _number("Donors that agree", help="Of those with three of the exact cells or more: the shift has "
                            "the sign of the overall one."),  # fmt: skip
    "n_donors": _number("of donors"),
    "gene_id": _text("Gene id"),
}


def beside(asked: Screen | None) -> None:
    """Show the finding, its figures, the table and the files; what there is of it while it is computed."""
    screen = None if asked is None else answer(asked, so_far=lambda partial: _so_far(asked, partial))
    if asked is None:
        two_lines(
            "Many genes of the chosen cells, ranked by how far their deletion, or another edit, would move the cells "
            "in the model, or bring them toward a goal; the ranking grows while it is computed.",
            "That the first genes matter to real cells. This is of what the model would do, and a gene can stand out "
            "because the model reads it strongly.",
        )
    if asked is None or screen is None:
        return
    goal = _choose_goal(asked, screen)
    _spoken(asked, screen, goal=goal)
    _figure(asked, screen, goal=goal)
    _table(screen, goal=goal)
    _offer_first(asked, ranked(screen, goal=goal))
    _files(asked, screen)
    if screen.n_estimated:
        _agreement(asked, screen, goal=goal)


def _so_far(asked: Screen, screen: GeneScreen) -> None:
    """Show what there is, while the screen runs or after it was stopped."""
    job = job_of(asked)
    stopped = job is not None and job.finished
    st.markdown(f"**{'Stopped' if stopped else 'So far'}: {plain(screen.so_far, longest=200)}.**")
    goal = bool(screen.goal)
    table = ranked(screen, goal=goal)
    if table["p"].notna().any():
        draw(screen_volcano(screen, by="goal" if goal else "size"), f"screened:{asked.identity[:10]}:so-far")
    st.dataframe(
        in_percent(table.head(_SHOWN_SO_FAR)), hide_index=True, column_config=COLUMNS,
        column_order=[name for name in COLUMNS if name in table], placeholder="-",
    )  # fmt: skip
    if stopped:
        _offer_first(asked, table)
        _files(asked, screen)


def _choose_goal(asked: Screen, screen: GeneScreen) -> bool:
    return bool(screen.goal) and st.segmented_control(
        "Ranked by", [SIZE, GOAL], default=GOAL, required=True, key=f"screen:{asked.identity[:10]}:by"
    ) == GOAL  # fmt: skip


def ranked(screen: GeneScreen, *, goal: bool) -> pd.DataFrame:
    """Return the genes by one of the two rankings."""
    name, table = "goal" if goal else "size", screen.table
    kept = ["symbol", "method", "n_cells", "share_holding", "gene_id"]
    out = table[[*kept, *(column for column in ("donors_agree", "n_donors") if column in table)]].assign(
        rank=table["goal_rank" if goal else "rank"],
        estimate=table[f"{name}_estimate"],
        exact=table[f"{name}_exact"],
        z=table[f"{name}_z"],
        p=table[f"{name}_p"],
        p_adjusted=table[f"{name}_p_adjusted"],
        n_exact=table["n_exact"].where(table["n_exact"] > 0),
    )
    by = ["rank", "estimate", "exact"]
    return out.sort_values(by, ascending=[True, False, False], kind="stable", ignore_index=True)


def _spoken(asked: Screen, screen: GeneScreen, *, goal: bool) -> None:
    """Say what stands first, by the estimate where there is one and among the genes that are known exactly."""
    table = ranked(screen, goal=goal)
    doing = KINDS[screen.edit].doing.lower()
    where = f" toward {asked.goal.value}" if goal and asked.goal is not None else ""
    words = f"{counted(len(table), 'gene')} in {cells_of(screen.n_cells)}."
    if screen.n_estimated:
        first = ", ".join(str(symbol) for symbol in table["symbol"][table["rank"].notna()][:_N_NAMED])
        words += f" The estimate says that {doing} one of {first or 'none'} moves the cells most{where}."
    fewest = max(1, int(min(_FEWEST_CELLS, table["n_exact"].fillna(0).max())))  # one cell is extreme by chance
    exact = table[table["n_exact"] >= fewest]
    if exact.empty:
        words += " Nothing was confirmed exactly."
    else:
        row = exact.loc[exact["exact"].idxmax()]
        unit = "as a difference of cosines" if goal else "as 1 - cosine"
        words += (
            f" Of the {counted(len(exact), 'gene')} edited exactly in at least {cells_of(fewest)}, {doing} "
            f"{row['symbol']} moves them most{where}: by {plain_number(row['exact'])} on average over "
            f"{cells_of(int(row['n_exact']))}, {unit}."
        )
    n_found = int((table["p_adjusted"] <= 0.05).sum())
    words += f" {counted(n_found, 'gene')} stand{'s' if n_found == 1 else ''} out from genes of like abundance "
    words += "(adjusted p at most 0.05). This is a statement about the model's input, not an experiment."
    with st.container(border=True, key="spoken"):
        st.markdown(plain(words, longest=1500))


def _figure(asked: Screen, screen: GeneScreen, *, goal: bool) -> None:
    by = "goal" if goal else "size"
    way = VOLCANO
    if screen.n_estimated:
        way = st.segmented_control(
            "Figure", [VOLCANO, FIRST], default=VOLCANO, required=True, key="screen-figure", persist_state="session",
            label_visibility="collapsed",
        )  # fmt: skip
    figure = screen_volcano(screen, by=by) if way == VOLCANO else first_genes(screen, by=by)
    _draw(asked, figure, f"{way}:{by}")


def _table(screen: GeneScreen, *, goal: bool) -> None:
    table = ranked(screen, goal=goal)
    shown = [name for name in COLUMNS if name in table and not table[name].isna().all()]
    st.dataframe(in_percent(table), hide_index=True, column_config=COLUMNS, column_order=shown, placeholder="-")
    if screen.n_left_out:
        st.caption(f"{counted(screen.n_left_out, 'gene')} asked for that no chosen cell holds, or the model does not "
                   "read.")  # fmt: skip


def _offer_first(asked: Screen, table: pd.DataFrame) -> None:
    """Let the first genes be taken to the mode Chosen genes."""
    first = table[table["rank"].notna()]
    if first.empty:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        most = min(MOST_GENES, len(first))
        key = f"screen:{asked.identity[:10]}:first"
        number = st.number_input("First genes", 1, most, min(5, most), key=key, width=140)
        st.button(
            "Take them to Chosen genes", key="take-first", on_click=take_to_chosen,
            args=(asked.baseline.dataset, first["gene_id"].head(int(number)).tolist()),
        )  # fmt: skip


def _agreement(asked: Screen, screen: GeneScreen, *, goal: bool) -> None:
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


def _draw(asked: Screen, figure: Figure, name: str) -> None:
    draw(figure, f"screened:{asked.identity[:10]}:{name}")
    say(figure)
    downloads(f"screened-{name}", stem=_stem(asked), figure=figure)


def _files(asked: Screen, screen: GeneScreen) -> None:
    facts = provenance(
        asked.baseline.dataset,
        asked,
        model=asked.baseline.model.title,
        edit=screen.edit,
        columns="size_estimate and goal_estimate: first-order estimates, means over the cells that hold the gene; "
        "size_exact and goal_exact: edited one by one, means over n_exact cells; *_estimate_there: estimates on those; "
        "*_z, *_p: against the screened genes of like abundance, adjusted by Benjamini-Hochberg",
        size="1 - cosine between a cell's vector before and after",
        goal=screen.goal or "none",
        whole=f"no, stopped: {screen.so_far}" if screen.so_far else "yes",
        seed=str(asked.seed),
    )
    tables = [TableFile(label="Genes", table=lambda: screen.table, about=facts)]
    downloads("screen-table", stem=_stem(asked), tables=tables)


def _stem(asked: Screen) -> str:
    return file_stem(asked.baseline.dataset.title, "screen", asked.baseline.model.key)
