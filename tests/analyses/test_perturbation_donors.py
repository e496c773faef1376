"""Donors as replicates, through the whole question: a small model with real arithmetic, and counts of eight donors."""

from dataclasses import dataclass

import numpy as np
import pytest

from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_genes import PerturbGenes
from scfm_core.cell_set import CellSet
from scfm_core.model import CellStates
from scfm_core.tokens import Delete, Tokens, without_genes
from tests.analyses.planted import bag_card, dataset_of

N_GENES, N_DONORS, CELLS_EACH, SIZE = 300, 8, 14, 12
DONOR = np.repeat(np.arange(N_DONORS), CELLS_EACH)
ILL = np.arange(N_DONORS) < 4
IN_ONE, IN_ILL, IN_ALL, ORDINARY = 60, 61, 62, (70, 71, 72)


@dataclass(frozen=True)
class WeightedSum:
    """Each gene has a vector; a cell is their sum, weighted by the share of its counts."""

    vectors: np.ndarray

    @property
    def gene_ids(self):
        return tuple(f"ENSG{number:011d}" for number in range(N_GENES))

    def encode(self, counts):
        matrix = counts.matrix.tocsr()
        known = np.array([int(gene_id[4:]) for gene_id in counts.gene_ids])
        depth = np.repeat(counts.total_counts, np.diff(matrix.indptr))
        values = (matrix.data / depth).astype(np.float32)
        return Tokens(known[matrix.indices].astype(np.int32), values, matrix.indptr.astype(np.int64))

    def edit(self, tokens, edits):
        return without_genes(tokens, np.array([int(edit.gene_id[4:]) for edit in edits]))

    def embed(self, tokens, options):
        own = self.vectors[tokens.genes] * tokens.values[:, None]
        cell = tokens.cell_of_token()
        sums = [np.bincount(cell, weights=column, minlength=tokens.n_cells) for column in own.T]
        return CellStates(np.stack(sums, axis=1).astype(np.float32), None)


def load_weighted(folder, device, fitted):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(N_GENES, SIZE)) + 0.7
    axes = np.linalg.qr(np.column_stack([np.ones(SIZE), rng.normal(size=(SIZE, 3))]))[0].T
    vectors[[IN_ONE, IN_ILL, IN_ALL]] = 4.0 * axes[1], 14.0 * axes[2], 14.0 * axes[3]
    return WeightedSum(vectors)


WEIGHTED = bag_card(key="weighted", title="Weighted sum", load=load_weighted, max_tokens=None, embedding_size=SIZE)


@pytest.fixture(scope="module")
def counts_and_cells():
    """IN_ONE is strong in the second donor alone, IN_ILL in the four who are ill, IN_ALL in everyone."""
    rng = np.random.default_rng(0)
    level = np.exp(rng.normal(0.3, 1.0, size=N_GENES))
    means = level * rng.gamma(8.0, 1 / 8, size=(N_DONORS, N_GENES))[DONOR]
    means[:, IN_ONE] = np.where(DONOR == 1, 60.0, 1.5)
    means[:, IN_ILL] = np.where(ILL[DONOR], 12.0, 1.5)
    means[:, IN_ALL] = 6.0
    cells = {"patient": [f"patient {donor}" for donor in DONOR], "state": np.where(ILL[DONOR], "ill", "well").tolist()}
    swapped = np.isin(np.arange(N_DONORS), (0, 2, 4, 6))  # two who are ill, two who are not
    cells["dealt"] = np.where((ILL ^ swapped)[DONOR], "ill", "well").tolist()
    return rng.poisson(means), cells


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, counts_and_cells):
    return dataset_of(tmp_path_factory.mktemp("donors") / "d", *counts_and_cells, roles={"donor": "patient"})


def gene(number):
    return (Delete(f"ENSG{number:011d}"),)


def question(dataset, column="state", **fields):
    return PerturbGenes(
        EmbedCells(dataset, WEIGHTED),
        tuple(gene(number) for number in (IN_ILL, *ORDINARY)),
        cells=CellSet.where(dataset, column, "ill"),
        goal=State(column, "well"),
        null_genes=100,
        **fields,
    )


def test_what_one_donor_does_alone_is_not_believed(engine, dataset):
    edits = (gene(IN_ONE), gene(IN_ALL))
    found = engine.compute(PerturbGenes(EmbedCells(dataset, WEIGHTED), edits, null_genes=100, null_cells=64))
    rows = found.effects.set_index("edit")
    one, everywhere = rows.loc[f"G{IN_ONE}"], rows.loc[f"G{IN_ALL}"]
    assert one.p_empirical <= 0.05  # over cells it would have been believed
    assert one.p_donors > 0.05
    assert one.p_adjusted > 0.05
    assert one.evidence == everywhere.evidence == "donors"
    assert one.n_donors == N_DONORS
    assert one.donors_agree < N_DONORS
    assert everywhere.p_adjusted <= 0.05
    assert everywhere.donors_agree == N_DONORS
    strongest = found.donors[found.donors.edit == f"G{IN_ONE}"].set_index("donor").effect
    assert strongest.idxmax() == "patient 1"
    assert one.ci_low == 0.0  # among other donors it may do nothing


def test_the_donors_table_equals_the_mean_over_each_donors_cells(engine, dataset):
    found = engine.compute(question(dataset))
    cells = found.cells.merge(dataset.cells()["patient"], left_on="cell", right_index=True)
    by_donor = cells[cells.holds].groupby(["edit", "patient"], observed=True)
    expected = by_donor[["cosine_similarity", "shift:well"]].mean()
    got = found.donors.set_index(["edit", "donor"]).sort_index()
    assert got.effect.to_numpy() == pytest.approx(1 - expected.cosine_similarity.to_numpy())
    assert got["shift:well"].to_numpy() == pytest.approx(expected["shift:well"].to_numpy())
    assert got.n_cells.eq(CELLS_EACH).all()
    assert set(found.donors.donor) == {f"patient {number}" for number in range(4)}


def test_dealing_the_patients_anew_removes_a_treatment(engine, dataset):
    """The same edit, cells and model; only who counts as ill is dealt anew, half of each state on either side."""
    true = engine.compute(question(dataset)).shifts.query("role == 'goal'").set_index("edit")
    treatment = true.loc[f"G{IN_ILL}"]
    assert treatment["shift"] > 0
    assert treatment.p_adjusted <= 0.05
    assert treatment.donors_agree == treatment.n_donors == 4
    assert (true.p_adjusted.drop(f"G{IN_ILL}") > 0.05).all()
    dealt = engine.compute(question(dataset, "dealt")).shifts.query("role == 'goal'").set_index("edit")
    assert (dealt.p_adjusted > 0.05).all()
    removed = dealt.loc[f"G{IN_ILL}"]
    assert removed.p_empirical <= 0.05 < removed.p_donors  # over cells it would have been claimed all the same
    assert removed.donors_agree < 4


def test_without_the_role_of_donor_cells_are_the_evidence(engine, tmp_path, counts_and_cells):
    nameless = dataset_of(tmp_path / "d", *counts_and_cells)
    found = engine.compute(question(nameless))
    assert found.effects.evidence.eq("cells").all()
    assert found.effects.ci_over.eq("cells").all()
    assert found.donors.empty
    assert (found.effects.p == found.effects.p_empirical).all()
