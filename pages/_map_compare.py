"""Two embeddings of the same cells compared: which cells keep their neighbours, and which change them."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages._map import show_map
from pages._map_compare_groups import by_group
from pages._models import model_words
from pages._show import HALF, TableFile, downloads, draw, provenance, say, two_lines
from pages._state import select_cells
from pages._views import MapSettings, hover_table
from pages._waiting import answer, errors_as_text
from pages._words import cells_of, count, file_stem, plain, share
from scfm_core.analyses.compare_neighbors import CompareNeighbors, NeighborComparison
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.plots.cell_map import cell_map
from scfm_core.request import Request

KEPT = "Neighbours kept (%)"
LOWEST, BELOW = "Lowest 10 %", "Below a cut-off"
_LOWEST_PART = 10.0  # per cent of the compared cells
_CAVEAT = (
    "Inside a uniform group neighbours are arbitrary, so that dark cells there need not have moved. Agreement does not "
    "show that either embedding is right."
)


def compare_view(dataset: Dataset, first: EmbedCells, second: EmbedCells, settings: MapSettings) -> list[Request[Any]]:
    """Compare two embeddings; return what was asked.

    Parameters
    ----------
    dataset
        The one that is open; cells are selected in it.
    first, second
        Embeddings of that dataset, or one of it and one of a part or of the whole it was taken from.
    """
    if first.identity == second.identity:
        st.info("Both are the same embedding, so every cell keeps every neighbour. Choose two.", icon=":material/info:")
        return []
    n_neighbors = st.slider(
        "Neighbours compared", 5, 100, 30, 5, key=f"compare:n:{dataset.sha256[:10]}", persist_state="session",
        help="How many nearest cells of each cell are compared, the cell itself not counted. Few show the finest "
        "structure and much noise, many the coarse one.",
    )  # fmt: skip
    request = CompareNeighbors(first, second, n_neighbors=n_neighbors)
    found = answer(request, place="compare")
    if found is None:
        return [request]
    st.markdown(verdict(found, request))
    for column, side in zip(st.columns(2, gap="medium"), _sides(found, request), strict=True):
        with column, errors_as_text():
            _kept_map(dataset, side[0], side[1], settings, number=side[2])
    seen = (
        f"Both maps are coloured by the share of a cell's {found.n_neighbors} nearest neighbours that the two "
        "embeddings have in common. Neighbours are those in the vectors, not those on the maps."
    )
    two_lines(seen, _CAVEAT)
    _files(request, found)
    with errors_as_text():
        _select_changed(dataset, found, request)
    with errors_as_text():
        by_group(request, found, names_of(request))
    return [request]


def names_of(request: CompareNeighbors) -> dict[str, str]:
    """Return what the two embeddings are called: by the model, and by the dataset where that is what differs."""
    first, second = request.first, request.second
    if first.dataset.identity == second.dataset.identity:
        return {"first": model_words(first.model), "second": model_words(second.model)}
    cells = [f"{count(embedding.dataset.n_cells)} cells" for embedding in (first, second)]
    return {"first": f"{model_words(first.model)}, {cells[0]}", "second": f"{model_words(second.model)}, {cells[1]}"}


def verdict(found: NeighborComparison, request: CompareNeighbors) -> str:
    """Say in two sentences how far the embeddings agree, beside chance."""
    kept = np.asarray(found.share_kept, dtype=np.float64)
    low, high = np.percentile(kept, [25, 75])
    names = names_of(request)
    n = cells_of(len(kept))
    if len(kept) < len(found.pool):
        n = f"{n} drawn at random of {count(len(found.pool))}; neighbours were sought among all"
    words = (
        f"A cell keeps **{share(float(kept.mean()))}** of its {found.n_neighbors} neighbours between "
        f"{plain(names['first'])} and {plain(names['second'])} (mean; middle half of the cells {share(float(low))} to "
        f"{share(float(high))}). Embeddings without anything in common would keep "
        f"**{share(found.share_by_chance)}**. n = {n}."
    )
    baselines = [embedding.model.title for embedding in (request.first, request.second) if embedding.model.is_baseline]
    if len(baselines) == 1:
        words += f" {plain(baselines[0])} is the baseline: what both share needs no pre-training."
    return words


def changed_most(kept: NDArray[np.floating], below: float | None) -> NDArray[np.bool_]:
    """Return the cells that keep fewest neighbours.

    Parameters
    ----------
    kept
        Share of each cell, per cent, NaN where not compared, shape ``(n_cells,)``.
    below
        The cut-off, per cent; at most the lowest tenth of the compared cells where None, or all those at the lowest
        share where they are more than a tenth.
    """
    known = np.isfinite(kept)
    if not known.any():
        return known
    cut = np.nanpercentile(kept, _LOWEST_PART) if below is None else below
    with np.errstate(invalid="ignore"):
        under = known & (kept < cut)
        return under if under.any() or below is not None else known & (kept <= cut)


def _sides(found: NeighborComparison, request: CompareNeighbors) -> list[tuple[EmbedCells, NDArray[np.floating], int]]:
    of_first = found.kept_per_cell(request.first.dataset.n_cells)
    of_second = found.kept_per_cell_in_second(request.second.dataset.n_cells)
    return [(request.first, 100 * of_first, 1), (request.second, 100 * of_second, 2)]


def _kept_map(
    dataset: Dataset, embedding: EmbedCells, kept: NDArray[np.floating], settings: MapSettings, *, number: int
) -> None:
    colour = pd.Series(kept, name=KEPT)
    colour.attrs = {"scale": "viridis", "limits": (0.0, 100.0)}
    projection = settings.projection(embedding)
    key, name = f"compare-{number}", "UMAP" if settings.method == "umap" else "t-SNE"
    n = int(np.isfinite(kept).sum())
    title = f"{name} of {model_words(embedding.model)}, coloured by neighbours kept, n = {cells_of(n)}"
    if embedding.dataset.identity == dataset.identity:
        figure = show_map(dataset, projection, colour, key=key, title=title)
    else:
        st.caption(f"{plain(embedding.dataset.title)}: not the open dataset, so no cell is selected on this map.")
        places = answer(projection, place=key)
        if places is None:
            return
        figure = cell_map(np.asarray(places.coordinates), colour, title=title, method=settings.method,
                          hover=hover_table(embedding.dataset))  # fmt: skip
        draw(figure, key, width=HALF)
        say(figure)
    if figure is not None:
        downloads(key, stem=file_stem(embedding.dataset.title, name, embedding.model.key, "kept"), figure=figure)


def _select_changed(dataset: Dataset, found: NeighborComparison, request: CompareNeighbors) -> None:
    """Let the cells that changed most become the selection."""
    sides = [side for side in _sides(found, request) if side[0].dataset.identity == dataset.identity]
    if not sides:
        return
    kept = sides[0][1]
    with st.container(horizontal=True, vertical_alignment="bottom", key="compare-select"):
        rule = st.segmented_control(
            "Cells that changed most", [LOWEST, BELOW], default=LOWEST, required=True, key="compare:rule",
            help="By the share of neighbours kept. In a uniform group neighbours are arbitrary, so such cells change "
            "much without meaning.",
        )  # fmt: skip
        below = None
        if rule == BELOW:
            below = float(st.slider("Neighbours kept below (%)", 1, 100, 10, key="compare:below", width=260))
        mask = changed_most(kept, below)
        words = "10 %" if below is None else f"less than {below:g} % kept"
        label = f"neighbours changed most ({words}) between " + " and ".join(names_of(request).values())
        st.button(
            f"Select {cells_of(int(mask.sum()))}", key="compare:select", disabled=not mask.any(),
            icon=":material/select_all:", on_click=select_cells, args=(CellSet.from_mask(label, mask),),
        )  # fmt: skip


def _files(request: CompareNeighbors, found: NeighborComparison) -> None:
    dataset = request.first.dataset
    about = provenance(dataset, request, n=f"{len(found.cells):,} cells compared")
    stem = file_stem(dataset.title, request.first.model.key, request.second.model.key, "neighbours_kept")
    table = partial(_cells, dataset, found)
    downloads("compare-cells", stem=stem, tables=[TableFile(label="Cells", table=table, about=about)])


def _cells(dataset: Dataset, found: NeighborComparison) -> pd.DataFrame:
    cells = np.asarray(found.cells)
    table = hover_table(dataset).iloc[cells].reset_index(drop=True)
    return table.assign(**{"share of neighbours kept": np.asarray(found.share_kept, dtype=np.float64)})
