"""``scfm umap``: a model's space on a flat sheet."""

from pathlib import Path
from typing import Any

import click
import pandas as pd

from scfm_core.cli.asking import ask, asking, tell
from scfm_core.cli.embedding import batch_option, chosen, model_options
from scfm_core.cli.files import check_out, file_argument, json_option, out_option, read_input
from scfm_core.cli.tables import provenance, write_table


@click.command(
    "umap",
    short_help="Lay the cells out in two dimensions, by UMAP or t-SNE.",
    epilog="\b\nExample:\n"
    "  scfm umap my.h5ad --model scfm-mini --out map.h5ad\n"
    "  scfm umap my.h5ad --model pca --method tsne --out map.csv",
)
@file_argument
@model_options(several=False)
@batch_option
@click.option("--method", type=click.Choice(["umap", "tsne"]), default="umap", show_default=True)
@click.option("--n-neighbors", type=int, default=15, show_default=True, help="UMAP: size of a neighbourhood.")
@click.option("--min-dist", type=float, default=0.5, show_default=True, help="UMAP: how close two points may come.")
@click.option("--perplexity", type=float, default=30.0, show_default=True, help="t-SNE: size of a neighbourhood.")
@click.option("--seed", type=int, default=0, show_default=True)
@out_option("OUT", "OUT.h5ad: obsm['X_umap_<key>'] beside the vectors. OUT.csv: one row per cell.")
@json_option
def command(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Lay the cells of FILE out in two dimensions, by UMAP or t-SNE on a model's vectors.

    For the eye only: neighbours tend to stay neighbours, distances and sizes of groups mean little.
    """
    from scfm_core.analyses.export_dataset import additions_for, to_anndata, write_h5ad
    from scfm_core.analyses.project_cells import ProjectCells

    check_out(out, overwrite=overwrite, suffixes=(".h5ad", ".csv"))
    choice = chosen(options)
    choice.specs()
    dataset = read_input(options)
    names = ("method", "n_neighbors", "min_dist", "perplexity", "seed")
    request = ProjectCells(choice.embeddings(dataset)[0], **{name: options[name] for name in names})
    with asking(options["device"]) as engine:
        projection, embedding = ask(engine, request), ask(engine, request.embedding)
        additions = [
            *additions_for(request.embedding, embedding, engine.store),
            *additions_for(request, projection, engine.store),
        ]
    if out.suffix.lower() == ".csv":
        columns = [f"{request.method}_1", f"{request.method}_2"]
        table = pd.DataFrame(projection.coordinates, index=dataset.cells().index, columns=columns)
        write_table(table.reset_index(names="cell"), out, provenance(dataset, request))
    else:
        write_h5ad(to_anndata(dataset, additions), out)
    summary = {"out": out, "dataset": dataset.identity, "n_cells": dataset.n_cells, "name": additions[-1].name}
    tell(f"Wrote {out}: {additions[-1].name}, {dataset.n_cells:,} cells", summary, as_json=as_json)
