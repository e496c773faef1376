"""``scfm embed``: cell vectors, and gene vectors, of one or several models."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from scfm_core.cli.asking import ask, asking, tell
from scfm_core.cli.embedding import batch_option, chosen, model_options
from scfm_core.cli.files import check_out, file_argument, json_option, out_option, read_input
from scfm_core.request import Request

if TYPE_CHECKING:
    from scfm_core.analyses.embed_cells import EmbedCells
    from scfm_core.analyses.export_dataset import Addition

_PER = {"obsm": "cell", "varm": "gene"}


@click.command(
    "embed",
    short_help="Embed every cell with one or several models.",
    epilog="\b\nExample:\n"
    "  scfm embed my.h5ad --model scfm-mini --out embedded.h5ad\n"
    "  scfm embed demo:pbmc3k --model pca --model scfm-mini --out both.h5ad\n"
    "  scfm embed my.h5ad --model harmony --model scvi --batch donor --out mixed.h5ad\n"
    "  scfm embed my.h5ad --model scfm-mini --genes --static-genes --out genes.h5ad",
)
@file_argument
@model_options(several=True)
@batch_option
@click.option(
    "--seed", "draw_seed", type=click.IntRange(0), default=0, show_default=True,
    help="Of what a model draws while it is fitted: scvi, harmony, random.",
)
@click.option("--genes", is_flag=True, help="Also the vector of each gene: its mean over the cells that hold it.")
@click.option("--static-genes", is_flag=True, help="Also the vector that each gene has before any cell is read.")
@out_option("OUT.h5ad", "AnnData to write: raw counts, the cell table, and obsm['X_<key>'] per model.")
@json_option
def command(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Embed every cell of FILE with a model.

    The vectors stand in obsm["X_<key>"] as float32, rows in the order of the input; NaN for a cell that holds no gene
    of the model. Where they come from stands in uns["scfm"].

    combat, harmony and scvi correct for batches: --batch names the column. harmony and scvi need packages of their own;
    scfm models says which are here.

    With --genes the contextual gene vectors stand in varm["X_<key>"], each the mean over the cells in which the model
    reads the gene, and var["n_cells_<key>"] says over how many; with --static-genes the model's own table of genes
    stands in varm["static_<key>"]. NaN for a gene that the model does not read. Tokens that stand for no gene, such as
    <cls>, are left out.
    """
    from scfm_core.analyses.export_dataset import additions_for, to_anndata, write_h5ad

    check_out(out, overwrite=overwrite, suffixes=(".h5ad",))
    choice = chosen(options)
    choice.specs()  # an unknown model is told before the file is read
    dataset = read_input(options)
    questions = [(cells, _about_genes(cells, options)) for cells in choice.embeddings(dataset)]
    additions, told = [], []
    with asking(options["device"]) as engine:
        for request, about_genes in questions:
            embedding = ask(engine, request)
            new = additions_for(request, embedding, engine.store)
            n_empty = int(np.isnan(embedding.points[:, 0]).sum())
            about = {"model": request.model.key, "name": new[0].name, "shape": embedding.points.shape}
            about |= {"batch": request.chosen_options.batch} if request.model.needs_batch else {}
            told.append({**about, "n_empty": n_empty, "seconds": new[0].provenance.get("seconds")})
            new += [one for inner in about_genes for one in additions_for(inner, ask(engine, inner), engine.store)]
            told[-1]["genes"] = [
                {"place": one.place, "name": one.name, "shape": one.value.shape} for one in new if one.place == "varm"
            ]
            additions += new
    write_h5ad(to_anndata(dataset, additions), out)
    summary = {"out": out, "dataset": dataset.identity, "n_cells": dataset.n_cells, "embeddings": told}
    names = [_in_words(addition) for addition in additions if addition.place in _PER]
    words = [f"Wrote {out}: {dataset.n_cells:,} cells, {', '.join(names)}"]
    words += [f"{one['n_empty']:,} of them hold no gene of {one['model']}: NaN" for one in told if one["n_empty"]]
    tell("\n".join(words), summary, as_json=as_json)


def _in_words(addition: "Addition") -> str:
    return f"{addition.name} ({addition.value.shape[1]:,} numbers per {_PER[addition.place]})"


def _about_genes(cells: "EmbedCells", options: dict[str, Any]) -> list[Request[Any]]:
    """Return the questions about genes, so that a model that cannot answer them is told before it embeds cells."""
    from scfm_core.analyses.embed_genes import EmbedGenes, StaticGeneVectors

    contextual = [EmbedGenes(cells)] if options["genes"] else []
    static = [StaticGeneVectors(cells.dataset, cells.model)] if options["static_genes"] else []
    return [*contextual, *static]
