"""Genes edited and read out as the authors of a model do it: the answer."""

import pandas as pd
import streamlit as st

from pages._perturb_authors import EDITS, kind_of
from pages._show import TableFile, downloads, draw, provenance, say, two_lines
from pages._waiting import answer
from pages._words import cells_of, count, counted, file_stem, plain, plain_number
from scfm_core.analyses.authors_tables import symbols_of
from scfm_core.analyses.perturb_as_authors import AuthorsReadout, PerturbAsAuthors
from scfm_core.plots.authors_readout import SHIFT, SIMILARITY, readout_figure, similarity_words

_GENES_SHOWN = 50
_number, _text = st.column_config.NumberColumn, st.column_config.TextColumn


def beside(asked: PerturbAsAuthors | None) -> AuthorsReadout | None:
    """Show the finding and its figure, or what the page is about to show; return the answer where it is there."""
    readout = None if asked is None else answer(asked)
    if asked is None or readout is None:
        two_lines(
            "How far cells move, or whether they come closer to a state, when genes are edited in the model's input: "
            "the numbers of the authors of Geneformer, computed as they do.",
            "That real cells would go there. Without random genes beside it, a shift also tells how strongly the model "
            "reads a gene: the choice Chosen genes has them.",
        )
        return None
    column = _choose_number(asked, readout)
    _spoken(asked, readout, column)
    figure = readout_figure(readout.cells, column, labels=_labels(readout), doing=EDITS[kind_of(asked)].doing)
    draw(figure, f"readout:{asked.identity[:10]}:{column}")
    say(figure)
    downloads("readout", stem=_stem(asked, readout), figure=figure)
    return readout


def below(asked: PerturbAsAuthors, readout: AuthorsReadout) -> None:
    """Show the tables and what was left out, and hand out the files."""
    table = statistics(asked, readout)
    columns = {name: _column(name) for name in table}
    st.dataframe(table, hide_index=True, column_config=columns)
    for sentence in readout.left_out:
        st.caption(plain(sentence, longest=600))
    st.caption(f"{counted(readout.n_passes, 'cell')} went through {plain(asked.baseline.model.title)}.")
    genes = _genes(asked, readout)
    if genes is not None:
        st.subheader("The most affected other genes", anchor=False)
        st.dataframe(genes.head(_GENES_SHOWN), hide_index=True, column_config={name: _column(name) for name in genes})
        st.caption("A gene's vector depends on all genes of its cell: a low similarity is no evidence of regulation.")
    _files(asked, readout, table)


def statistics(asked: PerturbAsAuthors, readout: AuthorsReadout) -> pd.DataFrame:
    """Return one row per edit: its genes, cells and means."""
    table = readout.edits[["symbols", "n_cells", "gene_ids"]].assign(edit=readout.edits["edit"])
    columns = [name for name in readout.cells if name == SIMILARITY or str(name).startswith(SHIFT)]
    means = readout.cells.groupby("edit", sort=False)[columns].mean()
    return table.merge(means, left_on="edit", right_index=True)


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


def _spoken(asked: PerturbAsAuthors, readout: AuthorsReadout, column: str) -> None:
    """Say what the strongest edit did, in words that can be repeated."""
    kind = EDITS[kind_of(asked)]
    means = readout.cells.groupby("edit", sort=False)[column].mean()
    strongest = means.idxmin() if column == SIMILARITY else means.idxmax()
    row = readout.edits.set_index("edit").loc[strongest]
    genes, n_cells = _joined(str(row["symbols"])), cells_of(int(row["n_cells"]))
    most = "" if len(means) == 1 else f" most among {count(len(means))} edits"
    if column == SIMILARITY:
        found = f"{kind.doing} {genes} moves the vectors of {n_cells}{most}: the mean cosine similarity before and "
        found += f"after is {similarity_words(float(means[strongest]))} (1: nothing moves)."
    else:
        toward = column.removeprefix(SHIFT)
        found = f"{kind.doing} {genes} shifts the vectors of {n_cells} toward {toward}{most}: by "
        found += f"{plain_number(float(means[strongest]))} on average, as a difference of cosines."
    with st.container(border=True, key="spoken"):
        st.markdown(plain(f"{found} This is a statement about the model's input, not an experiment.", longest=900))


def _labels(readout: AuthorsReadout) -> dict[str, str]:
    return {
        str(edit): _joined(str(symbols))
        for edit, symbols in zip(readout.edits["edit"], readout.edits["symbols"], strict=True)
    }


def _joined(symbols: str) -> str:
    return symbols.replace(";", " + ")


def _genes(asked: PerturbAsAuthors, readout: AuthorsReadout) -> pd.DataFrame | None:
    """Return the mean similarity of each other gene under each edit, the lowest first."""
    if readout.genes.empty:
        return None
    grouped = readout.genes.groupby(["edit", "gene_id"], observed=True)[SIMILARITY]
    table = grouped.agg(["mean", "size"]).reset_index().rename(columns={"mean": SIMILARITY, "size": "n_cells"})
    symbol = symbols_of(asked.baseline.dataset)
    table.insert(0, "symbol", [symbol.get(gene_id, gene_id) for gene_id in table["gene_id"]])
    table["symbols"] = table["edit"].map(_labels(readout))
    order = ["symbols", "symbol", SIMILARITY, "n_cells", "gene_id"]
    return table.sort_values(SIMILARITY, kind="stable", ignore_index=True)[order]


def _column(name: str) -> object:
    if name.startswith(SHIFT):
        return _number(
            f"Shift toward {name.removeprefix(SHIFT)}", format="%.3g",
            help="Mean over cells of the cosine with the state's mean vector, after minus before.",
        )  # fmt: skip
    return {
        "symbols": _text("Edited"),
        "symbol": _text("Gene"),
        SIMILARITY: _number("Cosine similarity", format="%.6f", help="Mean over cells; 1: nothing moves."),
        "n_cells": _number("n cells"),
        "edit": _text("Edit"),
        "gene_ids": _text("Gene ids"),
        "gene_id": _text("Gene id"),
    }.get(name, _text(name))


def _files(asked: PerturbAsAuthors, readout: AuthorsReadout, table: pd.DataFrame) -> None:
    dataset, model = asked.baseline.dataset, asked.baseline.model
    facts = provenance(
        dataset,
        asked,
        model=model.title,
        readout="as the authors of Geneformer compute it",
        states=", ".join(readout.states) or "none",
        left_out=" ".join(readout.left_out) or "nothing",
    )
    few = len(table) <= 10_000
    tables = [
        TableFile(label="Statistics", table=lambda: table, about=facts, spreadsheet=few),
        TableFile(label="Per cell", table=lambda: readout.cells, about=facts, spreadsheet=False),
    ]
    if not readout.genes.empty:
        tables.append(TableFile(label="Per gene", table=lambda: readout.genes, about=facts, spreadsheet=False))
    downloads("readout-tables", stem=_stem(asked, readout), tables=tables)


def _stem(asked: PerturbAsAuthors, readout: AuthorsReadout) -> str:
    what = "every_gene" if asked.every_gene is not None else "-".join(readout.edits["symbols"][:3])
    return file_stem(asked.baseline.dataset.title, kind_of(asked), what, asked.baseline.model.key)
