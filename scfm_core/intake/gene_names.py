"""Which columns of a gene table hold Ensembl ids and symbols, and which axis of a matrix holds genes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.genes import gene_table, is_ensembl, without_version

_SYMBOL_COLUMNS = (
    "gene_symbols",
    "gene_symbol",
    "symbol",
    "symbols",
    "feature_name",
    "gene_name",
    "gene_names",
    "gene_short_name",
    "hgnc_symbol",
    "mgi_symbol",
    "name",
    "gene",
)
_TYPE_COLUMNS = ("feature_types", "feature_type", "modality")
_SAMPLE = 4000


@dataclass(frozen=True)
class GeneNames:
    """Names of genes as the file has them, each of length ``n_genes``, or empty where the file has none."""

    ids: tuple[str, ...]
    symbols: tuple[str, ...]


def read_names(genes: pd.DataFrame) -> GeneNames:
    """Find Ensembl ids and symbols in a gene table, whatever its columns are called.

    Examples
    --------
    >>> read_names(pd.DataFrame({"gene_ids": ["ENSG00000167286"]}, index=["CD3D"]))
    GeneNames(ids=('ENSG00000167286',), symbols=('CD3D',))
    """
    texts = {"": [str(name) for name in genes.index]}
    for column in genes.columns:
        if not pd.api.types.is_numeric_dtype(genes[column]):
            texts[str(column)] = ["" if pd.isna(name) else str(name) for name in genes[column]]
    share = {column: _share_ensembl(names) for column, names in texts.items()}
    best = max(share, key=lambda column: share[column])
    ids = tuple(texts[best]) if share[best] >= 0.2 else ()
    if best != "" or not ids:
        return GeneNames(ids, tuple(texts[""]))
    lower = {column.lower(): column for column in texts if column}
    named = next((lower[column] for column in _SYMBOL_COLUMNS if column in lower), None)
    return GeneNames(ids, tuple(texts[named]) if named is not None else ())


def expression_features(genes: pd.DataFrame) -> NDArray[np.bool_] | None:
    """Say which features are genes where the table tells them from antibodies, peaks and guides; None where all are."""
    for column in genes.columns:
        if str(column).lower() in _TYPE_COLUMNS:
            is_gene = genes[column].astype(str).str.lower().isin({"gene expression", "gene", "rna", "gex"}).to_numpy()
            return is_gene if is_gene.any() and not is_gene.all() else None
    return None


def share_of_genes(names: Sequence[str]) -> float:
    """Return which share of some names are genes of human or mouse, from a sample of them.

    Examples
    --------
    >>> share_of_genes(["CD3D", "LYZ", "AAACCTGAGAAACCAT-1", "ENSMUSG00000032094.8"])
    0.75
    """
    if not names:
        return 0.0
    sample = [without_version(names[i]) for i in np.linspace(0, len(names) - 1, min(_SAMPLE, len(names))).astype(int)]
    named = sum(is_ensembl(name) for name in sample)
    if named < 0.5 * len(sample):  # the tables are slow to read
        known = gene_table("human").names | gene_table("mouse").names
        named = sum(name in known or is_ensembl(name) for name in sample)
    return named / len(sample)


def genes_in_rows(row_names: Sequence[str], column_names: Sequence[str]) -> bool:
    """Whether the rows of a matrix are genes and its columns cells.

    Where no name on either side is a known gene, the usual layout of a text file is assumed: genes in rows.
    """
    rows, columns = share_of_genes(row_names), share_of_genes(column_names)
    return rows >= columns


def unique_names(names: Iterable[str]) -> list[str]:
    """Give repeated names a number: ``a, a, b`` becomes ``a, a-1, b``.

    Examples
    --------
    >>> unique_names(["a", "a", "a-1", "b"])
    ['a', 'a-2', 'a-1', 'b']
    """
    listed = list(names)
    taken, seen, out = set(listed), set(), []
    for name in listed:
        fresh, n = name, 0
        while fresh in seen or (n > 0 and fresh in taken):
            n += 1
            fresh = f"{name}-{n}"
        seen.add(fresh)
        out.append(fresh)
    return out


def _share_ensembl(names: list[str]) -> float:
    sample = [names[i] for i in np.linspace(0, len(names) - 1, min(_SAMPLE, len(names))).astype(int)] if names else []
    return sum(is_ensembl(name) for name in sample) / max(len(sample), 1)
