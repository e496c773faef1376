"""Genes edited and read out as the authors of a model do it: the answer."""

from functools import partial

import pandas as pd
import streamlit as st

from pages._perturb_authors import kind_of
from pages._perturb_edits import KINDS
from pages._show import TableFile, downloads, draw, provenance, say, two_lines
from pages._waiting import answer
from pages._words import cells_of, count, counted, file_stem, plain, plain_number
from scfm_core.analyses.authors_statistics import CELL, Statistic, statistics_of
from scfm_core.analyses.authors_tables import symbols_of
from scfm_core.analyses.perturb_as_authors import AuthorsReadout, PerturbAsAuthors
from scfm_core.plots.authors_readout import SHIFT, SIMILARITY, readout_figure, similarity_words

_GENES_SHOWN, _OFTEN = 50, 3
_XLSX_ROWS = 50_000
_number, _text = st.column_config.NumberColumn, st.column_config.TextColumn
OF_A_STATE = {
    "Shift_to_goal_end": "Shift toward",
    "Shift_to_alt_end_": "Shift toward",
    "Goal_end_vs_random_pval": "p,",
    "Alt_end_vs_random_pval_": "p,",
    "Goal_end_FDR": "FDR,",
    "Alt_end_FDR_": "FDR,",
}
COLUMNS = {
    "Gene_name": _text("Edited"),
    "Affected_gene_name": _text("Other gene"),
    "Cosine_sim_mean": _number("Cosine similarity, mean", format="%.6f", help="Over cells, before and after the edit. "
                               "1: nothing moves."),  # fmt: skip
    "Cosine_sim_stdev": _number("Standard deviation", format="%.2g", help="Of the cosine similarity over cells."),
    "Test_avg_shift": _number("Cosine similarity, mean", format="%.6f", help="Over the cells that hold the gene, "
                              "before and after the edit. 1: nothing moves."),  # fmt: skip
    "Impact_component": _number("Impact", help="1: in the group of genes with the lower similarities, 0: in the "
                                "other."),  # fmt: skip
    "Impact_component_percent": _number("Cells with impact", format="%.3g %%", help="Share of the cells in which the "
                                        "gene counts as one with impact."),  # fmt: skip
    "Sig": _number("Significant", help="1: FDR toward the goal below 0.05."),
    "N_Detections": _number("n cells", help="Cells in which the edit was made."),
    "Ensembl_ID": _text("Gene id"),
}


def beside(asked: PerturbAsAuthors | None) -> None:
    """Show the finding, its figure, the tables and the files; or what the page is about to show."""
    readout = None if asked is None else answer(asked)
    if asked is None or readout is None:
        two_lines(
            "How far cells move, or whether they come closer to a state, when genes are edited in the model's input: "
            "the numbers of the authors of Geneformer, computed as they do.",
            "That real cells would go there. Without random genes beside it, a shift also tells how strongly the model "
            "reads a gene: the choice Chosen genes has them.",
        )
        return
    column = _choose_number(asked, readout)
    cells, n_rare = _often_made(readout)
    _spoken(asked, readout, cells, column)
    figure = readout_figure(cells, column, labels=_labels(readout), doing=KINDS[kind_of(asked)].doing)
    draw(figure, f"readout:{asked.identity[:10]}:{column}")
    say(figure)
    if n_rare:
        words = f"{count(n_rare)} of the {counted(len(readout.edits), 'edit')} were made in fewer than {_OFTEN} cells"
        st.caption(f"{words}; they stand in the table and not in the figure.")
    downloads("readout", stem=_stem(asked, readout), figure=figure)
    _tables(asked, readout)


def _tables(asked: PerturbAsAuthors, readout: AuthorsReadout) -> None:
    """Show the tables and what was left out, and hand out the files."""
    found = statistics_of(readout, symbols=symbols_of(asked.baseline.dataset))
    _table(readout, found[0])
    for sentence in readout.left_out:
        st.caption(plain(sentence, longest=600))
    st.caption(f"{counted(readout.n_passes, 'cell')} went through {plain(asked.baseline.model.title)}.")
    if len(found) > 1:
        st.subheader("The most affected other genes", anchor=False)
        genes = found[1].table[found[1].table["Affected"] != CELL]
        _show(genes.nsmallest(_GENES_SHOWN, "Cosine_sim_mean"), readout)
        st.caption(plain(found[1].in_words, longest=900))
    _files(asked, readout, found)


def _table(readout: AuthorsReadout, found: Statistic) -> None:
    """Show the authors' statistic, under plain words; a mean per edit where theirs is one row per cell."""
    if found.name != "aggregate_data":
        _show(found.table, readout)
        st.caption(plain(found.in_words, longest=900))
        return
    means = found.table.groupby(["Gene_name", "Ensembl_ID"], sort=False)["Cosine_sim"]
    table = pd.DataFrame({"Cosine_sim_mean": means.mean(), "Cosine_sim_stdev": means.std(ddof=0)})
    table["N_Detections"] = means.size()
    _show(table.reset_index().sort_values("Cosine_sim_mean", kind="stable"), readout)
    st.caption("The cosine similarity of a cell's vector before and after, over cells; the file holds each cell.")


