"""The result of one edit in one group as a card in plain words, the baseline's card of the same size beside it."""

import numpy as np
import pandas as pd
import streamlit as st

from pages._perturb_standing import Part, Standing, matching
from pages._waiting import errors_as_text, stored
from pages._words import cells_of, count, plain, plain_number, share
from scfm_core.analyses.perturb_genes import PerturbationEffects
from scfm_core.analyses.perturbation_words import CANNOT_MAKE_THE_EDIT, IS_THE_BASELINE, Card, card, goal_of

_WARNING, _REFUSED = ":orange[:material/warning:]", ":red[:material/block:]"


def card_of(standing: Standing, row: pd.Series) -> Card:
    """Return the model's card, with what is there by now."""
    chain, effects = standing.chain, standing.effects
    return card(
        row, shifts=effects.shifts, donors=effects.donors, baseline=_baseline(standing),
        comparison=stored(chain.comparison), controls=stored(chain.controls), explained=stored(chain.explanation),
    )  # fmt: skip


def show_cards(standing: Standing, row: pd.Series) -> None:
    """Show the model's card, and the baseline's beside it, or the place where it will stand."""
    places = st.columns(1 if standing.asked.beside is None else 2, gap="small")
    with places[0], errors_as_text():
        _show(standing.parts[0], row, card_of(standing, row), "result")
    for place in places[1:]:
        with place, errors_as_text():
            _show_baseline(standing, row)


def _show_baseline(standing: Standing, row: pd.Series) -> None:
    part = standing.parts[1] if len(standing.parts) > 1 else None
    mine = None if part is None else matching(part.effects.effects, row)
    if part is None or mine is None:
        with st.container(border=True, height="stretch", key="result-baseline"):
            st.caption("**The baseline**")
            st.caption("Its answer will stand here.")
        return
    said = card(mine, shifts=part.effects.shifts, donors=part.effects.donors, baseline=IS_THE_BASELINE)
    _show(part, mine, said, "result-baseline")


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
            st.markdown(_numbers(part, row))
        doubts = [f"{_REFUSED} {plain(reason, longest=600)}" for reason in said.reasons]
        doubts += [f"{_WARNING} {plain(warning, longest=600)}" for warning in said.warnings]
        if doubts:
            st.caption("  \n".join(doubts))
        *measured, reminder = said.sentences or ("",)
        if measured:
            with st.expander("In full"):
                st.caption("\n".join(f"- {plain(sentence, longest=900)}" for sentence in measured))
        st.caption(plain(reminder, longest=900))


def _numbers(part: Part, row: pd.Series) -> str:
    """Write the effect, how it stands beside random genes, and on how many cells it was measured."""
    goal = goal_of(row, part.effects.shifts)
    measured = row if goal is None else goal
    name, value = ("Effect", row["effect"]) if goal is None else (f"Toward {goal['state']}", goal["shift"])
    unit = "1 - cosine" if goal is None else "difference of cosines"
    holding = f"{count(row['n_holding'])} of {cells_of(int(row['n_cells']))} ({share(row['share_holding'])})"
    lines = [f"**{plain(name)}** {plain(f'{plain_number(value)} ({unit})')}", f"**Measured on** {plain(holding)}"]
    if np.isfinite(measured["p"]):
        over = "over donors and cells" if measured["evidence"] == "donors" else "over cells"
        words = f"{plain_number(measured['p'])} {over}, {count(measured['n_null'])} random genes{_range(row, goal)}"
        lines.insert(1, f"**p** {plain(words, longest=300)}")
    return "  \n".join(lines)


def _range(row: pd.Series, goal: object) -> str:
    """Say where p could lie had other cells been drawn for the comparison."""
    if goal is not None or not np.isfinite(row["p_low"]) or row["null_n_cells"] >= row["n_holding"]:
        return ""
    low, high = plain_number(row["p_low"]), plain_number(row["p_high"])
    return f"; with other cells than these {count(row['null_n_cells'])} it could lie between {low} and {high}"
