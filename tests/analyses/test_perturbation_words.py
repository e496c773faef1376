"""Every case has its words, every number in them is the table's, and nothing is claimed that was not measured."""

import itertools
from types import SimpleNamespace

import pandas as pd
import pytest

from scfm_core.analyses.perturbation_phrases import edit_in_words, group_in_words, percent, short, three_digits
from scfm_core.analyses.perturbation_words import CANNOT_MAKE_THE_EDIT, IS_THE_BASELINE, REMINDER, card
from tests.perturbation_rows import (
    ALTERNATIVE,
    GOAL,
    LOST,
    NAN,
    NOT_HELD,
    OF_DONORS,
    ROW,
    UNCOMPARED,
    answer,
    table,
)

DONORS = table({"edit": "LYZ", "group": "CD14+ monocytes", "donor": "D1", "n_cells": 120})
KEY = {"edit": "LYZ", "group": "CD14+ monocytes"}


def controls(*rows: dict) -> SimpleNamespace:
    common = {"group": "CD14+ monocytes", "edit": "", "symbol": "", "reason": "As expected."}
    common["expected"] = "as foreseen"
    return SimpleNamespace(table=table(*(common | row for row in rows)))


def all_text(found) -> str:
    return " ".join([found.headline, *found.sentences, *found.warnings, *found.reasons])


def test_the_headline_says_cells_donors_random_genes_and_the_baseline():
    row, goal = ROW | OF_DONORS, GOAL | OF_DONORS
    found = card(row, shifts=table(goal), donors=DONORS, baseline=answer(ROW, shifts=(GOAL,)))
    assert found.headline == (
        "Deleting LYZ moves 38 % of the CD14+ monocytes toward DC; 3 of 4 donors agree; a random gene of like "
        "abundance does this in 2 % of trials (p = 0.0198, 100 random genes); PCA says the same."
    )
    assert found.believable
    assert found.sentences[-1] == REMINDER
    assert found.warnings == ()
    text = all_text(found)
    assert "(95 % interval over donors 0.00190 to 0.00250)" in text
    assert "3 of 4 donors the cells shift the same way, toward DC (paired t-test of donor means against" in text
    assert "the mean random gene: p = 0.0210)." in text


def test_without_a_goal_the_size_is_the_finding():
    found = card(ROW, donors=pd.DataFrame())
    assert found.headline == (
        "Deleting LYZ moves the vectors of the CD14+ monocytes by 0.0123; a random gene of like abundance does this in "
        "2 % of trials (p = 0.0198, 100 random genes)."
    )
    assert found.sentences[0] == (
        "480 of 480 cells (100 %) hold the gene; their vectors move by 0.0123 on average, as 1 - cosine (95 % interval "
        "over cells 0.0119 to 0.0127)."
    )
    assert found.sentences[1] == (
        "On the 16 cells compared, the edit moves the vectors by 0.0121 and 100 random genes of like abundance by "
        "0.00412 on average (z = 4.00, p = 0.0198; with Benjamini-Hochberg over all rows 0.0297). These are 16 of the "
        "480 cells it changes: other cells would have given p between 0.00990 and 0.0396."
    )


def test_identity_stands_in_the_headline_and_in_a_sentence():
    switching = {"share_switching": 57 / 480, "switch_to": "DC", "n_switching": 57}
    found = card(ROW | switching | {"null_switching": 0.012, "p_switching": 1 / 101})
    assert "by 0.0123, and 12 % of them change their identity, most of these to DC;" in found.headline
    sentence = (
        "57 of the 480 (12 %) change their identity, the label of most of the nearest unperturbed cells, most often to "
        "DC; on the cells compared, 1.2 % do under random genes on average (p = 0.00990)."
    )
    assert sentence in found.sentences
    assert "change their identity" not in card(ROW | LOST | switching).headline
    none = card(ROW | {"share_switching": 0.0, "n_switching": 0})
    assert "0 of the 480 (0 %) change their identity" in all_text(none)
    assert "most often" not in all_text(none)


