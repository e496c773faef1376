"""The questions behind ``scfm markers``, made from its options."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pandas as pd

from scfm_core.analyses.choose_markers import Cutoffs, choose_markers
from scfm_core.analyses.compare_donors import CompareDonors
from scfm_core.analyses.compared_cells import compared_cells
from scfm_core.analyses.enrich_genes import EnrichGenes, Enrichment
from scfm_core.analyses.find_markers import FindMarkers
from scfm_core.analyses.grouping import ByClusters, ByColumn, Grouping
from scfm_core.analyses.rank_genes import REST
from scfm_core.cell_set import CellSet
from scfm_core.cli.asking import ask
from scfm_core.cli.embedding import chosen
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from scfm_core.gene_sets import GeneSets
from scfm_core.request import Context


def question(engine: Engine, dataset: Dataset, options: Mapping[str, Any]) -> CompareDonors | FindMarkers:
    """Return what is asked: over donors where they are the replicates, else over cells.

    Raises
    ------
    RequestError
        If options do not fit together, or name what is not there.
    """
    grouping = _grouping(dataset, options)
    within = cells_within(dataset, options["within"])
    if options["pseudobulk"]:
        return CompareDonors(
            dataset, grouping, _donor_column(dataset, options), options["reference"], within=within,
            batch_column=options["batch_column"] or "", min_cells=options["min_cells"],
        )  # fmt: skip
    useless = [name for name in ("donor_column", "batch_column") if options[name]]
    if useless:
        msg = f"--{useless[0].replace('_', '-')} is for --pseudobulk. Add --pseudobulk, or leave it out."
        raise RequestError(msg, "useless-option")
    if within is None:
        return FindMarkers(dataset, grouping, options["method"], options["reference"])
    if options["reference"] == REST:
        msg = (
            "--within compares groups with a group over cells, found --reference rest. Name the group with "
            "--reference, or add --pseudobulk, where the rest is that of these cells."
        )
        raise RequestError(msg, "needs-reference")
    context = cast(Context, engine)  # which only has to compute clusters
    cells = compared_cells(context, dataset, grouping, reference=options["reference"], within=within)
    return FindMarkers(dataset, cells, options["method"], options["reference"])


def cells_within(dataset: Dataset, named: Sequence[str]) -> CellSet | None:
    """Return the cells that ``COLUMN=VALUE`` name: values of one column add up, columns all have to fit.

    Raises
    ------
    RequestError
        If an entry has no equals sign, or no cell is left.
    """
    by_column: dict[str, list[CellSet]] = {}
    for each in named:
        column, equals, value = each.partition("=")
        if not equals:
            msg = f"--within reads COLUMN=VALUE, such as cell_type=B; found {each!r}. Write it so."
            raise RequestError(msg, "bad-option")
        by_column.setdefault(column, []).append(CellSet.where(dataset, column, value))
    if not by_column:
        return None
    mask = None
    for sets in by_column.values():
        here = sets[0].mask
        for more in sets[1:]:
            here = here | more.mask
        mask = here if mask is None else mask & here
    if mask is None or not mask.any():
        msg = f"No cell has all of {', '.join(named)}. Choose other values."
        raise RequestError(msg, "no-cells")
    return CellSet.from_mask(" and ".join(" or ".join(s.label for s in sets) for sets in by_column.values()), mask)


def enrichments(
    engine: Engine, table: pd.DataFrame, cutoffs: Cutoffs, sets: GeneSets
) -> list[tuple[str, EnrichGenes, Enrichment]]:
    """Test gene sets in each group: hits are the genes that pass the cut-offs, the universe the genes tested.

    Groups without a gene that passes are left out.
    """
    found = []
    for group in dict.fromkeys(table["group"]):
        tested = table[table["group"] == group]
        hits = choose_markers(tested, replace(cutoffs, n_per_group=None))
        if len(hits):
            request = EnrichGenes(tuple(hits["symbol"]), tuple(tested["symbol"]), sets)
            found.append((str(group), request, ask(engine, request)))
    return found


def _donor_column(dataset: Dataset, options: Mapping[str, Any]) -> str:
    column = options["donor_column"] or dataset.roles.get("donor")
    if not column:
        msg = f"--pseudobulk needs to know the donors. Name their column: {', '.join(dataset.cells().columns)}."
        raise RequestError(msg, "no-donors")
    return str(column)


def _grouping(dataset: Dataset, options: Mapping[str, Any]) -> Grouping:
    from scfm_core.analyses.cluster_cells import ClusterCells

    if options["group_by"] != "leiden" or "leiden" in dataset.cells():
        return ByColumn(options["group_by"])
    embedding = chosen(dict(options)).embeddings(dataset)[0]
    return ByClusters(ClusterCells(embedding, resolution=options["resolution"], seed=options["seed"]))
