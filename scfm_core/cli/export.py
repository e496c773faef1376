"""``scfm export``: a dataset with all its stored answers in one file."""

from pathlib import Path
from typing import Any

import click

from scfm_core.cli.asking import tell
from scfm_core.cli.files import check_out, file_argument, json_option, out_option, read_input


@click.command(
    "export",
    short_help="Write a dataset with all its stored answers.",
    epilog="\b\nExample:\n  scfm export my.h5ad --out everything.h5ad\n  scfm export 3fa9c1 --out all.h5ad",
)
@file_argument
@out_option("OUT.h5ad", "AnnData to write.")
@json_option
def command(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Write FILE with every answer about it that is stored.

    Embeddings in obsm["X_<key>"], maps in obsm["X_umap_<key>"] and obsm["X_tsne_<key>"], clusters in
    obs["leiden_<key>"], quality in obs, labels that people gave in obs by the name of their column, tables of markers
    and perturbation effects in uns["scfm"]["tables"], and the question that each of them answers, or who gave the
    labels and when, in uns["scfm"]["answers"]. Nothing is computed.
    """
    from scfm_core.analyses.export_dataset import export_dataset, write_h5ad
    from scfm_core.annotations import Annotations
    from scfm_core.store import Store
    from scfm_core.workspace import Workspace

    check_out(out, overwrite=overwrite, suffixes=(".h5ad",))
    dataset = read_input(options)
    workspace = Workspace.from_environment()
    labels = Annotations.of(dataset, workspace.folder("labels"))
    data = export_dataset(dataset, Store(workspace.root), labels)
    write_h5ad(data, out)
    answers = list(data.uns["scfm"]["answers"])
    summary = {"out": out, "dataset": dataset.identity, "n_cells": dataset.n_cells, "answers": answers}
    words = ", ".join(answers) or "no answer about it is stored yet, the file holds the counts alone"
    tell(f"Wrote {out}: {words}", summary, as_json=as_json)
