"""The simulator keeps its promises: exact descendants, gamma-Poisson counts, log-normal totals, planted pairs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scfm_core.dataset import write_dataset
from scfm_core.simulation.cells import draw_cells, steady_state, transcripts
from scfm_core.simulation.droplets import draw_counts
from scfm_core.simulation.network import GeneNetwork, NetworkSettings, build_network
from scfm_core.simulation.simulate import (
    ALL_CELLS,
    SimulationSettings,
    simulate_cells,
    simulate_knock_outs,
    true_changes,
    true_interactions,
)

SMALL = SimulationSettings(n_cells=600, n_knock_out_cells=20)


@pytest.fixture(scope="module", params=[0, 7])
def network(request: pytest.FixtureRequest) -> GeneNetwork:
    return build_network(NetworkSettings(), request.param)


def test_every_regulator_stands_before_what_it_regulates_and_has_targets(network: GeneNetwork) -> None:
    for position, gene in enumerate(network.genes):
        assert all(each.regulator < position for each in gene.inputs)
        assert (gene.kind == "housekeeping") <= (not gene.inputs)
    edges = network.edges()
    assert set(edges["regulator"]) == set(network.regulators)
    assert set(edges["sign"]) == {-1, 1}
    assert not edges.duplicated(["regulator", "target"]).any()


def test_a_knock_out_changes_exactly_the_descendants(network: GeneNetwork) -> None:
    cells = draw_cells(network, 300, n_donors=3, donor_shift=0.1, seed=1)
    before = steady_state(network, cells)
    for gene in (*network.regulators, network.gene_ids[-1]):
        after = steady_state(network, cells, knocked_out=[gene])
        changed = {network.gene_ids[place] for place in np.flatnonzero((before != after).any(axis=0))}
        assert changed == network.descendants(gene) | {gene}
        assert not after[:, network.gene_ids.index(gene)].any()


def test_targets_follow_the_logic_of_their_inputs(network: GeneNetwork) -> None:
    cells = draw_cells(network, 2000, n_donors=3, donor_shift=0.0, seed=1)
    levels = steady_state(network, cells)
    for module, kind in (("needs both", "cooperative"), ("needs either", "redundant")):
        targets = [place for place, gene in enumerate(network.genes) if gene.module == module]
        a, b = next(pair[:2] for pair in network.pairs if pair[2] == kind)
        on = [levels[:, network.gene_ids.index(gene)] > 0.6 for gene in (a, b)]
        off = [levels[:, network.gene_ids.index(gene)] < 0.1 for gene in (a, b)]
        mean = levels[:, targets].mean(axis=1)
        one = (on[0] & off[1]) | (off[0] & on[1])
        assert mean[on[0] & on[1]].mean() > 0.7
        assert mean[off[0] & off[1]].mean() < 0.05
        assert mean[one].mean() < 0.05 if module == "needs both" else mean[one].mean() > 0.7


def test_counts_are_gamma_poisson_around_their_means_and_totals_log_normal() -> None:
    means = np.tile([1.0, 5.0, 20.0, 74.0], (40_000, 1))
    counts = draw_counts(means, median_total=100.0, spread=0.0, dispersion=0.2, seed=3).toarray()
    np.testing.assert_allclose(counts.mean(axis=0), means[0], rtol=0.05)
    np.testing.assert_allclose(counts.var(axis=0), means[0] + 0.2 * means[0] ** 2, rtol=0.1)
    assert (counts[:, 0] == 0).mean() == pytest.approx((1 + 0.2) ** (-1 / 0.2), abs=0.01)  # zeros by sampling alone
    many = np.ones((4000, 200))
    totals = draw_counts(many, median_total=5000.0, spread=0.4, dispersion=0.01, seed=3).sum(axis=1)
    logs = np.log(np.asarray(totals).ravel())
    assert np.median(logs) == pytest.approx(np.log(5000.0), abs=0.03)
    assert logs.std() == pytest.approx(0.4, abs=0.02)


def test_the_dataset_is_admitted_and_repeats(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, simulate_cells(SMALL, 0))
    again = write_dataset(tmp_path, simulate_cells(SMALL, 0))
    other = write_dataset(tmp_path, simulate_cells(SMALL, 1))
    assert dataset.identity == again.identity != other.identity
    assert dataset.organism == "unknown"
    assert dataset.roles == {"cell_type": "cell_type", "donor": "donor"}
    assert dataset.gene_ids[0] == "SIM0001"
    sizes = dataset.cells()["cell_type"].value_counts()
    assert sizes.to_dict() == {"type 1": 200, "type 2": 200, "type 3": 200}
    total = dataset.total_counts
    assert np.median(total) == pytest.approx(SMALL.median_total, rel=0.1)


def test_masters_make_the_cell_types() -> None:
    new = simulate_cells(SMALL, 0)
    for number in range(3):
        counts = new.matrix[:, number].toarray().ravel()
        own = (new.cells["cell_type"] == f"type {number + 1}").to_numpy()
        assert counts[own].mean() > 20 * counts[~own].mean()


def test_the_truth_is_zero_outside_the_descendants_and_measured_in_counts_too() -> None:
    network = build_network(SMALL.network, 0)
    truth = true_changes(SMALL, 0)
    for gene in network.regulators:
        rows = truth[(truth["knocked_out"] == gene) & (truth["group"] == ALL_CELLS)]
        assert set(rows.loc[rows["log2_fold_change"] != 0, "gene_id"]) == network.descendants(gene)
    many = replace(SMALL, n_knock_out_cells=1500)
    new = simulate_knock_outs(many, 0)
    label = new.cells["knocked_out"].to_numpy()
    gene = network.regulators[0]
    per_10k = new.matrix.multiply(1e4 / new.matrix.sum(axis=1)).tocsr()
    means = {name: np.asarray(per_10k[label == name].mean(axis=0)).ravel() for name in (gene, "none")}
    own = truth[(truth["knocked_out"] == gene) & (truth["group"] == ALL_CELLS)]
    expected = own.set_index("gene_id")["log2_fold_change"]
    places = [network.gene_ids.index(each) for each in expected.index]
    measured = np.log2(means[gene][places] / means["none"][places])
    strong = (expected.abs() > 0.5).to_numpy()
    assert np.corrcoef(measured[strong], expected[strong])[0, 1] > 0.9


def test_only_planted_pairs_do_other_than_the_sum() -> None:
    pairs = [pair[:2] for pair in build_network(SMALL.network, 0).pairs]
    found = true_interactions(SMALL, 0, pairs).set_index("planted")
    assert (found.loc[["cooperative", "redundant"], "true_beyond"] > 1.0).all()
    assert found.loc[["independent"], "true_beyond"].max() < 1e-9
    assert found["share_targets"].groupby("planted").any().to_dict() == {
        "cooperative": True, "independent": False, "redundant": True,
    }  # fmt: skip


def test_transcripts_weigh_levels_by_abundance(network: GeneNetwork) -> None:
    levels = np.ones((2, len(network.genes)))
    assert transcripts(network, levels)[0].tolist() == [gene.abundance for gene in network.genes]
