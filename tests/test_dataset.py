"""A dataset on disk gives back what was written, by cell and by gene, and refuses what is no counts."""

import json
import multiprocessing
import os
import pickle
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix

from scfm_core.dataset import NewDataset, list_datasets, open_dataset, parent_of, subset_dataset, write_dataset
from scfm_core.errors import DatasetError

N_CELLS, N_GENES = 23, 17


def some_counts(seed=0, n_cells=N_CELLS, n_genes=N_GENES, largest=300):
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, largest + 1, (n_cells, n_genes)) * (rng.random((n_cells, n_genes)) < 0.3)
    dense[0, 0] = largest
    dense[n_cells // 2] = 0  # an empty cell
    dense[:, n_genes // 2] = 0  # an empty gene
    return dense


def new_dataset(dense, **changes):
    n_cells, n_genes = dense.shape
    parts = {
        "matrix": csr_matrix(dense),
        "gene_ids": tuple(f"ENSG{i:011d}" for i in range(n_genes)),
        "gene_symbols": tuple(f"GENE{i}" for i in range(n_genes)),
        "cells": pd.DataFrame({"batch": ["a", "b"] * (n_cells // 2) + ["a"] * (n_cells % 2)}).rename(
            index=lambda i: f"cell{i}"
        ),
        "organism": "human",
        "roles": {"batch": "batch"},
        "title": "some counts",
        "notes": ("made up",),
    }
    return NewDataset(**(parts | changes))


@pytest.fixture(scope="module")
def dense():
    return some_counts()


@pytest.fixture(scope="module")
def dataset(dense, tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("datasets"), new_dataset(dense))


def test_everything_comes_back(dense, dataset):
    counts = dataset.counts()
    np.testing.assert_array_equal(counts.matrix.toarray(), dense)
    np.testing.assert_array_equal(counts.total_counts, dense.sum(axis=1))
    assert counts.gene_ids == dataset.gene_ids == new_dataset(dense).gene_ids
    assert dataset.gene_symbols[3] == "GENE3"
    assert (dataset.title, dataset.notes, dataset.roles) == ("some counts", ("made up",), {"batch": "batch"})
    assert (dataset.n_cells, dataset.n_genes, dataset.organism) == (*dense.shape, "human")
    assert list(dataset.cells().index) == list(new_dataset(dense).cells.index)
    assert dataset.cells()["batch"].tolist() == new_dataset(dense).cells["batch"].tolist()
    assert open_dataset(dataset.path) == dataset


def test_each_gene_comes_back(dense, dataset):
    for place, gene_id in enumerate(dataset.gene_ids):
        np.testing.assert_array_equal(dataset.expression(gene_id), dense[:, place])


def test_an_unknown_gene_is_refused(dataset):
    with pytest.raises(DatasetError, match="ENSG9"):
        dataset.expression("ENSG9")


slices = st.slices(N_CELLS)
positions = st.lists(st.integers(-N_CELLS, N_CELLS - 1), max_size=40).map(lambda rows: np.array(rows, dtype=np.int64))
masks = st.lists(st.booleans(), min_size=N_CELLS, max_size=N_CELLS).map(np.array)


@given(cells=st.one_of(slices, positions, masks))
@settings(max_examples=150, deadline=None)
def test_any_choice_of_cells_equals_that_of_the_matrix(dense, dataset, cells):
    counts = dataset.counts(cells)
    np.testing.assert_array_equal(counts.matrix.toarray(), dense[cells])
    np.testing.assert_array_equal(counts.total_counts, dense.sum(axis=1)[cells])
    assert counts.matrix.shape == dense[cells].shape
    assert counts.matrix.has_canonical_format


@given(genes=st.one_of(st.slices(N_GENES), st.lists(st.integers(0, N_GENES - 1), max_size=30)))
@settings(max_examples=100, deadline=None)
def test_any_choice_of_genes_equals_that_of_the_matrix(dense, dataset, genes):
    genes = genes if isinstance(genes, slice) else np.array(genes, dtype=np.int64)
    np.testing.assert_array_equal(dataset.counts_of_genes(genes).toarray(), dense[:, genes])


@given(seed=st.integers(0, 1000), n_cells=st.integers(1, 12), n_genes=st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_any_shape_comes_back(tmp_path_factory, seed, n_cells, n_genes):
    dense = some_counts(seed, n_cells, n_genes)
    got = write_dataset(tmp_path_factory.mktemp("shapes"), new_dataset(dense, cells=_names(n_cells), roles={}))
    np.testing.assert_array_equal(got.counts().matrix.toarray(), dense)
    np.testing.assert_array_equal(got.expression(got.gene_ids[-1]), dense[:, -1])


def _names(n_cells):
    return pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)])


@pytest.mark.parametrize(
    ("largest", "dtype"), [(1, np.uint8), (255, np.uint8), (256, np.uint16), (65536, np.uint32), (2**33, np.uint64)]
)
def test_counts_keep_the_smallest_integer_type(tmp_path, largest, dtype):
    got = write_dataset(tmp_path, new_dataset(some_counts(largest=largest).astype(np.float64)))
    assert got.counts().matrix.dtype == dtype
    assert got.expression(got.gene_ids[0]).dtype == dtype
    assert got.expression(got.gene_ids[0])[0] == largest


def _shuffled(dense):
    """The same counts with the entries of each row in another order and some zeros written out."""
    matrix = csr_matrix(dense)
    rng = np.random.default_rng(1)
    rows, columns = np.nonzero(dense == 0)
    extra = coo_matrix((np.zeros(len(rows)), (rows, columns)), shape=dense.shape)
    both = coo_matrix(matrix)
    order = rng.permutation(both.nnz + extra.nnz)
    data = np.concatenate([both.data, extra.data])[order]
    row = np.concatenate([both.row, extra.row])[order]
    column = np.concatenate([both.col, extra.col])[order]
    by_row = np.argsort(row, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=dense.shape[0]))])
    return csr_matrix((data[by_row], column[by_row], indptr), shape=dense.shape)


