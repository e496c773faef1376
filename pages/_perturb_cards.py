"""The result of one edit in one group as a card in plain words, the baseline's card of the same size beside it."""

import numpy as np
import pandas as pd
import streamlit as st

from pages._perturb_standing import Part, Standing, matching
from pages._waiting import errors_as_text
from pages._words import cells_of, count, plain, plain_number, share
from scfm_core.analyses.perturb_genes import PerturbationEffects
from scfm_core.analyses.perturbation_words import CANNOT_MAKE_THE_EDIT, IS_THE_BASELINE, Card, card, goal_of

_WARNING, _REFUSED = ":orange[:material/warning:]", ":red[:material/block:]"


def card_of(standing: Standing, row: pd.Series) -> Card:
    """Return the model's card, with what is there by now."""
    effects = standing.effects
    return card(row, shifts=effects.shifts, donors=effects.donors, baseline=_baseline(standing))


def show_cards(standing: Standing, row: pd.Series) -> None:
    """Show the model's card, and the baseline's beside it."""
    places = st.columns(len(standing.parts), gap="small")
    with places[0], errors_as_text():
        _show(standing.parts[0], row, card_of(standing, row), "card")
    for place, part in zip(places[1:], standing.parts[1:], strict=True):
        with place, errors_as_text():
            mine = matching(part.effects.effects, row)
            if mine is not None:
                said = card(mine, shifts=part.effects.shifts, donors=part.effects.donors, baseline=IS_THE_BASELINE)
                _show(part, mine, said, "card-baseline")


def _baseline(standing: Standing) -> PerturbationEffects | str | None:
    if len(standing.parts) > 1:
        return standing.parts[1].effects
    if standing.asked.request.baseline.model.is_baseline:
        return IS_THE_BASELINE
    return CANNOT_MAKE_THE_EDIT if standing.asked.beside_wanted else None


def _show(part: Part, row: pd.Series, said: Card, key: str) -> None:
    with st.container(border=True, height="stretch", key=key):
        st.caption(f"**{plain(part.title)}**")
        headline = plain(said.headline, longest=900)
        st.markdown(f"**{headline}**" if said.believable else f":gray[**{headline}**]")
        if row["status"] != "not held":
            _numbers(part, row)
        for reason in said.reasons:
            st.markdown(f"{_REFUSED} {plain(reason, longest=600)}")
        for warning in said.warnings:
            st.markdown(f"{_WARNING} {plain(warning, longest=600)}")
        *measured, reminder = said.sentences or ("",)
        if measured:
            with st.expander("In full"):
                st.markdown("\n".join(f"- {plain(sentence, longest=900)}" for sentence in measured))
        st.caption(plain(reminder, longest=900))


def _numbers(part: Part, row: pd.Series) -> None:
    """Show the effect, how it stands beside random genes, and on how many cells it was measured."""
    goal = goal_of(row, part.effects.shifts)
    measured = row if goal is None else goal
    name, value = ("Effect", row["effect"]) if goal is None else (f"Toward {goal['state']}", goal["shift"])
    unit = "1 - cosine" if goal is None else "difference of cosines"
    first, second, third = st.columns(3, gap="small")
    first.metric(plain(name), plain_number(value), help=f"{unit}, mean over the cells that hold the gene.")
    compared = np.isfinite(measured["p"])
    n_null = count(measured["n_null"]) if compared else "0"
    second.metric(
        f"p, {n_null} random genes" if compared else "p, no random genes yet",
        plain_number(measured["p"]) if compared else "-",
        help="How often a random gene that as many of these cells hold does as much. Where there are donors, the "
        "larger one of this and of the paired t-test over donors. Not corrected for the other lines.",
    )  # fmt: skip
    third.metric(
        f"Hold it, of {cells_of(int(row['n_cells']))}", share(row["share_holding"]),
        help="Share of the cells whose input the edit changes. Everything is measured on these.",
    )  # fmt: skip
