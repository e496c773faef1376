"""What a model is: a card that costs nothing to import, and a behaviour that embeds one batch of cells."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from scfm_core.dataset import CellCounts, Dataset, Organism
from scfm_core.errors import ModelError
from scfm_core.tokens import GeneEdit, Tokens
from scfm_core.workers import Workers

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """What one may choose about a model's vectors; each of them changes numbers.

    Attributes
    ----------
    layer
        Which hidden layer is read: 0 is the last, -1 the second to last. Ignored by models without layers.
    pooling
        How gene vectors become a cell vector; one of ``ModelSpec.poolings``.
    precision
        Number format of the network's arithmetic.
    gene_vectors
        Whether the vectors of the single genes are wanted too.
    batch
        The column that holds the batches, for a model that corrects for them; the dataset's own where empty. Ignored by
        the others.
    seed
        Of what a model draws while it is fitted to a dataset. Ignored by models that draw nothing.
    """

    layer: int = 0
    pooling: str = "mean"
    precision: Precision = "float32"
    gene_vectors: bool = False
    batch: str = field(default="", metadata={"added_later": True})
    seed: int = field(default=0, metadata={"added_later": True})


@dataclass(frozen=True)
class CellStates:
    """What a network says of one batch of cells.

    Attributes
    ----------
    cells
        Cell vectors, shape ``(n_cells, embedding_size)``, float32; NaN for a cell without a single token.
    genes
        Contextual gene vectors, one per token in the order of the tokens, shape ``(n_tokens, embedding_size)``;
        None where not asked for or where the model has none.
    """

    cells: NDArray[np.float32]
    genes: NDArray[np.float32] | None = None


class CellModel(Protocol):
    """A network loaded on a device: encode -> (edit) -> embed. A screen encodes once and edits thousands of times."""

    @property
    def gene_ids(self) -> tuple[str, ...]:
        """Ensembl id at each position of the vocabulary; empty for a special token."""

    def encode(self, counts: CellCounts) -> Tokens:
        """Turn counts into tokens; genes outside the vocabulary are ignored, the order of genes is irrelevant."""

    def edit(self, tokens: Tokens, edits: Sequence[GeneEdit]) -> Tokens:
        """Apply all edits together to every cell; a gene that a cell does not hold changes nothing in it."""

    def embed(self, tokens: Tokens, options: EmbedOptions) -> CellStates:
        """Embed ONE batch, in the order given; raises MemoryError where the batch does not fit the device."""


@dataclass(frozen=True)
class PlacedCells:
    """The vectors of all cells of a dataset, from a model that places them at once.

    Attributes
    ----------
    points
        Shape ``(n_cells, size)``, float32; NaN for a cell that cannot be placed.
    n_genes
        How many genes of each cell were read, shape ``(n_cells,)``, int32.
    """

    points: NDArray[np.float32]
    n_genes: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class CellsToPlace:
    """What a model is given that places all cells of a dataset at once.

    Attributes
    ----------
    start
        Where the model named by ``ModelSpec.starts_from`` places them; None where it names none.
    """

    dataset: Dataset
    options: EmbedOptions
    start: PlacedCells | None = None


@dataclass(frozen=True, kw_only=True)
class ScreenEffort:
    """What a first-order screen spends on each cell, beside three passes and one backward pass per goal.

    Attributes
    ----------
    n_axes
        Directions along which the size of a shift is estimated, a backward pass each.
    n_cuts
        Ranks behind which the move of all genes is computed exactly, a pass each.
    """

    n_axes: int = 2
    n_cuts: int = 6


@dataclass(frozen=True)
class DeletionEstimates:
    """How the vector of each cell would move if each of its genes were deleted, estimated.

    Attributes
    ----------
    size
        1 - cosine of the cell's vector before and after, one per token in the order of the tokens, shape
        ``(n_tokens,)``, float64; NaN for a special token, and in a cell with fewer than two genes.
    goals
        Cosine of the cell's vector with each goal state, after minus before, shape ``(n_goals, n_tokens)``, float64;
        NaN likewise.
    """

    size: NDArray[np.float64]
    goals: NDArray[np.float64]


class ScreenedModel(CellModel, Protocol):
    """A model that can estimate all deletions of a cell from a few passes; those whose card has ``screen``."""

    def estimate_deletions(
        self, tokens: Tokens, options: EmbedOptions, *, goals: NDArray[np.float64], effort: ScreenEffort
    ) -> DeletionEstimates:
        """Estimate every deletion in ONE batch of cells, always in float32.

        ``goals`` are goal states, shape ``(n_goals, embedding_size)``. Raises MemoryError where the batch does not fit
        the device.
        """


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A file of weights: its name in the weights folder, its size and its hash."""

    name: str
    size_bytes: int
    sha256: str
    url: str = ""


