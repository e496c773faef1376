"""Do the p-values of a perturbation mean what they say? Simulated studies whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from scfm_core.analyses.perturbation_comparison import Comparisons
from scfm_core.analyses.perturbation_donors import Donors, both_p, interval_over_donors, paired_p
from scfm_core.analyses.perturbation_evidence import SHIFT, SIZE, Evidence
from scfm_core.analyses.perturbation_null import adjust_p
from scfm_core.analyses.perturbation_shifts import level_shifts, two_sided_p
from scfm_core.analyses.perturbation_tables import effects_table, shifts_table
from tests.analyses.planted import dataset_of
from tests.analyses.simulated import N_CELLS, N_DONORS, World, simulate

N_NULL = 40  # p has steps of 1/41
ALIKE = World(genes=0.0)  # no gene differs from another on average, only within donors


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    counts = np.random.default_rng(0).poisson(1.0, size=(N_CELLS, 40))
    return dataset_of(tmp_path_factory.mktemp("simulated") / "d", counts)


def evidence(kind, study, edited, random):
    """The evidence for each edit, without the tables around it."""
    comparisons, donors = Comparisons(study, edited, random), Donors.of(study, "all")
    for edit in range(len(study.edits)):
        tested = edited.shifts[edit, 0] if kind.signed else edited.distance[edit]
        values = tested, random.shifts[0] if kind.signed else random.distance
        holding = np.flatnonzero(edited.holds[edit])
        yield Evidence.of(kind, comparisons.of(edit, "all"), values=values, holding=holding, donors=donors)


def simulated_p(dataset, kind, *, world, n_studies, n_edits, seed=1):
    """Columns: p against random genes, p over donors, and the p that counts; one row per simulated edit."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n_studies):
        study = simulate(dataset, rng, world=world, n_edits=n_edits, n_null=N_NULL)
        for each in evidence(kind, *study):
            row = each.over_donors()
            found.append((each.p_empirical, row["p_donors"], row["p"]))
    return np.array(found)


@pytest.mark.parametrize("kind", [SIZE, SHIFT], ids=["size", "shift"])
def test_p_against_random_genes_is_uniform_for_one_of_them(dataset, kind):
    """The tested gene is one more random gene: genes of a module move together, donors and abundances differ."""
    p = simulated_p(dataset, kind, world=World(), n_studies=20, n_edits=16)
    blurred = p[:, 0] - np.random.default_rng(0).uniform(size=len(p)) / (N_NULL + 1)
    assert kstest(blurred, "uniform").pvalue > 0.01
    assert np.mean(p[:, 0] <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / len(p))
    assert kstest(p[:, 2], "uniform", alternative="greater").pvalue > 0.01  # the larger p is never too small
    # and why p over donors alone is not enough: each gene is itself, in donor after donor
    assert np.mean(p[:, 1] <= 0.05) > 0.1


@pytest.mark.parametrize("kind", [SIZE, SHIFT], ids=["size", "shift"])
def test_p_over_donors_is_uniform_where_the_gene_does_what_the_mean_random_gene_does(dataset, kind):
    """Few edits per study: edits that share their comparison cells share the luck of these cells."""
    world = World(genes=0.0, genes_in_donors=0.1)
    p = simulated_p(dataset, kind, world=world, n_studies=110, n_edits=2, seed=3)
    assert kstest(p[:, 1], "uniform").pvalue > 0.01
    assert np.mean(p[:, 1] <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / len(p))
    assert kstest(p[:, 2], "uniform", alternative="greater").pvalue > 0.01


@pytest.mark.parametrize("table", [effects_table, shifts_table])
def test_a_gene_planted_in_every_donor_is_found(dataset, table):
    rng = np.random.default_rng(5)
    planted = np.zeros((6, N_DONORS))
    planted[0] = 2.5
    found = table(*simulate(dataset, rng, n_edits=6, more=planted, push=2 * planted)).set_index("edit")
    row = found.loc["G0"]
    assert row.p == row.p_empirical == 1 / (N_NULL + 1)
    assert row.p_donors < 0.01
    assert row.donors_agree == row.n_donors == N_DONORS
    assert row.evidence == row.ci_over == "donors"
    assert row.z > 3
    assert row.p < found.p.drop("G0").min()


def test_the_false_discovery_rate_is_kept_over_repeated_studies(dataset):
    """Among 12 edits 4 are planted; the share of false ones among those called is at most what BH promises."""
    rng = np.random.default_rng(6)
    planted = np.zeros((12, N_DONORS))
    planted[:4] = 3.0
    shares, n_true = [], 0
    for _ in range(25):
        study = simulate(dataset, rng, n_edits=12, n_null=60, more=planted)
        called = adjust_p(np.array([each.over_donors()["p"] for each in evidence(SIZE, *study)])) <= 0.1
        shares.append(called[4:].sum() / max(called.sum(), 1))
        n_true += int(called[:4].sum())
    assert np.mean(shares) <= 0.1 * 8 / 12 + 2 * np.std(shares) / np.sqrt(len(shares))
    assert n_true > 0.8 * 4 * 25


