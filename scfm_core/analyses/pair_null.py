"""What random pairs of genes of like abundance do beyond the sum of the two, beside a tested pair.

A random pair stands in for both genes at once (`perturbation_null.match_genes`) and is measured as the tested one is:
on the first cells of the pool, in the shared order, that hold both. Two numbers are compared (`pair_steps.statistics`):

* *size*: the mean size beyond the sum over the mean size of the sum. As a ratio, because what a pair does beyond the
  sum grows with what its genes do: in units of 1 - cosine every pair of strong genes would stand out.
* *vector*: `vector_beyond`, a ratio already.

A pair that no random pair reaches is compared with more of them (`pair_draws.draw_pairs`), because few cannot tell a
small p from a very small one. A pair that was reached is left as it is, which keeps its p valid (Besag and Clifford
1991, doi:10.1093/biomet/78.2.301).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.pair_draws import Drawn, Key
from scfm_core.analyses.pair_passes import MEASURES, Pair
from scfm_core.analyses.pair_steps import Bench, measure_on_cells, statistics
from scfm_core.analyses.perturbation_null import empirical_p, level_null
from scfm_core.analyses.perturbation_shifts import level_shifts, two_sided_p
from scfm_core.request import Context

_Level = Callable[[float, NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
Tested = tuple[Drawn, NDArray[np.float64]]
_Known = dict[tuple[Pair, str], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class PairNull:
    """One of the two numbers of a tested pair beside those of random pairs.

    Attributes
    ----------
    observed
        Of the tested pair, on the cells of the comparison.
    null
        Of the random pairs, levelled to the abundance of the tested one, shape ``(n,)``; NaN where too few cells hold
        both of a random pair.
    p
        Empirical; NaN where there is nothing to compare.
    """

    observed: float
    null: NDArray[np.float64]
    p: float

    @property
    def there(self) -> NDArray[np.float64]:
        """Those of the random pairs that were measured."""
        return self.null[~np.isnan(self.null)]

    @property
    def unreached(self) -> bool:
        """Whether no random pair lies as far out."""
        return self.p <= 1 / (1 + len(self.there))


@dataclass(frozen=True, eq=False)
class Compared:
    """A tested pair beside random ones.

    Attributes
    ----------
    n_cells
        How many cells the tested pair was compared on.
    added
        Mean size of the sum of its two shifts in them, as 1 - cosine: the unit of ``size``.
    """

    drawn: Drawn
    n_cells: int
    added: float
    size: PairNull
    vector: PairNull


def compare_pairs(
    context: Context, bench: Bench, tested: Mapping[Key, Tested]
) -> tuple[dict[Key, Compared], int]:
    """Compare tested pairs with their first random ones, those that none of these reaches with all of them.

    Parameters
    ----------
    tested
        The random pairs of each tested pair, and `MEASURES` of the tested pair itself on the cells of the comparison.

    Returns
    -------
    The comparisons, and how many times a cell went through the model.
    """
    known: _Known = {}
    n_passes = _measure_random(context, bench, {key: _few(each) for key, each in tested.items()}, known)
    found = {key: _compared(key, _few(each), known) for key, each in tested.items()}
    open_ones = {key: tested[key] for key, each in found.items() if each.size.unreached or each.vector.unreached}
    n_passes += _measure_random(context, bench, open_ones, known)
    for key, each in open_ones.items():
        first, more = found[key], _compared(key, each, known)
        size = more.size if first.size.unreached else first.size
        vector = more.vector if first.vector.unreached else first.vector
        found[key] = replace(more, size=size, vector=vector)
    return found, n_passes


def _measure_random(
    context: Context, bench: Bench, tested: Mapping[Key, Tested], known: _Known
) -> int:
    """Measure the random pairs of each tested pair that are not known yet, and remember them."""
    wanted = {
        (pair, group): cells
        for (_, group), (drawn, _) in tested.items()
        for pair, cells in zip(drawn.pairs, drawn.cells, strict=True)
        if (pair, group) not in known
    }
    if not wanted:
        return 0
    step = f"Editing {len(wanted):,} random pairs of genes"
    asked = [(pair, cells) for (pair, _), cells in wanted.items()]
    values, n_passes = measure_on_cells(context, bench, asked, order="by gene", step=step)
    known.update({key: statistics(each) for key, each in zip(wanted, values, strict=True)})
    return n_passes


def _compared(key: Key, tested: Tested, known: _Known) -> Compared:
    drawn, values = tested
    observed = statistics(values)
    null = np.array([known[pair, key[1]] for pair in drawn.pairs]).reshape(-1, 2)
    size, vector = (
        _beside(each, column, drawn.abundance, level=level, p=p)
        for each, column, level, p in zip(
            observed, null.T, (level_shifts, level_null), (two_sided_p, empirical_p), strict=True
        )
    )
    there = values[:, ~np.isnan(values[0])]
    added = float(there[MEASURES.index("effect_added")].mean())
    return Compared(drawn, there.shape[1], added, size, vector)


def _beside(
    observed: float,
    null: NDArray[np.float64],
    abundance: NDArray[np.float64],
    *,
    level: _Level,
    p: Callable[[float, NDArray[np.float64]], float],
) -> PairNull:
    there = ~np.isnan(null)
    levelled = null.copy()
    levelled[there] = level(observed, null[there], abundance[np.append(True, there)])
    return PairNull(observed, levelled, p(observed, levelled[there]))


def _few(tested: Tested) -> Tested:
    drawn, values = tested
    n = drawn.first
    few = replace(drawn, pairs=drawn.pairs[:n], cells=drawn.cells[:n], abundance=drawn.abundance[: 1 + n])
    return few, values
