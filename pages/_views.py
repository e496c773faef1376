"""One view of the cells: which embedding, which map, which colours."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from pages._models import baseline, embedding_of, model_words, usable_models
from pages._state import cell_table, grouping_columns
from pages._waiting import answer
from scfm_core.analyses.cluster_cells import ClusterCells
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.analyses.read_expression import log_expression
from scfm_core.dataset import Dataset
from scfm_core.model import ModelSpec

CLUSTERS, GENE, GENE_SET = "Clusters (Leiden)", "A gene", "A gene set"


@dataclass(frozen=True)
class Colouring:
    """What a map is coloured by: a column, `CLUSTERS` of an embedding, or `GENE`."""

    choice: str
    gene_id: str
    clusters: ClusterCells


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """How vectors are laid out; the same for all views."""

    method: Literal["umap", "tsne"] = "umap"
    n_neighbors: int = 15
    min_dist: float = 0.5
    perplexity: float = 30.0
    resolution: float = 1.0
    seed: int = 0

    def projection(self, embedding: EmbedCells) -> ProjectCells:
        """Return the question for the map of an embedding."""
        return ProjectCells(
            embedding,
            method=self.method,
            n_neighbors=self.n_neighbors,
            min_dist=self.min_dist,
            perplexity=self.perplexity,
            seed=self.seed,
        )

    def clusters(self, embedding: EmbedCells) -> ClusterCells:
        """Return the question for the clusters of an embedding."""
        return ClusterCells(embedding, resolution=self.resolution, n_neighbors=self.n_neighbors, seed=self.seed)


def settings_key(dataset: Dataset) -> str:
    """Return the key under which a session keeps its `MapSettings`; the fields' own keys begin with it."""
    return f"map:{dataset.sha256[:10]}"


def map_settings(dataset: Dataset) -> MapSettings:
    """Let the map's parameters be set."""
    stem = settings_key(dataset)
    columns = [st.container() for _ in range(5)]
    method = columns[0].segmented_control(
        "Map", ["umap", "tsne"], default="umap", required=True, key=f"{stem}:method", persist_state="session",
        format_func={"umap": "UMAP", "tsne": "t-SNE"}.__getitem__,
        help="Both lay the vectors out on a flat sheet so that neighbours stay neighbours. They differ in taste.",
    )  # fmt: skip
    resolution = columns[1].slider(
        "Cluster resolution", 0.1, 3.0, 1.0, 0.1, key=f"{stem}:resolution", persist_state="session",
        help="Leiden finds groups of cells that are neighbours of each other. The higher, the more groups.",
    )  # fmt: skip
    n_neighbors = columns[2].slider(
        "Neighbours", 5, 50, 15, key=f"{stem}:n_neighbors", persist_state="session",
        help="Size of a neighbourhood, for UMAP and for the clusters. Few show detail, many show the whole.",
    )  # fmt: skip
    if method == "umap":
        min_dist = columns[3].slider(
            "Smallest distance", 0.05, 1.0, 0.5, 0.05, key=f"{stem}:min_dist", persist_state="session",
            help="How close two points of the UMAP may come.",
        )  # fmt: skip
        perplexity = 30.0
    else:
        min_dist = 0.5
        perplexity = columns[3].slider(
            "Perplexity", 5.0, 100.0, 30.0, 5.0, key=f"{stem}:perplexity", persist_state="session",
            help="Size of a neighbourhood of the t-SNE.",
        )  # fmt: skip
    seed = columns[4].number_input(
        "Seed", 0, 9999, 0, key=f"{stem}:seed", persist_state="session",
        help="Another seed gives another sheet from the same vectors. What changes with it is not in the data.",
    )  # fmt: skip
    settings = MapSettings(
        method=method, resolution=resolution, n_neighbors=n_neighbors, min_dist=min_dist, perplexity=perplexity,
        seed=int(seed),
    )  # fmt: skip
    st.session_state[stem] = settings
    return settings


def choose_embedding(dataset: Dataset, key: str, start: ModelSpec) -> EmbedCells:
    """Let one of the usable models be chosen."""
    specs = usable_models()
    keys = [spec.key for spec in specs]
    chosen = st.selectbox(
        "Embedding",
        keys,
        index=keys.index(start.key),
        format_func=lambda name: model_words(specs[keys.index(name)]),
        key=f"{key}:embedding:{dataset.sha256[:10]}",
        persist_state="session",
    )
    return embedding_of(dataset, specs[keys.index(chosen)])


def colour_choices(dataset: Dataset) -> list[str]:
    """Return what a map can be coloured by: columns, clusters, a gene."""
    table = cell_table(dataset)
    first = grouping_columns(dataset)
    rest = [name for name in table if name not in first and _worth_a_colour(table[name])]
    return [*first, CLUSTERS, GENE, GENE_SET, *rest]


def colour_values(dataset: Dataset, colouring: Colouring, *, place: str = "") -> "pd.Series | None":
    """Return one value per cell with the name that heads the legend; None while clusters are being computed."""
    if colouring.choice == GENE:
        symbol = dict(zip(dataset.gene_ids, dataset.gene_symbols, strict=True))[colouring.gene_id]
        return pd.Series(log_expression(dataset, colouring.gene_id), name=f"{symbol}, ln(1 + counts per 10,000)")
    if colouring.choice == CLUSTERS:
        found = answer(colouring.clusters, place=place)
        return None if found is None else cluster_names(np.asarray(found.labels))
    return cell_table(dataset)[colouring.choice].reset_index(drop=True)


def colour_words(colour: pd.Series) -> str:
    """Say in a title what the colours are."""
    symbol, comma, _ = str(colour.name).partition(", ln(1 + ")
    return f"expression of {symbol}" if comma else f"coloured by {symbol}"


def cluster_names(labels: "np.ndarray") -> "pd.Series":
    """Return clusters as categories, named by their number; missing where a cell has none."""
    names = [str(number) for number in range(int(labels.max(initial=-1)) + 1)]
    return pd.Series(pd.Categorical.from_codes(labels, categories=names), name="Cluster")


def hover_table(dataset: Dataset) -> pd.DataFrame:
    """Return what the map says of a cell under the pointer."""
    return _hover(dataset.identity, dataset)


@st.cache_resource(show_spinner=False, max_entries=8)
def _hover(identity: str, _dataset: Dataset) -> pd.DataFrame:
    table = cell_table(_dataset)
    shown = table[grouping_columns(_dataset)[:3]].copy()
    shown.insert(0, "cell", table.index)
    shown["counts"] = _dataset.total_counts
    return shown.reset_index(drop=True)


def _worth_a_colour(column: pd.Series) -> bool:
    if pd.api.types.is_numeric_dtype(column):
        return True
    return column.nunique() <= max(60, len(column) // 20)


__all__ = [
    "CLUSTERS", "GENE", "Colouring", "MapSettings", "baseline", "choose_embedding", "cluster_names",
    "colour_choices", "colour_values", "colour_words", "hover_table", "map_settings",
]  # fmt: skip