def test_what_one_donor_does_alone_is_significant_over_cells_and_not_over_donors(dataset):
    rng = np.random.default_rng(7)
    one = np.zeros((8, N_DONORS))
    one[:, 2] = 4.0
    study, edited, random = simulate(dataset, rng, world=ALIKE, n_edits=8, more=one)
    found = effects_table(study, edited, random)
    assert (found.p_empirical <= 0.05).mean() > 0.8
    assert (found.p_donors > 0.05).all()
    assert (found.p == found[["p_empirical", "p_donors"]].max(axis=1)).all()
    nameless = effects_table(replace(study, donors=None), edited, random)
    assert (nameless.p == found.p_empirical).all()  # what would have been claimed
    assert nameless.evidence.eq("cells").all()
    assert nameless[["n_donors", "donors_agree"]].eq(0).all(axis=None)
    assert (found.ci_high - found.ci_low > nameless.ci_high - nameless.ci_low).all()  # over donors it is less sure


def test_shifts_at_the_edge_keep_their_level():
    """All matches are less abundant than the tested gene, and abundant genes move cells further, either way."""
    rng = np.random.default_rng(8)
    p = {"levelled": [], "as measured": []}
    for _ in range(600):
        abundance = np.column_stack([-np.abs(rng.uniform(-1, 1, 61)), rng.uniform(-1, 1, 61)])
        abundance[0] = 0.0
        scale = np.exp(0.8 * abundance[:, 0] - 0.4 * abundance[:, 1] + rng.normal(0, 0.4, 61))
        shift = scale * (0.3 + np.tanh(rng.standard_t(3, 61) / 3))
        p["as measured"].append(two_sided_p(shift[0], shift[1:]))
        p["levelled"].append(two_sided_p(shift[0], level_shifts(shift[0], shift[1:], abundance)))
    assert np.mean(np.array(p["as measured"]) <= 0.05) > 0.08  # what it is for
    levelled = np.array(p["levelled"])
    assert np.mean(levelled <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 600)
    assert kstest(levelled - rng.uniform(size=600) / 61, "uniform").pvalue > 0.01


@pytest.mark.parametrize("n_donors", [3, 5, 10])
def test_the_interval_over_donors_covers_the_mean_of_all_donors(n_donors):
    rng = np.random.default_rng(9)
    covered = []
    for _ in range(1500):
        n_cells = rng.integers(3, 60, n_donors)
        means = rng.normal(1.0, 0.3, n_donors) + rng.normal(0, 0.5, n_donors) / np.sqrt(n_cells)
        low, high = interval_over_donors(means, n_cells, centre=float(np.average(means, weights=n_cells)))
        covered.append(low <= 1.0 <= high)
    assert 0.93 <= np.mean(covered) <= 0.985


def ill_and_well(rng, *, n_random=100):
    """Vectors of cells of eight donors, four of them ill; the tested edit moves every cell from ill to well.

    Returns the donor of each cell, whether a donor is ill, vectors before, after the tested edit, after random ones.
    Were it to move ill cells alone, it would bring them nearer to the middle of all cells and so nearer to every goal.
    """
    donor = np.repeat(np.arange(8), 10)
    ill = np.isin(np.arange(8), rng.permutation(8)[:4])
    axis, base = np.linalg.qr(rng.normal(size=(24, 2)))[0].T
    before = 4 * base + 1.5 * ill[donor][:, None] * axis + rng.normal(0, 0.1, (8, 24))[donor]
    before = before + rng.normal(0, 0.15, (80, 24))
    after = before - 0.8 * axis + rng.normal(0, 0.05, (80, 24))
    directions = rng.normal(size=(n_random, 1, 24))
    directions *= 0.5 / np.linalg.norm(directions, axis=2, keepdims=True)
    return donor, ill, before, after, before + directions + rng.normal(0, 0.05, (n_random, 80, 24))


def toward(vectors, state):
    return vectors @ state / np.linalg.norm(vectors, axis=-1) / np.linalg.norm(state)


def shift_toward_health(world, labelled_ill):
    """The evidence for a shift of the cells labelled ill toward those labelled well."""
    donor, _, before, after, random = world
    cells = np.flatnonzero(labelled_ill[donor])
    goal = before[~labelled_ill[donor]].mean(axis=0)
    was = toward(before[cells], goal)
    values = np.vstack([toward(after[cells], goal) - was, toward(random[:, cells], goal) - was])
    names, numbers = np.unique(donor[cells], return_inverse=True)
    null = values[1:].mean(axis=0)
    differences = np.array([(values[0] - null)[numbers == number].mean() for number in range(len(names))])
    return values, differences


def test_permuting_which_donors_are_ill_removes_a_treatment():
    """Read against labels dealt at random, half ill and half well, the same edit leads nowhere."""
    rng = np.random.default_rng(10)
    true, permuted = [], []
    for _ in range(60):
        world = ill_and_well(rng)
        ill = world[1]
        swapped = [rng.choice(np.flatnonzero(side), 2, replace=False) for side in (ill, ~ill)]
        mixed = ill ^ np.isin(np.arange(8), swapped)
        for labels, found in ((ill, true), (mixed, permuted)):
            values, differences = shift_toward_health(world, labels)
            means = values.mean(axis=1)
            found.append(both_p(two_sided_p(means[0], means[1:]), paired_p(differences, two_sided=True)))
    assert np.mean(np.array(true) <= 0.05) > 0.9
    assert np.mean(np.array(permuted) <= 0.05) <= 0.05