class Conversion(Protocol):
    """Reads a model in the format of its authors; picklable, as the card that holds it is."""

    def sources(self, folder: Path, dictionaries: Path | None) -> tuple[Path, ...]:
        """Return the files found in a folder that a conversion reads; ``dictionaries`` is where vocabularies lie."""

    def __call__(self, folder: Path, dictionaries: Path | None, out: Path) -> tuple[str, ...]:
        """Write the model found in ``folder`` as the weights folder ``out``; return remarks for the reader."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Where the authors of a model published its weights, in their own format.

    Attributes
    ----------
    repository, revision
        Name on the Hugging Face hub, and the commit that the files are taken from.
    files
        What is needed of it, by path in the repository, with size and sha256 as published.
    convert
        Writes the published files as the weights folder that ``ModelSpec.load`` reads.
    """

    repository: str
    revision: str
    files: tuple[WeightFile, ...]
    convert: Conversion

    @property
    def size_bytes(self) -> int:
        """Size of the download."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, kw_only=True)
class ScreenQuality:
    """How well a first-order screen of all genes of a cell agrees with deleting them one by one, as measured.

    Attributes
    ----------
    goal_spearman, size_spearman
        Rank correlation with the exact screen: of the shift toward a goal, and of the size of the shift.
    goal_speedup, size_speedup
        How many times faster than the exact screen, on the same machine.
    n_axes
        Directions along which the size is measured.
    measured_on
        Cells, weights, machine and command, in words.
    random_weights
        Whether it was measured with random weights of the model's size in place of the trained ones.
    """

    goal_spearman: float
    size_spearman: float
    goal_speedup: float
    size_speedup: float
    n_axes: int
    measured_on: str
    random_weights: bool = False


Arrays = Mapping[str, NDArray[Any]]


def _has_no_network(folder: Path | None, device: str, fitted: Arrays) -> CellModel:
    msg = "This model places the cells of one dataset all together and cannot read a cell that was edited."
    raise ModelError(msg, "no-network")


@dataclass(frozen=True, kw_only=True, repr=False)
class ModelSpec:
    """The card of a model: data only, free to import and list; pages and documents are made from it.

    Attributes
    ----------
    summary
        One sentence for a reader who does not know what a token is.
    vocabulary
        What the model can read, in words.
    embedding_size, max_tokens, n_parameters
        Length of a cell vector; longest input in tokens (None: no limit); number of weights (None: fitted per dataset).
    aliases
        Other names that the same model had.
    weights
        The files it needs. Together with the key they are the model's identity. Empty for a baseline, and for a
        published model whose weights are not here: `scfm_core.weights.installed` fills them in.
    published
        Where the authors published the weights; None where they come with the application or there are none.
    how_to_get
        What to do when the weights are not here.
    load
        ``load(weights_folder, device, fitted) -> CellModel``. ``fitted`` holds what `fit` returned, else it is empty.
    fit
        For baselines that are fitted to each dataset: ``fit(dataset) -> arrays``. None for pre-trained models.
    place
        For baselines that give vectors to the cells of one dataset, all together, and to nothing else: such a model has
        no `load`, cannot edit a gene and cannot embed other cells. None for all others.
    starts_from
        Key of the model whose vectors `place` starts from; empty where it starts from the counts.
    needs_batch, draws
        Whether `EmbedOptions.batch` and `EmbedOptions.seed` change its vectors.
    needs_packages
        Python packages, by the name under which they are imported, that do not come with the application; then
        `how_to_get` says how to install them.
    has_attention
        Whether the model can say how strongly each gene attends to each other one.
    gene_edits
        Which edits the model can make to its input, of ``"delete"``, ``"overexpress"``, ``"inhibit"``, ``"activate"``,
        ``"scale"``.
    screen
        Quality of the first-order screen; None where it was not measured, and is not offered.
    bundled_folder
        Where the weights lie that come with the application; None where there are none.
    folder
        The weights folder in use, where it is not the default.
    """

    key: str
    title: str
    revision: str
    summary: str
    organisms: tuple[Organism, ...]
    vocabulary: str
    embedding_size: int
    max_tokens: int | None
    n_parameters: int | None
    licence: str
    citation: str
    doi: str
    training_data: str
    known_limits: tuple[str, ...]
    load: Callable[[Path | None, str, Arrays], CellModel] = _has_no_network
    aliases: tuple[str, ...] = ()
    weights: tuple[WeightFile, ...] = ()
    published: Published | None = None
    how_to_get: str = ""
    fit: Callable[[Dataset], dict[str, NDArray[Any]]] | None = None
    place: Callable[[CellsToPlace, Workers], PlacedCells] | None = None
    starts_from: str = ""
    needs_batch: bool = False
    draws: bool = False
    needs_packages: tuple[str, ...] = ()
    poolings: tuple[str, ...] = ("mean",)
    n_layers: int = 0
    default_layer: int = 0
    has_gene_vectors: bool = False
    has_attention: bool = False
    gene_edits: tuple[str, ...] = ("delete",)
    screen: ScreenQuality | None = None
    is_baseline: bool = False
    bundled_folder: Path | None = None
    folder: Path | None = None

    @property
    def identity(self) -> str:
        """What a result computed by this model depends on: key, revision and the hashes of its weights."""
        return "@".join([self.key, self.revision, *(file.sha256 for file in self.weights)])

    @property
    def needs_weights(self) -> bool:
        """Whether the model can be used only with weights; a baseline cannot need any."""
        return bool(self.weights) or self.published is not None

    def default_options(self) -> EmbedOptions:
        """Return the options that the model's authors recommend."""
        return EmbedOptions(layer=self.default_layer, pooling=self.poolings[0])

    def __repr__(self) -> str:
        return f"find_model({self.key!r})"
