"""Chosen genes are edited, beside random genes and beside PCA: the answer in words, and the figures behind it."""

import streamlit as st

from pages._perturb_belief import show_belief
from pages._perturb_cards import show_cards
from pages._perturb_chosen import Asked
from pages._perturb_effects import show_effects
from pages._perturb_files import show_files
from pages._perturb_followers import show_followers
from pages._perturb_landing import show_landing
from pages._perturb_stages import Chain, advance, show_chain
from pages._perturb_standing import Standing, choose_line, standing_of
from pages._show import two_lines
from pages._waiting import answer, errors_as_text

TABS = {
    "How far": show_effects,
    "Can it be believed": show_belief,
    "Where cells land": show_landing,
    "Other genes": show_followers,
    "Tables and report": show_files,
}


def beside(asked: Asked | None) -> Standing | None:
    """Show the result cards and how far the answer is; or what the page is about to show."""
    if asked is None:
        _before_the_answer()
        return None
    chain = Chain(asked)
    running = advance(chain)
    standing = standing_of(chain)
    if standing is None:
        answer(chain.levels[0])
        return None
    row = choose_line(standing)
    show_cards(standing, row)
    with st.container(border=True, gap="xsmall", key="chain"):
        show_chain(chain, running)
    return standing


def below(asked: Asked, standing: Standing) -> None:
    """Show the figures, what there is to believe it, and the files; what is not open is not drawn."""
    row = choose_line(standing, shown=False)
    tabs = st.tabs(list(TABS), key="perturb-tabs", on_change="rerun")
    for tab, show in zip(tabs, TABS.values(), strict=True):
        if tab.open:
            with tab, errors_as_text():
                show(standing, row)


def _before_the_answer() -> None:
    two_lines(
        "How far the model moves each cell's vector when a gene is changed in its input, and whether the cells come "
        "closer to a goal: beside random genes that as many of the same cells hold, beside genes of which one knows "
        "what they should do, and beside PCA.",
        "That real cells would change like this. This is a statement about the model's input, not an experiment.",
    )
