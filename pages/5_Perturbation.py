"""Change genes in the input of a model and see what moves: chosen genes, every gene, or as the authors do."""

import streamlit as st

from pages import _perturb_chosen as chosen
from pages import _perturb_effects as effects
from pages._frame import chosen_dataset, page_head
from pages._waiting import errors_as_text


def main() -> None:
    """Ask, wait, show."""
    page_head("Perturbation", "Which cells move when a gene is switched off?")
    dataset = chosen_dataset()
    left, right = st.columns([1, 3], gap="medium")
    asked = standing = row = None
    with left, errors_as_text():
        asked = chosen.controls(dataset)
    with right, errors_as_text():
        standing = None if asked is None else effects.wait_for(asked)
        if standing is None:
            effects.before_the_answer()
        else:
            row = effects.show_answer(standing)
    if standing is not None and row is not None:
        with errors_as_text():
            effects.show_numbers(standing)
            effects.show_closely(standing, row)


main()
