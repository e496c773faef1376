"""Attention of one cell: at which genes a model looks when it reads each gene, layer by layer and head by head."""

import pandas as pd
import streamlit as st

from pages._columns import in_percent
from pages._models import model_words, usable_models
from pages._show import TableFile, downloads, draw, provenance, say, two_lines
from pages._state import cell_table, selection
from pages._waiting import answer, errors_as_text
from pages._words import count, file_stem, plain
from scfm_core.analyses.attention_tables import attention_table, head_summary, most_attended
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.read_attention import Attention, ReadAttention, cell_position
from scfm_core.dataset import Dataset
from scfm_core.plots.attention import attention_map

_NAMES_LISTED = 2000
_HEIGHT = 740  # the names of 40 genes can be read, and the picture stands on one screen
_number, _text = st.column_config.NumberColumn, st.column_config.TextColumn
HEAD_COLUMNS = {
    "head": _number("Head"),
    "entropy_bits": _number("Looks at how many", format="%.3g bits", help="Entropy of where a gene looks, "
                            "mean over the genes. 0 bits: at one gene. Each bit more: at twice as many."),  # fmt: skip
    "shown_share": _number("On the genes shown", format="%.3g %%", help="Share of the attention of all genes of the "
                           "cell that goes to the genes in the picture."),  # fmt: skip
    "most_attended": _text("Looks most at"),
}
PAIR_COLUMNS = {
    "symbol": _text("Gene"),
    "rank": _number("Rank"),
    "attended": _text("Looks at"),
    "weight": _number("Weight", format="%.3g", help="Share of the gene's attention, between 0 and 1."),
}


def attention_view(dataset: Dataset) -> None:
    """Let a model, a cell and a layer be chosen, and show who looks at whom."""
    left, right = st.columns([1, 3], gap="medium")
    request = head = None
    with left, errors_as_text():
        request = _controls(dataset)
    with right, errors_as_text():
        if request is None:
            return
        attention = answer(request, place="attention")
        if attention is None:
            return
    with left:
        head = _choose_head(request, attention)
    with right, errors_as_text():
        _picture(dataset, request, attention, head)


def _controls(dataset: Dataset) -> ReadAttention | None:
    key = f"attention:{dataset.sha256[:10]}"
    specs = [spec for spec in usable_models() if spec.has_attention]
    if not specs:
        two_lines("No model that is here has attention weights.", "Get one of the published models below.")
        return None
    keys = [spec.key for spec in specs]
    name = st.selectbox(
        "Model", keys, format_func=lambda key: model_words(specs[keys.index(key)]), key=f"{key}:model",
        persist_state="session",
    )  # fmt: skip
    model = specs[keys.index(name)]
    cell = cell_position(dataset, _choose_cell(dataset, key))
    layer = st.slider(
        "Layer", 1, model.n_layers, model.n_layers, key=f"{key}:layer:{model.key}", persist_state="session",
        help="A model reads a cell layer by layer. Layer 1 sees the genes as they come, the last one what all before "
        "have made of them.",
    )  # fmt: skip
    return ReadAttention(EmbedCells(dataset, model), cell=cell, layer=layer)


def _choose_cell(dataset: Dataset, key: str) -> str:
    chosen = selection()
    index = cell_table(dataset).index
    names = (index if chosen is None else index[chosen.mask])[:_NAMES_LISTED].astype(str).tolist()
    of = "Cell" if chosen is None else "Cell, of the selection"
    hint = "Type a name to find another cell." if dataset.n_cells > len(names) else None
    where = "all" if chosen is None else chosen.label
    name = st.selectbox(of, names, key=f"{key}:cell:{where}:{len(names)}", accept_new_options=True, help=hint)
    return str(name)


def _choose_head(request: ReadAttention, attention: Attention) -> int | None:
    heads = list(range(1, attention.n_heads + 1))
    chosen = st.selectbox(
        "Head", [None, *heads], format_func=lambda head: "Mean of all heads" if head is None else f"Head {head}",
        key=f"attention:head:{request.baseline.model.key}:{len(heads)}", persist_state="session",
        help="Each layer looks in several ways at once; each way is a head.",
    )  # fmt: skip
    return None if chosen is None else int(chosen)


def _picture(dataset: Dataset, request: ReadAttention, attention: Attention, head: int | None) -> None:
    model = request.baseline.model
    cell = str(cell_table(dataset).index[request.cell])
    figure = attention_map(attention, head=head, where=f"{model.title}, layer {request.layer}, cell {cell}")
    draw(figure, f"attention:{request.identity[:10]}", height=_HEIGHT)
    say(figure)
    pairs = most_attended(attention, head=head)
    heads = head_summary(attention)
    about = provenance(dataset, request, model=model.title, cell=cell, layer=f"{request.layer} of {model.n_layers}")
    downloads(
        "attention",
        stem=file_stem(dataset.title, "attention", model.key, cell),
        figure=figure,
        tables=[
            TableFile(label="Weights", table=lambda: _flat(attention_table(attention)), about=about, spreadsheet=False),
            TableFile(label="Strongest", table=lambda: pairs, about=about, spreadsheet=False),
            TableFile(label="Heads", table=lambda: heads, about=about, spreadsheet=False),
        ],
    )
    first, second = st.columns(2, gap="medium")
    shares = in_percent(heads.rename(columns={"shown_share": "share"})).rename(columns={"share": "shown_share"})
    first.dataframe(shares, hide_index=True, column_config=HEAD_COLUMNS, height=260)
    second.dataframe(pairs, hide_index=True, column_config=PAIR_COLUMNS, height=260)
    st.caption(
        f"{plain(cell)}: the model reads {count(attention.n_tokens)} tokens of this cell. Left: what each head of "
        f"layer {request.layer} looks at. Right: the five genes shown at which each gene looks most."
    )


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    names = table.select_dtypes("category").columns
    return table.astype(dict.fromkeys(names, object))
