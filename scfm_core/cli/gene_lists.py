"""The genes that a screen is asked for: named one by one, by a file of gene sets, or the transcription factors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from scfm_core.cli.genes import gene_ids_of
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.model import ModelSpec

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_OPTIONS = {"genes": "--genes", "genes_from": "--genes-from", "transcription_factors": "--transcription-factors"}


@dataclass(frozen=True)
class GeneList:
    """Gene ids, and in words where they come from and how many names are lost."""

    gene_ids: tuple[str, ...]
    words: str


def gene_list_options(function: FunctionT) -> FunctionT:
    """Give a command the options that name a list of genes; `named_genes` reads them."""
    options: Sequence[Callable[[Any], Any]] = (
        click.option("--genes", metavar="A,B,C", help="Only these genes: symbols or Ensembl ids."),
        click.option(
            "--genes-from", metavar="FILE.gmt[:SET]", help="Only the genes of a file of gene sets, or of one SET of it."
        ),
        click.option(
            "--transcription-factors", is_flag=True, help="Only transcription factors (Lambert et al. 2018)."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def named_genes(dataset: Dataset, model: ModelSpec, options: Mapping[str, Any]) -> GeneList | None:
    """Return the genes that the options name; None where they name none.

    Genes named one by one must be known; of a file, or of the transcription factors, those that the dataset has are
    taken.

    Raises
    ------
    RequestError
        If several options name genes, a gene or set is unknown, or the dataset has no gene of the list.
    """
    given = [words for name, words in _OPTIONS.items() if options[name]]
    if len(given) > 1:
        msg = f"One option names the genes, found {' and '.join(given)}. Choose one of them."
        raise RequestError(msg, "several-lists")
    if options["genes"]:
        names = [name.strip() for name in options["genes"].split(",") if name.strip()]
        return GeneList(gene_ids_of(dataset, model, names), f"{len(names):,} genes of --genes")
    if options["genes_from"]:
        source, names = _of_file(options["genes_from"])
    elif options["transcription_factors"]:
        from scfm_core.gene_sets import transcription_factors

        source, names = "the transcription factors", list(transcription_factors(dataset.organism).genes)
    else:
        return None
    return _those_here(dataset, names, source)


def _of_file(text: str) -> tuple[str, list[str]]:
    from scfm_core.gene_sets import read_gmt

    head, colon, name = text.partition(".gmt:")
    whole = Path(text).is_file() or not colon
    sets = read_gmt(Path(text if whole else f"{head}.gmt").expanduser())
    if whole:
        return sets.source, list(dict.fromkeys(gene for one in sets.sets for gene in one.genes))
    return f"the set {name}", list(sets.find(name).genes)


def _those_here(dataset: Dataset, names: Sequence[str], source: str) -> GeneList:
    from scfm_core.genes import known_genes

    found = tuple(dict.fromkeys(known_genes(dataset, names).values()))
    if not found:
        shown = ", ".join(names[:5])
        msg = f"None of the {len(names):,} genes of {source} is in the dataset; they look like {shown}. Choose another."
        raise RequestError(msg, "no-genes")
    return GeneList(found, f"{len(found):,} of the {len(names):,} genes of {source}, those that the dataset has")
