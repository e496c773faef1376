"""What the steps of the input doctor hand to each other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scfm_core.intake.findings import Finding


@dataclass(frozen=True)
class Advice:
    """A finding, and the change of the choices that its button would make."""

    finding: Finding
    label: str = ""
    change: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class CountsInHand:
    """The counts on their way to a dataset."""

    matrix: csr_matrix
    gene_ids: tuple[str, ...]
    symbols: tuple[str, ...]
    cells: pd.DataFrame
    totals: NDArray[np.float64] | None = None
