"""How sure is one number of one edit in one group: against random genes, over donors, and its interval."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scfm_core.analyses.perturbation_comparison import Comparison, Level, Levelled
from scfm_core.analyses.perturbation_donors import DonorEffects, Donors, both_p, donor_effects, interval_over_donors
from scfm_core.analyses.perturbation_null import empirical_p, level_null, z_score
from scfm_core.analyses.perturbation_shifts import level_shifts, two_sided_p
from scfm_core.analyses.perturbation_study import mean_there


@dataclass(frozen=True)
class Kind:
    """What sort of number is compared.

    Attributes
    ----------
    level, empirical_p
        How random genes are brought to the tested gene's abundance, and how p is read off them.
    signed
        Whether the number has a sign: p is two-sided then.
    """

    level: Level
    empirical_p: Callable[[float, NDArray[np.float64]], float]
    signed: bool


SIZE = Kind(level_null, empirical_p, signed=False)
SHIFT = Kind(level_shifts, two_sided_p, signed=True)


@dataclass(frozen=True, eq=False)
class Evidence:
    """One number of one edit in one group, with all that speaks for it.

    Attributes
    ----------
    mean
        Over the cells of the group that hold the edit; NaN where none does.
    cells
        The number in each comparison cell, shape ``(n_draws + 1, n_cells)``, see `Comparison.values`.
    against
        Its mean beside that of the random genes.
    donors
        In each donor; None where nobody named them.
    """

    kind: Kind
    mean: float
    cells: NDArray[np.float64]
    against: Levelled
    donors: DonorEffects | None

    @classmethod
    def of(
        cls,
        kind: Kind,
        comparison: Comparison,
        *,
        values: tuple[NDArray[np.float64], NDArray[np.float64]],
        holding: NDArray[np.int64],
        donors: Donors | None,
    ) -> "Evidence":
        """Collect the evidence.

        Parameters
        ----------
        values
            Of the edit in each chosen cell, shape ``(n_chosen,)``, and of each pair of random edit and cell, shape
            ``(n_pairs,)``.
        holding
            The cells of the group that hold the edit, as positions in ``Study.chosen``.
        """
        tested, random = values
        cells = comparison.values(tested, random)
        against = Levelled.of(cells, comparison.abundance, kind.level)
        known = None
        if donors is not None:
            known = donor_effects(donors, tested, (comparison, against.cells(cells[1:], signed=kind.signed)))
        return cls(kind, mean_there(tested[holding]), cells, against, known)

    @property
    def p_empirical(self) -> float:
        """See `Kind.empirical_p`."""
        return self.kind.empirical_p(self.against.observed, self.against.null)

    def against_random(self) -> dict[str, float | int]:
        """Return the columns that compare the edit with random genes."""
        observed, null = self.against.observed, self.against.null
        return {
            "null_effect": observed,
            "null_mean": mean_there(null),
            "null_sd": float(null.std(ddof=1)) if len(null) > 1 else float("nan"),
            "n_null": len(null),
            "z": z_score(observed, null),
            "p_empirical": self.p_empirical,
        }

    def over_donors(self) -> dict[str, float | int | str]:
        """Return the columns that tell whether it holds in every donor, and the p that counts."""
        donors = self.donors
        p_donors = float("nan") if donors is None else donors.p(signed=self.kind.signed)
        replicated = donors is not None and (donors.enough if not len(self.against.null) else not np.isnan(p_donors))
        return {
            "n_donors": 0 if donors is None else int(donors.compared.sum()),
            "donors_agree": 0 if donors is None else int(self._agree(donors).sum()),
            "p_donors": p_donors,
            "p": both_p(self.p_empirical, p_donors) if self._one_direction() else 1.0,
            "evidence": "donors" if replicated else "cells",
        }

    def interval(self, over_cells: tuple[float, float]) -> dict[str, float | str]:
        """Return the 95 % interval of the mean: over donors where they are replicates, else the one over cells."""
        if self.donors is None or not self.donors.enough:
            return {"ci_low": over_cells[0], "ci_high": over_cells[1], "ci_over": "cells"}
        low, high = interval_over_donors(self.donors.effect, self.donors.n_holding, centre=self.mean)
        return {"ci_low": low if self.kind.signed else max(low, 0.0), "ci_high": high, "ci_over": "donors"}

    def _agree(self, donors: DonorEffects) -> NDArray[np.bool_]:
        same = np.sign(donors.effect) == np.sign(self.mean) if self.kind.signed else donors.effect > donors.null_mean
        agree: NDArray[np.bool_] = donors.compared & same
        return agree

    def _one_direction(self) -> bool:
        """Whether comparison cells and donors lie on the same side of random genes, where the side matters."""
        if not self.kind.signed or self.donors is None or np.isnan(self.donors.p(signed=True)):
            return True
        centre = np.median(np.append(self.against.null, self.against.observed))
        return bool((self.against.observed - centre) * self.donors.differences(signed=True).mean() >= 0)
