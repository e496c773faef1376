"""Small real datasets, an engine with a temporary store, and the folder of real data where there is one."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scfm_core.dataset import Dataset, NewDataset, write_dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.genes import find_genes
from scfm_core.intake.build_demo import MARKERS
from scfm_core.intake.demo import open_demo
from scfm_core.store import Store
from scfm_core.workspace import Workspace

N_TINY_CELLS = 120
N_TINY_GENES = 2000
OTHER_MARKERS = {
    "T": ("CD3D", "CD3E", "CD3G", "CD4", "LDHB"),
    "NK": ("NKG7", "KLRD1", "KLRB1"),
    "B": ("CD19", "BANK1", "CD74"),
    "myeloid": ("FCN1", "LST1", "CST3", "TYROBP", "FTL", "FTH1"),
    "antigen presentation": ("HLA-DRA", "HLA-DRB1", "HLA-DPA1", "HLA-DPB1"),
    "everywhere": ("B2M", "ACTB", "MALAT1"),
    "Megakaryocyte": ("NRGN",),
}


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell that starts the tests in the background makes them, and every program they start, deaf to Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets, named by SCFM_SHARED_DATA or beside the checkout."""
    return _shared_folder("data", "pbmc3k.h5ad")


@pytest.fixture(scope="session")
def shared_golden() -> Path:
    """The folder of numbers recorded from the models' own code, beside the real data sets."""
    return _shared_folder("golden", "README.md")


@pytest.fixture(scope="session")
def shared_sidefiles() -> Path:
    """The folder of what models published beside their weights, such as dictionaries; beside the real data sets."""
    return _shared_folder("sidefiles", "geneformer_30M/token_dictionary.pkl")


def _shared_folder(name: str, member: str) -> Path:
    data = Path(os.environ.get("SCFM_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
    folder = data if name == "data" else data.parent / name
    if not (folder / member).is_file():
        pytest.skip(f"needs the folder of real data (SCFM_SHARED_DATA): no {member} in {folder.name}")
    return folder


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty workspace, and SCFM_WORKSPACE naming it."""
    monkeypatch.setenv("SCFM_WORKSPACE", str(tmp_path / "workspace"))
    return Workspace.from_environment()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine in this process with an empty store, on the CPU."""
    engine = Engine(Store(tmp_path / "store"), ThreadExecutor(["cpu"]))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def demo_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The whole PBMC 3k demo."""
    return open_demo("pbmc3k", tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="session")
def tiny_dataset(demo_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """120 cells of the demo, all cell types among them, and 2,000 genes with all markers, MT-, RPS and RPL genes.

    Counts per cell over all measured genes are kept from the whole demo. The column ``batch`` is made up: A, B, A, B.
    """
    cells = demo_dataset.cells()
    chosen = _spread_over_types(cells["cell_type"].astype(str).to_numpy())
    genes = _tiny_genes(demo_dataset)
    counts = demo_dataset.counts(chosen)
    table = cells.iloc[chosen][["cell_type", "donor"]].copy()
    table["cell_type"] = table["cell_type"].cat.remove_unused_categories()
    table["batch"] = np.where(np.arange(len(chosen)) % 2, "batch B", "batch A")
    new = NewDataset(
        matrix=counts.matrix[:, genes],
        gene_ids=tuple(demo_dataset.gene_ids[gene] for gene in genes),
        gene_symbols=tuple(demo_dataset.gene_symbols[gene] for gene in genes),
        cells=table,
        organism="human",
        total_counts=counts.total_counts,
        roles={"cell_type": "cell_type", "batch": "batch", "donor": "donor"},
        title="120 cells of PBMC 3k",
    )
    return write_dataset(tmp_path_factory.mktemp("tiny"), new)


def _spread_over_types(labels: np.ndarray) -> np.ndarray:
    """Eight cells of each type, then the first others, in the order of the dataset; shape ``(120,)``."""
    few = np.concatenate([np.flatnonzero(labels == label)[:8] for label in np.unique(labels)])
    others = np.setdiff1d(np.arange(len(labels)), few)
    return np.sort(np.concatenate([few, others[: N_TINY_CELLS - len(few)]]))


def _tiny_genes(dataset: Dataset) -> np.ndarray:
    """Markers, mitochondrial and ribosomal genes, then the genes held by most cells; shape ``(2000,)``."""
    position = {gene_id: place for place, gene_id in enumerate(dataset.gene_ids)}
    known = [symbol for markers in (*MARKERS.values(), *OTHER_MARKERS.values()) for symbol in markers]
    wanted = [position[gene_id] for gene_id in find_genes(dataset, known)]
    prefixes = ("MT-", "RPS", "RPL")
    wanted += [place for place, symbol in enumerate(dataset.gene_symbols) if symbol.startswith(prefixes)]
    held = np.bincount(dataset.counts().matrix.indices, minlength=dataset.n_genes)
    wanted = list(dict.fromkeys(wanted))
    common = np.setdiff1d(np.argsort(-held, kind="stable"), wanted, assume_unique=True)
    return np.sort(np.concatenate([wanted, common[: N_TINY_GENES - len(wanted)]]))
