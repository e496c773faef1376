"""Genes that a person names, as ids that a model may know; they need not be in the dataset."""

import json
from collections.abc import Sequence

from scfm_core.dataset import Dataset
from scfm_core.genes import find_genes, gene_table, is_ensembl, without_version
from scfm_core.model import ModelSpec
from scfm_core.weights import weights_folder


def gene_ids_of(dataset: Dataset, model: ModelSpec, names: Sequence[str]) -> tuple[str, ...]:
    """Return Ensembl ids for genes as a person names them; they need not be in the dataset.

    An Ensembl id is taken as it is, as the model may know it by another one. A symbol is looked up in the dataset,
    then among the model's own symbols and in the gene table.

    Raises
    ------
    RequestError
        If nothing knows a symbol.
    """
    own = {symbol.upper(): gene_id for symbol, gene_id in _symbols_of(model).items()}
    symbols = zip(dataset.gene_symbols, dataset.gene_ids, strict=True)
    in_dataset = {symbol.upper(): gene_id for symbol, gene_id in symbols}
    table = gene_table(dataset.organism).ids
    found: dict[str, str | None] = {}
    for name in names:
        written = without_version(name).upper()
        known = written if is_ensembl(written) else in_dataset.get(written)
        found[name] = known or own.get(written) or table.get(written)
    missing = [name for name, gene_id in found.items() if gene_id is None]
    found |= zip(missing, find_genes(dataset, missing), strict=True)  # which refuses them, with near matches
    return tuple(dict.fromkeys(gene_id for gene_id in found.values() if gene_id is not None))


def _symbols_of(model: ModelSpec) -> dict[str, str]:
    """Return the symbols that come with a model's weights."""
    folder = weights_folder(model)
    path = folder / "vocabulary.json" if folder else None
    content = json.loads(path.read_text()) if path and path.is_file() else {}
    symbols: dict[str, str] = content.get("symbols", {})
    return symbols
