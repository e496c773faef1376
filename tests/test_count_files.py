"""A matrix on disk: written in pieces of any size, turned, and read by any choice of lines, it stays the same."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_matrix, csr_matrix, random_array

from scfm_core import count_files
from scfm_core.count_files import LineWriter, cut_lines, read_lines, write_transposed

N_ROWS, N_COLUMNS = 211, 67


def some_matrix(seed: int = 0) -> csr_matrix:
    rng = np.random.default_rng(seed)
    matrix = csr_matrix(random_array((N_ROWS, N_COLUMNS), density=0.2, rng=rng))
    matrix.data = rng.integers(1, 250, matrix.nnz).astype(np.uint8)
    matrix.sort_indices()
    return matrix


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stem = tmp_path_factory.mktemp("matrix") / "by_row"
    writer = LineWriter(stem, N_COLUMNS)
    writer.append(some_matrix())
    writer.close()
    return stem


@pytest.mark.parametrize("gap_bytes", [0, 40, 2**16])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.integers(0, N_ROWS - 1), max_size=80))
def test_any_lines_in_any_order(on_disk: Path, monkeypatch: pytest.MonkeyPatch, gap_bytes: int, chosen: list) -> None:
    """Whether lines are read one by one, in spans that skip some, or in one go."""
    monkeypatch.setattr(count_files, "_GAP_BYTES", gap_bytes)
    monkeypatch.setattr(count_files, "_SPAN_BYTES", 512)
    rows = np.array(chosen, dtype=np.int64)
    found = csr_matrix(read_lines(on_disk, rows, N_COLUMNS), shape=(len(rows), N_COLUMNS))
    np.testing.assert_array_equal(found.toarray(), some_matrix()[rows].toarray())


@pytest.mark.parametrize("at_once", [1, 37, 500, 10**6])
def test_turned_in_pieces_it_is_what_scipy_turns(
    on_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(count_files, "_COUNTS_AT_ONCE", at_once)
    write_transposed(on_disk, tmp_path / "by_column", (N_ROWS, N_COLUMNS))
    expected = csc_matrix(some_matrix())
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"by_column_{part}.npy" for part in count_files.PARTS]
    for part in count_files.PARTS:
        np.testing.assert_array_equal(np.load(tmp_path / f"by_column_{part}.npy"), getattr(expected, part))
    assert np.load(tmp_path / "by_column_indices.npy").dtype == np.uint8
    assert np.load(tmp_path / "by_column_data.npy").dtype == np.uint8


def test_values_are_widened_when_a_larger_one_comes(tmp_path: Path) -> None:
    pieces = [csr_matrix(np.array([[0, top], [1, 2]]).astype(np.min_scalar_type(top))) for top in (9, 300, 8, 70_000)]
    writer = LineWriter(tmp_path / "wide", 2)
    for piece in pieces:
        writer.append(piece)
    writer.close()
    data = np.load(tmp_path / "wide_data.npy")
    assert data.dtype == np.uint32
    assert data.tolist() == [9, 1, 2, 300, 1, 2, 8, 1, 2, 70_000, 1, 2]
    assert len(list(tmp_path.iterdir())) == 3


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 20))
def test_cut_lines_covers_all_and_keeps_to_the_size(lengths: list, most: int) -> None:
    pointers = np.concatenate([[0], np.cumsum(lengths)])
    spans = cut_lines(pointers, most)
    assert [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])]
    assert spans[-1][1] == len(lengths)
    for start, stop in spans:
        assert stop == start + 1 or pointers[stop] - pointers[start] <= most
