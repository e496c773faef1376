"""``scfm embed``: cell vectors of one or several models."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from scfm_core.cli.asking import ask, asking, tell
from scfm_core.cli.embedding import chosen, model_options
from scfm_core.cli.files import check_out, file_argument, json_option, out_option, read_input


@click.command(
    "embed",
    short_help="Embed every cell with one or several models.",
    epilog="\b\nExample:\n"
    "  scfm embed my.h5ad --model scfm-mini --out embedded.h5ad\n"
    "  scfm embed demo:pbmc3k --model pca --model scfm-mini --out both.h5ad",
)
@file_argument
@model_options(several=True)
@out_option("OUT.h5ad", "AnnData to write: raw counts, the cell table, and obsm['X_<key>'] per model.")
@json_option
def command(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Embed every cell of FILE with a model.

    The vectors stand in obsm["X_<key>"] as float32, rows in the order of the input; NaN for a cell that holds no gene
    of the model. Where they come from stands in uns["scfm"].
    """
    from scfm_core.analyses.export_dataset import additions_for, to_anndata, write_h5ad

    check_out(out, overwrite=overwrite, suffixes=(".h5ad",))
    choice = chosen(options)
    choice.specs()  # an unknown model is told before the file is read
    dataset = read_input(options)
    additions, told = [], []
    with asking(options["device"]) as engine:
        for request in choice.embeddings(dataset):
            embedding = ask(engine, request)
            new = additions_for(request, embedding, engine.store)
            n_empty = int(np.isnan(embedding.points[:, 0]).sum())
            about = {"model": request.model.key, "name": new[0].name, "shape": embedding.points.shape}
            told.append({**about, "n_empty": n_empty, "seconds": new[0].provenance.get("seconds")})
            additions += new
    write_h5ad(to_anndata(dataset, additions), out)
    summary = {"out": out, "dataset": dataset.identity, "n_cells": dataset.n_cells, "embeddings": told}
    names = [f"{addition.name} ({addition.value.shape[1]:,} numbers per cell)" for addition in additions]
    tell(f"Wrote {out}: {dataset.n_cells:,} cells, {', '.join(names)}", summary, as_json=as_json)
