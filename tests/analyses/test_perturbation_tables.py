"""Every column of the tables, recomputed with plain loops from the same measured numbers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, ttest_1samp, ttest_rel

from scfm_core.analyses.measure_edits import EditedCells
from scfm_core.analyses.perturbation_donors import interval_over_donors, paired_p
from scfm_core.analyses.perturbation_null import Match, empirical_p, level_null
from scfm_core.analyses.perturbation_shifts import level_shifts, two_sided_p
from scfm_core.analyses.perturbation_study import RandomGenes, Study
from scfm_core.analyses.perturbation_switching import majority_labels
from scfm_core.analyses.perturbation_tables import (
    cells_table,
    donors_table,
    effects_table,
    null_table,
    shifts_table,
    switches_table,
)
from scfm_core.tokens import Delete, Overexpress
from tests.analyses.planted import dataset_of

N_CELLS, N_NULL, K = 60, 12, 5
CHOSEN = np.arange(4, 54)  # 50 of the 60 cells of the dataset
GROUPS = np.array(["B", "T"])[(np.arange(50) >= 20).astype(int)]
DONORS = np.array([*"abcd", ""])[np.arange(50) % 5]
IDENTITY = np.array(["", "B", "T", "NK"])[np.arange(N_CELLS) % 4]
LABELS = ("G0", "overexpress G1", "G2", "G3+G4")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A study of four edits, of which G2 is held by no cell of T and by one cell of B, with random genes."""
    rng = np.random.default_rng(0)
    dataset = dataset_of(tmp_path_factory.mktemp("tables") / "d", rng.poisson(0.7, size=(N_CELLS, 8)))
    ids = [Delete(gene_id) for gene_id in dataset.gene_ids]
    members = {"B": np.arange(1, 20), "T": np.arange(20, 50)}  # the first cell has no vector
    study = Study(
        dataset=dataset,
        edits=((ids[0],), (Overexpress(dataset.gene_ids[1]),), (ids[2],), (ids[3], ids[4])),
        labels=LABELS,
        kinds=("delete", "overexpress", "delete", "delete"),
        chosen=CHOSEN,
        groups=GROUPS,
        donors=DONORS,
        members=members,
        in_random_order={name: rng.permutation(cells) for name, cells in members.items()},
        states=("well", "worse"),
        state_roles=("goal", "alternative"),
        seed=3,
        identity=IDENTITY,
        null_genes=N_NULL,
        null_cells=9,
    )
    holds = rng.random((4, 50)) < np.array([0.7, 1.0, 0.0, 0.8])[:, None]
    holds[2, 5] = True
    holds[:, 0] = False
    distance = np.where(holds, rng.gamma(2.0, 0.01, size=(4, 50)), np.nan)
    distance[0, np.flatnonzero(holds[0])[3]] = np.nan  # the edit leaves this cell without a vector
    shifts = np.where(np.isnan(distance), np.nan, rng.normal(0, 0.05, size=(2, 4, 50))).transpose(1, 0, 2)
    before = rng.integers(0, N_CELLS, size=(50, K)).astype(np.int32)
    after = np.where(holds[..., None], rng.integers(0, N_CELLS, size=(4, 50, K)), before[None]).astype(np.int32)
    before[0] = after[:, 0] = -1
    edited = EditedCells(CHOSEN, holds, distance, shifts, before, after, 0.0, 0)
    return study, edited, some_random_genes(study, holds, rng)


def some_random_genes(study, holds, rng):
    draws, pairs, matches, abundance = [], [], {}, {}
    for group in ("B", "T"):
        for edit in range(4):
            if not holds[edit, study.members[group]].any():
                continue
            for draw in range(N_NULL):
                number = len(draws)
                draws.append((edit, group, draw, number, f"R{number}"))
                order = study.in_random_order[group]
                cells = CHOSEN[order[rng.random(len(order)) < 0.6][:9]]
                pairs += [(number, cell) for cell in cells]
            matches[edit, group] = Match(np.zeros((N_NULL, 1), dtype=np.int64), 0.07, one_sided=False)
            abundance[edit, group] = rng.normal(size=(N_NULL + 1, 2))
    number, cell = np.array(pairs).T
    mixed = rng.permutation(len(number))  # the order of the pairs carries no meaning
    distance = rng.gamma(2.0, 0.01, size=len(number))
    distance[7] = np.nan
    return RandomGenes(
        pd.DataFrame(draws, columns=["edit", "group", "draw", "number", "symbols"]).sample(frac=1, random_state=1),
        matches, abundance, number[mixed], cell[mixed], distance[mixed],
        rng.normal(0, 0.05, size=(2, len(number)))[:, mixed],
        rng.integers(0, N_CELLS, size=(len(number), K)).astype(np.int32)[mixed], len(number),
    )  # fmt: skip