def test_a_gene_that_no_cell_holds_is_refused_with_its_reason():
    found = card(ROW | NOT_HELD | {"group": "B", "n_expressing": 48})
    assert found.headline == "Deleting LYZ cannot be tested in the B cells: the model reads it in no cell."
    assert not found.believable
    assert found.reasons == ("The model reads LYZ in none of the 480 cells of this group.",)
    assert "48 of them (10 %) express it, but the model does not read it there" in all_text(found)
    assert "express" not in all_text(card(ROW | NOT_HELD | {"n_expressing": 0}))
    assert "nan" not in all_text(found)
    assert "exactly 0" not in all_text(found)


def test_a_rarely_held_gene_warns():
    found = card(ROW | {"status": "rarely held", "share_holding": 0.034, "n_holding": 16})
    assert "Only 3.4 % of the cells (16) hold it, which is little to judge by." in found.warnings
    assert "the CD14+ monocytes that hold the gene" in found.headline


def test_without_donors_the_warning_says_what_is_missing():
    for donors in (None, pd.DataFrame()):
        (warning,) = card(ROW, donors=donors).warnings
        assert warning == (
            "Cells are not replicates: this dataset names no donors, so the intervals and p are exploratory. Name the "
            "column that holds the donors on the Dataset page."
        )
    (warning,) = card(ROW | {"n_donors": 2}, donors=DONORS).warnings
    assert "only 2 donors can be compared, fewer than 3" in warning


def test_donors_that_disagree_warn_and_are_counted_in_the_headline():
    disagree = OF_DONORS | {"donors_agree": 1, "p_donors": 0.61, "p": 0.61, "p_adjusted": 0.61}
    found = card(ROW | disagree, donors=DONORS)
    assert "; 1 of 4 donors agrees; " in found.headline
    assert "but over donors it may be chance (p = 0.610)" in found.headline
    assert found.warnings == ("The donors disagree: only 1 of 4 show it.",)


def test_correction_for_all_rows_is_told_where_it_decides():
    found = card(ROW | {"p_adjusted": 0.0792})
    assert "but among all that was tested it may be chance (adjusted p = 0.0792)" in found.headline


def test_no_more_than_random_genes():
    found = card(ROW | LOST, shifts=table(GOAL | LOST))
    assert found.headline == (
        "Deleting LYZ moves the CD14+ monocytes toward DC no more than a random gene of like abundance, which does as "
        "much in 60 % of trials (p = 0.600, 100 random genes)."
    )
    assert "toward" not in card(ROW | LOST).headline


def test_a_negative_shift_leads_away():
    found = card(ROW, shifts=table(GOAL | {"shift": -0.002, "null_effect": -0.002, "share_toward": 0.1}))
    assert found.headline.startswith("Deleting LYZ moves 90 % of the CD14+ monocytes away from DC;")


def test_a_shift_smaller_than_that_of_random_genes_is_no_finding_toward_the_goal():
    falls_short = {"null_effect": 0.0022, "null_mean": 0.02, "z": -5.0}
    found = card(ROW, shifts=table(GOAL | falls_short, ALTERNATIVE | falls_short | {"shift": 0.001}))
    assert found.headline == (
        "Deleting LYZ moves the CD14+ monocytes toward DC less far than a random gene of like abundance does (0.00220 "
        "against 0.0200 on the cells compared, two-sided p = 0.0198, 100 random genes)."
    )
    (sentence,) = [text for text in found.sentences if "toward NK" in text]
    assert "; less far than a random gene does (p = 0.0198)." in sentence
    baseline = answer(ROW, shifts=(GOAL | falls_short,))
    assert card(ROW, shifts=table(GOAL), baseline=baseline).headline.endswith("PCA does not show it.")


