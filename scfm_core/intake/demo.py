"""The demo datasets, which come with the application or with scanpy; nothing here needs a network."""

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import vstack

from scfm_core.dataset import FORMAT_VERSION, Dataset, NewDataset, open_dataset, write_dataset
from scfm_core.errors import DatasetError, RequestError
from scfm_core.genes import collapse, resolve
from scfm_core.intake.demo_files import read_pbmc3k, read_pbmc68k_reduced, scanpy_file
from scfm_core.intake.recover import recover_counts
from scfm_core.resources import asset

_VERSION = 1  # raised when the same files give another dataset
_LICENCE = "CC BY 4.0 (10x Genomics)"


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A demo dataset as its card shows it.

    Attributes
    ----------
    key
        Its name in links and commands.
    summary
        What it is and what it is good for, in one or two sentences.
    source, licence
        Where the counts come from, and on what terms.
    """

    key: str
    title: str
    summary: str
    source: str
    licence: str
    n_cells: int
    n_genes: int


DEMOS = (
    Demo(
        key="pbmc3k",
        title="PBMC 3k",
        summary="2,700 blood cells of one healthy donor, raw counts of the whole transcriptome. Cell types are our "
        "own: clusters named by canonical markers.",
        source="10x Genomics, 3k PBMCs from a healthy donor, as packaged in desc 2.1.1",
        licence=_LICENCE,
        n_cells=2700,
        n_genes=32704,
    ),
    Demo(
        key="pbmc68k_reduced",
        title="PBMC 68k, 700 cells",
        summary="700 blood cells of another donor and 765 variable genes, small enough for a quick try. The file holds "
        "logarithms; its counts are recovered exactly. Cell types were assigned by likeness to sorted cells.",
        source="10x Genomics, Fresh 68k PBMCs (Zheng et al. 2017, doi:10.1038/ncomms14049), as packaged in scanpy",
        licence=_LICENCE,
        n_cells=700,
        n_genes=765,
    ),
    Demo(
        key="pbmc_two_batches",
        title="PBMC, two batches",
        summary="Both PBMC sets on the genes that they share: 3,400 cells, two donors, two runs. Good for seeing "
        "whether an embedding mixes batches and keeps cell types apart.",
        source="The two demos above, merged",
        licence=_LICENCE,
        n_cells=3400,
        n_genes=765,
    ),
)

# Cell types of both demos under common names: as fine as both annotations are.
_COMMON_CELL_TYPES = {
    "CD4 T naive": "CD4 T",
    "CD4 T memory": "CD4 T",
    "CD4+/CD45RA+/CD25- Naive T": "CD4 T",
    "CD4+/CD45RO+ Memory": "CD4 T",
    "CD4+/CD25 T Reg": "CD4 T",
    "CD8+ Cytotoxic T": "CD8 T",
    "CD8+/CD45RA+ Naive Cytotoxic": "CD8 T",
    "CD56+ NK": "NK",
    "CD19+ B": "B",
    "CD14+ monocyte": "Monocyte",
    "FCGR3A+ monocyte": "Monocyte",
    "CD14+ Monocyte": "Monocyte",
    "CD34+": "CD34+ progenitor",
}


def open_demo(key: str, root: Path) -> Dataset:
    """Return a demo dataset from the folder of datasets ``root``, writing it there first where it is missing.

    Raises
    ------
    RequestError
        If no demo has this key.
    """
    if key not in _MAKERS:
        msg = f"There is no demo {key!r}. Choose one of {', '.join(map(repr, _MAKERS))}."
        raise RequestError(msg, "unknown-demo")
    pointer = root / f".demo-{key}-{_hash_of_sources()}.json"
    try:
        return open_dataset(root / json.loads(pointer.read_text())["sha256"])
    except (OSError, ValueError, KeyError, DatasetError):  # not made yet, or deleted since
        root.mkdir(parents=True, exist_ok=True)
        dataset = write_dataset(root, _MAKERS[key]())
    partial = root / f".{uuid.uuid4().hex}"
    partial.write_text(json.dumps({"sha256": dataset.sha256}))
    partial.replace(pointer)
    return dataset


def _pbmc3k() -> NewDataset:
    file = read_pbmc3k()
    genes = resolve(file.var["gene_ids"].tolist(), file.var.index.tolist(), "human")
    matrix, gene_ids, symbols, n_collapsed = collapse(file.matrix, genes.gene_ids, genes.symbols)
    return NewDataset(
        matrix=matrix,
        gene_ids=gene_ids,
        gene_symbols=symbols,
        cells=file.obs,
        organism="human",
        roles={"cell_type": "cell_type", "batch": "batch", "donor": "donor"},
        title="PBMC 3k",
        notes=(
            f"{genes.n_retired:,} retired Ensembl ids were replaced by the current ones, and {n_collapsed:,} genes "
            "that became equal by it were summed.",
            "Cell types are clusters named by canonical markers; see assets/demo/README.md.",
        ),
    )


def _pbmc68k_reduced() -> NewDataset:
    file = read_pbmc68k_reduced()
    counts = recover_counts(file.matrix)
    if counts is None:
        msg = "The installed scanpy ships other values for pbmc68k_reduced than expected: no counts behind them."
        raise DatasetError(msg, "not-counts")
    # symbols alone; 10x counted both sets against one reference, so PBMC 3k knows their ids
    ids = read_pbmc3k().var["gene_ids"].reindex(file.var.index).fillna("")
    genes = resolve(ids.tolist(), file.var.index.tolist(), "human")
    matrix, gene_ids, symbols, _ = collapse(counts, genes.gene_ids, genes.symbols)
    cells = file.obs.rename(columns={"bulk_labels": "cell_type"})
    cells["batch"], cells["donor"] = pd.Categorical(["PBMC 68k"] * len(cells)), pd.Categorical(["donor 2"] * len(cells))
    return NewDataset(
        matrix=matrix,
        gene_ids=gene_ids,
        gene_symbols=symbols,
        cells=cells,
        organism="human",
        total_counts=cells["n_counts"].to_numpy(dtype=np.float64),
        roles={"cell_type": "cell_type", "batch": "batch", "donor": "donor"},
        title="PBMC 68k, 700 cells",
        notes=(
            "The counts were recovered exactly from ln(1 + normalised counts).",
            "The file holds 765 of the genes that were measured; the total counts of each cell come from its column "
            "n_counts.",
        ),
    )


def _pbmc_two_batches() -> NewDataset:
    parts = {"pbmc3k": _pbmc3k(), "pbmc68k": _pbmc68k_reduced()}
    first, second = parts.values()
    here = {gene_id: position for position, gene_id in enumerate(second.gene_ids)}
    common = [position for position, gene_id in enumerate(first.gene_ids) if gene_id in here]
    gene_ids = tuple(first.gene_ids[position] for position in common)
    matrices = [first.matrix[:, common], second.matrix[:, [here[gene_id] for gene_id in gene_ids]]]
    return NewDataset(
        matrix=vstack([matrix.astype(np.int64) for matrix in matrices], format="csr"),
        gene_ids=gene_ids,
        gene_symbols=tuple(first.gene_symbols[position] for position in common),
        cells=pd.concat([_common_cells(name, part.cells) for name, part in parts.items()]),
        organism="human",
        total_counts=np.concatenate([_totals(part) for part in parts.values()]),
        roles={"cell_type": "cell_type", "batch": "batch", "donor": "donor"},
        title="PBMC, two batches",
        notes=(
            f"PBMC 3k and 700 cells of PBMC 68k on the {len(common):,} genes that both hold; the total counts of each "
            "cell are over all genes that were measured.",
            "Cell types stand under common names; the column cell_type_original keeps those of each source.",
        ),
    )


def _common_cells(name: str, cells: pd.DataFrame) -> pd.DataFrame:
    original = cells["cell_type"].astype(str)
    columns = {
        "cell_type": original.replace(_COMMON_CELL_TYPES),
        "cell_type_original": original,
        "batch": cells["batch"].astype(str),
        "donor": cells["donor"].astype(str),
    }
    table = pd.DataFrame(columns)
    table.index = table.index.astype(str) + f"-{name}"
    return table


def _totals(part: NewDataset) -> NDArray[np.float64]:
    sums = np.asarray(part.matrix.sum(axis=1), dtype=np.float64).ravel()
    return sums if part.total_counts is None else part.total_counts


@lru_cache(maxsize=1)
def _hash_of_sources() -> str:
    """Hash everything that the demos are made from: equal sources need not be read again."""
    digest = hashlib.sha256(f"{_VERSION}-{FORMAT_VERSION}".encode())
    for path in (asset("demo") / "pbmc3k.h5ad", *sorted(asset("genes").glob("*.csv.gz")), scanpy_file()):
        if path is not None:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


_MAKERS: dict[str, Callable[[], NewDataset]] = {
    "pbmc3k": _pbmc3k,
    "pbmc68k_reduced": _pbmc68k_reduced,
    "pbmc_two_batches": _pbmc_two_batches,
}
