"""Figures of names: their numbers are the answer's, both renderers draw them, nothing to draw is told."""

import json

import numpy as np
import pandas as pd
import pytest

from scfm_core.analyses.name_by_celltypist import CelltypistNames
from scfm_core.analyses.name_by_markers import MarkerNames
from scfm_core.analyses.name_by_reference import ReferenceNames
from scfm_core.errors import RequestError
from scfm_core.plots.figure import Figure, HeatMap, Points
from scfm_core.plots.name_scores import MOST_GROUPS, MOST_SETS, name_score_map
from scfm_core.plots.name_shares import celltypist_share_map, reference_share_map
from scfm_core.plots.print import to_svg
from scfm_core.plots.screen import to_plotly

HOSTILE = "<b>$x$</b> %{x}"


def marker_names(n_groups: int = 3, n_sets: int = 4) -> MarkerNames:
    random = np.random.default_rng(0)
    groups = [HOSTILE, *(str(number) for number in range(1, n_groups))]
    sets = [f"type {number}" for number in range(n_sets)]
    scores = pd.DataFrame(
        [
            {
                "group": group, "set": one, "z": random.normal(), "p_adjusted": 0.01, "support": 0.5, "n_raised": 3,
                "n_expressed": 8,
            }
            for group in groups
            for one in sets
        ]
    )  # fmt: skip
    best = scores.loc[scores.groupby("group", sort=False)["z"].idxmax(), "set"].tolist()
    named = ["unknown", *best[1:]]
    table = pd.DataFrame({"group": groups, "n_cells": 10, "name": named})
    return MarkerNames(table, scores, pd.DataFrame(), "mine", ("2 of 6 sets were not scored.",))


def shares() -> tuple[pd.DataFrame, pd.DataFrame]:
    groups = pd.DataFrame({"group": ["1", HOSTILE], "n_cells": [40, 1200], "name": ["B", "unknown"]})
    table = pd.DataFrame({"group": ["1", HOSTILE, HOSTILE], "name": ["B", "B", HOSTILE], "share": [0.9, 0.1, 0.3]})
    return groups, table


def drawn(figure: Figure) -> None:
    for theme in ("light", "dark"):
        assert json.loads(to_plotly(figure, theme=theme).to_json())["data"]
    assert b"<svg" in to_svg(figure)
    assert figure.caption
    assert figure.caveat
    assert "n =" in figure.title or "n\u00a0=" in figure.title


def test_scores_are_those_of_the_answer() -> None:
    names = marker_names()
    figure = name_score_map(names)
    drawn(figure)
    heat = next(mark for mark in figure.panels[0].marks if isinstance(mark, HeatMap))
    sets = [name for _, name in figure.panels[0].y.ticks or ()]
    for column, group in enumerate(names.groups["group"]):
        for row, one in enumerate(sets):
            mine = names.scores[(names.scores["group"] == group) & (names.scores["set"] == one)]
            assert heat.colour.values[row, column] == mine["z"].iloc[0]
    dots = next(mark for mark in figure.panels[0].marks if isinstance(mark, Points))
    named = names.groups["name"].tolist()
    assert [sets[int(y)] for y in dots.y] == [named[int(x)] for x in dots.x] == named[1:]
    assert figure.title.startswith("2 of 3 groups named by markers")
    assert "2 of 6 sets were not scored." in figure.caption


def test_many_groups_and_sets_are_cut_and_it_is_told() -> None:
    figure = name_score_map(marker_names(MOST_GROUPS + 5, 60))
    assert len(figure.panels[0].y.ticks or ()) == MOST_SETS
    assert len(figure.panels[0].x.ticks or ()) == MOST_GROUPS
    assert f"The first {MOST_GROUPS} of {MOST_GROUPS + 5} groups are drawn." in figure.caption


def test_shares_are_per_cent_of_the_group() -> None:
    groups, table = shares()
    figure = reference_share_map(ReferenceNames(groups, table, pd.DataFrame(), ()))
    drawn(figure)
    heat = next(mark for mark in figure.panels[0].marks if isinstance(mark, HeatMap))
    np.testing.assert_allclose(heat.colour.values, [[90, 10], [0, 30]])
    assert "Groups that stay unknown: 1." in figure.caption


def test_only_sure_votes_of_a_model_are_drawn() -> None:
    groups, table = shares()
    table["passing_share"] = [0.8, 0.0, 0.2]
    figure = celltypist_share_map(CelltypistNames(groups, table, ()))
    drawn(figure)
    heat = next(mark for mark in figure.panels[0].marks if isinstance(mark, HeatMap))
    np.testing.assert_allclose(heat.colour.values, [[80, 0], [0, 20]])


def test_nothing_to_draw_is_told() -> None:
    groups, table = shares()
    with pytest.raises(RequestError) as error:
        reference_share_map(ReferenceNames(groups, table.iloc[:0], pd.DataFrame(), ()))
    assert error.value.code == "nothing-to-draw"
    names = marker_names()
    with pytest.raises(RequestError) as error:
        name_score_map(MarkerNames(names.groups, names.scores.iloc[:0], names.genes, "", ()))
    assert error.value.code == "nothing-to-draw"
