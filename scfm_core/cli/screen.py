"""``scfm screen``: estimate the deletion of every gene at once, and confirm the first ones exactly."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scfm_core.cli.asking import ask, asking, tell
from scfm_core.cli.embedding import chosen, model_options
from scfm_core.cli.files import check_out, file_argument, json_option, out_option, read_input
from scfm_core.cli.perturb_official import cells_of
from scfm_core.cli.tables import SUFFIXES, write_table

if TYPE_CHECKING:
    from scfm_core.analyses.screen_genes import GeneScreen

_N_TOLD = 5


@click.command(
    "screen",
    short_help="Estimate the deletion of every gene at once.",
    epilog="\b\nExample:\n"
    '  scfm screen demo:pbmc3k --model scfm-mini --cells "cell_type=NK" --goal "cell_type=CD8 T" --out nk.csv',
)
@file_argument
@model_options(several=False)
@click.option("--cells", metavar='"COLUMN=VALUE"', help="Only cells with this value in a column; all where left out.")
@click.option("--goal", metavar='"COLUMN=VALUE"', help="Measure the shift toward the mean vector of these cells, too.")
@click.option(
    "--confirm",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    metavar="K",
    help="Delete the first K genes of each ranking exactly.",
)
@click.option(
    "--confirm-cells",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    metavar="N",
    help="On how many of the cells that hold it, drawn at random, each is at most.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws the cells for --confirm.")
@out_option("TABLE", "Table to write: .csv, .xlsx or .parquet.")
@json_option
def command(out: Path, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Estimate for every gene that cells of FILE hold how far deleting it alone would move them.

    A few passes per cell take the place of one per gene. The estimate is offered for models whose card says how well
    it agrees with exact deletions; the first genes are deleted exactly, and the table keeps both apart: columns that
    end in _estimate are predicted, those that end in _exact are computed, over n_exact cells.
    """
    from scfm_core.analyses.authors_states import state_from_text
    from scfm_core.analyses.screen_genes import ScreenGenes
    from scfm_core.analyses.screen_words import quality_in_words

    check_out(out, overwrite=overwrite, suffixes=SUFFIXES)
    choice = chosen(options)
    choice.specs()
    dataset = read_input(options)
    request = ScreenGenes(
        baseline=choice.embeddings(dataset)[0],
        cells=cells_of(dataset, options["cells"], "--cells"),
        goal=None if options["goal"] is None else state_from_text(options["goal"], "--goal"),
        confirm_top=options["confirm"],
        confirm_cells=options["confirm_cells"],
        seed=options["seed"],
    )
    with asking(options["device"]) as engine:
        screen = ask(engine, request)
    write_table(screen.table, out)
    summary = {"out": out, "dataset": dataset.identity, "model": request.baseline.model.key, **_summary(screen)}
    words = [*_sentences(screen), quality_in_words(request.baseline.model)]
    tell("\n".join([*words, f"Wrote {out}: {len(screen.table):,} rows"]), summary, as_json=as_json)


def _summary(screen: "GeneScreen") -> dict[str, Any]:
    names = (
        "n_cells", "confirm_cells", "goal", "n_goal_cells", "size_agreement", "goal_agreement", "n_estimated",
        "n_passes", "n_backward_passes",
    )  # fmt: skip
    return {"n_rows": len(screen.table), **{name: getattr(screen, name) for name in names}}


def _sentences(screen: "GeneScreen") -> list[str]:
    told = [
        f"Estimated {screen.n_estimated:,} deletions in {screen.n_cells:,} cells with {screen.n_passes:,} passes "
        f"forward and {screen.n_backward_passes:,} back."
    ]
    rankings = [("rank", "Largest estimated movement")]
    if screen.goal:
        rankings.append(("goal_rank", f"Most toward {screen.goal}, estimated"))
    for rank, words in rankings:
        first = screen.table.sort_values(rank).head(_N_TOLD)
        told.append(f"{words}: {', '.join(first.loc[first[rank].notna(), 'symbol'])}.")
    n_confirmed = int((screen.table["n_exact"] > 0).sum())
    if n_confirmed:
        told.append(
            f"{n_confirmed:,} of them were deleted exactly, each on up to {screen.confirm_cells:,} cells; Spearman "
            f"correlation of estimate and exact size there: {screen.size_agreement:.3f}."
        )
    return told
