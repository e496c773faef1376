"""A dataset, and what was found out about it, as one AnnData in scverse's names; knows which answers can travel so."""

import json
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core import __version__
from scfm_core.analyses.cluster_cells import ClusterCells
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.embed_genes import EmbedGenes, StaticGeneVectors
from scfm_core.analyses.find_markers import FindMarkers
from scfm_core.analyses.measure_quality import MeasureQuality
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.analyses.project_cells import ProjectCells
from scfm_core.annotations import Annotations
from scfm_core.cell_types import RELEASE
from scfm_core.dataset import Dataset
from scfm_core.genes import is_ensembl
from scfm_core.request import Request, recipe
from scfm_core.store import Store, StoredAnswer

if TYPE_CHECKING:
    from anndata import AnnData

TRAVELLING: tuple[type[Request[Any]], ...] = (
    EmbedCells,
    EmbedGenes,
    StaticGeneVectors,
    ProjectCells,
    ClusterCells,
    MeasureQuality,
    FindMarkers,
    PerturbGenes,
)
_PACKAGES = (
    "numpy", "scipy", "pandas", "anndata", "scanpy", "scikit-learn", "umap-learn", "igraph", "torch", "harmonypy",
    "scvi-tools",
)  # fmt: skip


@dataclass(frozen=True)
class Addition:
    """Something about the cells or the genes of a dataset that stands beside its counts.

    Attributes
    ----------
    place
        ``"obsm"``: one row per cell. ``"obs"``: one value per cell. ``"varm"``: one row per gene. ``"var"``: one value
        per gene. ``"uns"``: a table of its own.
    name
        Such as ``"X_pca"``, ``"leiden_pca"``, ``"markers"``; made unique by a number where it is taken.
    value
        An array for all but uns, a table for uns.
    provenance
        The question and how it was answered, see `provenance_of`.
    """

    place: Literal["obsm", "obs", "varm", "var", "uns"]
    name: str
    value: Any
    provenance: Mapping[str, Any]


def export_dataset(dataset: Dataset, store: Store, labels: Annotations | None = None) -> "AnnData":
    """Return a dataset with all answers about it that are stored, newest first, see `to_anndata` for the layout.

    Labels that people gave stand in ``obs`` under the name of their column, see `label_additions`.

    Embeddings stand in ``obsm["X_<model>"]``, maps in ``obsm["X_umap_<model>"]`` and ``obsm["X_tsne_<model>"]``,
    clusters in ``obs["leiden_<model>"]``, quality in ``obs``; gene vectors in ``varm["X_<model>"]`` and
    ``varm["static_<model>"]``; the tables of marker genes and of perturbation effects in ``uns["scfm"]["tables"]``.
    The second of a kind has ``_2`` behind its name.
    """
    given = [] if labels is None else label_additions(labels)
    found = [addition for about in _about(dataset, store) for addition in _additions(about, store)]
    return to_anndata(dataset, [*given, *found])


def to_anndata(dataset: Dataset, additions: Sequence[Addition] = ()) -> "AnnData":
    """Return raw counts, the cell table, the genes, and additions.

    - ``X``: raw counts as CSR of their smallest integer type, cells in the order of the dataset.
    - ``obs``: the columns of the file. ``total_counts`` is added where the totals over all measured genes are not the
      row sums, so that they survive.
    - ``var``: named by symbol, with a number behind a symbol that stands more than once, and by gene id where no
      symbol is known; ``ensembl_id``, empty where none is known.
    - ``uns["scfm"]``: the dataset's hash, organism, notes and columns that play a part, versions, and for each addition
      the question that it answers; by the addition's name, with ``varm:`` or ``var:`` before it where it is about the
      genes.
    """
    from anndata import AnnData

    named = _named(dataset, additions)
    obs, var = dataset.cells(), _gene_table(dataset)
    totals = dataset.total_counts
    matrix = dataset.counts().matrix
    if "total_counts" not in obs and not np.array_equal(totals, np.asarray(matrix.sum(axis=1)).ravel()):
        obs["total_counts"] = totals
    for name, addition in _at("obs", named):
        obs[name] = addition.value
    for name, addition in _at("var", named):
        var[name] = addition.value
    about: dict[str, Any] = {
        "dataset": dataset.identity,
        "title": dataset.title,
        "organism": dataset.organism,
        "notes": np.array(dataset.notes, dtype=object),
        "roles": dict(dataset.roles),
        "versions": versions(),
        "answers": {_answer_name(place, name): dict(one.provenance) for (place, name), one in named.items()},
        "tables": {name: _as_arrays(addition.value) for name, addition in _at("uns", named)},
    }
    obsm, varm = ({name: np.array(one.value) for name, one in _at(place, named)} for place in ("obsm", "varm"))
    return AnnData(X=matrix, obs=obs, var=var, obsm=obsm, varm=varm, uns={"scfm": about})