def holding(study, edited, edit, group):
    cells = study.members[group]
    return np.array([cell for cell in cells if edited.holds[edit, cell] and not np.isnan(edited.distance[edit, cell])])


def random_values(random, edit, group, values):
    """The cells and values of each random gene of an edit, in the order of the draws."""
    rows = random.draws[(random.draws.edit == edit) & (random.draws.group == group)].sort_values("draw")
    for row in rows.itertuples():
        mine = (random.number == row.number) & ~np.isnan(values)
        yield row.symbols, random.cell[mine], values[mine]


def vote(neighbours):
    names = [str(name) for name in IDENTITY[neighbours[neighbours >= 0]] if name]
    return max(names, key=lambda name: (names.count(name), -names.index(name)), default="")


def cells_and_keys(measured):
    study, edited, random = measured
    for edit, label in enumerate(LABELS):
        for group in ("B", "T"):
            cells = holding(study, edited, edit, group)
            if len(cells):
                yield edit, group, label, cells


def test_effects_are_means_over_the_cells_that_hold_the_edit(measured):
    study, edited, random = measured
    found = effects_table(*measured)
    assert found.edit.tolist() == [label for label in LABELS for _ in range(2)]
    assert found.group.tolist() == ["B", "T"] * 4
    rows = found.set_index(["edit", "group"])
    for edit, group, label, cells in cells_and_keys(measured):
        row = rows.loc[label, group]
        assert row.effect == pytest.approx(edited.distance[edit, cells].mean())
        assert row.n_holding == len(cells)
        emptied = edited.holds[edit, study.members[group]].sum() - len(cells)
        assert row.n_cells == len(study.members[group]) - emptied
        assert row.share_holding == row.n_holding / row.n_cells
        assert row.status == ("rarely held" if row.share_holding < 0.1 else "tested")
        assert row.kind == study.kinds[edit]
        assert not row.ci_low > row.effect
        assert not row.ci_high < row.effect


def test_an_edit_that_no_cell_holds_has_no_numbers_and_is_no_test(measured):
    row = effects_table(*measured).set_index(["edit", "group"]).loc["G2", "T"]
    assert (row.status, row.n_holding, row.n_null, row.null_n_cells, row.n_cells) == ("not held", 0, 0, 0, 30)
    numbers = ["effect", "ci_low", "ci_high", "null_effect", "null_mean", "null_sd", "z", "p_empirical", "p_low"]
    numbers += ["p_high", "p_donors", "p", "p_adjusted", "match_distance", "share_switching", "p_switching"]
    assert row[numbers].isna().all()
    assert (row.match_quality, row.switch_to, row.evidence) == ("", "", "cells")
    shift = shifts_table(*measured).set_index(["edit", "group", "state"]).loc["G2", "T", "well"]
    assert shift[["shift", "ci_low", "share_toward", "null_effect", "z", "p", "p_adjusted"]].isna().all()
    assert shift.n_cells == 0


def test_sizes_and_shifts_are_compared_with_levelled_random_genes(measured):
    study, edited, random = measured
    effects = effects_table(*measured).set_index(["edit", "group"])
    shifts = shifts_table(*measured).set_index(["edit", "group", "state"])
    assert len(shifts) == 16
    for edit, group, label, _ in cells_and_keys(measured):
        order = study.in_random_order[group]
        sample = [cell for cell in order if edited.holds[edit, cell]][:9]
        cases = [(effects.loc[label, group], edited.distance[edit], random.distance, level_null, empirical_p)]
        for state, name in enumerate(study.states):
            own = shifts.loc[label, group, name], edited.shifts[edit, state], random.shifts[state]
            cases.append((*own, level_shifts, two_sided_p))
        for row, own, others, level, p_of in cases:
            observed = np.nanmean(own[sample])
            null = np.array([each.mean() for _, _, each in random_values(random, edit, group, others)])
            null = level(observed, null, random.abundance[edit, group])
            assert row.null_effect == pytest.approx(observed)
            assert row.n_null == N_NULL
            assert row.null_mean == pytest.approx(null.mean())
            assert row.null_sd == pytest.approx(null.std(ddof=1))
            assert row.z == pytest.approx((observed - null.mean()) / null.std(ddof=1))
            assert row.p_empirical == pytest.approx(p_of(observed, null))
        assert effects.loc[label, group].null_n_cells == len(sample)
        assert effects.loc[label, group].p_low <= effects.loc[label, group].p_empirical
        assert effects.loc[label, group].p_empirical <= effects.loc[label, group].p_high