def test_too_few_random_genes_tell_nothing():
    few = {"n_null": 5, "p_empirical": 1 / 6, "p": 1 / 6, "p_adjusted": 1 / 6}
    words = "but 5 random genes are too few to compare with (no p below 0.167 is possible)."
    assert card(ROW | few, baseline=answer(ROW | few)).headline.endswith(f"by 0.0123, {words}")
    assert card(ROW | few, shifts=table(GOAL | few)).headline.endswith(f"toward DC {words}")


def test_donors_on_the_other_side_of_random_genes_are_told():
    aside = OF_DONORS | {"p": 1.0, "p_adjusted": 1.0}
    found = card(ROW, shifts=table(GOAL | aside), donors=DONORS)
    assert "but over donors it lies on the other side of random genes" in found.headline
    assert "taken as 1, as over donors" in all_text(found)
    larger = card(ROW | OF_DONORS | {"p": 0.021, "p_adjusted": 0.03}, donors=DONORS)
    assert "; the larger of this and p over donors, with Benjamini-Hochberg over all rows 0.0300)" in all_text(larger)


def test_without_random_genes_donors_neither_agree_nor_disagree_about_a_size():
    found = card(ROW | UNCOMPARED | OF_DONORS | {"donors_agree": 0, "p_donors": NAN}, donors=DONORS)
    assert "donors" not in " ".join([found.headline, *found.sentences[1:], *found.warnings])


def test_the_smallest_p_is_told_as_less_than():
    found = card(ROW | {"p_empirical": 1 / 101, "p": 1 / 101, "p_adjusted": 1 / 101})
    assert "in less than 1 % of trials (p = 0.00990, 100 random genes)" in found.headline


def test_alternatives_are_told_beside_the_goal():
    found = card(ROW, shifts=table(GOAL, ALTERNATIVE))
    (sentence,) = [text for text in found.sentences if "toward NK" in text]
    assert "-0.00100" in sentence
    assert "not clearly more than a random gene does" in sentence


def test_without_random_genes_nothing_is_claimed():
    found = card(ROW | UNCOMPARED, shifts=table(GOAL | dict.fromkeys(("z", "p_empirical", "p", "p_adjusted"), NAN)))
    assert "it was not compared with random genes, so it cannot be said whether any other gene" in found.headline
    assert "nan" not in all_text(found)


@pytest.mark.parametrize(
    ("mine", "other", "words"),
    [
        ({}, {}, "; PCA says the same."),
        ({}, LOST, "; PCA does not show it."),
        (LOST, LOST, "; PCA does not show it either."),
        (LOST, {}, "; PCA does show it."),
        ({}, NOT_HELD, "; PCA does not read it here."),
    ],
)
@pytest.mark.parametrize("with_goal", [True, False])
def test_the_baseline_stands_in_the_headline(mine, other, words, with_goal):
    goal = {**GOAL, **{name: value for name, value in mine.items() if name in GOAL}}
    goal_of_other = {**GOAL, **{name: value for name, value in other.items() if name in GOAL}}
    shifts = table(goal) if with_goal else None
    baseline = answer(ROW | other, shifts=(goal_of_other,) if with_goal else ())
    found = card(ROW | mine, shifts=shifts, baseline=baseline)
    assert found.headline.endswith(words)
    assert any("PCA, the baseline," in sentence for sentence in found.sentences)


def test_a_baseline_of_the_other_sign_says_the_opposite():
    baseline = answer(ROW, shifts=(GOAL | {"shift": -0.4, "null_effect": -0.4},))
    found = card(ROW, shifts=table(GOAL), baseline=baseline)
    assert found.headline.endswith("PCA says the opposite.")
    assert "shifts the cells toward DC by -0.400, on a scale of its own" in all_text(found)


@pytest.mark.parametrize("why", [IS_THE_BASELINE, CANNOT_MAKE_THE_EDIT])
def test_a_missing_baseline_is_said_why(why):
    found = card(ROW, baseline=why)
    assert why in found.sentences
    assert "PCA" not in found.headline
    assert "PCA" not in all_text(card(ROW))


