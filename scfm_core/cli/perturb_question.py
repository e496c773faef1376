"""The question that the options of ``scfm perturb --readout matched`` ask."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from scfm_core.cli.embedding import chosen
from scfm_core.cli.perturb_official import cells_of
from scfm_core.cli.perturb_options import ALL, named_groups, scaled_groups
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.genes import find_genes

if TYPE_CHECKING:
    from scfm_core.analyses.perturb_genes import PerturbGenes
    from scfm_core.tokens import GeneEdit


def matched_question(dataset: Dataset, options: Mapping[str, Any]) -> "PerturbGenes":
    """Return the question that the options ask.

    Raises
    ------
    RequestError
        If the options name no gene, contradict each other, or name a gene, column or value that is not there.
    """
    from scfm_core.analyses.authors_states import require_different, state_from_text
    from scfm_core.analyses.perturb_genes import ALL_HOLDING, NULL_CELLS, PerturbGenes

    goal = None if options["goal"] is None else state_from_text(options["goal"], "--goal")
    alternatives = tuple(state_from_text(text, "--alternative") for text in options["alternative"])
    require_different([*([] if goal is None else [goal]), *alternatives])
    null_cells = ALL_HOLDING if options["null_cells"] == ALL else options["null_cells"] or NULL_CELLS
    return PerturbGenes(
        baseline=chosen(options).embeddings(dataset)[0],
        edits=_edits(dataset, options),
        cells=_cells(dataset, options),
        group_by=options["group_by"],
        goal=goal,
        alternatives=alternatives,
        identity_by=options["identity_by"],
        null_genes=options["null"],
        null_cells=null_cells,
        seed=options["seed"],
    )


def _cells(dataset: Dataset, options: Mapping[str, Any]) -> Any:
    if options["cells"] is not None and options["start"] is not None:
        msg = "--start is another word for --cells under --readout matched; found both. Give one of them."
        raise RequestError(msg, "two-cells")
    option = "--cells" if options["start"] is None else "--start"
    return cells_of(dataset, options[option[2:]], option)


def _edits(dataset: Dataset, options: Mapping[str, Any]) -> "tuple[tuple[GeneEdit, ...], ...]":
    from scfm_core.tokens import Scale

    named = named_groups(options)
    scaled = scaled_groups(options["scale"], together=options["together"])
    if not named and not scaled:
        msg = (
            "--readout matched needs genes to edit, such as --delete LYZ,CD3D, --overexpress GATA4 or --scale LYZ=0.5; "
            "found none."
        )
        raise RequestError(msg, "no-genes")
    names = [name for groups in named.values() for group in groups for name in group]
    names += [name for group in scaled for name, _ in group]
    gene_id = dict(zip(names, find_genes(dataset, names), strict=True))  # all at once, so that all unknown are told
    make = _makers(options["quartiles"])
    edits = [
        tuple(dict.fromkeys(make[kind](gene_id[name]) for name in group)) for kind in named for group in named[kind]
    ]
    edits += [tuple(dict.fromkeys(Scale(gene_id[name], factor) for name, factor in group)) for group in scaled]
    return tuple(dict.fromkeys(edits))


def _makers(quartiles: int) -> "dict[str, Callable[[str], GeneEdit]]":
    from scfm_core.tokens import Activate, Delete, Inhibit, Overexpress

    return {
        "delete": Delete,
        "overexpress": Overexpress,
        "inhibit": partial(Inhibit, quartiles=quartiles),
        "activate": partial(Activate, quartiles=quartiles),
    }