def write_h5ad(data: "AnnData", path: Path) -> None:
    """Write an AnnData, whole or not at all; replaces what was there."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # anndata tells of its own changes of storage
            data.write_h5ad(partial, compression="gzip")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def provenance_of(question: Mapping[str, Any], about: StoredAnswer | None) -> dict[str, Any]:
    """Return where an answer comes from, as plain values: the question as JSON, when, by which version, how long."""
    text = {"question": json.dumps(question, sort_keys=True)}
    if about is None:
        return text
    computed = datetime.fromtimestamp(about.written, UTC).isoformat(timespec="seconds")
    measured = {"identity": about.identity, "computed": computed, "version": about.version}
    return {**text, **measured} if about.seconds is None else {**text, **measured, "seconds": about.seconds}


def versions() -> dict[str, str]:
    """Return the versions of scFM Explorer and of the libraries whose numbers it hands on."""
    found = {"scfm-explorer": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def label_additions(labels: Annotations) -> list[Addition]:
    """Return the labels that people gave, one column each, with who gave them, when, and for which ontology terms.

    Where labels stand for terms of the Cell Ontology, a second column, ``<name>_ontology_term_id``, holds their ids.
    The provenance holds ``authors``, ``changed`` (UTC), ``ontology``, ``terms`` (JSON: label -> id) and ``history``
    (JSON: every act that stands, oldest first). A slash in a name becomes an underscore, as it parts folders in a file.
    """
    found = []
    for name, column in labels.columns().items():
        acts = [asdict(act) for act in column.acts]
        origin = {
            "labels": "given by people",
            "authors": ", ".join(column.authors),
            "changed": column.acts[-1].time,
            "ontology": f"Cell Ontology {RELEASE}",
            "terms": json.dumps(column.terms),
            "history": json.dumps(acts),
        }
        plain = name.replace("/", "_")
        found.append(Addition("obs", plain, column.values.array, origin))
        if column.terms:
            ids = pd.Categorical(column.values.map(column.terms).astype(object))
            found.append(Addition("obs", f"{plain}_ontology_term_id", ids, origin))
    return found


def additions_for(request: Request[Any], answer: Any, store: Store) -> list[Addition]:
    """Return what the answer to a request puts beside the counts."""
    question = recipe(request)
    return additions_of(question, answer, provenance_of(question, store.about(request.identity)))


def additions_of(question: Mapping[str, Any], answer: Any, origin: Mapping[str, Any]) -> list[Addition]:
    """Return what an answer puts beside the counts; nothing for a question that does not travel.

    Parameters
    ----------
    question
        As `scfm_core.request.recipe` writes it.
    origin
        See `provenance_of`.
    """
    match question["question"]:
        case "EmbedCells":
            return [Addition("obsm", f"X_{_model_of(question)}", answer.points, origin)]
        case "EmbedGenes":
            model, n_cells = _model_of(question), np.append(answer.n_cells, 0)[answer.rows]  # the last for row -1
            vectors = Addition("varm", f"X_{model}", answer.of_dataset(), origin)
            return [vectors, Addition("var", f"n_cells_{model}", n_cells, origin)]
        case "StaticGeneVectors":
            return [Addition("varm", f"static_{_model_of(question)}", answer.of_dataset(), origin)]
        case "ProjectCells":
            name = f"X_{question['method']}_{_model_of(question)}"
            return [Addition("obsm", name, answer.coordinates, origin)]
        case "ClusterCells":
            labels = np.asarray(answer.labels)
            names = pd.Categorical([str(label) if label >= 0 else None for label in labels.tolist()])
            return [Addition("obs", f"leiden_{_model_of(question)}", names, origin)]
        case "MeasureQuality":
            return [Addition("obs", name, answer.table[name].array, origin) for name in answer.table]
        case "FindMarkers":
            return [Addition("uns", "markers", answer.table, origin)]
        case "PerturbGenes":
            return [Addition("uns", f"perturbation_{_model_of(question)}", answer.effects, origin)]
        case _:
            return []


def _about(dataset: Dataset, store: Store) -> Iterator[StoredAnswer]:
    known = {kind.__name__: kind for kind in TRAVELLING}
    for about in store.answers():
        kind = known.get((about.recipe or {}).get("question", ""))
        if kind and about.recipe.get("version") == kind.version and _mentions(about.recipe, dataset):
            yield about


def _additions(about: StoredAnswer, store: Store) -> list[Addition]:
    kind = next(kind for kind in TRAVELLING if kind.__name__ == about.recipe["question"])
    answer = store.get(about.identity, kind.result_type)
    return [] if answer is None else additions_of(about.recipe, answer, provenance_of(about.recipe, about))


def _mentions(question: Any, dataset: Dataset) -> bool:
    match question:
        case {"dataset": str(identity)}:
            return identity == dataset.identity
        case dict():
            return any(_mentions(value, dataset) for value in question.values())
        case list():
            return any(_mentions(value, dataset) for value in question)
        case _:
            return False


def _model_of(question: Mapping[str, Any]) -> str:
    match question:
        case {"model": {"model": str(key)}}:
            return key
        case {"embedding": dict(inner)} | {"baseline": dict(inner)}:
            return _model_of(inner)
        case _:
            return "unknown"


def _named(dataset: Dataset, additions: Sequence[Addition]) -> dict[tuple[str, str], Addition]:
    """Give each addition a name of its own in its place; a column of the file keeps its name.

    Additions about cells and tables share their names, as they share the list of answers.
    """
    taken = {"obs": set(dataset.cells().columns), "var": {"ensembl_id"}}
    named: dict[tuple[str, str], Addition] = {}
    for addition in additions:
        used = {name for place, name in named if _answer_name(place, name) == _answer_name(addition.place, name)}
        used |= taken.get(addition.place, set())
        name, number = addition.name, 1
        while name in used:
            number += 1
            name = f"{addition.name}_{number}"
        named[addition.place, name] = addition
    return named


def _at(place: str, named: Mapping[tuple[str, str], Addition]) -> list[tuple[str, Addition]]:
    return [(name, addition) for (where, name), addition in named.items() if where == place]


def _answer_name(place: str, name: str) -> str:
    return f"{place}:{name}" if place in ("varm", "var") else name


def _gene_table(dataset: Dataset) -> pd.DataFrame:
    ids = [gene_id if is_ensembl(gene_id) else "" for gene_id in dataset.gene_ids]
    return pd.DataFrame({"ensembl_id": ids}, index=pd.Index(unique_names(dataset.gene_symbols)))


def unique_names(names: Sequence[str]) -> list[str]:
    """Put a number behind a name that stood before, as anndata does.

    Examples
    --------
    >>> unique_names(["A", "B", "A", "A-1", "A"])
    ['A', 'B', 'A-2', 'A-1', 'A-3']
    """
    taken, seen, unique = set(names), set(), []
    counts: dict[str, int] = {}
    for name in names:
        new = name
        while new in seen or (new != name and new in taken):
            counts[name] = counts.get(name, 0) + 1
            new = f"{name}-{counts[name]}"
        seen.add(new)
        unique.append(new)
    return unique


def _as_arrays(table: pd.DataFrame) -> dict[str, NDArray[Any]]:
    return {str(name): _as_array(table[name]) for name in table}


def _as_array(column: "pd.Series[Any]") -> NDArray[Any]:
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return np.asarray(column)
    return np.asarray(column.astype(object).where(column.notna(), "").map(str), dtype=object)