def donor_numbers(measured, edit, group, *, state=None):
    """Per donor: holding cells, mean of the edit, mean of its levelled random genes; by loops."""
    study, edited, random = measured
    own, others = edited.distance[edit], random.distance
    level = level_null
    if state is not None:
        own, others, level = edited.shifts[edit, state], random.shifts[state], level_shifts
    sample = [cell for cell in study.in_random_order[group] if edited.holds[edit, cell]][:9]
    pairs = list(random_values(random, edit, group, others))
    measured_means = np.array([values.mean() for _, _, values in pairs])
    levelled = level(np.nanmean(own[sample]), measured_means, random.abundance[edit, group])
    found = {}
    for donor in "abcd":
        mine = [cell for cell in holding(study, edited, edit, group) if DONORS[cell] == donor]
        means = []
        for (_, cells, values), before, after in zip(pairs, measured_means, levelled, strict=True):
            here = values[DONORS[cells - 4] == donor]
            if len(here):
                means.append((here + after - before if state is not None else here * after / before).mean())
        found[donor] = (len(mine), own[mine].mean() if mine else np.nan, np.mean(means))
    return found


def test_donors_are_tested_in_pairs_and_both_tests_must_agree(measured):
    effects, shifts = effects_table(*measured), shifts_table(*measured)
    by_donor = donors_table(*measured).set_index(["edit", "group", "donor"])
    tested = 0
    for edit, group, label, _ in cells_and_keys(measured):
        for state, name in ((None, ""), (0, "well"), (1, "worse")):
            numbers = donor_numbers(measured, edit, group, state=state)
            table = effects if state is None else shifts[shifts.state == name]
            row = table.set_index(["edit", "group"]).loc[(label, group)]
            replicates = {donor: each for donor, each in numbers.items() if each[0] >= 3}
            assert row.n_donors == len(replicates)
            _, effect, null = np.array([*replicates.values()] or np.empty((0, 3))).T
            agree = effect > null if state is None else np.sign(effect) == np.sign(row["shift"])
            assert row.donors_agree == agree.sum()
            if len(replicates) < 3:
                assert (np.isnan(row.p_donors), row.evidence, row.ci_over) == (True, "cells", "cells")
                assert row.p == row.p_empirical
                continue
            tested += 1
            if state is None:
                expected = ttest_rel(np.log(effect), np.log(null), alternative="greater").pvalue
            else:
                expected = ttest_rel(effect, null).pvalue
            assert row.p_donors == pytest.approx(expected)
            assert row.p >= max(row.p_empirical, row.p_donors)
            assert (row.evidence, row.ci_over) == ("donors", "donors")
            if state is None:
                assert row.p == max(row.p_empirical, row.p_donors)
                for donor, (n_holding, effect_here, null_here) in numbers.items():
                    each = by_donor.loc[label, group, donor]
                    assert each.n_holding == n_holding
                    assert each.effect == pytest.approx(effect_here, nan_ok=True)
                    assert each.null_mean == pytest.approx(null_here)
                    assert each.above == (effect_here > null_here)
    assert tested >= 12
    for table in (effects, shifts):
        there = table.p.notna()
        assert table.p_adjusted[there].to_numpy() == pytest.approx(false_discovery_control(table.p[there]))
        assert table.p_adjusted[~there].isna().all()


