"""How well simple numbers of a gene predict a model's ranking of genes; knows neither models nor cells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_GENES = 30  # fewer say nothing about a share of variance
N_RESAMPLES = 1000
WITHIN_SD = 1.64  # holds 90 % of a normal distribution
_N_FOLDS = 10
_DEGREE = 2  # effects need not rise straight with abundance
_PENALTIES = np.logspace(-2, 3, 11)


@dataclass(frozen=True)
class Prediction:
    """What some features of genes say about the ranking of these genes.

    Attributes
    ----------
    scores
        The ranks of the genes as normal scores, shape ``(n_genes,)``.
    expected
        The same as predicted from the features by a fit that has not seen the gene, shape ``(n_genes,)``.
    """

    scores: NDArray[np.float64]
    expected: NDArray[np.float64]

    @property
    def share(self) -> float:
        """Share of the variance of the scores that the prediction explains: 0 to 1, below 0 where it misleads."""
        return share_explained(self.scores, self.expected)

    def interval(self, rng: np.random.Generator) -> tuple[float, float]:
        """Return the 95 % percentile bootstrap interval of the share over genes; the fits are kept as they are."""
        n_genes = len(self.scores)
        drawn = rng.integers(0, n_genes, size=(N_RESAMPLES, n_genes))
        shares = [share_explained(self.scores[some], self.expected[some]) for some in drawn]
        low, high = np.nanpercentile(shares, [2.5, 97.5])
        return float(low), float(high)

    def residual_z(self, typical: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return how far each gene lies from its prediction, in standard deviations of the typical genes' residuals.

        Parameters
        ----------
        typical
            Which genes show how far a gene may lie from its prediction by chance, shape ``(n_genes,)``.
        """
        residuals = self.scores - self.expected
        spread = float(np.sqrt((residuals[typical] ** 2).mean())) if typical.any() else 0.0
        return residuals / spread if spread > 0 else np.full(len(residuals), np.nan)


def predict_scores(values: NDArray[np.float64], features: NDArray[np.float64], *, seed: int) -> Prediction:
    """Predict the ranking of genes from features, each gene by a fit to the others.

    Values and features are replaced by normal scores of their ranks, so that neither scale nor tails matter; a ridge
    regression on the features, their squares and products is fitted to nine tenths of the genes and predicts the rest.

    Parameters
    ----------
    values
        What genes are ranked by, shape ``(n_genes,)``, without NaN.
    features
        Shape ``(n_genes, n_features)``, without NaN.
    seed
        Deals the genes into ten parts.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    scores = normal_scores(values)
    ranked = np.stack([normal_scores(column) for column in features.T], axis=1)
    fit = make_pipeline(PolynomialFeatures(_DEGREE, include_bias=False), StandardScaler(), RidgeCV(_PENALTIES))
    folds = KFold(min(_N_FOLDS, len(scores)), shuffle=True, random_state=seed)
    expected: NDArray[np.float64] = np.asarray(cross_val_predict(fit, ranked, scores, cv=folds), dtype=np.float64)
    return Prediction(scores, expected)


def normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace values by the normal quantiles of their mid-ranks; equal values share one.

    Examples
    --------
    >>> normal_scores(np.array([5.0, 100.0, 7.0])).round(3).tolist()
    [-0.967, 0.967, 0.0]
    """
    from scipy.stats import norm, rankdata

    scores: NDArray[np.float64] = norm.ppf((rankdata(values) - 0.5) / max(len(values), 1))
    return scores


def percentiles(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the percentile, 0 to 100, that each normal score stands for."""
    from scipy.stats import norm

    found: NDArray[np.float64] = 100 * norm.cdf(scores)
    return found


def share_explained(scores: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Return 1 less the squared error over the variance; NaN where the scores do not differ.

    Examples
    --------
    >>> share_explained(np.array([-1.0, 0.0, 1.0]), np.array([-1.0, 0.0, 0.0]))
    0.5
    """
    around = float(((scores - scores.mean()) ** 2).sum())
    return 1 - float(((scores - expected) ** 2).sum()) / around if around > 0 else float("nan")


def ordinal(percentile: float) -> str:
    """Write a percentile as a reader says it, from 1st to 99th.

    Examples
    --------
    >>> [ordinal(value) for value in (0.2, 2.4, 11.0, 63.0, 97.6, 99.9)]
    ['1st', '2nd', '11th', '63rd', '98th', '99th']
    """
    number = int(np.clip(round(percentile), 1, 99))
    ending = "th" if number // 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
