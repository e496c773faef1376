"""Every status has a sentence, and every number in it is the row's."""

import pytest

from scfm_core.analyses.perturbation_words import sentence, three_digits

ROW = {
    "edit": "LYZ",
    "group": "CD14+ monocytes",
    "n_cells": 480,
    "n_holding": 480,
    "share_holding": 1.0,
    "effect": 0.01234,
    "ci_low": 0.01192,
    "ci_high": 0.01271,
    "ci_over": "cells",
    "null_mean": 0.00412,
    "n_null": 100,
    "null_n_cells": 16,
    "p_empirical": 1 / 101,
    "p_adjusted": 3 / 101,
    "match_quality": "close",
    "status": "tested",
}
NAN = float("nan")


def test_a_tested_gene():
    assert sentence(ROW) == (
        "Switching off LYZ moves the vectors of CD14+ monocytes by 0.0123 on average, as 1 - cosine (95 % interval "
        "over cells 0.0119 to 0.0127; 480 of 480 cells hold the gene). A random gene of like abundance moves them by "
        "0.00412 on average; 0 of 100 random genes move them as much (p = 0.00990, BH-adjusted 0.0297; compared on "
        "16 cells that hold the gene). Cells are not replicates: without donors the interval and p are exploratory. "
        "This is a statement about the model's input, not an experiment."
    )


def test_a_gene_that_no_cell_holds():
    words = sentence(ROW | {"status": "not held", "n_holding": 0, "effect": 0.0, "p_empirical": NAN, "group": "B"})
    assert "In the cells of 'B', the model reads LYZ in none of 480 cells:" in words
    assert "exactly 0" in words
    assert "random" not in words
    assert "although 47 of them express it" in sentence(ROW | {"status": "not held", "n_expressing": 47})
    assert "nan" not in words


def test_a_rarely_held_gene():
    words = sentence(ROW | {"status": "rarely held", "share_holding": 0.034, "n_holding": 16})
    assert "Only 3.4 % of the cells hold it" in words


def test_a_joint_edit_speaks_of_sets():
    words = sentence(ROW | {"edit": "LYZ+CD3D+MS4A1", "p_empirical": 2 / 101})
    assert "LYZ, CD3D and MS4A1 together" in words
    assert "hold at least one of the genes" in words
    assert "1 of 100 random sets of genes moves them as much" in words


def test_donors_are_replicates_and_edges_are_told():
    words = sentence(ROW | {"ci_over": "donors", "match_quality": "one-sided"})
    assert "interval over donors" in words
    assert "exploratory" not in words
    assert "one side" in words
    assert "loose" in sentence(ROW | {"match_quality": "loose"})


def test_without_random_genes_nothing_is_claimed():
    words = sentence(ROW | {"n_null": 0, "p_empirical": NAN, "p_adjusted": NAN, "ci_low": NAN, "ci_high": NAN})
    assert "not compared with random genes" in words
    assert "nan" not in words


@pytest.mark.parametrize(
    ("p_model", "p_baseline", "expected"),
    [
        (0.01, 0.02, "finds it too"),
        (0.01, 0.60, "PCA, the baseline, does not find it:"),
        (0.60, 0.60, "does not find it either"),
        (0.60, 0.01, "finds what the model does not"),
    ],
)
def test_the_baseline_stands_beside_the_model(p_model, p_baseline, expected):
    assert expected in sentence(ROW | {"p_empirical": p_model}, baseline=ROW | {"p_empirical": p_baseline})


def test_a_silent_baseline_is_said():
    assert "does not read the gene" in sentence(ROW, baseline=ROW | {"status": "not held"})
    assert "scale of its own" in sentence(ROW, baseline=ROW | {"p_empirical": NAN, "n_null": 0})


@pytest.mark.parametrize(("value", "text"), [(0.0297, "0.0297"), (1.0, "1.00"), (99.96, "100."), (123.4, "123")])
def test_three_digits(value, text):
    assert three_digits(value).rstrip(".") == text.rstrip(".")
