"""Heat map of markers: genes over single cells, sorted by group."""

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.sample_expression import SampledExpression, quota_of_groups
from scfm_core.errors import RequestError
from scfm_core.plots.figure import (
    INK,
    Axis,
    Continuous,
    Figure,
    HeatMap,
    Panel,
    Rule,
    grouped_number,
    one_line,
)
from scfm_core.plots.marker_grid import CAVEAT, MAX_GENES, UNIT, counted_title, group_ticks, groups_title
from scfm_core.plots.matrix_plot import standardised

MAX_COLUMNS = 2000


def marker_heat_map(
    sample: SampledExpression, *, standardise: bool = True, groups_are: str = "", title: str = ""
) -> Figure:
    """Draw genes over cells sorted by group, at most 2,000 cells, large groups thinned before small ones.

    Parameters
    ----------
    standardise
        Each gene as z-score over the cells drawn (signed colours), else as it is.
    groups_are
        What the groups are, such as the name of a column.

    Raises
    ------
    RequestError
        If there are more genes than a figure holds.
    """
    n_genes = len(sample.symbols)
    if not 1 <= n_genes <= MAX_GENES:
        msg = f"Expected 1 to {MAX_GENES} genes in a figure, found {n_genes:,}. Draw them in several figures."
        raise RequestError(msg, "too-many-genes")
    chosen = _thinned(np.asarray(sample.codes), len(sample.groups))
    values = np.asarray(sample.values)[chosen].T
    colour = _colour(values, standardise=standardise)
    n_drawn = np.bincount(np.asarray(sample.codes)[chosen], minlength=len(sample.groups))
    ends = np.cumsum(n_drawn)
    middles = ends - (n_drawn + 1) / 2
    names = group_ticks(sample.groups, np.asarray(sample.n_cells))
    ticks = tuple((float(at), name) for at, (_, name) in zip(middles, names, strict=True))
    rules = tuple(Rule(at=float(end) - 0.5, axis="x", colour=INK, dash="solid") for end in ends[:-1])
    n_cells = int(np.asarray(sample.n_cells).sum())
    whole = len(chosen) == n_cells
    part = "" if whole else f" {grouped_number(len(chosen))} of {grouped_number(n_cells)} cells are drawn."
    genes = tuple((float(place), one_line(symbol, longest=20)) for place, symbol in enumerate(sample.symbols))
    columns = Axis(title=f"Cells by {groups_title(groups_are)}", limits=(-0.5, len(chosen) - 0.5), ticks=ticks)
    rows = Axis(title="Gene", limits=(n_genes - 0.5, -0.5), ticks=genes)
    return Figure(
        panels=(Panel(x=columns, y=rows, marks=(HeatMap(colour=colour), *rules)),),
        title=title or counted_title(n_genes, np.asarray(sample.n_cells)),
        caption="Each column is one cell, each row one gene; lines part the groups. Large groups are thinned so that "
        f"small ones stay visible.{part}",
        caveat=CAVEAT,
        width_mm=183.0,
        height_mm=float(np.clip(45 + 4 * n_genes, 70, 460)),
    )


def _thinned(codes: NDArray[np.int64], n_groups: int) -> NDArray[np.int64]:
    """Return places of the cells to draw, in their order."""
    quota = quota_of_groups(np.bincount(codes, minlength=n_groups), MAX_COLUMNS)
    random = np.random.default_rng(0)
    kept = []
    for group in range(n_groups):
        places = np.flatnonzero(codes == group)
        kept.append(places if len(places) <= quota else np.sort(random.choice(places, quota, replace=False)))
    return np.concatenate(kept)


def _colour(values: NDArray[np.float32], *, standardise: bool) -> Continuous:
    if standardise:
        return standardised(values, what="cells drawn", axis=1)
    high = max(float(np.percentile(values, 99.5)), 1e-3)
    return Continuous(values=values.astype(np.float64), scale="expression", limits=(0.0, high), title=UNIT)