def test_where_cells_and_donors_point_in_opposite_directions_nothing_is_shown(measured):
    """The comparison cells lie far above random genes, and the other cells of every donor far below."""
    study, edited, random = measured
    shifts = edited.shifts.copy()
    sample = study.sample(edited, 1, "T")
    for donor in "abcd":
        cells = np.flatnonzero(donor == DONORS)
        shifts[1, 0, cells] = np.where(np.isin(cells, sample), 1.0, -4.0 - 0.1 * cells)
    row = shifts_table(study, replace(edited, shifts=shifts), random).set_index(["edit", "group", "state"])
    row = row.loc["overexpress G1", "T", "well"]
    assert row.p_empirical == 1 / (N_NULL + 1)
    assert row.p_donors < 0.05
    assert row.null_effect > 0 > row["shift"]
    assert row.p == 1.0


def test_identity_is_the_vote_of_the_neighbours(measured):
    study, edited, random = measured
    effects = effects_table(*measured).set_index(["edit", "group"])
    switches = switches_table(study, edited)
    for edit, group, label, cells in cells_and_keys(measured):
        before = [vote(edited.landing_before[cell]) for cell in cells]
        after = [vote(edited.landing_after[edit, cell]) for cell in cells]
        row = effects.loc[label, group]
        new = [b for a, b in zip(before, after, strict=True) if a != b and a and b]
        known = sum(1 for a, b in zip(before, after, strict=True) if a and b)
        assert row.n_switching == len(new)
        assert row.share_switching == pytest.approx(len(new) / known)
        assert new.count(row.switch_to) == max(map(new.count, new), default=0)
        part = switches[(switches.edit == label) & (switches.group == group)]
        assert part.n_cells.sum() == known
        pairs = list(zip(before, after, strict=True))
        for each in part.itertuples():
            assert each.n_cells == pairs.count((each.label_before, each.label_after))
        null = []
        for symbol, own, _ in random_values(random, edit, group, np.zeros(len(random.cell))):
            number = int(symbol[1:])
            ends = [(vote(edited.landing_before[cell - 4]), vote(random.landing[place]))
                    for cell in own for place in np.flatnonzero((random.number == number) & (random.cell == cell))]
            null.append(np.mean([a != b for a, b in ends if a and b]))
        sample = study.sample(edited, edit, group)
        own = [(vote(edited.landing_before[cell]), vote(edited.landing_after[edit, cell])) for cell in sample]
        observed = np.mean([a != b for a, b in own if a and b])
        assert row.null_switching == pytest.approx(np.mean(null))
        assert row.p_switching == pytest.approx(empirical_p(observed, np.array(null)))


def test_the_null_table_holds_what_p_was_computed_from(measured):
    study, edited, random = measured
    table = null_table(*measured)
    effects, shifts = effects_table(*measured), shifts_table(*measured)
    assert len(table) == 7 * N_NULL == len(random.draws)
    for row in effects[effects.n_holding > 0].itertuples():
        part = table[(table.edit == row.edit) & (table.group == row.group)]
        assert row.p_empirical == pytest.approx(empirical_p(row.null_effect, part.null_effect.to_numpy()))
        edit = LABELS.index(row.edit)
        for symbol, _, values in random_values(random, edit, row.group, random.distance):
            assert part.set_index("null_edit").null_measured[symbol] == pytest.approx(values.mean())
        assert part.null_switching.mean() == pytest.approx(row.null_switching)
        for state in study.states:
            own = shifts[(shifts.edit == row.edit) & (shifts.group == row.group) & (shifts.state == state)].iloc[0]
            p = two_sided_p(own.null_effect, part[f"shift:{state}"].to_numpy())
            assert own.p_empirical == pytest.approx(p)


def test_the_cells_table_tells_each_cell_and_edit(measured):
    study, edited, _ = measured
    table = cells_table(study, edited)
    assert len(table) == 4 * 50
    names = study.dataset.cells().index.to_numpy()
    for place in (0, 1, 27, 60, 199):
        edit, cell = divmod(place, 50)
        row = table.iloc[place]
        assert (row.cell, row.edit, row.group) == (names[CHOSEN[cell]], LABELS[edit], GROUPS[cell])
        assert row.holds == edited.holds[edit, cell]
        assert row.cosine_similarity == pytest.approx(1 - edited.distance[edit, cell], nan_ok=True)
        assert row["shift:worse"] == pytest.approx(edited.shifts[edit, 1, cell], nan_ok=True)
        assert row.label_before == vote(edited.landing_before[cell])
        assert row.label_after == vote(edited.landing_after[edit, cell])
    still = table[~table.holds]
    assert still.cosine_similarity.isna().all()
    assert (still.label_before == still.label_after).all()


