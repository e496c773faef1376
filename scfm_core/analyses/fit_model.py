"""What does a baseline learn from the dataset itself?"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from numpy.typing import NDArray

from scfm_core.dataset import Dataset
from scfm_core.errors import ModelError
from scfm_core.model import Arrays, ModelSpec
from scfm_core.request import Context, Request


@dataclass(frozen=True)
class FittedModel:
    """What a baseline learned.

    Attributes
    ----------
    arrays
        By name, as ``ModelSpec.fit`` returned them and ``ModelSpec.load`` takes them.
    """

    arrays: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class FitModel(Request[FittedModel]):
    """Fit a baseline to all cells of a dataset."""

    dataset: Dataset
    model: ModelSpec

    version: ClassVar[int] = 2  # PCA keeps the highest value of each gene since then
    result_type: ClassVar[type] = FittedModel

    def run(self, context: Context) -> FittedModel:
        """See `Request.run`."""
        if self.model.fit is None:
            msg = f"{self.model.title} is trained already and is not fitted to a dataset; embed the cells at once."
            raise ModelError(msg, "not-fitted")
        arrays = context.call(partial(self.model.fit, self.dataset), step=f"Fitting {self.model.title}")
        return FittedModel(arrays)


def model_arrays(context: Context, dataset: Dataset, model: ModelSpec) -> Arrays:
    """Return what a model needs beside its weights: nothing, or what was fitted to the dataset."""
    return {} if model.fit is None else context.compute(FitModel(dataset, model)).arrays
