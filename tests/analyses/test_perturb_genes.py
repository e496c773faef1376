"""The whole question through the engine, with two small models whose numbers are recomputed here by hand."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import false_discovery_control, kstest

from scfm_core.analyses import measure_edits, measure_random_genes, perturbation_pools
from scfm_core.analyses.authors_states import State
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.measure_random_genes import random_genes
from scfm_core.analyses.perturb_genes import PerturbGenes, estimated_passes, landing_arrows, require_held
from scfm_core.analyses.perturbation_study import pool_order
from scfm_core.cell_set import CellSet
from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.errors import RequestError
from scfm_core.model import CellStates, EmbedOptions, ModelSpec
from scfm_core.registry import find_model
from scfm_core.store import Store
from scfm_core.tokens import Activate, Delete, Overexpress, Scale, Tokens, without_genes

N_GENES, SIZE = 300, 8
GENES = tuple(f"ENSG{number:011d}" for number in range(N_GENES))
SILENT, UNKNOWN, PLANTED = 298, 299, 150  # no cell expresses it; the model does not read it; it matters more
COMMON, RARE = 155, 3  # under the longest input of the model of ranks


@dataclass(frozen=True)
class SmallModel:
    """Gene vectors see the whole cell; ``reads_values`` makes it a value model, else it reads ranks."""

    table: np.ndarray
    reads_values: bool
    max_tokens: int | None = None

    @property
    def gene_ids(self):
        return GENES[:UNKNOWN]

    def encode(self, counts):
        matrix = csr_matrix(counts.matrix)
        genes, values, lengths = [], [], []
        position = {gene: position for position, gene in enumerate(GENES[:UNKNOWN])}
        known = [position.get(gene, -1) for gene in counts.gene_ids]
        for cell in range(matrix.shape[0]):
            row = matrix[cell]
            pairs = [(known[g], int(c)) for g, c in zip(row.indices, row.data, strict=True) if c]
            pairs = sorted((-c / (1 + g % 7) if not self.reads_values else g, g, c) for g, c in pairs if g >= 0)
            kept = pairs[: self.max_tokens]
            genes += [g for _, g, _ in kept]
            scale = 1e4 / counts.total_counts[cell]
            values += [np.log1p(c * scale) if self.reads_values else 1.0 for _, _, c in kept]
            lengths.append(len(kept))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Tokens(np.array(genes, dtype=np.int32), np.array(values, dtype=np.float32), offsets)

    def edit(self, tokens, edits):
        return without_genes(tokens, np.array([GENES.index(edit.gene_id) for edit in edits]))

    def embed(self, tokens, options):
        own = self.table[tokens.genes] * tokens.values[:, None]
        if not self.reads_values:
            position = np.arange(len(tokens.genes)) - np.repeat(tokens.offsets[:-1], tokens.lengths)
            own = own / np.sqrt(1 + position)[:, None]
        cell = tokens.cell_of_token()
        sums = np.stack([np.bincount(cell, weights=column, minlength=tokens.n_cells) for column in own.T], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = sums / tokens.lengths[:, None]
        vectors = (np.tanh(own) + means[cell]).astype(np.float32) if options.gene_vectors else None
        return CellStates(means.astype(np.float32), vectors)


def a_table(planted=1.0):
    rng = np.random.default_rng(7)
    table = rng.normal(size=(N_GENES, SIZE)) + 1.0
    table[PLANTED] = planted * np.array([1, -1] * (SIZE // 2))
    return table


def load_ranks(folder, device, fitted):
    return SmallModel(a_table(), reads_values=False, max_tokens=60)


def load_values(folder, device, fitted):
    return SmallModel(a_table(), reads_values=True)


def load_planted(folder, device, fitted):
    return SmallModel(a_table(planted=8.0), reads_values=True)


RANKS = ModelSpec(
    key="ranks",
    title="Ranks",
    revision="1",
    summary="",
    organisms=("human",),
    vocabulary="299 genes",
    embedding_size=SIZE,
    max_tokens=60,
    n_parameters=None,
    licence="",
    citation="",
    doi="",
    training_data="",
    known_limits=(),
    load=load_ranks,
    has_gene_vectors=True,
)
VALUES = replace(RANKS, key="values", title="Values", max_tokens=None, load=load_values, has_gene_vectors=False)
PLANTED_VALUES = replace(VALUES, key="planted", load=load_planted)


def gene(number):
    return (Delete(GENES[number]),)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rng = np.random.default_rng(1)
    abundance = np.exp(rng.normal(-0.7, 1.0, size=N_GENES))
    counts = rng.poisson(abundance * rng.gamma(4.0, 0.25, size=(90, 1)))
    counts[:, SILENT] = 0
    counts[:, PLANTED] = rng.poisson(1.0, size=90)
    counts[88:] = 0  # cells without a single token
    cells = pd.DataFrame({"type": ["T"] * 40 + ["B"] * 38 + [None] * 10 + ["B"] * 2, "who": list("abcde") * 18})
    cells.index = [f"cell{number}" for number in range(90)]
    new = NewDataset(
        matrix=csr_matrix(counts), gene_ids=GENES, gene_symbols=tuple(f"S{n}" for n in range(N_GENES)),
        cells=cells, organism="human", total_counts=np.maximum(counts.sum(axis=1), 1.0),
    )  # fmt: skip
    return write_dataset(tmp_path_factory.mktemp("datasets"), new)


def by_hand(model, dataset, cell, edits):
    """1 - cosine of one cell, one at a time, with nothing of the engine."""
    options = EmbedOptions()
    tokens = model.encode(dataset.counts(np.array([cell])))
    before = model.embed(tokens, options).cells[0].astype(float)
    after = model.embed(model.edit(tokens, edits), options).cells[0].astype(float)
    return 1 - before @ after / np.linalg.norm(before) / np.linalg.norm(after)


@pytest.mark.parametrize(("spec", "load"), [(RANKS, load_ranks), (VALUES, load_values)])
def test_effects_equal_a_recomputation_cell_by_cell(engine, dataset, spec, load):
    edits = (gene(COMMON), gene(PLANTED), gene(5) + gene(9))
    found = engine.compute(PerturbGenes(EmbedCells(dataset, spec), edits, group_by="type", null_genes=12, null_cells=6))
    model = load(None, "cpu", {})
    groups = dataset.cells()["type"].to_numpy()
    labels = [f"S{COMMON}", f"S{PLANTED}", "S5+S9"]
    assert found.edits == tuple(labels)
    assert found.chosen.tolist() == [*range(78), 88, 89]
    for label, edit in zip(labels, edits, strict=True):
        for group in ("B", "T"):
            cells = [cell for cell in range(78) if groups[cell] == group]
            distance = np.array([by_hand(model, dataset, cell, edit) for cell in cells])
            tokens = model.encode(dataset.counts(np.array(cells)))
            holds = np.any([tokens.holds(GENES.index(each.gene_id)) for each in edit], axis=0)
            row = found.effects.set_index(["edit", "group"]).loc[(label, group)]
            assert row.n_cells == len(cells)
            assert row.n_holding == holds.sum()
            assert row.effect == pytest.approx(distance[holds].mean(), rel=1e-5)
            assert row.ci_low <= row.effect <= row.ci_high
            per_cell = found.cells[(found.cells.edit == label) & (found.cells.group == group)].iloc[: len(cells)]
            assert per_cell.cosine_similarity.to_numpy()[holds] == pytest.approx(1 - distance[holds], rel=1e-7)
            assert per_cell.cosine_similarity[~holds].isna().all()
            assert per_cell.holds.tolist() == holds.tolist()


def test_shifts_toward_states_equal_a_recomputation(engine, dataset):
    goal, other = State("type", "B"), State("type", "T")
    request = PerturbGenes(
        EmbedCells(dataset, VALUES), (gene(COMMON),), group_by="type", goal=goal, alternatives=(other,), null_genes=0
    )
    found = engine.compute(request)
    model, options = load_values(None, "cpu", {}), EmbedOptions()
    types = dataset.cells()["type"].to_numpy()
    tokens = model.encode(dataset.counts(slice(0, 88)))
    before = model.embed(tokens, options).cells.astype(float)
    after = model.embed(model.edit(tokens, gene(COMMON)), options).cells.astype(float)
    holds = tokens.holds(COMMON)
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (before, after)]
    assert found.states == ("B", "T")
    for state, role in (("B", "goal"), ("T", "alternative")):
        mean = before[types[:88] == state].mean(axis=0)
        shift = (unit[1] - unit[0]) @ (mean / np.linalg.norm(mean))
        for group in ("B", "T"):
            row = found.shifts.set_index(["group", "state"]).loc[(group, state)]
            mine = holds & (types[:88] == group)
            assert row.role == role
            assert row.n_cells == mine.sum()
            assert row["shift"] == pytest.approx(shift[mine].mean(), rel=1e-4)
            assert row.share_toward == pytest.approx((shift[mine] > 0).mean())


def test_the_identity_of_a_cell_is_that_of_its_neighbours(engine, dataset):
    request = PerturbGenes(EmbedCells(dataset, VALUES), (gene(PLANTED),), identity_by="type", null_genes=0)
    found = engine.compute(request)
    types = dataset.cells()["type"].astype(object).fillna("").to_numpy()
    held = found.cells[found.cells.holds & found.cells.cosine_similarity.notna()]
    for position in np.flatnonzero(found.cells.holds.to_numpy() & found.cells.cosine_similarity.notna().to_numpy()):
        near = [types[each] for each in found.landing_after[0, position] if types[each]]
        counts = {name: near.count(name) for name in near}
        best = [name for name in near if counts[name] == max(counts.values())]
        assert found.cells.label_after[position] == best[0]
    changed = held[(held.label_before != held.label_after) & (held.label_before != "") & (held.label_after != "")]
    row = found.effects.iloc[0]
    assert row.n_switching == len(changed)
    assert found.switches.n_cells.sum() == len(held)
    assert found.identity_by == "type"


def test_the_null_equals_a_recomputation_gene_by_gene(engine, dataset):
    request = PerturbGenes(EmbedCells(dataset, RANKS), (gene(COMMON), gene(4) + gene(6)), null_genes=15, null_cells=5)
    found = engine.compute(request)
    model = load_ranks(None, "cpu", {})
    tokens = model.encode(dataset.counts(slice(0, 88)))
    order = pool_order(np.arange(88), None, (0, "all cells"))
    symbols = {symbol: position for position, symbol in enumerate(dataset.gene_symbols)}
    assert len(found.null) == 30
    for row in found.null.itertuples():
        members = [symbols[symbol] for symbol in row.null_edit.split("+")]
        holds = np.any([tokens.holds(member) for member in members], axis=0)
        cells = [cell for cell in order if holds[cell]][:5]
        deleted = [Delete(GENES[member]) for member in members]
        mean = np.mean([by_hand(model, dataset, cell, deleted) for cell in cells])
        assert row.null_measured == pytest.approx(mean, rel=1e-5)
        assert not {COMMON, 4, 6} & set(members)
    for label, part in found.null.groupby("edit"):
        row = found.effects.set_index("edit").loc[label]
        null = part.null_effect.to_numpy()
        assert part.null_edit.is_unique
        assert row.null_mean == pytest.approx(null.mean())
        assert row.z == pytest.approx((row.null_effect - null.mean()) / null.std(ddof=1))
        assert row.p_empirical == (1 + (null >= row.null_effect).sum()) / 16
    assert found.effects.p_adjusted.to_numpy() == pytest.approx(false_discovery_control(found.effects.p_empirical))


def test_a_gene_that_no_cell_holds_has_no_numbers(engine, dataset):
    edits = (gene(SILENT), gene(UNKNOWN), gene(SILENT) + gene(RARE))
    found = engine.compute(PerturbGenes(EmbedCells(dataset, RANKS), edits, null_genes=5, null_cells=4))
    rows = found.effects.set_index("edit")
    for label in (f"S{SILENT}", f"S{UNKNOWN}"):
        assert rows.loc[label, "status"] == "not held"
        assert rows.loc[label, ["effect", "ci_low", "z", "p_empirical", "p_adjusted", "null_effect"]].isna().all()
        assert rows.loc[label, "n_null"] == 0
        assert found.cells[found.cells.edit == label].cosine_similarity.isna().all()
    assert rows.loc[f"S{SILENT}+S{RARE}", "status"] == "rarely held"  # behind the longest input in most cells
    assert rows.loc[f"S{SILENT}+S{RARE}", "effect"] > 0
    assert np.array_equal(found.landing_after[0], found.landing_before)
    arrows = landing_arrows(found, np.random.default_rng(0).normal(size=(90, 2)))
    assert np.array_equal(arrows.start[:2], arrows.end[:2], equal_nan=True)
    assert not np.array_equal(arrows.start[2], arrows.end[2], equal_nan=True)


def test_cells_without_a_vector_stay_out_of_the_numbers(engine, dataset):
    found = engine.compute(PerturbGenes(EmbedCells(dataset, RANKS), (gene(COMMON),), null_genes=0))
    assert found.cells.cosine_similarity[88:].isna().all()
    assert found.cells.cosine_similarity.notna().tolist() == found.cells.holds.tolist()
    assert found.effects.n_cells.tolist() == [88]
    assert (found.landing_before[88:] == -1).all()
    assert found.effects.p_empirical.isna().all()
    assert found.null.empty


def test_a_cell_that_an_edit_empties_is_left_out_and_told(engine, tmp_path):
    counts = np.random.default_rng(0).poisson(2.0, size=(20, N_GENES))
    counts[4] = 0
    counts[4, COMMON] = 3
    names = [f"cell{number}" for number in range(20)]
    new = NewDataset(
        matrix=csr_matrix(counts), gene_ids=GENES, gene_symbols=GENES, cells=pd.DataFrame(index=names), organism="human"
    )
    data = write_dataset(tmp_path / "d", new)
    found = engine.compute(PerturbGenes(EmbedCells(data, VALUES), (gene(COMMON),), null_genes=5, null_cells=20))
    emptied = found.cells.set_index("cell").loc["cell4"]
    assert emptied.holds
    assert np.isnan(emptied.cosine_similarity)
    assert (found.cells.holds & found.cells.cosine_similarity.isna()).sum() == 1
    assert found.effects[["effect", "ci_low", "null_effect", "p_empirical"]].notna().all(axis=None)
    assert (found.landing_before[4] >= 0).all()
    assert (found.landing_after[0, 4] == -1).all()


def test_only_the_cells_asked_for_are_perturbed(engine, dataset):
    cells = CellSet.where(dataset, "type", "T")
    request = PerturbGenes(EmbedCells(dataset, VALUES), (gene(COMMON),), cells=cells, null_genes=8)
    found = engine.compute(request)
    grouped = engine.compute(replace(request, cells=None, group_by="type"))
    assert found.chosen.tolist() == list(range(40))
    assert found.effects.group.tolist() == ["T"]
    same = grouped.effects.query("group == 'T'")[["effect", "null_effect", "null_mean", "p_empirical", "ci_low"]]
    assert same.to_numpy() == pytest.approx(found.effects[same.columns].to_numpy(), rel=1e-9)


def test_landing_leaves_the_cell_itself_out(engine, dataset):
    found = engine.compute(PerturbGenes(EmbedCells(dataset, VALUES), (gene(PLANTED),), null_genes=0))
    points = engine.compute(EmbedCells(dataset, VALUES)).points[:88].astype(float)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -2)
    expected = np.argsort(-similarity, axis=1)[:, :15]
    assert found.landing_before.shape == (90, 15)
    assert found.landing_after.shape == (1, 90, 15)
    assert [set(row) for row in found.landing_before[:88].tolist()] == [set(row) for row in expected.tolist()]
    assert not (found.landing_after[0, :88] == np.arange(88)[:, None]).any()
    rows = found.cells.holds.to_numpy()
    assert np.array_equal(found.landing_after[0][~rows], found.landing_before[~rows])


def test_a_planted_effect_is_found_and_its_absence_is_not(engine, dataset):
    rows = {}
    for spec in (VALUES, PLANTED_VALUES):
        request = PerturbGenes(EmbedCells(dataset, spec), (gene(PLANTED), gene(20)), null_genes=60)
        rows[spec.key] = engine.compute(request).effects.set_index("edit")
    assert rows["planted"].loc[f"S{PLANTED}", "p_empirical"] == 1 / 61
    assert rows["planted"].loc[f"S{PLANTED}", "p_adjusted"] < 0.05
    assert rows["planted"].loc[f"S{PLANTED}", "z"] > 3
    assert rows["planted"].loc["S20", "p_adjusted"] > 0.05


def test_the_answer_does_not_depend_on_how_the_work_is_cut(tmp_path, dataset, monkeypatch):
    edits = (gene(COMMON), gene(RARE))
    request = PerturbGenes(EmbedCells(dataset, RANKS), edits, group_by="type", null_genes=10, null_cells=4)
    answers = []
    for passes, read in ((128, 512), (7, 5)):
        for module in (measure_edits, measure_random_genes):
            monkeypatch.setattr(module, "cells_per_chunk", lambda model, passes=passes: passes)
        monkeypatch.setattr(perturbation_pools, "_CELLS_READ_AT_ONCE", read)
        engine = Engine(Store(tmp_path / str(passes)), ThreadExecutor(["cpu"]))
        answers.append(engine.compute(request))
        engine.close()
    for name in ("effects", "cells", "null"):
        pd.testing.assert_frame_equal(getattr(answers[0], name), getattr(answers[1], name), rtol=1e-7)
    assert np.array_equal(answers[0].landing_after, answers[1].landing_after)


def test_the_seed_decides_and_nothing_else(tmp_path, dataset):
    request = PerturbGenes(EmbedCells(dataset, VALUES), (gene(COMMON),), null_genes=10, null_cells=4)
    answers = []
    for number, seed in enumerate((0, 0, 1)):
        engine = Engine(Store(tmp_path / str(number)), ThreadExecutor(["cpu"]))
        answers.append(engine.compute(replace(request, seed=seed)))
        engine.close()
    pd.testing.assert_frame_equal(answers[0].effects, answers[1].effects)
    pd.testing.assert_frame_equal(answers[0].null, answers[1].null)
    assert answers[0].effects.effect[0] == answers[2].effects.effect[0]
    assert set(answers[0].null.null_edit) != set(answers[2].null.null_edit)


def test_finished_pieces_are_kept_when_a_run_breaks(engine, dataset, monkeypatch):
    """The first run breaks in the middle of the random genes; the second embeds only what is missing."""
    for module in (measure_edits, measure_random_genes):
        monkeypatch.setattr(module, "cells_per_chunk", lambda model: 20)
    request = PerturbGenes(EmbedCells(dataset, RANKS), (gene(COMMON),), null_genes=10, null_cells=6)
    original, embedded, limit = SmallModel.embed, [], 6

    def counting(model, tokens, options):
        embedded.append(tokens.n_cells)
        if len(embedded) == limit:
            msg = "the power went off"
            raise OSError(msg)
        return original(model, tokens, options)

    engine.compute(request.baseline)
    monkeypatch.setattr(SmallModel, "embed", counting)
    with pytest.raises(OSError, match="power"):
        engine.compute(request)
    first = sum(embedded[:-1])
    found = engine.compute(request)
    again = sum(embedded) - first - embedded[limit - 1]
    assert first > 0
    assert again < found.n_passes
    assert again + first >= found.n_passes


def test_the_donors_interval_stands_where_there_are_donors(engine, dataset, tmp_path):
    table = dataset.cells()
    new = NewDataset(
        matrix=dataset.counts().matrix, gene_ids=dataset.gene_ids, gene_symbols=dataset.gene_symbols, cells=table,
        organism="human", total_counts=np.array(dataset.total_counts), roles={"donor": "who"},
    )  # fmt: skip
    with_donors = write_dataset(tmp_path / "d", new)
    for data, over in ((dataset, "cells"), (with_donors, "donors")):
        found = engine.compute(PerturbGenes(EmbedCells(data, VALUES), (gene(COMMON),), null_genes=0))
        assert found.effects.ci_over.tolist() == [over]
        assert found.effects.ci_low[0] < found.effects.effect[0] < found.effects.ci_high[0]


def test_passes_are_told_beforehand_and_counted(engine, dataset):
    request = PerturbGenes(EmbedCells(dataset, RANKS), (gene(COMMON), gene(SILENT)), null_genes=10, null_cells=4)
    holds = int((dataset.expression(GENES[COMMON]) > 0).sum())
    assert estimated_passes(request) == 32 + holds + 4 * 10
    assert engine.compute(request).n_passes <= estimated_passes(request)


def test_pairs_that_several_edits_need_are_measured_once(engine, dataset):
    edits = tuple(gene(number) for number in range(10, 20))
    request = PerturbGenes(EmbedCells(dataset, VALUES), edits, null_genes=80, null_cells=4)
    found = engine.compute(request)
    n_tested = int(found.effects.n_holding.sum()) + 32
    n_unique = found.null.null_edit.nunique()
    assert found.n_passes - n_tested <= 4 * n_unique < 4 * len(found.null)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edits": ()}, "at least one gene"),
        ({"edits": ((),)}, "at least one gene"),
        ({"edits": ((Delete("ENSG99"),),)}, "ENSG99"),
        ({"edits": (gene(1), gene(1))}, "twice"),
        ({"null_cells": 0}, "1 cell per gene"),
        ({"seed": -1}, "seed"),
        ({"edits": ((Delete(GENES[1]), Activate(GENES[1])),)}, "same gene twice"),
        ({"edits": ((Scale(GENES[1], 0.5),),)}, "cannot scale"),
        ({"goal": State("type", "B"), "alternatives": (State("who", "B"),)}, "one name"),
        ({"cells": CellSet.from_positions("none", [], 90)}, "Choose the cells"),
        ({"cells": CellSet.from_positions("others", [1], 7)}, "Choose the cells"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_at_once(dataset, change, message):
    with pytest.raises(RequestError, match=message):
        PerturbGenes(**{"baseline": EmbedCells(dataset, VALUES), "edits": (gene(1),)} | change)


def test_a_column_that_is_not_there_is_refused(engine, dataset):
    with pytest.raises(RequestError, match="'type', 'who'|type, who"):
        engine.compute(PerturbGenes(EmbedCells(dataset, VALUES), (gene(1),), group_by="kind"))


def test_p_values_of_random_genes_are_uniform(engine, tmp_path):
    """Effects grow with abundance by orders of magnitude, genes differ besides, and no gene is special."""
    rng = np.random.default_rng(11)
    abundance = np.exp(rng.normal(-0.5, 1.2, size=N_GENES))
    new = NewDataset(
        matrix=csr_matrix(rng.poisson(abundance * rng.gamma(4.0, 0.25, size=(60, 1)))), gene_ids=GENES,
        gene_symbols=GENES, cells=pd.DataFrame(index=[str(n) for n in range(60)]), organism="human",
    )  # fmt: skip
    data = write_dataset(tmp_path / "d", new)
    p, unmatched = [], []
    for seed in range(8):
        tested = np.random.default_rng(seed).choice(UNKNOWN, size=30, replace=False)
        request = PerturbGenes(
            EmbedCells(data, VALUES), tuple(gene(number) for number in tested), null_genes=19, null_cells=6, seed=seed
        )
        found = engine.compute(request)
        rows = found.effects.query("n_null == 19")
        p += rows.p_empirical.tolist()
        everything = np.sort(found.null.null_effect)
        unmatched += [1 - np.searchsorted(everything, each) / len(everything) for each in rows.null_effect.nlargest(8)]
    blurred = np.array(p) - np.random.default_rng(0).uniform(size=len(p)) / 20  # p has steps of 1/20
    assert len(p) > 200
    assert kstest(blurred, "uniform").pvalue > 0.01
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.09
    assert np.mean(np.array(unmatched) < 0.2) > 0.5  # what the size of an effect alone would have claimed


def test_random_genes_on_more_cells_keep_what_was_measured_on_fewer(engine, dataset, tmp_path, monkeypatch):
    """From 4 to 20 cells a gene, only the cells from the fifth on go through the model."""
    monkeypatch.setattr(measure_random_genes, "_SLICES", (0, 4, 20))
    request = PerturbGenes(EmbedCells(dataset, VALUES), (gene(COMMON),), null_genes=10, null_cells=4)
    few = engine.compute(request)
    embedded = []
    original = SmallModel.embed

    def counting(model, tokens, options):
        embedded.append(tokens.n_cells)
        return original(model, tokens, options)

    monkeypatch.setattr(SmallModel, "embed", counting)
    many = engine.compute(replace(request, null_cells=20))
    assert sum(embedded) == many.n_passes - few.n_passes > 0
    monkeypatch.setattr(measure_random_genes, "_SLICES", (0, 20))
    engine_2 = Engine(Store(tmp_path / "other"), ThreadExecutor(["cpu"]))
    at_once = engine_2.compute(replace(request, null_cells=20))
    engine_2.close()
    pd.testing.assert_frame_equal(many.null, at_once.null, rtol=1e-6)


def test_an_edit_that_raises_a_gene_is_compared_with_random_genes_raised(engine, dataset):
    baseline = EmbedCells(dataset, find_model("pca"))
    edits = ((Overexpress(GENES[COMMON]),), (Overexpress(GENES[SILENT]),), (Scale(GENES[COMMON], 2.0),))
    found = engine.compute(PerturbGenes(baseline, edits, null_genes=10, null_cells=5))
    rows = found.effects.set_index("edit")
    assert found.edits == (f"overexpress S{COMMON}", f"overexpress S{SILENT}", f"scale S{COMMON} x2")
    assert rows.loc[f"overexpress S{COMMON}", "n_holding"] > (dataset.expression(GENES[COMMON]) > 0).sum()
    assert rows.loc[f"scale S{COMMON} x2", "n_holding"] == (dataset.expression(GENES[COMMON])[:88] > 0).sum()
    assert rows["kind"].tolist() == ["overexpress", "overexpress", "scale"]
    assert rows.loc[f"overexpress S{SILENT}", "status"] == "not held"  # PCA chooses among expressed genes
    assert rows["n_null"].tolist() == [10, 0, 10]


def test_an_unheld_gene_that_is_raised_is_compared_with_other_unheld_genes(engine, dataset):
    raised = replace(RANKS, key="raised", gene_edits=("delete", "overexpress"), load=load_raising)
    request = PerturbGenes(EmbedCells(dataset, raised), ((Overexpress(GENES[SILENT]),),), null_genes=3, null_cells=5)
    cells = CellSet.from_positions("few", [0, 1, 2, 3, 4, 5], 90)
    found = engine.compute(replace(request, cells=cells))
    assert found.effects.n_holding.tolist() == [6]
    assert found.effects.n_null.tolist() == [3]
    tokens = load_ranks(None, "cpu", {}).encode(dataset.counts(slice(0, 6)))
    assert not any(tokens.holds(int(symbol[1:])).any() for symbol in found.null.null_edit)


class RaisingModel(SmallModel):
    def edit(self, tokens, edits):
        gene = GENES.index(edits[0].gene_id)
        rest = without_genes(tokens, np.array([gene]))
        starts = rest.offsets[:-1]
        genes = np.insert(rest.genes, starts, gene).astype(np.int32)
        values = np.insert(rest.values, starts, 1.0).astype(np.float32)
        return Tokens(genes, values, rest.offsets + np.arange(len(rest.offsets)))


def load_raising(folder, device, fitted):
    return RaisingModel(a_table(), reads_values=False, max_tokens=60)


def test_the_pool_takes_donors_in_turns():
    donors = np.array(["a"] * 90 + ["b"] * 6 + ["c"] * 4)
    order = pool_order(np.arange(100), donors, (0, "T"))
    assert sorted(order.tolist()) == list(range(100))
    assert [sorted(donors[order[start : start + 3]]) for start in (0, 3, 6, 9)] == [["a", "b", "c"]] * 4
    assert not np.array_equal(order[order < 90], np.arange(90))


def test_nothing_held_is_refused_at_the_door(engine, dataset):
    found = engine.compute(PerturbGenes(EmbedCells(dataset, RANKS), (gene(SILENT),), null_genes=5))
    with pytest.raises(RequestError, match=f"holds S{SILENT}") as caught:
        require_held(found)
    assert caught.value.code == "not-held"
    require_held(engine.compute(PerturbGenes(EmbedCells(dataset, RANKS), (gene(SILENT), gene(RARE)), null_genes=0)))


def test_one_random_edit_is_measured_once_for_all_that_need_it(engine, dataset):
    request = PerturbGenes(EmbedCells(dataset, VALUES), (gene(10), gene(11)), null_genes=40, null_cells=4)
    drawn = random_genes(Computing(engine), request.exact, (40, 4), seed=0)
    pairs = pd.DataFrame({"number": drawn.number, "cell": drawn.cell})
    assert not pairs.duplicated().any()
    assert drawn.draws.number.nunique() < len(drawn.draws)


class Computing:
    """A context that only computes nested questions."""

    def __init__(self, engine):
        self.compute = engine.compute