def _halved(dense):
    """The same counts with each entry written twice, as two halves."""
    matrix = coo_matrix(dense)
    low, high = matrix.data // 2, matrix.data - matrix.data // 2
    rows, columns = np.tile(matrix.row, 2), np.tile(matrix.col, 2)
    by_row = np.argsort(rows, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=dense.shape[0]))])
    data = np.concatenate([low, high]).astype(np.uint8)[by_row]
    return csr_matrix((data, columns[by_row], indptr), shape=dense.shape)


@pytest.mark.parametrize(
    "form",
    [
        lambda dense: csr_matrix(dense.astype(np.uint16)),
        lambda dense: csr_matrix(dense.astype(np.float32)),
        lambda dense: csr_matrix(dense.astype(np.int64)),
        lambda dense: csr_matrix(csc_matrix(dense)),
        _shuffled,
        _halved,
    ],
    ids=["uint16", "float32", "int64", "by column", "shuffled with zeros", "entries in two halves"],
)
def test_the_identity_depends_on_content_not_on_form(dense, dataset, form, tmp_path):
    matrix = form(dense)
    before = (matrix.data.copy(), matrix.indices.copy(), matrix.indptr.copy())
    got = write_dataset(tmp_path, new_dataset(dense, matrix=matrix))
    assert got.identity == dataset.identity
    np.testing.assert_array_equal(got.counts().matrix.toarray(), dense)
    for array, kept in zip((matrix.data, matrix.indices, matrix.indptr), before, strict=True):
        np.testing.assert_array_equal(array, kept)  # the caller's matrix is left alone


def test_title_and_notes_are_no_part_of_the_identity(dense, dataset, tmp_path):
    got = write_dataset(tmp_path, new_dataset(dense, title="another", notes=()))
    assert got.identity == dataset.identity
    assert got.title == "another"


def _with_one_more(dense):
    changed = dense.copy()
    changed[1, 1] += 1
    return new_dataset(changed)


