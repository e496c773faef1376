"""Cells of four types, and a small value model in which it is known which gene acts on what, and where."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm_core.dataset import NewDataset, write_dataset
from scfm_core.model import CellStates, ModelSpec
from scfm_core.tokens import Delete, Tokens, without_genes

N_GENES, SIZE, N_CELLS = 260, 24, 200
GENES = tuple(f"ENSG{number:011d}" for number in range(N_GENES))
HUB, ACTOR, TARGET, RESPONDER = 100, 101, 102, 103
SILENT, ONLY_IN_A = 104, 105  # no cell expresses the one; only cells of type A the other
STEADY = {110: "Actb", 111: "GAPDH", 112: "B2M", 113: "PPIA", 114: "TBP"}
MARKERS = {"A": 120, "B": 121, "C": 122, "D": 123}
SYMBOLS = tuple(STEADY.get(number, f"S{number}") for number in range(N_GENES))
_BUILT = (HUB, ACTOR, TARGET, RESPONDER, SILENT, ONLY_IN_A, *STEADY, *MARKERS.values())
ORDINARY = tuple(number for number in range(N_GENES) if number not in _BUILT)


@dataclass(frozen=True)
class ActingModel:
    """A cell is the sum of its genes' vectors by value; three genes do more.

    Where a cell holds ``HUB``, a push is added in every cell; where it holds ``ACTOR``, one in cells that hold the
    marker of type A too. The vector of ``TARGET`` turns with ``ACTOR``, that of ``RESPONDER`` with anything.
    """

    table: np.ndarray
    sloppy: bool = False

    @property
    def gene_ids(self):
        return GENES

    def encode(self, counts):
        position = {gene: place for place, gene in enumerate(GENES)}
        known = [place for place, gene in enumerate(counts.gene_ids) if gene in position]
        matrix = csr_matrix(counts.matrix[:, known])
        columns = np.array([position[counts.gene_ids[place]] for place in known], dtype=np.int32)
        scale = np.repeat(1e4 / counts.total_counts, np.diff(matrix.indptr))
        values = np.log1p(matrix.data * scale).astype(np.float32)
        return Tokens(columns[matrix.indices], values, matrix.indptr.astype(np.int64))

    def edit(self, tokens, edits):
        if self.sloppy:  # takes the first gene of every cell, whatever is asked
            return tokens.keep(np.arange(len(tokens.genes)) != np.repeat(tokens.offsets[:-1], tokens.lengths))
        return without_genes(tokens, np.array([GENES.index(edit.gene_id) for edit in edits]))

    def embed(self, tokens, options):
        cell = tokens.cell_of_token()
        own = self.table[tokens.genes] * tokens.values[:, None]
        cells = np.stack([np.bincount(cell, weights=column, minlength=tokens.n_cells) for column in own.T], axis=1)
        has = {gene: tokens.holds(gene) for gene in (HUB, ACTOR, MARKERS["A"])}
        acts = has[ACTOR] & has[MARKERS["A"]]
        cells[:, 0] += 60.0 * has[HUB]
        cells[:, 1] += 60.0 * acts
        cells[tokens.lengths == 0] = np.nan
        if not options.gene_vectors:
            return CellStates(cells.astype(np.float32))
        vectors = self.table[tokens.genes] + 0.01 * cells[cell] / np.maximum(tokens.lengths, 1)[cell, None]
        vectors[tokens.genes == TARGET, 2] += 0.5 * has[ACTOR][cell[tokens.genes == TARGET]]
        vectors[tokens.genes == RESPONDER] += 0.5 * cells[cell[tokens.genes == RESPONDER]]
        return CellStates(cells.astype(np.float32), vectors.astype(np.float32))


def load_acting(folder, device, fitted):
    table = np.random.default_rng(11).normal(size=(N_GENES, SIZE))
    table[[HUB, ACTOR]] *= 0.1
    return ActingModel(table)


def load_sloppy(folder, device, fitted):
    return replace(load_acting(folder, device, fitted), sloppy=True)


ACTING = ModelSpec(
    key="acting",
    title="Acting",
    revision="1",
    summary="",
    organisms=("human",),
    vocabulary="260 genes",
    embedding_size=SIZE,
    max_tokens=None,
    n_parameters=None,
    licence="",
    citation="",
    doi="",
    training_data="",
    known_limits=(),
    load=load_acting,
    has_gene_vectors=True,
)
SLOPPY = replace(ACTING, key="sloppy", load=load_sloppy)


def gene(number):
    """Return the deletion of one gene."""
    return (Delete(GENES[number]),)


def acting_dataset(root, *, n_more=0):
    """Write 200 cells of four types, in turns; abundances differ by gene and little by type.

    ``n_more`` genes that the model does not read are added, which differ among the cells more than the others.
    """
    rng = np.random.default_rng(3)
    types = np.array(list("ABCD"))[np.arange(N_CELLS) % 4]
    abundance = np.exp(rng.normal(-0.6, 1.0, size=N_GENES))
    abundance[[HUB, ACTOR, TARGET, RESPONDER, *STEADY]] = 1.5
    counts = rng.poisson(abundance * rng.gamma(8.0, 0.125, size=(N_CELLS, 1)))
    counts[:, SILENT] = 0
    counts[:, ONLY_IN_A] = np.where(types == "A", 1 + rng.poisson(1.0, size=N_CELLS), 0)
    for name, marker in MARKERS.items():
        counts[:, marker] = np.where(types == name, 2 + rng.poisson(3.0, size=N_CELLS), 0)
    cells = pd.DataFrame({"type": types, "plate": np.where(np.arange(N_CELLS) < 100, "one", "two")})
    cells.index = [f"cell{number}" for number in range(N_CELLS)]
    more = rng.poisson(rng.gamma(0.3, 4.0, size=(N_CELLS, n_more)))
    names = tuple(f"ENSG{number:011d}" for number in range(N_GENES, N_GENES + n_more))
    new = NewDataset(
        matrix=csr_matrix(np.concatenate([counts, more], axis=1)), gene_ids=GENES + names,
        gene_symbols=SYMBOLS + names, cells=cells, organism="human",
        roles={"cell_type": "type"},
    )  # fmt: skip
    return write_dataset(root, new)
