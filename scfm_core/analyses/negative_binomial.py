"""A negative binomial model of counts per sample, fitted gene by gene with PyDESeq2."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MIN_COUNTS = 10
ALPHA = 0.05  # at which independent filtering looks for the most findings
_SAID = {  # how PyDESeq2's warnings begin, and what a reader must know
    "As the residual degrees of freedom": "Few samples are left beyond the terms of the model: the variance between "
    "donors is poorly known.",
    "The dispersion trend curve fitting did not converge": "The variance did not follow the usual curve over "
    "expression; its mean over the genes stands in for the curve.",
}


@dataclass(frozen=True, eq=False)
class Samples:
    """What one comparison is computed from.

    Attributes
    ----------
    counts
        Shape ``(n_samples, n_genes)``, whole numbers.
    matrix
        Model matrix, one row per sample; its last column is the coefficient that is tested.
    """

    counts: NDArray[np.int64]
    matrix: pd.DataFrame


def genes_to_test(counts: NDArray[np.int64], inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return positions of the genes with at least 10 counts in as many samples as the smaller side has.

    The rule does not look at which sample is on which side, so it leaves p-values as they are.

    References
    ----------
    Chen, Lun, Smyth 2016, doi:10.12688/f1000research.8987.2, for the like rule of edgeR.
    """
    smaller = min(int(inside.sum()), int((~inside).sum()))
    return np.flatnonzero((counts >= MIN_COUNTS).sum(axis=0) >= smaller)


def fit_samples(samples: Samples) -> dict[str, Any]:
    """Test the last coefficient of the model for each gene, by Wald's test.

    Returns
    -------
    Arrays of shape ``(n_genes,)``: ``base_mean`` (counts, scaled by size factor), ``log2_fold_change``, its standard
    error ``log2_fold_change_error``, ``score`` (Wald's z), ``p_value`` (NaN for a gene with an outlier by Cook's
    distance), ``p_adjusted`` (Benjamini-Hochberg; NaN also for a gene that independent filtering left out);
    ``size_factor`` of each sample; ``remarks``, sentences.

    References
    ----------
    Love, Huber, Anders 2014, doi:10.1186/s13059-014-0550-8; Muzellec et al. 2023, doi:10.1093/bioinformatics/btad547.
    """
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.default_inference import DefaultInference
    from pydeseq2.ds import DeseqStats

    names = [f"sample {number}" for number in range(len(samples.counts))]
    counts = pd.DataFrame(samples.counts, index=names, columns=[str(n) for n in range(samples.counts.shape[1])])
    matrix = samples.matrix.set_axis(names, axis=0)
    everywhere = bool((samples.counts > 0).all(axis=0).any())
    inference = DefaultInference(n_cpus=1)
    contrast = np.zeros(matrix.shape[1])
    contrast[-1] = 1.0
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        fitted = DeseqDataSet(
            counts=counts,
            metadata=pd.DataFrame({"sample": names}, index=names),
            design=matrix,
            size_factors_fit_type="ratio" if everywhere else "poscounts",
            inference=inference,
            quiet=True,
        )
        fitted.deseq2()
        tested = DeseqStats(fitted, contrast=contrast, alpha=ALPHA, inference=inference, quiet=True)
        tested.summary()
    table = tested.results_df
    found: dict[str, Any] = {
        "base_mean": table["baseMean"],
        "log2_fold_change": table["log2FoldChange"],
        "log2_fold_change_error": table["lfcSE"],
        "score": table["stat"],
        "p_value": table["pvalue"],
        "p_adjusted": table["padj"],
    }
    found = {name: column.to_numpy(dtype=np.float64) for name, column in found.items()}
    found["size_factor"] = np.asarray(fitted.obs["size_factors"], dtype=np.float64)
    found["remarks"] = _remarks([str(each.message) for each in heard], everywhere=everywhere)
    return found


def _remarks(heard: list[str], *, everywhere: bool) -> list[str]:
    said = [words for start, words in _SAID.items() if any(text.startswith(start) for text in heard)]
    if not everywhere:
        said.append("No gene is held by all samples: depths were compared over the counts that are there (poscounts).")
    return said