@pytest.mark.parametrize("label", ["specific", "generic", "cannot tell"])
def test_generic_or_specific(label):
    comparison = SimpleNamespace(labels=table(KEY | {"label": label, "reason": "Moves T cells 1.1 times as far"}))
    found = card(ROW, comparison=comparison)
    assert " It moves T cells 1.1 times as far." in all_text(found)
    assert any("property of the gene" in warning for warning in found.warnings) == (label == "generic")
    assert found.believable


@pytest.mark.parametrize("explained", [True, False, None])
def test_what_the_baselines_explain_is_said(explained):
    account = table(KEY | {"explained": explained, "in_words": "Detection alone ranks it 3rd of 100"})
    found = card(ROW, explained=SimpleNamespace(edits=account))
    assert "Detection alone ranks it 3rd of 100." in found.sentences
    assert any("already explains" in warning for warning in found.warnings) == (explained is True)


HOUSEKEEPING = {"kind": "housekeeping gene", "symbol": "ACTB"}
FAILED = {"passed": False, "reason": "p = 0.02 against 20 random edits, limit 0.05."}


@pytest.mark.parametrize(
    ("control", "named"),
    [
        ({"kind": "silent gene", "symbol": "HBB"}, "silent gene (HBB)"),
        ({"kind": "scrambled edit", "edit": "LYZ"}, "scrambled edit"),
        (HOUSEKEEPING, "housekeeping gene (ACTB)"),
    ],
)
def test_a_failed_control_greys_the_result_with_the_reason(control, named):
    found = card(ROW, controls=controls(control | FAILED, {"kind": "top marker", "passed": True}))
    assert not found.believable
    (reason,) = found.reasons
    assert reason == (
        f"The control {named} failed. Expected: as foreseen. Found: p = 0.02 against 20 random edits, limit 0.05."
    )
    assert "Controls that came out as they should: top marker." in all_text(found)


def test_a_scramble_speaks_of_the_size_and_only_warns_of_a_shift():
    scramble = controls({"kind": "scrambled edit", "edit": "LYZ"} | FAILED)
    found = card(ROW, shifts=table(GOAL), controls=scramble)
    assert found.believable
    assert found.warnings[-1].endswith("It compares the size of the effect, not the shift toward a state.")


def test_where_nothing_is_claimed_nothing_speaks_against_the_claim():
    comparison = SimpleNamespace(labels=table(KEY | {"label": "generic", "reason": "Moves all."}))
    account = SimpleNamespace(edits=table(KEY | {"explained": True, "in_words": "Known."}))
    failed = controls({"kind": "scrambled edit", "edit": "LYZ"} | FAILED, HOUSEKEEPING | FAILED,
                      HOUSEKEEPING | {"passed": True}, {"kind": "top marker"} | FAILED)  # fmt: skip
    found = card(ROW | LOST | OF_DONORS, donors=DONORS, comparison=comparison, explained=account, controls=failed)
    (warning,) = found.warnings
    assert warning.startswith("The control top marker failed.")
    assert found.believable
    assert "Known." in found.sentences


def test_one_housekeeping_gene_of_several_or_the_marker_warn_only():
    found = card(
        ROW,
        controls=controls(
            HOUSEKEEPING | FAILED,
            HOUSEKEEPING | {"symbol": "B2M", "passed": True},
            {"kind": "top marker", "symbol": "S100A9"} | FAILED,
            {"kind": "silent gene", "passed": True},
            {"kind": "scrambled edit", "edit": "LYZ", "passed": None, "reason": "Too few cells."},
        ),
    )
    assert found.believable
    assert sum("failed" in warning for warning in found.warnings) == 2
    assert any(warning.endswith("Where nothing is found here, that says little.") for warning in found.warnings)
    assert "Controls that came out as they should: silent gene." in all_text(found)
    assert "No verdict from the control scrambled edit: too few cells." in all_text(found)


