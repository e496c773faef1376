"""Edits of ranked genes against the same edit of one list, and what holds for every edit."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scfm_core.errors import RequestError
from scfm_core.token_edits import Frame, deleted, moved_by_quartiles, moved_to_front
from scfm_core.tokens import Activate, Delete, GeneEdit, Inhibit, Overexpress, Tokens, edit_name

CLS, EOS = 100, 101
LONGEST = 8

genes = st.integers(0, 11)
cells = st.lists(st.lists(genes, max_size=LONGEST - 2, unique=True), min_size=1, max_size=6)
frames = st.sampled_from([Frame(0, 0, LONGEST - 2), Frame(1, 1, LONGEST)])
quartiles = st.sampled_from([-3, -2, -1, 1, 2, 3])


def tokens_of(some: list[list[int]], frame: Frame) -> Tokens:
    framed = [[CLS, *cell, EOS] if cell and frame.n_special else cell for cell in some]
    flat = np.array([gene for cell in framed for gene in cell], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(cell) for cell in framed])]).astype(np.int64)
    return Tokens(flat, np.ones(len(flat), dtype=np.float32), offsets)


def cells_of(tokens: Tokens, frame: Frame) -> Iterator[list[int]]:
    """The genes of each cell; checks that the special tokens stand where they belong."""
    assert tokens.genes.dtype == np.int32
    assert len(tokens.genes) == len(tokens.values) == tokens.offsets[-1]
    for start, stop in zip(tokens.offsets, tokens.offsets[1:], strict=False):
        cell = tokens.genes[start:stop].tolist()
        if frame.n_special and cell:
            assert (cell[0], cell[-1]) == (CLS, EOS)
            cell = cell[1:-1]
            assert cell
        yield cell


@given(cells, frames, st.lists(genes, max_size=4))
def test_deletion_closes_the_gap_and_an_emptied_cell_keeps_no_special_token(some, frame, gone):
    tokens = deleted(tokens_of(some, frame), np.array(gone, dtype=np.int64), frame)
    assert list(cells_of(tokens, frame)) == [[gene for gene in cell if gene not in gone] for cell in some]


@given(cells, frames, st.lists(genes, max_size=LONGEST))
def test_to_the_front_in_the_order_listed_and_cut_at_the_tail(some, frame, listed):
    tokens = moved_to_front(tokens_of(some, frame), np.array(listed, dtype=np.int64), frame)
    front = list(dict.fromkeys(listed))
    expected = [
        [*front, *(gene for gene in cell if gene not in front)][: LONGEST - 2] if cell else [] for cell in some
    ]
    assert list(cells_of(tokens, frame)) == expected


def moved_in_list(cell: list[int], gene: int, by: int) -> list[int]:
    """The rule in words: which quartile, then the middle of another one, the front or the end."""
    if gene not in cell:
        return cell
    n, quartile = len(cell), 0
    while cell.index(gene) >= (quartile + 1) * n / 4:
        quartile += 1
    others = [other for other in cell if other != gene]
    if quartile + by < 0:
        return [gene, *others]
    if quartile + by > 3:
        return [*others, gene]
    middle = int((quartile + by + 0.5) * n / 4)
    return [*others[:middle], gene, *others[middle:]]


@settings(max_examples=300)
@given(cells, frames, genes, quartiles)
def test_a_move_by_quartiles_follows_the_rule(some, frame, gene, by):
    tokens = moved_by_quartiles(tokens_of(some, frame), gene, by, frame)
    assert list(cells_of(tokens, frame)) == [moved_in_list(cell, gene, by) for cell in some]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=200, unique=True), st.data(), quartiles)
def test_a_move_by_quartiles_keeps_the_genes_and_the_order_of_the_others(cell, data, by):
    gene = data.draw(st.sampled_from(cell))
    frame = Frame(0, 0, 200)
    (moved,) = cells_of(moved_by_quartiles(tokens_of([cell], frame), gene, by, frame), frame)
    assert sorted(moved) == sorted(cell)
    assert [other for other in moved if other != gene] == [other for other in cell if other != gene]
    change = moved.index(gene) - cell.index(gene)
    assert change <= 0 if by < 0 else change >= 0
    if abs(by) == 3 and len(cell) >= 8 and (cell.index(gene) * 4 // len(cell)) in (1, 2):
        assert moved.index(gene) == (0 if by < 0 else len(cell) - 1)  # past the outermost quartile


@pytest.mark.parametrize(
    ("place", "by", "goes_to"),
    [(0, 1, 6), (3, 1, 6), (4, 1, 10), (15, 1, 15), (12, 1, 15), (12, -1, 10), (8, -1, 6), (5, -1, 2), (3, -1, 0)],
)
def test_sixteen_genes_move_as_documented(place: int, by: int, goes_to: int) -> None:
    frame = Frame(1, 1, 18)
    (moved,) = cells_of(moved_by_quartiles(tokens_of([list(range(16))], frame), place, by, frame), frame)
    assert moved.index(place) == goes_to


@pytest.mark.parametrize("kind", [Inhibit, Activate])
def test_quartiles_are_one_to_three(kind: type[Inhibit | Activate]) -> None:
    with pytest.raises(RequestError, match="1, 2 or 3 quartiles"):
        kind("ENSG00000105374", 4)


def test_every_edit_has_the_name_that_cards_use() -> None:
    edits: list[GeneEdit] = [kind("ENSG00000105374") for kind in (Delete, Overexpress, Inhibit, Activate)]
    assert [edit_name(edit) for edit in edits] == ["delete", "overexpress", "inhibit", "activate"]