def test_tables_of_a_question_without_donors_states_identity_or_random_genes_keep_their_columns(measured):
    study, edited, random = measured
    bare = replace(study, donors=None, identity=None, states=(), state_roles=())
    assert shifts_table(bare, edited, None).empty
    assert donors_table(bare, edited, None).empty
    assert switches_table(bare, edited).empty
    assert null_table(bare, edited, None).empty
    full, plain = effects_table(*measured), effects_table(bare, edited, None)
    assert plain.columns.tolist() == full.columns.tolist()
    assert set(shifts_table(bare, edited, None)) == set(shifts_table(*measured))
    assert donors_table(bare, edited, None).columns.tolist() == [
        column for column in donors_table(*measured) if not column.startswith("shift:")
    ]
    assert plain[["p", "p_empirical", "p_donors", "p_switching", "null_mean"]].isna().all(axis=None)
    pd.testing.assert_series_equal(plain.null_effect, full.null_effect)  # what the comparison would be made on
    pd.testing.assert_series_equal(plain.effect, full.effect)
    cells = cells_table(bare, edited)
    assert cells[["label_before", "label_after"]].eq("").all(axis=None)
    alone = effects_table(study, edited, None)
    held = alone[alone.ci_over == "donors"]
    assert len(held) == (full.ci_over == "donors").sum() > 3
    assert held.evidence.eq("donors").all()
    assert held.p.isna().all()


@settings(deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=3, max_size=12, unique=True), st.booleans())
def test_paired_p_is_scipys(values, two_sided):
    difference = np.array(values)
    if difference.std() < 1e-6 * np.abs(difference).max():
        return
    side = "two-sided" if two_sided else "greater"
    expected = ttest_1samp(difference, 0, alternative=side).pvalue
    assert paired_p(difference, two_sided=two_sided) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_paired_p_of_the_same_difference_in_every_donor_is_small_and_of_none_is_no_test():
    assert paired_p(np.full(4, 0.2), two_sided=True) < 1e-12
    assert np.isnan(paired_p(np.zeros(4), two_sided=True))
    assert np.isnan(paired_p(np.array([1.0, 2.0]), two_sided=True))


def test_equal_donors_get_the_t_interval():
    means = np.array([1.0, 1.4, 0.7, 1.2])
    expected = ttest_1samp(means, 0).confidence_interval()
    found = interval_over_donors(means, np.full(4, 9), centre=float(means.mean()))
    assert found == pytest.approx((expected.low, expected.high))
    assert np.isnan(interval_over_donors(means[:2], np.array([4, 4]), centre=1.0)).all()
    wide = interval_over_donors(means, np.array([100, 3, 3, 3]), centre=1.0)
    assert wide[1] - wide[0] > found[1] - found[0]  # one donor gives nearly all cells: little is known of others


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_majority_labels_equal_a_plain_vote(seed):
    rng = np.random.default_rng(seed)
    neighbours = rng.integers(-1, N_CELLS, size=(3, 4, K))
    found = majority_labels(neighbours, IDENTITY)
    for place in np.ndindex(3, 4):
        assert found[place] == vote(neighbours[place])


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_levelling_shifts_treats_a_mirrored_and_a_stretched_world_alike(seed):
    rng = np.random.default_rng(seed)
    shift, abundance = rng.normal(size=25), rng.normal(size=(25, 2))
    found = level_shifts(shift[0], shift[1:], abundance)
    assert level_shifts(-shift[0], -shift[1:], abundance) == pytest.approx(-found)
    assert level_shifts(9 * shift[0], 9 * shift[1:], abundance) == pytest.approx(9 * found)
    moved = level_shifts(shift[0] + 2, shift[1:] + 2, abundance * 3 + 1)
    assert moved == pytest.approx(found + 2)
    assert level_shifts(shift[0], shift[1:6], abundance[:6]).tolist() == shift[1:6].tolist()
    line = 0.3 - abundance @ [0.2, 0.1]  # nothing but abundance
    assert level_shifts(line[0], line[1:], abundance) == pytest.approx(np.full(24, line[0]), abs=1e-6)
