"""``scfm models``: the cards."""

import textwrap
from pathlib import Path
from typing import Any

import click

from scfm_core.cli.asking import tell
from scfm_core.cli.files import json_option
from scfm_core.model import ModelSpec
from scfm_core.registry import all_models, find_model
from scfm_core.weights import installed, missing_packages, weights_folder, weights_here

_WIDTH = 80


@click.command(
    "models",
    short_help="List the models, or show one card.",
    epilog="\b\nExample:\n  scfm models\n  scfm models scfm-mini\n  scfm models --json",
)
@click.argument("key", required=False)
@json_option
def command(key: str | None, as_json: bool) -> None:
    """List the models, or show the whole card of the one called KEY.

    What each one is, whether its weights are here, and how to get them where they are not.
    """
    specs = [installed(spec) for spec in ([find_model(key)] if key else all_models())]
    words = _card(specs[0]) if key else "\n".join(_line(spec) for spec in specs)
    tell(words, {"models": [_fields(spec) for spec in specs]}, as_json=as_json)


def _line(spec: ModelSpec) -> str:
    here = "weights are here" if weights_here(spec) else "weights are not here"
    here = here if spec.needs_weights else "fitted to each dataset"
    missing = missing_packages(spec)
    here = f"{', '.join(missing)} is not installed" if missing else here
    lines = [f"{spec.key:<28} {spec.title}, {here}"]
    lines += textwrap.wrap(spec.summary, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    if not weights_here(spec):
        lines += textwrap.wrap(spec.how_to_get, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def _card(spec: ModelSpec) -> str:
    fields = {
        "organisms": ", ".join(spec.organisms),
        "reads": spec.vocabulary,
        "longest input": f"{spec.max_tokens:,} tokens" if spec.max_tokens else "no limit",
        "cell vector": f"{spec.embedding_size:,} numbers",
        "weights": f"{spec.n_parameters:,}" if spec.n_parameters else "fitted to each dataset",
        "poolings": ", ".join(spec.poolings),
        "layers": f"{spec.n_layers}, default {spec.default_layer}" if spec.n_layers else "none to choose",
        "attention": "can be read" if spec.has_attention else "",
        "edits": ", ".join(spec.gene_edits) or "none",
        "batches": "corrects for them: --batch COLUMN" if spec.needs_batch else "",
        "trained on": spec.training_data,
        "known limits": " ".join(spec.known_limits),
        "licence": spec.licence,
        "cite": spec.citation,
        "doi": spec.doi,
        "earlier names": ", ".join(spec.aliases),
    }
    lines = []
    for name, text in fields.items():
        if text:
            lines += textwrap.wrap(text, _WIDTH, initial_indent=f"  {name:<14}", subsequent_indent=" " * 16)
    return "\n".join([_line(spec), "", *lines])


def _fields(spec: ModelSpec) -> dict[str, Any]:
    names = (
        "key title revision summary organisms vocabulary embedding_size max_tokens n_parameters licence citation doi "
        "training_data known_limits how_to_get poolings n_layers default_layer has_gene_vectors has_attention "
        "gene_edits aliases is_baseline needs_batch draws needs_packages starts_from identity"
    )
    folder: Path | None = weights_folder(spec)
    files = [{"name": file.name, "size_bytes": file.size_bytes, "sha256": file.sha256} for file in spec.weights]
    fields = {name: getattr(spec, name) for name in names.split()}
    source = spec.published
    published = None if source is None else {"repository": source.repository, "revision": source.revision,
                                             "size_bytes": source.size_bytes}  # fmt: skip
    fields |= {"published": published, "weights": files, "weights_here": weights_here(spec), "weights_folder": folder,
               "missing_packages": missing_packages(spec)}  # fmt: skip
    return fields
