"""How far cells move, and toward what: the figures of both models, and the ranked table."""

import numpy as np
import pandas as pd
import streamlit as st

from pages._columns import EFFECT_COLUMNS, SHIFT_COLUMNS, in_percent
from pages._perturb_standing import MORE_THAN_RANDOM, Part, Standing, matching, name_of
from pages._show import HALF, WIDE, TableFile, downloads, draw, provenance, say, theme
from pages._waiting import errors_as_text
from pages._words import count, file_stem, plain, plain_number
from scfm_core.plots.goal_volcano import goal_volcano
from scfm_core.plots.perturbation import effect_bars, null_histogram

GREY = {"light": "color: #63707a", "dark": "color: #98a5b0"}
FEW = 3
NO_TEST = {"test": "none: nothing is tested in this table", "correction": "none"}
_SCALES = (
    "Grey: no more than random genes do, rarely held, or not testable; the column says which. Effects of two models "
    "are on scales of their own: compare each with its own random genes."
)


def show_effects(standing: Standing, row: pd.Series) -> None:
    """Show how far cells move under each model, toward what, and the numbers."""
    with errors_as_text():
        _bars(standing)
    st.markdown(f"**{name_of(row)}, beside the random genes**")
    with errors_as_text():
        _nulls(standing, row)
    if standing.effects.states:
        with errors_as_text():
            _toward(standing)
    with errors_as_text():
        show_table(standing)


def facts_of(standing: Standing, part: Part) -> dict[str, str]:
    """Return what stands above a table."""
    request = part.request
    return provenance(
        standing.dataset,
        request,
        model=request.baseline.model.title,
        effect="mean of 1 - cosine between a cell's vector before and after, over the cells that hold the gene",
        shift="mean difference of the cosine with the mean vector of a state, after minus before, over the same cells",
        seed=str(request.seed),
    )


def _bars(standing: Standing) -> None:
    """Show the effects of each model beside its random genes."""
    n_rows = len(standing.effects.effects)
    places = st.columns(len(standing.parts), gap="medium") if n_rows <= FEW else [st.container()] * len(standing.parts)
    for place, part in zip(places, standing.parts, strict=True):
        with place, errors_as_text():
            st.markdown(f"**{plain(part.title)}**")
            figure = effect_bars(part.effects)
            narrow = n_rows <= FEW and len(standing.parts) > 1
            draw(figure, f"{standing.key}:bars:{part.title}", width=HALF if narrow else WIDE)
            stem = file_stem(standing.dataset.title, "effects", part.title)
            downloads(f"bars:{part.title}", stem=stem, figure=figure)
    say(effect_bars(standing.effects))


def _nulls(standing: Standing, row: pd.Series) -> None:
    """Show the random genes of each model with the tested gene among them."""
    figure = None
    for place, part in zip(st.columns(len(standing.parts), gap="medium"), standing.parts, strict=True):
        with place, errors_as_text():
            st.markdown(f"**{plain(part.title)}**")
            same = matching(part.effects.effects, row)
            if same is None or not np.isfinite(same["p_empirical"]):
                st.caption("No random genes to compare with here.")
                continue
            figure = null_histogram(part.effects, row["edit"], row["group"])
            draw(figure, f"{standing.key}:null:{part.title}", width=HALF)
            stem = file_stem(standing.dataset.title, "null", part.title, row["edit"])
            downloads(f"null:{part.title}", stem=stem, figure=figure)
    if figure is not None:
        say(figure)


def _toward(standing: Standing) -> None:
    """Show the shifts toward a state, as a volcano and as a table."""
    states = standing.effects.states
    state = states[0] if len(states) == 1 else st.segmented_control(
        "Toward", states, default=states[0], required=True, key=f"{standing.key}:state",
        format_func=lambda name: f"{name} (goal)" if name == states[0] else name,
    )  # fmt: skip
    st.markdown(f"**Toward {plain(state)}**")
    figure = None
    for place, part in zip(st.columns(len(standing.parts), gap="medium"), standing.parts, strict=True):
        with place, errors_as_text():
            st.markdown(f"**{plain(part.title)}**")
            figure = goal_volcano(part.effects, state)
            draw(figure, f"{standing.key}:volcano:{part.title}", width=HALF)
            stem = file_stem(standing.dataset.title, "toward", state, part.title)
            downloads(f"volcano:{part.title}", stem=stem, figure=figure)
    if figure is not None:
        say(figure)
    table = pd.concat([part.effects.shifts.assign(model=part.title) for part in standing.parts], ignore_index=True)
    table = table.sort_values("shift", ascending=False, kind="stable", ignore_index=True)
    columns = [name for name in SHIFT_COLUMNS if name in table]
    st.dataframe(in_percent(table[columns]), hide_index=True, column_config=SHIFT_COLUMNS, column_order=columns)
    about = facts_of(standing, standing.parts[0])
    stem = file_stem(standing.dataset.title, "shifts", *standing.effects.edits[:3])
    downloads("shifts", stem=stem, tables=[TableFile(label="Shifts", table=lambda: table, about=about)])


def ranked(standing: Standing) -> pd.DataFrame:
    """Return the effects of all models, the smallest p first, then the largest effect."""
    table = pd.concat([part.table for part in standing.parts], ignore_index=True)
    order = table.assign(p_sort=table["p"].fillna(2.0)).sort_values(
        ["p_sort", "effect"], ascending=[True, False], kind="stable", na_position="last"
    )
    return order.drop(columns="p_sort").reset_index(drop=True)


def show_table(standing: Standing) -> None:
    """Show the effects of all models; a line that fails its control is grey."""
    table, grey = ranked(standing), GREY[theme()]
    columns = [name for name in EFFECT_COLUMNS if name in table]
    lines = in_percent(table[columns]).style.apply(
        lambda row: [grey if row["verdict"] != MORE_THAN_RANDOM else ""] * len(row), axis=1
    )
    st.dataframe(lines, hide_index=True, column_config=EFFECT_COLUMNS, column_order=columns, placeholder="-")
    effects = standing.effects
    st.caption(
        f"{_SCALES} {count(effects.n_passes)} cells went through {plain(standing.parts[0].title)}. Arithmetic alone "
        f"moves a vector by up to {plain_number(effects.noise_floor)}: a smaller effect means nothing."
    )
    about = facts_of(standing, standing.parts[0])
    stem = file_stem(standing.dataset.title, "effects", *effects.edits[:3])
    downloads("effects", stem=stem, tables=[TableFile(label="Effects", table=lambda: table, about=about)])