def test_controls_of_other_groups_and_other_edits_do_not_count():
    others = controls(
        {"kind": "silent gene", "passed": False, "group": "B cells"},
        {"kind": "scrambled edit", "passed": False, "edit": "CD3D"},
        {"kind": "scrambled edit", "passed": True, "edit": "LYZ"},
    )
    found = card(ROW, controls=others)
    assert found.believable
    assert "should: scrambled edit." in all_text(found)


@pytest.mark.parametrize(("quality", "words"), [("one-sided", "one side"), ("loose", "loose")])
def test_a_poor_match_warns(quality, words):
    assert any(words in warning for warning in card(ROW | {"match_quality": quality}).warnings)


def test_a_verdict_that_hangs_on_the_cells_drawn_warns():
    assert any("other one" in warning for warning in card(ROW | {"p_high": 0.12}).warnings)
    assert not any("other one" in warning for warning in card(ROW).warnings)
    every = card(ROW | {"null_n_cells": 480, "p_high": 2 / 101, "p_low": 2 / 101})
    assert "other cells would" not in all_text(every)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("LYZ", "Deleting LYZ"),
        ("overexpress GATA4", "Overexpressing GATA4"),
        ("scale GATA4 x0.5", "Scaling GATA4 to 0.5 times its value"),
        ("inhibit GATA4 by 2 quartiles", "Inhibiting GATA4 by two quartiles of the ranks"),
        ("activate GATA4", "Activating GATA4 by one quartile of the ranks"),
        ("LYZ+CD3D+MS4A1", "Deleting LYZ, CD3D and MS4A1 together"),
        ("LYZ+overexpress TBX5", "Deleting LYZ and overexpressing TBX5, together,"),
    ],
)
def test_every_kind_of_edit_is_said(label, words):
    assert edit_in_words({"edit": label}) == words
    for row in (ROW, ROW | LOST, ROW | NOT_HELD):
        found = card(row | {"edit": label})
        assert found.headline.startswith(words)
        assert ("set of genes" in all_text(found)) == ("+" in label and row["status"] == "tested")


@pytest.mark.parametrize(
    ("status", "compared", "donors", "goal", "identity"),
    list(itertools.product(*[[True, False]] * 5)),
)
def test_no_case_leaves_a_gap(status, compared, donors, goal, identity):
    """Every combination reads as sentences: no NaN, no None, no double stop, every sentence ended."""
    row = ROW | ({} if compared else UNCOMPARED) | (OF_DONORS if donors else {}) | ({} if status else NOT_HELD)
    row |= {"share_switching": 0.2, "n_switching": 96, "switch_to": "DC"} if identity and status else {}
    shift = GOAL | ({} if compared else dict.fromkeys(("z", "p_empirical", "p", "p_adjusted"), NAN))
    shift |= OF_DONORS if donors and compared else {}
    shift |= {} if status else {"shift": NAN}
    found = card(row, shifts=table(shift) if goal else None, donors=DONORS if donors else None, baseline=answer(row))
    for text in (found.headline, *found.sentences, *found.warnings, *found.reasons):
        assert text.endswith(".")
        assert ".." not in text
        assert "nan" not in text
        assert "None" not in text
        assert "not defined" not in text


def test_hostile_names_stay_on_one_line():
    name = "<script>alert(1)</script>\n\x1b[31m" + "x" * 300
    found = card(ROW | {"edit": name, "group": name})
    assert "\n" not in all_text(found)
    assert "\x1b" not in all_text(found)
    assert len(found.headline) < 400
    assert short("a\tb\x00") == "a b"


@pytest.mark.parametrize(("value", "text"), [(0.0297, "0.0297"), (1.0, "1.00"), (99.96, "100"), (123.4, "123")])
def test_three_digits(value, text):
    assert three_digits(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.094, "9.4 %"), (0.0951, "10 %"), (0.991, "more than 99 %"), (0.5, "50 %")]
)
def test_percent(share, text):
    assert percent(share) == text


def test_groups_are_named_as_cells():
    assert group_in_words({"group": "CD14+ monocyte"}) == "the CD14+ monocyte cells"
    assert group_in_words({"group": 3}) == "the cells of '3'"
