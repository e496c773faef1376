"""Whether names of several ways fit together, by the ontology."""

import pytest

from scfm_core.cell_names import agreement, fit_together, term_of
from scfm_core.cell_types import cell_type


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("B cell", "B"),
        ("natural killer cell", "NK"),
        ("CD8-positive, alpha-beta T cell", "CD8 T"),
        ("T cell", "CD4-positive, alpha-beta memory T cell"),
        ("my cells", "MY CELLS"),
    ],
)
def test_names_of_the_same_cells_fit(one: str, other: str) -> None:
    assert fit_together(one, other)
    assert fit_together(other, one)


@pytest.mark.parametrize(
    ("one", "other"), [("B cell", "NK"), ("CD4 T", "CD8 T"), ("my cells", "your cells"), ("my cells", "B cell")]
)
def test_names_of_other_cells_do_not(one: str, other: str) -> None:
    assert not fit_together(one, other)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["B", "B cell", "B"], "all agree"),
        (["B", "B cell", "unknown"], "2 agree"),
        (["B", "B cell", "NK"], "differ"),
        (["classical monocyte", "FCGR3A+ monocyte"], "same lineage"),
        (["unknown", "unknown"], "none names it"),
        (["unknown", "B"], "one names it"),
    ],
)
def test_agreement_is_told_in_words(names: list[str], words: str) -> None:
    assert agreement(names) == words


def test_a_term_is_given_only_for_its_own_names() -> None:
    assert cell_type(term_of("NK cell")).label == "natural killer cell"
    assert term_of("platelet") == "CL:0000233"
    assert term_of("CD4 T memory") == ""
    assert term_of("") == ""
