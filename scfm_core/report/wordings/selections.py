"""Words for questions about some selected cells: what they are made of, beside others."""

from collections.abc import Mapping

from scfm_core.analyses.compare_values import CompareValues
from scfm_core.analyses.compose_cells import ComposeCells
from scfm_core.report.wording import Wording, Words, these_cells
from scfm_core.report.wordings.genes import grouping_in_words

_NO_TEST = " Nothing was tested: cells are no replicates."


def _composition(asked: ComposeCells) -> Wording:
    beside = "all other cells" if asked.against is None else these_cells(asked.dataset, asked.against)
    groups, questions = grouping_in_words(asked.grouping)
    donors = f" The same was counted within each value of {asked.donors!r}." if asked.donors else ""
    text = (
        f"Groups of cells were given by {groups}. They were counted among {these_cells(asked.dataset, asked.cells)} "
        f"and among {beside}; a cell of both sets counts among the former. Shares are of all cells of a set.{donors}"
        f"{_NO_TEST}"
    )
    return Wording(text=text, n=f"{len(asked.cells):,} cells", questions=questions)


def _values(asked: CompareValues) -> Wording:
    beside = "all other cells" if asked.against is None else these_cells(asked.dataset, asked.against)
    text = (
        f"The values of {asked.column!r} of {these_cells(asked.dataset, asked.cells)} were described by their mean, "
        f"standard deviation and quantiles, beside those of {beside}; cells without a value were left out.{_NO_TEST}"
    )
    return Wording(text=text, n=f"{len(asked.cells):,} cells")


WORDINGS: Mapping[str, Words] = {"ComposeCells": _composition, "CompareValues": _values}