def _show(table: pd.DataFrame, readout: AuthorsReadout) -> None:
    columns = {name: _column(str(name), readout) for name in table}
    shown = [str(name) for name, column in columns.items() if column is not None]
    shown = sorted(shown, key="Ensembl_ID".__eq__)  # the ids last
    named = {name: table[name].str.replace(";", " + ") for name in ("Gene_name", "Affected_gene_name") if name in table}
    st.dataframe(table.assign(**named)[shown], hide_index=True, column_config={name: columns[name] for name in shown})


def _choose_number(asked: PerturbAsAuthors, readout: AuthorsReadout) -> str:
    if not readout.states:
        return SIMILARITY
    start, goal, *others = readout.states
    ways = [goal, *others, start]
    chosen = st.segmented_control(
        "Shift toward", ways, default=goal, required=True, key=f"readout:{asked.identity[:10]}:toward",
        format_func=lambda name: f"{name} (start)" if name == start else f"{name} (goal)" if name == goal else name,
    )  # fmt: skip
    return f"{SHIFT}{chosen}"


def _often_made(readout: AuthorsReadout) -> tuple[pd.DataFrame, int]:
    """Return the rows of the edits that were made in at least three cells, and how many were not; all where none was.

    The mean of one or two cells is extreme by chance.
    """
    often = readout.edits.loc[readout.edits["n_cells"] >= _OFTEN, "edit"]
    if often.empty:
        return readout.cells, 0
    return readout.cells[readout.cells["edit"].isin(set(often))], len(readout.edits) - len(often)


def _spoken(asked: PerturbAsAuthors, readout: AuthorsReadout, cells: pd.DataFrame, column: str) -> None:
    """Say what the strongest edit did, in words that can be repeated."""
    kind = KINDS[kind_of(asked)]
    means = cells.groupby("edit", sort=False)[column].mean()
    strongest = means.idxmin() if column == SIMILARITY else means.idxmax()
    row = readout.edits.set_index("edit").loc[strongest]
    genes, n_cells = _joined(str(row["symbols"])), cells_of(int(row["n_cells"]))
    most = "" if len(means) == 1 else f" most among {count(len(means))} edits"
    if column == SIMILARITY:
        found = f"{kind.doing} {genes} moves the vectors of {n_cells}{most}: the mean cosine similarity before and "
        found += f"after is {similarity_words(float(means[strongest]))} (1: nothing moves)."
    else:
        mean, state = float(means[strongest]), column.removeprefix(SHIFT)
        where = f"toward {state}" if mean >= 0 else f"away from {state}"
        most = most if mean >= 0 else most.replace("most", "least")
        found = f"{kind.doing} {genes} shifts the vectors of {n_cells} {where}{most}: by "
        found += f"{plain_number(abs(mean))} on average, as a difference of cosines."
    with st.container(border=True, key="spoken"):
        st.markdown(plain(f"{found} This is a statement about the model's input, not an experiment.", longest=900))


def _labels(readout: AuthorsReadout) -> dict[str, str]:
    return {
        str(edit): _joined(str(symbols))
        for edit, symbols in zip(readout.edits["edit"], readout.edits["symbols"], strict=True)
    }


def _joined(symbols: str) -> str:
    return symbols.replace(";", " + ")


def _column(name: str, readout: AuthorsReadout) -> object:
    """Return how a column of the authors is headed; None where it is left to the files."""
    for start, words in OF_A_STATE.items():
        if name.startswith(start):
            return _headed(words, name.removeprefix(start) or readout.states[1])
    return COLUMNS.get(name)


def _headed(words: str, state: str) -> object:
    hints = {
        "Shift toward": "Mean over cells of the cosine with the state's mean vector, after minus before; no unit.",
        "p,": "Rank sum test of this gene's shifts against those of all genes together.",
        "FDR,": "The p adjusted by Benjamini and Hochberg over the genes.",
    }
    return _number(f"{words} {state}", format="%.3g" if words == "Shift toward" else "%.2g", help=hints[words])


def _files(asked: PerturbAsAuthors, readout: AuthorsReadout, found: tuple[Statistic, ...]) -> None:
    facts = provenance(
        asked.baseline.dataset,
        asked,
        model=asked.baseline.model.title,
        readout="as the authors of Geneformer compute it",
        states=", ".join(readout.states) or "none",
        left_out=" ".join(readout.left_out) or "nothing",
    )
    tables = [TableFile(label="Per cell", table=lambda: readout.cells, about=facts, spreadsheet=False)]
    for one in found:
        label = "Gene statistics" if one.file == "gene_statistics" else "Statistics"
        about = {**facts, "statistic": one.name, "what it says": one.in_words}
        few = len(one.table) <= _XLSX_ROWS
        tables.append(TableFile(label=label, table=partial(_table_of, one), about=about, spreadsheet=few))
    if not readout.genes.empty:
        tables.append(TableFile(label="Per gene", table=lambda: readout.genes, about=facts, spreadsheet=False))
    downloads("readout-tables", stem=_stem(asked, readout), tables=tables)


def _table_of(statistic: Statistic) -> pd.DataFrame:
    return statistic.table


def _stem(asked: PerturbAsAuthors, readout: AuthorsReadout) -> str:
    what = "every_gene" if asked.every_gene is not None else "-".join(readout.edits["symbols"][:3])
    return file_stem(asked.baseline.dataset.title, kind_of(asked), what, asked.baseline.model.key)
