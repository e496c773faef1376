"""``scfm attention``: which genes a model looks at when it reads one cell."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from scfm_core.cli.asking import ask, asking, tell
from scfm_core.cli.embedding import ModelChoice
from scfm_core.cli.files import check_out, file_argument, json_option, out_option, read_input
from scfm_core.cli.tables import provenance, write_table
from scfm_core.errors import RequestError

if TYPE_CHECKING:
    from scfm_core.analyses.read_attention import Attention

_SUFFIXES = (".csv", ".parquet", ".npz")
_MOST_ROWS = 5_000_000  # of a table; an array of as many weights is a tenth of its size


def _top(context: click.Context, option: click.Parameter, value: str) -> int | None:
    """Read the value of --top: a number of genes, or None for all of them."""
    if value == "all":
        return None
    if not value.isdecimal() or int(value) < 1:
        msg = f"expected a number of genes from 1 on, or all, found {value!r}."
        raise click.BadParameter(msg, context, option)
    return int(value)


@click.command(
    "attention",
    short_help="Read which genes a model looks at in one cell.",
    epilog="\b\nExample:\n"
    "  scfm attention demo:pbmc3k --model scfm-mini --cell AAACATACAACCAC-1 --layer 4 --out attention.csv\n"
    "  scfm attention my.h5ad --model scfm-mini --cell CELL --layer 1 --top all --out attention.npz",
)
@file_argument
@click.option("--model", "key", metavar="KEY", required=True, help="Key of a model; scfm models lists them.")
@click.option(
    "--weights",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with other weights of this model, as published or such as scfm pretrain wrote.",
)
@click.option(
    "--dictionaries",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the vocabulary of published --weights, where it does not lie beside or above them.",
)
@click.option("--cell", required=True, metavar="NAME", help="Name of the cell, as in the cell table.")
@click.option("--layer", required=True, type=int, help="Which layer: 1 is the first, the card says how many there are.")
@click.option(
    "--top",
    metavar="N|all",
    callback=_top,
    default="50",
    show_default=True,
    help="How many genes: those that receive most attention, in any head or on average. Or all of the cell.",
)
@click.option("--device", metavar="DEVICE", help="Where to compute: cpu, cuda:0, mps. By default the best.")
@out_option("OUT", "Table to write (.csv, .parquet: head, from gene, to gene, weight), or arrays (.npz).")
@json_option
def command(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Read the attention weights of each head of one layer when a model reads one cell of FILE.

    A weight says how much of what it takes in a gene ("from") takes from another ("to"). The weights of a row sum to 1
    over all genes of the cell, so to less over those written. Attention shows what the network computes with; it is no
    evidence that one gene regulates another.
    """
    from scfm_core.analyses.attention_tables import attention_table, head_summary
    from scfm_core.analyses.read_attention import ReadAttention, cell_position

    check_out(out, overwrite=overwrite, suffixes=_SUFFIXES)
    choice = ModelChoice(keys=(options["key"],), weights=options["weights"], dictionaries=options["dictionaries"])
    choice.specs()
    dataset = read_input(options)
    baseline = choice.embeddings(dataset)[0]
    request = ReadAttention(baseline, cell_position(dataset, options["cell"]), options["layer"], options["top"])
    with asking(options["device"]) as engine:
        attention = ask(engine, request)
    if out.suffix.lower() == ".npz":
        _write_arrays(attention, out)
    else:
        _check_rows(attention)
        write_table(attention_table(attention), out, provenance(dataset, request))
    heads = head_summary(attention)
    summary = {
        "out": out,
        "dataset": dataset.identity,
        "model": baseline.model.identity,
        "cell": options["cell"],
        "layer": request.layer,
        "n_tokens": attention.n_tokens,
        "n_shown": len(attention.symbols),
        "heads": heads.to_dict("records"),
    }
    lines = [
        f"Head {row['head']}: most attention on {row['most_attended']}; "
        f"{len(attention.symbols):,} of {attention.n_tokens:,} tokens are written, which receive "
        f"{100 * row['shown_share']:.3g} % of it"
        for row in summary["heads"]
    ]
    tell("\n".join([*lines, f"Wrote {out}: {attention.weights.size:,} weights"]), summary, as_json=as_json)


def _check_rows(attention: "Attention") -> None:
    if attention.weights.size > _MOST_ROWS:
        msg = (
            f"The attention between {len(attention.symbols):,} genes in {attention.n_heads} heads makes a table of "
            f"{attention.weights.size:,} rows, more than {_MOST_ROWS:,}. Name an .npz file, or choose fewer genes "
            "with --top."
        )
        raise RequestError(msg, "too-large")


def _write_arrays(attention: "Attention", out: Path) -> None:
    """Write the fields of the answer under their names, whole or not at all; texts as unicode arrays."""
    partial = out.with_name(f".part-{out.name}")
    fields: dict[str, Any] = {
        "gene_ids": np.array(attention.gene_ids, dtype=np.str_),
        "symbols": np.array(attention.symbols, dtype=np.str_),
        "positions": attention.positions,
        "weights": attention.weights,
        "received": attention.received,
        "shown_share": attention.shown_share,
        "entropy_bits": attention.entropy_bits,
        "n_tokens": np.int64(attention.n_tokens),
    }
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, **fields)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
