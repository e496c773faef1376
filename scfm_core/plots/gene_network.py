"""The network of followers: edited genes as hubs, with the genes that shift most where each of them is edited."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from scfm_core.errors import RequestError
from scfm_core.plots.edit_words import BLUE, EDIT_CAVEAT, GREEN, ORANGE
from scfm_core.plots.figure import (
    INK,
    MUTED,
    Axis,
    Figure,
    FloatArray,
    Mark,
    Note,
    Panel,
    Points,
    Segments,
    SizeKey,
    Solid,
    grouped_number,
    one_line,
    plain_number,
)
from scfm_core.plots.network_layout import hub_places, ring_places

MAX_HUBS = 6
MAX_NODES = 60
_LARGEST_NODE, _SMALLEST_NODE, _HUB = 20.0, 6.0, 24.0
_WIDEST, _THINNEST = 7.0, 1.0
_CAVEAT = (
    f"{EDIT_CAVEAT} An edge says that the model's vector of a gene shifts more than with random genes; it is no "
    "regulation and has no direction in a cell."
)


def gene_network(table: pd.DataFrame, edits: Sequence[str], group: str, *, most: int = 30) -> Figure:
    """Draw each edited gene with the genes that shift most specifically where it is edited.

    Parameters
    ----------
    table
        That of `FollowGenes`: ``edit``, ``group``, ``gene_id``, ``symbol``, ``mean_shift``, ``n_cells``,
        ``random_mean``, ``n_random``, ``specific_z``, ``p_empirical``.
    edits
        One to six labels of edits.
    group
        Which group.
    most
        How many following genes are drawn in all, at most 60; every edit gets its share.

    Raises
    ------
    RequestError
        If no gene follows these edits in this group, or more than six edits are asked for.
    """
    hubs = list(dict.fromkeys(map(str, edits)))
    if not 1 <= len(hubs) <= MAX_HUBS:
        msg = f"A network has 1 to {MAX_HUBS} edits, found {len(hubs)}. Choose fewer."
        raise RequestError(msg, "too-many-edits")
    rows = table[table["edit"].isin(hubs) & (table["group"].astype(str) == str(group)) & (table["specific_z"] > 0)]
    if rows.empty:
        msg = f"No gene shifts more than with random genes where these edits are made in {group!r}. Choose others."
        raise RequestError(msg, "no-followers")
    edges = _chosen(rows, hubs, min(most, MAX_NODES))
    nodes = edges.groupby("gene_id", sort=False).agg(
        symbol=("symbol", "first"), shift=("mean_shift", "max"), n_hubs=("edit", "nunique")
    )
    hub_xy = hub_places(len(hubs))
    start = hub_xy[[hubs.index(edit) for edit in edges["edit"]]]
    weights = edges["specific_z"].to_numpy(dtype=np.float64)[:, None]
    codes = nodes.index.get_indexer(pd.Index(edges["gene_id"]))
    pull = _sums(start * weights, codes, len(nodes)) / _sums(weights, codes, len(nodes))
    places = ring_places(pull)
    n_rows = -(-len(nodes) // 2)
    x = Axis(title="", limits=(-1.75, 1.75), ticks=(), visible=False)
    marks = (_edges(edges, start, places[codes]), *_nodes(nodes, places), *_hubs(hubs, hub_xy))
    y = Axis(title="", limits=(-1.12, 1.12), ticks=(), visible=False)
    return Figure(
        panels=(Panel(x=x, y=y, marks=marks),),
        title=_title(edges, nodes, hubs, group),
        caption=_caption(rows, edges, len(nodes)),
        caveat=_CAVEAT,
        height_mm=float(np.clip(20 + 3.4 * n_rows, 80, 150)),
        width_mm=150.0,
        legend="below",
    )


def _chosen(rows: pd.DataFrame, hubs: list[str], most: int) -> pd.DataFrame:
    """Return the edges of the first ``most`` genes, taken in turn from the ranking of each edit."""
    ranked = rows.sort_values("specific_z", ascending=False, kind="stable")
    ranked = ranked.assign(turn=ranked.groupby("edit").cumcount(), hub=ranked["edit"].map(hubs.index))
    ranked = ranked.sort_values(["turn", "hub"], kind="stable")
    kept = list(dict.fromkeys(ranked["gene_id"]))[:most]
    return ranked[ranked["gene_id"].isin(kept)].reset_index(drop=True)


def _sums(values: FloatArray, codes: Any, n_nodes: int) -> FloatArray:
    out = np.zeros((n_nodes, values.shape[1]))
    np.add.at(out, codes, values)
    return out


def _edges(edges: pd.DataFrame, start: FloatArray, end: FloatArray) -> Segments:
    z = edges["specific_z"].to_numpy(dtype=np.float64)
    highest = float(z.max())
    key = [highest] if highest <= float(z.min()) * 1.01 else [float(z.min()), highest]
    return Segments(
        x0=start[:, 0],
        y0=start[:, 1],
        x1=end[:, 0],
        y1=end[:, 1],
        width=_width(z, highest),
        colour=MUTED,
        opacity=0.55,
        hover=tuple(_edge_words(row) for _, row in edges.iterrows()),
        width_key=SizeKey(
            title="Edge: specific z",
            sizes=tuple(float(_width(np.array([value]), highest)[0]) for value in key),
            labels=tuple(plain_number(value) for value in key),
        ),
    )


def _width(z: FloatArray, highest: float) -> FloatArray:
    return np.asarray(np.maximum(_WIDEST * z / highest, _THINNEST))


def _nodes(nodes: pd.DataFrame, places: FloatArray) -> list[Mark]:
    shift = nodes["shift"].to_numpy(dtype=np.float64)
    highest = float(np.nanmax(np.abs(shift))) or 1.0
    size = np.maximum(_LARGEST_NODE * np.sqrt(np.abs(np.nan_to_num(shift)) / highest), _SMALLEST_NODE)
    shared = (nodes["n_hubs"] > 1).to_numpy()
    key = SizeKey(
        title="Node: mean shift",
        sizes=(_LARGEST_NODE * 0.5, _LARGEST_NODE),
        labels=(plain_number(highest / 4), plain_number(highest)),
    )
    words = [f"{one_line(row['symbol'])} ({one_line(index)})\nlargest mean shift {plain_number(row['shift'])}"
             for index, row in nodes.iterrows()]  # fmt: skip
    marks: list[Mark] = []
    for chosen, colour, label in ((~shared, BLUE, "follows one edit"), (shared, GREEN, "follows several edits")):
        if chosen.any():
            marks.append(
                Points(
                    x=places[chosen, 0],
                    y=places[chosen, 1],
                    colour=Solid(colour),
                    size=size[chosen],
                    hover=tuple(words[place] for place in np.flatnonzero(chosen)),
                    label=f"{label} (n = {grouped_number(chosen.sum())})",
                    size_key=key,
                )
            )
    for symbol, (x, y), width in zip(nodes["symbol"], places, size, strict=True):
        side = 1.0 if x > 0 else -1.0
        shift_by = side * (width / 2 + 4)
        name = one_line(symbol, longest=14)
        marks.append(Note(x=float(x), y=float(y), text=name, anchor="left" if side > 0 else "right",
                          shift=(float(shift_by), 0.0)))  # fmt: skip
    return marks


def _hubs(hubs: list[str], places: FloatArray) -> list[Mark]:
    dots = Points(
        x=places[:, 0],
        y=places[:, 1],
        colour=Solid(ORANGE),
        size=_HUB,
        symbol="diamond",
        outline=INK,
        hover=tuple(f"{one_line(hub)}\nedited" for hub in hubs),
        label="edited",
    )
    names: list[Mark] = []
    for hub, (x, y) in zip(hubs, places, strict=True):
        shift = (0.0, 22.0 if y >= 0 else -22.0)
        names.append(Note(x=float(x), y=float(y), text=one_line(hub, longest=24), shift=shift, backed=True))
    return [dots, *names]


def _edge_words(row: "pd.Series[Any]") -> str:
    return (
        f"{one_line(row['edit'])}, {one_line(row['symbol'])}\n"
        f"mean shift {plain_number(row['mean_shift'])} in n = {grouped_number(row['n_cells'])} cells\n"
        f"with {grouped_number(row['n_random'])} random genes {plain_number(row['random_mean'])}\n"
        f"specific z {plain_number(row['specific_z'])}, empirical p {plain_number(row['p_empirical'])}"
    )


def _title(edges: pd.DataFrame, nodes: pd.DataFrame, hubs: list[str], group: str) -> str:
    first = edges.sort_values("specific_z", ascending=False, kind="stable").iloc[0]
    shared = int((nodes["n_hubs"] > 1).sum())
    several = f"; {shared} of {len(nodes)} genes follow several of the {len(hubs)} edits" if len(hubs) > 1 else ""
    return (
        f"{one_line(first['symbol'], longest=16)} follows {one_line(first['edit'], longest=24)} most specifically in "
        f"{one_line(group, longest=24)} (specific z\u00a0=\u00a0{plain_number(first['specific_z'])}, "
        f"n\u00a0=\u00a0{grouped_number(first['n_cells'])} cells){several}"
    )


def _caption(rows: pd.DataFrame, edges: pd.DataFrame, n_nodes: int) -> str:
    n_all = rows["gene_id"].nunique()
    counts = edges["n_random"].dropna()
    randoms = f"{grouped_number(counts.max())} random genes" if len(counts) else "random genes"
    drawn = f"{grouped_number(n_nodes)} of {grouped_number(n_all)} genes with a positive z are drawn, the strongest of "
    return (
        "Diamonds are edited; each dot is a gene whose vector shifts there, its area the mean shift (1 - cosine, no "
        f"unit). The wider an edge, the more the shift exceeds that with {randoms} (specific z, standard deviations). "
        f"{drawn}each edit. Places on the ring mean nothing."
    )
