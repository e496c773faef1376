"""Cells on two axes, and gates on them: drawn, by exact ranges, by quadrants; the gated cells become the selection."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages._gate_axes import choose_axis
from pages._groupings import grouping_choices
from pages._show import LaterFigure, TableFile, downloads, draw, plain_provenance, say
from pages._state import cell_table, select_cells, selection
from pages._waiting import errors_as_text, show_error
from pages._words import cells_of, count, file_stem, plain, share
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.errors import ScfmError
from scfm_core.gates import AxisRange, Combination, GateAxis, Quadrants, combine, outlines_of, quadrants, range_gate
from scfm_core.plots.cell_map import polygon_selection
from scfm_core.plots.figure import Figure
from scfm_core.plots.gate import gate_scatter

DRAWING, RANGES, QUADRANTS = "Drawing", "Ranges", "Quadrants"
ANY, EXPRESSED, ZERO, FROM_TO = "any", "above 0", "0", "from, to"
NO_COLOUR = "one colour"
_WAYS: dict[Combination, tuple[str, str]] = {
    "new": ("New selection", "These cells and no others."),
    "add": ("Add", "These cells and those that are selected."),
    "keep": ("Keep only these", "Of the selected cells, those that lie in the gate."),
    "take": ("Take away", "The selected cells without those in the gate."),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Gating:
    """What was chosen: the axes, the column of the colours, how cells are gated, and the cells in the gate."""

    x: GateAxis
    y: GateAxis
    column: str
    drawing: str
    way: str
    parted: tuple[tuple[float, float], Quadrants] | None
    gate: CellSet | None


def gates_panel(dataset: Dataset) -> None:
    """Let two axes be chosen, cells be gated on them, and the gated cells be selected."""
    left, right = st.columns([1, 2.2], gap="medium")
    gating = None
    with left, errors_as_text():
        gating = _controls(dataset, f"gates:{dataset.sha256[:10]}")
    with right, errors_as_text():
        if gating is not None:
            _picture(dataset, gating)


def drawing_key(dataset: Dataset, x: GateAxis, y: GateAxis) -> str:
    """Return where the session keeps what was drawn on two axes."""
    return f"gates:{dataset.sha256[:10]}:drawn:{x.title}:{y.title}:{x.log}:{y.log}"


def _controls(dataset: Dataset, key: str) -> _Gating | None:
    x, y = choose_axis(dataset, "x", key), choose_axis(dataset, "y", key)
    column = _choose_colour(dataset, key)
    if x is None or y is None:
        st.caption("Choose what stands on both axes.")
        return None
    way = st.segmented_control(
        "Gate by", [DRAWING, RANGES, QUADRANTS], default=DRAWING, required=True, key=f"{key}:way",
        persist_state="session",
    )  # fmt: skip
    drawing = drawing_key(dataset, x, y)
    parted, gate = None, None
    if way == QUADRANTS:
        at = _choose_parting(x, y, key)
        parted = (at, _quadrants(dataset.identity, x.title, y.title, at, x, y))
        gate = _choose_quadrant(parted[1], key)
    else:
        gate = _choose_ranges(x, y, key) if way == RANGES else _drawn_gate(x, y, _event(drawing))
    _offer(dataset, gate, key)
    return _Gating(x=x, y=y, column=column, drawing=drawing, way=str(way), parted=parted, gate=gate)


def _picture(dataset: Dataset, gating: _Gating) -> None:
    """Draw the cells on both axes, with words, numbers and files beneath."""
    by_column = gating.column != NO_COLOUR
    colour = cell_table(dataset)[gating.column].reset_index(drop=True) if by_column else None
    chosen = selection()
    make = partial(
        gate_scatter, gating.x, gating.y, colour, selected=None if chosen is None else chosen.mask, parted=gating.parted
    )
    figure = make()
    drawn = gating.way == DRAWING
    on_select = partial(_remember, gating.drawing) if drawn else None
    draw(figure, f"{gating.drawing}:{gating.way}", height=560, on_select=on_select)
    say(figure)
    if gating.parted is not None:
        _quadrant_table(gating.parted[1])
    outlines = outlines_of(_event(gating.drawing)) if drawn else ()
    _files(dataset, gating, figure, partial(make, outlines=outlines))


def _choose_colour(dataset: Dataset, key: str) -> str:
    columns = [NO_COLOUR, *grouping_choices(dataset)]
    start = min(1, len(columns) - 1)
    return st.selectbox("Colour", columns, index=start, key=f"{key}:colour:{len(columns)}", persist_state="session")


def _choose_ranges(x: GateAxis, y: GateAxis, key: str) -> CellSet | None:
    """Let a range be given on each axis; None, with a word, while there is none."""
    try:
        in_x, in_y = _choose_range(x, f"{key}:x"), _choose_range(y, f"{key}:y")
    except ScfmError as error:
        show_error(error)
        return None
    if in_x.open and in_y.open:
        st.caption("Give a range on one axis, or on both.")
        return None
    return range_gate(x, in_x, y, in_y)


def _drawn_gate(x: GateAxis, y: GateAxis, event: Mapping[str, Any]) -> CellSet | None:
    """Return the cells inside what was drawn; None, with a word, while nothing is drawn."""
    if not (event.get("lasso") or event.get("box")):
        st.caption("Draw a lasso or a box around cells; with Shift held, a further one.")
        return None
    inside = polygon_selection(np.column_stack([x.positions, y.positions]), event)
    return CellSet.from_mask(f"drawn on {y.name} over {x.name}", inside)


def _choose_range(axis: GateAxis, key: str) -> AxisRange:
    known = axis.values[np.isfinite(axis.values)]
    has_zeros = bool(len(known)) and float(known.min()) == 0
    kinds = [ANY, EXPRESSED, ZERO, FROM_TO] if has_zeros else [ANY, FROM_TO]
    kind = st.segmented_control(
        plain(axis.name), kinds, default=ANY, required=True, key=f"{key}:range:{has_zeros}", persist_state="session"
    )
    if kind == EXPRESSED:
        return AxisRange(0.0, None, above=True)
    if kind == ZERO:
        return AxisRange(0.0, 0.0)
    if kind == ANY:
        return AxisRange()
    left, right = st.columns(2)
    stem = f"{key}:{axis.title}"
    low = left.number_input("From", value=None, key=f"{stem}:low", persist_state="session", placeholder="no end")
    high = right.number_input("To", value=None, key=f"{stem}:high", persist_state="session", placeholder="no end")
    ends = f"{known.min():,.4g} to {known.max():,.4g}" if len(known) else "no value"
    st.caption(f"Values run from {ends}." if len(known) else "No cell has a value here.")
    return AxisRange(low, high)


def _choose_parting(x: GateAxis, y: GateAxis, key: str) -> tuple[float, float]:
    """Let the value be set on each axis above which cells count as high."""
    columns = st.columns(2)
    found = []
    for side, axis, column in zip("xy", (x, y), columns, strict=True):
        known = axis.values[np.isfinite(axis.values)]
        at_zero = not len(known) or float(known.min()) < 0 or float((known == 0).mean()) > 0.05  # a score, or a gene
        start = 0.0 if at_zero else round(float(np.median(known)), 3)
        found.append(column.number_input(
            f"{plain(axis.name)} above", value=start, key=f"{key}:{side}:part:{axis.title}",
            persist_state="session",
        ))  # fmt: skip
    return float(found[0]), float(found[1])


def _choose_quadrant(found: Quadrants, key: str) -> CellSet:
    number = st.selectbox(
        "Quadrant", range(4), format_func=lambda place: f"{found.labels[place]} ({cells_of(found.counts[place])})",
        key=f"{key}:quadrant",
    )  # fmt: skip
    return found.cells(number)


def _offer(dataset: Dataset, gate: CellSet | None, key: str) -> None:
    """Say how many cells lie in the gate, and offer to select them."""
    old = selection()
    if gate is not None:
        of_all = share(len(gate) / dataset.n_cells)
        st.markdown(f"**{cells_of(len(gate))}** in the gate, {of_all} of all: {plain(gate.label, longest=300)}.")
        if old is not None:
            both = int((gate.mask & old.mask).sum())
            st.caption(f"Selected now: {cells_of(len(old))}, {count(both)} of them in the gate.")
        with st.container(horizontal=True, gap="small"):
            for how, (label, words) in _WAYS.items():
                st.button(
                    label, key=f"{key}:{how}", type="primary" if how == "new" else "secondary", help=words,
                    disabled=how != "new" and old is None, on_click=_select, args=(gate, how),
                )  # fmt: skip


def _select(gate: CellSet, how: Combination) -> None:
    select_cells(combine(selection(), gate, how))


def _quadrant_table(found: Quadrants) -> None:
    shown = found.table.assign(share=100 * found.table["share"])
    columns = {
        "quadrant": st.column_config.TextColumn("Quadrant"),
        "n_cells": st.column_config.NumberColumn("n cells"),
        "share": st.column_config.NumberColumn("Share (%)", format="%.2f", help="Of the cells with both values."),
    }
    st.dataframe(shown, hide_index=True, column_config=columns)


def _files(dataset: Dataset, gating: _Gating, figure: Figure, make: Callable[[], Figure]) -> None:
    x, y, gate = gating.x, gating.y, gating.gate

    def values() -> pd.DataFrame:
        table = pd.DataFrame({"cell": cell_table(dataset).index, x.title: x.values})
        table[y.title if y.title != x.title else f"{y.title} "] = y.values
        return table if gate is None else table.assign(in_gate=gate.mask)

    about = plain_provenance(dataset, gate="none" if gate is None else gate.label)
    later = LaterFigure(title=figure.title, caption=figure.caption, caveat=figure.caveat, make=make)
    table = TableFile(label="Values", table=values, about=about, spreadsheet=dataset.n_cells <= 1_000_000)
    downloads("gate", stem=file_stem(dataset.title, "gate", y.name, x.name), figure=later, tables=[table])


def _remember(drawing: str, event: Mapping[str, Any]) -> None:
    """Keep what was drawn around cells, as shapes, which hold for all cells, drawn or not."""
    st.session_state[f"{drawing}:event"] = {
        kind: [dict(shape) for shape in event.get(kind) or ()] for kind in ("lasso", "box")
    }


def _event(drawing: str) -> Mapping[str, Any]:
    event: Mapping[str, Any] = st.session_state.get(f"{drawing}:event", {})
    return event


@st.cache_resource(show_spinner=False, max_entries=16)
def _quadrants(
    identity: str, x_title: str, y_title: str, at: tuple[float, float], _x: GateAxis, _y: GateAxis
) -> Quadrants:
    return quadrants(_x, _y, at)
