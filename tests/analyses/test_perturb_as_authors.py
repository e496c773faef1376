"""The authors' readout against a plain computation from the specification, and each fault of the authors' code."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_as_authors import AuthorsReadout, PerturbAsAuthors, State, States
from scfm_core.dataset import Dataset, NewDataset, write_dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from scfm_core.model import EmbedOptions, ModelSpec
from scfm_core.registry import find_model
from scfm_core.tokens import Activate, Delete, GeneEdit, Inhibit, Overexpress
from scfm_core.weights import with_weights
from tests.geneformer_folders import real_gene_ids, write_published
from tests.plain_geneformer import Cell, PlainGeneformer

GENES = real_gene_ids(60)
N_READ = 40  # genes of a cell that the models read at most
CLOSE = {"rtol": 0, "atol": 3e-6}  # single precision against double; one cell's screen shares the rounding of one pass
N_EXPRESSED = [45, 40, 39, 38, 40, 20, 20, 7, 3, 2, 1, 0, 30, 25]
N_CELLS = len(N_EXPRESSED)
STATES = States(State("state", "A"), State("state", "B"), (State("batch", "2"),))


@dataclass(frozen=True)
class Case:
    """A model under test, and the same model read by hand."""

    model: ModelSpec
    plain: PlainGeneformer
    pooling: str

    def cells(self, dataset: Dataset) -> list[Cell]:
        counts = dataset.counts()
        rows = counts.matrix.toarray()
        return [
            self.plain.read(dict(zip(counts.gene_ids, row, strict=True)), max(total, 1))
            for row, total in zip(rows, counts.total_counts, strict=True)
        ]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    """Cells as long as the model reads, one gene shorter, short, of one gene and of none; every other gene is known."""
    rng = np.random.default_rng(0)
    matrix = np.zeros((N_CELLS, len(GENES)), dtype=np.int64)
    for row, n_expressed in zip(matrix, N_EXPRESSED, strict=True):
        row[rng.permutation(len(GENES))[:n_expressed]] = rng.integers(1, 500, n_expressed)
    table = pd.DataFrame(
        {
            "state": list("AABBAABBAABBAB"),
            "batch": [1, 2] * (N_CELLS // 2),
            "filter_pass": [1] * (N_CELLS - 1) + [0],
        },
        index=[f"c{number}" for number in range(N_CELLS)],
    )
    new = NewDataset(matrix=csr_matrix(matrix), gene_ids=GENES, gene_symbols=GENES, cells=table, organism="human")
    return write_dataset(tmp_path_factory.mktemp("data"), new)


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> dict[str, Case]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCFM_WORKSPACE", str(tmp_path_factory.mktemp("workspace")))
        found = {}
        for series, key, suffix, dictionaries in (
            ("v1", "geneformer-v1-10m", "gc30M", "geneformer/gene_dictionaries_30m"),
            ("v2", "geneformer-v2-104m", "gc104M", "geneformer"),
        ):
            context = N_READ + (2 if series == "v2" else 0)
            root = write_published(tmp_path_factory.mktemp(series), series=series, gene_ids=GENES, context=context)
            model = with_weights(find_model(key), root)
            folder = root / ("Geneformer-V1-10M" if series == "v1" else "Geneformer-V2-104M")
            plain = PlainGeneformer(folder, root / dictionaries, suffix)
            for pooling in model.poolings:
                found[f"{series} {pooling}"] = Case(model, plain, pooling)
        assert set(found) == {"v1 cell", "v2 cls", "v2 cell"}
        yield found


@pytest.fixture(params=["v1 cell", "v2 cls", "v2 cell"])
def case(request, cases) -> Case:
    return cases[request.param]


def question(dataset: Dataset, case: Case, **options) -> PerturbAsAuthors:
    baseline = EmbedCells(dataset, case.model, EmbedOptions(layer=-1, pooling=case.pooling))
    return PerturbAsAuthors(baseline, **options)


def ask(engine: Engine, dataset: Dataset, case: Case, **options) -> AuthorsReadout:
    return engine.compute(question(dataset, case, **options))


def edit(make: type, *genes: str) -> tuple[GeneEdit, ...]:
    return tuple(make(gene) for gene in genes)


def held_by_most(cells: list[Cell]) -> list[str]:
    genes = [gene for cell in cells[:-1] for gene in cell if gene[0] != "<"]  # the last does not pass the filter
    return sorted(set(genes), key=lambda gene: (-genes.count(gene), gene))


def is_usable(number: int, cell: Cell) -> bool:
    return bool(cell) and number < N_CELLS - 1


def state_vectors(case: Case, dataset: Dataset, cells: list[Cell]) -> dict[str, np.ndarray]:
    table = dataset.cells()
    members = {"A": table["state"] == "A", "B": table["state"] == "B", "2": table["batch"] == 2}
    return {
        name: np.mean(
            [
                case.plain.vector(cell, case.pooling)
                for number, (cell, member) in enumerate(zip(cells, mask, strict=True))
                if member and is_usable(number, cell)
            ],
            axis=0,
        )
        for name, mask in members.items()
    }


@pytest.mark.parametrize("n_genes", [1, 2])
def test_deletion_is_made_in_cells_that_hold_all_genes_and_compared_as_specified(engine, dataset, case, n_genes):
    cells = case.cells(dataset)
    genes = held_by_most(cells)[:n_genes]
    readout = ask(engine, dataset, case, edits=(edit(Delete, *genes),), gene_level=True)
    expected, by_gene = {}, {}
    for number, cell in enumerate(cells):
        if is_usable(number, cell) and all(gene in cell for gene in genes):
            original, edited = case.plain.delete(cell, genes)
            if any(gene[0] != "<" for gene in edited):
                expected[f"c{number}"] = case.plain.similarity(original, edited, genes, case.pooling)
                by_gene |= {(f"c{number}", g): c for g, c in case.plain.gene_cosines(original, edited, genes).items()}
    assert 3 < len(expected) < N_CELLS
    assert list(readout.cells["cell"]) == list(expected)
    assert set(readout.cells["edit"]) == {f"delete:{'+'.join(genes)}"}
    np.testing.assert_allclose(readout.cells["cosine_similarity"], list(expected.values()), **CLOSE)
    assert list(zip(readout.genes["cell"], readout.genes["gene_id"], strict=True)) == list(by_gene)
    np.testing.assert_allclose(readout.genes["cosine_similarity"], list(by_gene.values()), **CLOSE)


@pytest.mark.parametrize("n_genes", [1, 3])
def test_overexpression_is_made_in_every_cell_and_cuts_the_tail(engine, dataset, case, n_genes):
    cells = case.cells(dataset)
    genes = held_by_most(cells)[10 : 10 + n_genes][::-1]  # in an order that is not that of the vocabulary
    readout = ask(engine, dataset, case, edits=(edit(Overexpress, *genes),), gene_level=True)
    expected, n_rows = {}, 0
    for number, cell in enumerate(cells):
        if is_usable(number, cell):
            original, edited = case.plain.overexpress(cell, genes)
            assert len(edited) <= case.plain.longest
            if len(case.plain.gene_cosines(original, edited, genes)) or case.pooling == "cls":
                expected[f"c{number}"] = case.plain.similarity(original, edited, genes, case.pooling)
            n_rows += len(case.plain.gene_cosines(original, edited, genes))
    assert len(expected) >= N_CELLS - 3
    assert list(readout.cells["cell"]) == list(expected)
    np.testing.assert_allclose(readout.cells["cosine_similarity"], list(expected.values()), **CLOSE)
    assert len(readout.genes) == n_rows


@pytest.mark.parametrize("make", [Delete, Overexpress])
def test_shifts_between_states(engine, dataset, case, make):
    cells = case.cells(dataset)
    vectors = state_vectors(case, dataset, cells)
    genes = held_by_most(cells)[:1]
    readout = ask(engine, dataset, case, edits=(edit(make, *genes),), states=STATES)
    assert readout.states == ("A", "B", "2")
    np.testing.assert_allclose(readout.state_vectors, list(vectors.values()), rtol=0, atol=5e-6)
    start = (dataset.cells()["state"] == "A").to_numpy()
    expected = {}
    for number in np.flatnonzero(start):
        cell = cells[number]
        if is_usable(number, cell) and (make is Overexpress or genes[0] in cell):
            perturb = case.plain.delete if make is Delete else case.plain.overexpress
            original, edited = perturb(cell, genes)
            if any(gene[0] != "<" for gene in edited):
                expected[f"c{number}"] = [case.plain.shift(original, edited, v, case.pooling) for v in vectors.values()]
    assert list(readout.cells["cell"]) == list(expected)
    shifts = readout.cells[[f"shift_to:{name}" for name in vectors]]
    np.testing.assert_allclose(shifts, list(expected.values()), **CLOSE)


@pytest.mark.parametrize("kind", ["delete", "overexpress"])
@pytest.mark.parametrize("max_genes", [None, 4])
def test_every_gene_of_a_cell_one_at_a_time(engine, dataset, case, kind, max_genes):
    cells = case.cells(dataset)
    readout = ask(engine, dataset, case, every_gene=kind, max_genes=max_genes)
    expected = {}
    for number, cell in enumerate(cells):
        genes = [gene for gene in cell if gene[0] != "<"][:max_genes]
        first = 1 if kind == "overexpress" else 0  # the strongest gene is at the front already
        for gene in genes[first:] if is_usable(number, cell) else ():
            original, edited = (case.plain.delete if kind == "delete" else case.plain.overexpress)(cell, [gene])
            if len(original) == 1 + 2 * case.plain.special:
                continue  # its last gene taken away, nothing is left to compare
            expected[f"c{number}", f"{kind}:{gene}"] = case.plain.similarity(original, edited, [gene], case.pooling)
    assert list(zip(readout.cells["cell"], readout.cells["edit"], strict=True)) == list(expected)
    np.testing.assert_allclose(readout.cells["cosine_similarity"], list(expected.values()), **CLOSE)
    assert readout.edits["n_cells"].sum() == len(expected)


@pytest.mark.parametrize("kind", ["delete", "overexpress", "inhibit", "activate"])
def test_a_screen_gives_what_single_edits_give(engine, dataset, case, kind):
    make = {"delete": Delete, "overexpress": Overexpress, "inhibit": Inhibit, "activate": Activate}[kind]
    screen = ask(engine, dataset, case, every_gene=kind, gene_level=True).cells.set_index(["cell", "edit"])
    gene = held_by_most(case.cells(dataset))[0]
    single = ask(engine, dataset, case, edits=(edit(make, gene),)).cells.set_index(["cell", "edit"])
    both = single.join(screen, rsuffix="_screen", how="inner")
    assert len(both) >= 3  # where the gene stands first it is not overexpressed one at a time
    np.testing.assert_allclose(both["cosine_similarity_screen"], both["cosine_similarity"], **CLOSE)


def test_a_gene_that_stays_where_it_is_moves_nothing(engine, dataset, case):
    """A cell of one gene stays the same however its gene is inhibited: no other gene to compare, or 1."""
    screen = ask(engine, dataset, case, every_gene="inhibit").cells
    alone = screen[screen["cell"] == "c10"]["cosine_similarity"].tolist()
    assert alone == pytest.approx([1.0] if case.pooling == "cls" else [], abs=1e-11)


# faults of the authors' code (InSilicoPerturber, July 2025), which we do not repeat ------------------------------


def test_fault_overflow_is_counted_once(engine, dataset, case):
    """Theirs drops a gene of the original cell that was one gene short of full, and then cannot compare sizes."""
    cells = case.cells(dataset)
    n_special = 2 if case.plain.special else 0
    lengths = [len(cell) - n_special for cell in cells]
    new = next(gene for gene in GENES if all(gene not in cells[number] for number in (0, 2)))
    genes = ask(engine, dataset, case, edits=(edit(Overexpress, new),), gene_level=True).genes
    n_compared = genes.groupby("cell").size()
    assert lengths[0] == N_READ  # full: its last gene falls off
    assert n_compared["c0"] == N_READ - 1
    assert lengths[2] == N_READ - 1  # one short of full: nothing falls off
    assert n_compared["c2"] == N_READ - 1
    assert set(genes.loc[genes["cell"] == "c2", "gene_id"]) == {gene for gene in cells[2] if gene[0] != "<"}


def test_fault_every_gene_overexpressed_drops_nothing_of_a_full_cell(engine, dataset, case):
    """The gene is in the cell, so that nothing is added; theirs counts it as added where it truncates."""
    genes = ask(engine, dataset, case, every_gene="overexpress", gene_level=True).genes
    n_compared = genes[genes["cell"] == "c0"].groupby("edit").size()
    assert set(n_compared) == {N_READ - 1}


def test_fault_genes_of_an_overexpression_are_not_named_one_too_far(engine, dataset, case):
    """Theirs leaves the first gene out of the names but not out of the cosines, where every gene is overexpressed."""
    screen = ask(engine, dataset, case, every_gene="overexpress", gene_level=True).genes
    names = [gene for gene in case.cells(dataset)[0] if gene[0] != "<"]
    label = f"overexpress:{names[1]}"
    single = ask(engine, dataset, case, edits=(edit(Overexpress, names[1]),), gene_level=True).genes
    mine, alone = (table[(table["cell"] == "c0") & (table["edit"] == label)] for table in (screen, single))
    assert list(mine["gene_id"]) == list(alone["gene_id"]) == [names[0], *names[2:]]
    np.testing.assert_allclose(mine["cosine_similarity"], alone["cosine_similarity"], **CLOSE)


def test_fault_special_tokens_of_shorter_cells_are_no_genes(engine, dataset, cases):
    """Theirs cuts ``<eos>`` off the padded batch, so that only the longest cell loses it."""
    case = cases["v2 cls"]
    cells = case.cells(dataset)
    gene = held_by_most(cells)[0]
    genes = ask(engine, dataset, case, edits=(edit(Delete, gene),), gene_level=True).genes
    n_compared = genes.groupby("cell").size()
    assert n_compared.nunique() > 3  # cells of many lengths in one batch
    for name, number in n_compared.items():
        cell = cells[int(str(name)[1:])]
        assert number == len(cell) - 2 - 1
    assert set(genes["gene_id"]) <= set(GENES)


def test_fault_a_gene_outside_the_vocabulary_is_told(engine, dataset, case):
    """Theirs looks for the token None, finds no cell that holds it, and fails on that."""
    with pytest.raises(RequestError, match="does not know ENSG00000000001") as caught:
        ask(engine, dataset, case, edits=(edit(Delete, GENES[0], "ENSG00000000001"),))
    assert caught.value.code == "not-in-vocabulary"


def test_fault_no_cell_is_lost_and_rows_are_in_order(engine, dataset, case):
    """Theirs keeps 1,000 cells at most by default, shuffles them, and sorts by length."""
    counts = dataset.counts()
    rows = np.tile([5, 8, 12], 350)
    table = pd.DataFrame({"n": rows}, index=[f"cell{number}" for number in range(len(rows))])
    new = NewDataset(
        matrix=counts.matrix[rows], gene_ids=GENES, gene_symbols=GENES, cells=table, organism="human"
    )
    many = write_dataset(dataset.path.parent / "many", new)
    gene = next(gene for gene in case.cells(dataset)[8] if gene[0] != "<")
    readout = ask(engine, many, case, edits=(edit(Overexpress, gene),))
    assert list(readout.cells["cell"]) == list(table.index)
    in_order = readout.cells["cosine_similarity"].to_numpy().reshape(-1, 3)
    np.testing.assert_allclose(in_order, np.tile(in_order[0], (350, 1)), **CLOSE)


def test_fault_no_row_of_a_screen_is_written_apart_or_twice(engine, dataset, case):
    """Theirs flushes the first batch of a cell as batch -1, apart from all others."""
    cells = ask(engine, dataset, case, every_gene="delete").cells
    assert not cells.duplicated(["cell", "edit"]).any()
    full = [gene for gene in case.cells(dataset)[0] if gene[0] != "<"]
    assert list(cells.loc[cells["cell"] == "c0", "edit"]) == [f"delete:{gene}" for gene in full]


def test_fault_a_cell_without_genes_is_left_out(engine, dataset, case):
    """Theirs fails on a cell of length 0."""
    readout = ask(engine, dataset, case, edits=(edit(Overexpress, GENES[0]),))
    assert "c11" not in set(readout.cells["cell"])
    assert any("1 cell is left out, without a gene" in words for words in readout.left_out)


# the question ---------------------------------------------------------------------------------------------------


def test_cells_that_fail_the_filter_take_no_part_and_this_is_said(engine, dataset, cases):
    case = cases["v1 cell"]
    readout = ask(engine, dataset, case, edits=(edit(Overexpress, GENES[0]),))
    assert f"c{N_CELLS - 1}" not in set(readout.cells["cell"])
    assert any("filter_pass is not 1" in words for words in readout.left_out)


def test_a_pooling_that_the_authors_refuse_is_labelled(engine, dataset, cases):
    edits = (edit(Overexpress, GENES[0]),)
    told = {name: " ".join(ask(engine, dataset, case, edits=edits).left_out) for name, case in cases.items()}
    assert [name for name, words in told.items() if "their code refuses this one" in words] == ["v2 cell"]


def test_each_cell_goes_through_the_model_once_unedited(engine, dataset, cases):
    readout = ask(engine, dataset, cases["v1 cell"], every_gene="delete", max_genes=6)
    n_unedited = readout.n_passes - sum(min(n, 6) for n in N_EXPRESSED[:-1])
    assert n_unedited == N_CELLS - 2  # one is empty, one does not pass the filter


def test_the_cut_into_pieces_leaves_no_trace(engine, dataset, case, monkeypatch):
    whole = ask(engine, dataset, case, every_gene="delete", gene_level=True)
    monkeypatch.setattr("scfm_core.analyses.perturb_as_authors.cells_per_chunk", lambda model: 7)
    monkeypatch.setattr("scfm_core.analyses.authors_passes.token_budget_of", lambda model: 90)
    cut = question(dataset, case, every_gene="delete", gene_level=True, max_genes=1000)
    again = engine.compute(cut)
    for name in ("cells", "genes"):
        one, other = getattr(whole, name), getattr(again, name)
        pd.testing.assert_frame_equal(one.iloc[:, :-1], other.iloc[:, :-1])
        np.testing.assert_allclose(one["cosine_similarity"], other["cosine_similarity"], **CLOSE)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "no-genes"),
        ({"edits": (edit(Delete, GENES[0]),), "every_gene": "delete"}, "no-genes"),
        ({"edits": ((),)}, "no-genes"),
        ({"edits": ((Delete(GENES[0]), Overexpress(GENES[1])),)}, "mixed-edit"),
        ({"edits": (edit(Delete, GENES[0]), edit(Delete, GENES[0]))}, "repeated-edit"),
        ({"edits": (edit(Delete, GENES[0], GENES[1]), edit(Delete, GENES[1], GENES[0]))}, "repeated-edit"),
        ({"edits": ((Inhibit(GENES[0], 1),), (Inhibit(GENES[0], 2),))}, "repeated-edit"),
        ({"edits": (edit(Delete, GENES[0]),), "max_genes": 3}, "out-of-range"),
        ({"every_gene": "inhibit", "quartiles": 4}, "out-of-range"),
        ({"every_gene": "delete", "states": States(State("state", "A"), State("state", "A"))}, "repeated-state"),
        ({"every_gene": "delete", "states": States(State("state", "A"), State("state", "Z"))}, "no-cells"),
        ({"every_gene": "delete", "states": States(State("stage", "A"), State("state", "B"))}, "unknown-column"),
    ],
)
def test_a_question_without_sense_is_refused(dataset, cases, options, code):
    with pytest.raises(RequestError) as caught:
        question(dataset, cases["v1 cell"], **options)
    assert caught.value.code == code


def test_the_order_of_a_group_matters_where_it_comes_to_the_front(engine, dataset, cases):
    pair = GENES[:2]
    edits = (edit(Overexpress, *pair), edit(Overexpress, *pair[::-1]))
    cells = ask(engine, dataset, cases["v1 cell"], edits=edits).cells
    one, other = (cells.loc[cells["edit"] == label, "cosine_similarity"].to_numpy() for label in cells["edit"].unique())
    assert len(one) == N_CELLS - 2 == len(other)
    assert (np.abs(one - other) > 1e-4).sum() > 8


def test_a_model_that_does_not_read_ranks_is_refused(dataset):
    with pytest.raises(RequestError, match="does not read genes by rank"):
        PerturbAsAuthors(EmbedCells(dataset, find_model("pca")), every_gene="delete")


def test_a_model_that_cannot_make_the_edit_is_refused(dataset, cases):
    case = replace(cases["v1 cell"], model=replace(cases["v1 cell"].model, gene_edits=("delete",)))
    with pytest.raises(RequestError, match="cannot overexpress"):
        question(dataset, case, every_gene="overexpress")


def test_two_states_of_one_value_are_told_apart():
    states = States(State("state", "2"), State("state", "B"), (State("batch", "2"),))
    assert states.names == ("state=2", "B", "batch=2")