@pytest.mark.parametrize(
    "change",
    [
        _with_one_more,
        lambda dense: new_dataset(dense, organism="mouse"),
        lambda dense: new_dataset(dense, roles={}),
        lambda dense: new_dataset(dense, roles={"donor": "batch"}),
        lambda dense: new_dataset(dense, total_counts=dense.sum(axis=1) + 1.0),
        lambda dense: new_dataset(dense, gene_symbols=("other", *new_dataset(dense).gene_symbols[1:])),
        lambda dense: new_dataset(dense, gene_ids=("other", *new_dataset(dense).gene_ids[1:])),
        lambda dense: new_dataset(dense, cells=new_dataset(dense).cells.rename(index={"cell0": "first"})),
        lambda dense: new_dataset(dense, cells=new_dataset(dense).cells.assign(more=1)),
        lambda dense: new_dataset(dense, cells=new_dataset(dense).cells.replace({"b": "c"})),
    ],
)
def test_a_change_of_content_changes_the_identity(dense, dataset, change, tmp_path):
    assert write_dataset(tmp_path, change(dense)).identity != dataset.identity


def test_numbers_and_their_text_are_different_columns(dense, tmp_path):
    cells = new_dataset(dense).cells
    number = write_dataset(tmp_path, new_dataset(dense, cells=cells.assign(plate=1)))
    text = write_dataset(tmp_path, new_dataset(dense, cells=cells.assign(plate="1")))
    assert number.identity != text.identity
    assert number.cells()["plate"].tolist() == [1] * N_CELLS
    assert text.cells()["plate"].tolist() == ["1"] * N_CELLS


