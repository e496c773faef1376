"""Change genes in the input of a model and see what moves: chosen genes, every gene, or as the authors do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages import (
    _perturb_answer,
    _perturb_authors,
    _perturb_chosen,
    _perturb_paired,
    _perturb_pairs,
    _perturb_readout,
    _perturb_screen,
    _perturb_screened,
    _perturb_truth,
    _perturb_truths,
)
from pages._frame import chosen_dataset, page_head
from pages._methods import methods_and_code
from pages._perturb_standing import Standing
from pages._waiting import errors_as_text, stored
from scfm_core.dataset import Dataset
from scfm_core.request import Request


@dataclass(frozen=True)
class Mode:
    """One kind of question.

    Attributes
    ----------
    controls
        Lets a question be put together, and returns the one that was asked.
    beside
        Shows the answer beside the controls, and returns what `below` shows; None where nothing goes there.
    below
        Shows the rest of the answer over the whole width.
    """

    controls: Callable[[Dataset], Any]
    beside: Callable[[Any], Any]
    below: Callable[[Any, Any], None] | None = None


MODES = {
    "Chosen genes": Mode(_perturb_chosen.controls, _perturb_answer.beside, _perturb_answer.below),
    "Pairs": Mode(_perturb_pairs.controls, _perturb_paired.beside, _perturb_paired.below),
    "Screen": Mode(_perturb_screen.controls, _perturb_screened.beside),
    "As the authors": Mode(_perturb_authors.controls, _perturb_readout.beside),
    "Known truth": Mode(_perturb_truth.controls, _perturb_truths.beside, _perturb_truths.below),
}
HELP = (
    "Chosen genes: edited, beside random genes of like abundance and beside PCA. Pairs: what two genes do together "
    "beyond the sum of the two. Screen: many genes one by one, ranked. As the authors: genes deleted, overexpressed, "
    "inhibited or activated, and compared as the authors of Geneformer do. Known truth: whether the genes that turn "
    "in a model are those that a knock-out truly changes."
)


def requests_of(asked: Any, found: Any) -> list[Request[Any]]:
    """Return the questions behind what stands on the page."""
    if isinstance(found, Standing):
        chain = found.chain
        checks: list[Request[Any]] = [chain.controls, chain.comparison, chain.explanation, chain.followers]
        return [*(part.request for part in found.parts), *(check for check in checks if stored(check) is not None)]
    return [asked] if isinstance(asked, Request) else []


def main() -> None:
    """Ask, wait, show."""
    page_head("Perturbation", "Which cells move when a gene is changed in the model's input?")
    dataset = chosen_dataset()
    names = list(MODES)
    chosen = st.segmented_control(
        "What to ask", names, default=names[0], required=True, key="perturb:mode", persist_state="session", help=HELP,
    )  # fmt: skip
    mode = MODES[chosen]
    left, right = st.columns([1, 3], gap="medium")
    asked = found = None
    with left, errors_as_text():
        asked = mode.controls(dataset)
    with right, errors_as_text():
        found = mode.beside(asked)
    if found is not None and mode.below is not None:
        with errors_as_text():
            mode.below(asked, found)
    with errors_as_text():
        methods_and_code(dataset, requests_of(asked, found), "perturbation")


main()
