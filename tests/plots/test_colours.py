"""Colours belong to labels, and are told apart also by eyes that see fewer of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm_core.plots.colours import CYCLE, MAX_CATEGORIES, category_colours, natural_order, scale_colours
from scfm_core.plots.groups import group_cells

# Machado, Oliveira, Fernandes 2009, severity 1
SIGHTS = {
    "normal": np.eye(3),
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def linear(colours):
    parts = np.array([[int(colour[start : start + 2], 16) for start in (1, 3, 5)] for colour in colours]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    x, y, z = (np.cbrt(part) for part in (rgb @ np.transpose(to_xyz) / [0.95047, 1.0, 1.08883]).T)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize(("n_colours", "least"), [(8, 17), (16, 16), (20, 15), (30, 11)])
def test_categories_differ_for_every_sight(sight, n_colours, least):
    seen = lab(np.clip(linear(CYCLE[:n_colours]) @ np.transpose(SIGHTS[sight]), 1e-4, 1))
    distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 1e3 * np.eye(n_colours)
    assert distance.min() >= least


def test_the_cycle_is_long_enough():
    assert len(set(CYCLE)) == len(CYCLE) == MAX_CATEGORIES


@given(st.lists(st.text(max_size=6), max_size=30), st.randoms())
def test_colours_do_not_depend_on_the_order_of_labels(labels, random):
    shuffled = list(labels)
    random.shuffle(shuffled)
    assert category_colours(labels) == category_colours(shuffled)
    assert list(category_colours(labels)) == sorted(set(labels) - {""}, key=natural_order)


def test_a_selection_keeps_the_colours_of_the_column():
    column = pd.Series(pd.Categorical(["T", "B", "NK", "T"]))
    some = group_cells(column[column != "B"])
    everything = group_cells(column)
    assert dict(zip(some.labels, some.colours, strict=True)) == dict(
        zip(everything.labels, everything.colours, strict=True)
    )
    assert some.counts().tolist() == [0, 1, 2]


def test_numbers_sort_as_numbers_and_missing_values_are_no_group():
    groups = group_cells(pd.Series([10, 2, -1, 2, 1]))
    assert groups.labels == ("1", "2", "10")
    assert groups.codes.tolist() == [2, 1, -1, 1, 0]
    assert group_cells(pd.Series(["b", None, ""])).codes.tolist() == [0, -1, -1]


def test_an_ordered_categorical_keeps_its_order():
    stages = pd.Series(pd.Categorical(["late", "early"], categories=["early", "late"], ordered=True))
    assert group_cells(stages).labels == ("early", "late")


def test_many_categories_become_the_largest_and_other():
    sizes = np.arange(1, 41)
    groups = group_cells(np.repeat([f"c{size}" for size in sizes], sizes))
    assert groups.labels[-1] == "other"
    assert len(groups.labels) == 30
    assert groups.n_merged == 11
    assert groups.counts()[-1] == sizes[:11].sum()
    assert groups.counts().sum() == sizes.sum()
    assert len(set(groups.colours)) == 30
    assert "11 smallest" in groups.merged_sentence()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_signed_scale_has_a_neutral_middle(theme):
    shades = scale_colours("signed", theme)
    assert len(shades) % 2 == 1
    middle = linear(shades)[len(shades) // 2]
    assert np.ptp(middle) < 0.03
    assert linear(shades)[0].argmax() == 2
    assert linear(shades)[-1].argmax() == 0