def test_the_cell_table_keeps_numbers_and_turns_the_rest_into_categories(dense, tmp_path):
    n = N_CELLS
    cells = pd.DataFrame(
        {
            "batch": pd.Categorical(["x"] * n, categories=["y", "x"]),
            "share": np.linspace(0, 1, n),
            "half": np.linspace(0, 1, n).astype(np.float16),
            "plate": pd.array([1, None] * (n // 2) + [3], dtype="Int64"),
            "kept": np.arange(n) % 2 == 0,
            "date": pd.date_range("2020-01-01", periods=n),
            "mixed": [1, "1", None, 2.5] * (n // 4) + ["end"] * (n % 4),
            "number": pd.Categorical([1, 2, 3] * (n // 3) + [1] * (n % 3)),
            "cell": "named like the index",
        },
        index=np.arange(n),
    )
    got = write_dataset(tmp_path, new_dataset(dense, cells=cells)).cells()
    assert list(got.columns) == list(cells.columns)
    assert list(got.index) == [str(i) for i in range(n)]
    assert list(got["batch"].cat.categories) == ["x"]
    np.testing.assert_array_equal(got["share"], cells["share"])
    assert got["half"].dtype == np.float32
    assert got["plate"].isna().sum() == n // 2
    assert got["kept"].dtype == bool
    assert got["date"].iloc[0] == "2020-01-01 00:00:00"
    assert set(got["mixed"].dropna()) == {"1", "2.5", "end"}
    assert got["mixed"].isna().sum() == n // 4
    assert list(got["number"].cat.categories) == ["1", "2", "3"]


def test_a_pickled_dataset_opens_again(dense, dataset):
    again = pickle.loads(pickle.dumps(dataset))
    assert again == dataset
    assert len(pickle.dumps(dataset)) < 2000  # a handle, not the counts
    np.testing.assert_array_equal(again.counts(np.array([3, 1])).matrix.toarray(), dense[[3, 1]])


def _write_in_another_process(root, dense, start):
    start.wait()
    return write_dataset(root, new_dataset(dense)).identity


def test_two_writers_at_once_leave_one_good_folder(tmp_path):
    dense = some_counts(n_cells=400, n_genes=300)
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(2) as pool:
        start = manager.Event()
        running = [pool.apply_async(_write_in_another_process, (tmp_path, dense, start)) for _ in range(2)]
        start.set()
        identities = {job.get(timeout=120) for job in running}
    assert len(identities) == 1
    assert [path.name for path in tmp_path.iterdir()] == list(identities)
    np.testing.assert_array_equal(list_datasets(tmp_path)[0].counts().matrix.toarray(), dense)


def test_writing_again_gives_what_is_there(dense, tmp_path):
    first = write_dataset(tmp_path, new_dataset(dense))
    assert write_dataset(tmp_path, new_dataset(dense, title="later")) == first
    assert first.title == "some counts"
    assert [path.name for path in tmp_path.iterdir()] == [first.sha256]


def test_a_failed_writer_leaves_nothing(dense, tmp_path):
    unwritable = pd.DataFrame({"batch": "a", "z": pd.array([1 + 2j] * N_CELLS)}, index=new_dataset(dense).cells.index)
    with pytest.raises(pa.ArrowException):
        write_dataset(tmp_path, new_dataset(dense, cells=unwritable))
    assert list(tmp_path.iterdir()) == []


def test_list_datasets_shows_the_newest_first_and_no_unfinished_ones(dense, tmp_path):
    assert list_datasets(tmp_path / "nothing here") == []
    first = write_dataset(tmp_path, new_dataset(dense))
    second = write_dataset(tmp_path, new_dataset(some_counts(1)))
    os.utime(first.path / "manifest.json", (1, 1))
    shutil.copytree(first.path, tmp_path / ".half-written")
    assert list_datasets(tmp_path) == [second, first]


def test_no_dataset_is_refused(tmp_path):
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path)
    assert caught.value.code == "no-dataset"


def _spoilt(dense, value):
    matrix = csr_matrix(dense.astype(np.float64))
    matrix.data[3] = value
    return new_dataset(dense, matrix=matrix)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda dense: _spoilt(dense, -1), "not-counts"),
        (lambda dense: _spoilt(dense, 1.5), "not-counts"),
        (lambda dense: _spoilt(dense, np.nan), "not-counts"),
        (lambda dense: _spoilt(dense, np.inf), "not-counts"),
        (lambda dense: _spoilt(dense, 1e300), "not-counts"),
        (lambda dense: new_dataset(dense, matrix=csr_matrix(dense.astype(complex))), "not-counts"),
        (lambda dense: new_dataset(dense, gene_ids=("a",) * N_GENES), "duplicate-names"),
        (lambda dense: new_dataset(dense, cells=pd.DataFrame({"batch": 1}, index=["a"] * N_CELLS)), "duplicate-names"),
        (lambda dense: new_dataset(dense, cells=pd.concat([new_dataset(dense).cells] * 2, axis=1)), "duplicate-names"),
        (lambda dense: new_dataset(dense, gene_ids=("a", "b")), "shape-mismatch"),
        (lambda dense: new_dataset(dense, gene_symbols=()), "shape-mismatch"),
        (lambda dense: new_dataset(dense, cells=new_dataset(dense).cells.iloc[:3]), "shape-mismatch"),
        (lambda dense: new_dataset(dense, total_counts=np.ones(3)), "shape-mismatch"),
        (lambda dense: new_dataset(dense, total_counts=np.ones(N_CELLS)), "bad-totals"),
        (lambda dense: new_dataset(dense, total_counts=np.full(N_CELLS, np.nan)), "bad-totals"),
        (lambda dense: new_dataset(dense, roles={"donor": "patient"}), "unknown-column"),
        (lambda dense: new_dataset(np.zeros((0, 3), dtype=int), cells=pd.DataFrame(), roles={}), "empty"),
    ],
)
def test_what_is_no_dataset_is_refused_in_words_and_leaves_nothing(dense, spoil, code, tmp_path):
    with pytest.raises(DatasetError) as caught:
        write_dataset(tmp_path, spoil(dense))
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_totals_over_more_genes_than_the_file_holds_are_kept(dense, tmp_path):
    totals = dense.sum(axis=1) + 100.0
    got = write_dataset(tmp_path, new_dataset(dense, total_counts=totals))
    np.testing.assert_array_equal(got.counts(slice(2, 5)).total_counts, totals[2:5])


def test_a_subset_keeps_rows_totals_and_roles(dense, tmp_path):
    whole = write_dataset(tmp_path, new_dataset(dense, total_counts=dense.sum(axis=1) + 7.0))
    keep = np.arange(N_CELLS) % 3 == 0
    part = subset_dataset(whole, keep, title="a third", note="every third cell was kept")
    np.testing.assert_array_equal(part.counts().matrix.toarray(), dense[keep])
    np.testing.assert_array_equal(part.total_counts, dense.sum(axis=1)[keep] + 7.0)
    pd.testing.assert_frame_equal(part.cells(), whole.cells()[keep])
    assert (part.roles, part.gene_ids, part.gene_symbols) == (whole.roles, whole.gene_ids, whole.gene_symbols)
    assert (part.title, part.notes) == ("a third", ("made up", "every third cell was kept"))
    assert part.path.parent == whole.path.parent
    assert (part.parent, whole.parent) == (whole.sha256, "")
    assert (parent_of(part), parent_of(whole)) == (whole, None)
    np.testing.assert_array_equal(whole.counts().matrix.toarray(), dense)


def test_a_subset_stays_when_its_parent_is_gone_or_never_was_told(dense, tmp_path):
    whole = write_dataset(tmp_path / "first", new_dataset(dense))
    part = subset_dataset(whole, np.arange(N_CELLS) < 5, title="five", note="")
    shutil.rmtree(whole.path)
    assert parent_of(open_dataset(part.path)) is None
    manifest = json.loads((part.path / "manifest.json").read_text())
    del manifest["parent"]  # as earlier versions wrote it
    moved = part.path.rename(tmp_path / "old")
    (moved / "manifest.json").write_text(json.dumps(manifest))
    assert (open_dataset(moved).parent, parent_of(open_dataset(moved))) == ("", None)


@pytest.mark.parametrize(
    ("keep", "code"),
    [(np.zeros(N_CELLS, dtype=bool), "empty"), (np.ones(3, dtype=bool), "shape-mismatch"),
     (np.arange(N_CELLS), "shape-mismatch")],
)
def test_a_subset_of_nothing_or_by_the_wrong_mask_is_refused(dataset, keep, code):
    with pytest.raises(DatasetError) as caught:
        subset_dataset(dataset, keep, title="", note="")
    assert caught.value.code == code


def _cut(matrix, *stops):
    return (matrix[start:stop] for start, stop in zip((0, *stops), (*stops, N_CELLS), strict=True))


@pytest.mark.parametrize("stops", [(), (1,), (5, 5, 20), tuple(range(1, N_CELLS))])
def test_counts_in_pieces_are_the_same_dataset(dense, dataset, tmp_path, stops):
    got = write_dataset(tmp_path, new_dataset(dense, matrix=_cut(csr_matrix(dense), *stops)))
    assert got.identity == dataset.identity
    assert sorted(path.name for path in got.path.iterdir()) == sorted(path.name for path in dataset.path.iterdir())
    for file in dataset.path.glob("*.npy"):
        assert (got.path / file.name).read_bytes() == file.read_bytes()


def test_a_large_matrix_is_written_and_cut_in_pieces(dense, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("scfm_core.dataset._COUNTS_PER_PIECE", 20)
    got = write_dataset(tmp_path, new_dataset(dense))
    assert got.identity == dataset.identity
    part = subset_dataset(got, np.arange(N_CELLS) % 2 == 0, title="half", note="every other cell")
    np.testing.assert_array_equal(part.counts().matrix.toarray(), dense[::2])


@pytest.mark.parametrize(
    "pieces",
    [
        lambda matrix: [matrix, matrix[:1]],
        lambda matrix: [matrix[:-1]],
        lambda matrix: [],
        lambda matrix: [matrix[:3], matrix[3:, 1:]],
    ],
    ids=["too many cells", "too few cells", "none", "too few genes"],
)
def test_pieces_that_do_not_fit_are_refused_and_leave_nothing(dense, tmp_path, pieces):
    with pytest.raises(DatasetError) as caught:
        write_dataset(tmp_path, new_dataset(dense, matrix=pieces(csr_matrix(dense))))
    assert caught.value.code == "shape-mismatch"
    assert list(tmp_path.iterdir()) == []


def test_one_column_of_the_cell_table(dense, tmp_path):
    cells = new_dataset(dense).cells.assign(plate=pd.array([1, None] * 11 + [3], dtype="Int64"), cell="a column")
    got = write_dataset(tmp_path, new_dataset(dense, cells=cells))
    assert got.cell_columns == ("batch", "plate", "cell")
    for name in got.cell_columns:
        pd.testing.assert_series_equal(got.cell_column(name), got.cells()[name].reset_index(drop=True))
    with pytest.raises(DatasetError, match="no column 'donor'. Its columns: batch, plate, cell"):
        got.cell_column("donor")


def test_cells_per_gene(dense, dataset):
    np.testing.assert_array_equal(dataset.cells_per_gene, (dense > 0).sum(axis=0))
