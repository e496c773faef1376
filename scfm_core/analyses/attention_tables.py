"""What the attention weights of a cell say, as tables: every weight, the strongest of each gene, a line per head."""

from typing import Any

import numpy as np
import pandas as pd

from scfm_core.analyses.read_attention import Attention


def attention_table(attention: Attention) -> pd.DataFrame:
    """Return all weights as a long table.

    Returns
    -------
    Columns ``head`` (from 1), ``from_position``, ``from_gene_id``, ``from_symbol`` (who looks), ``to_position``,
    ``to_gene_id``, ``to_symbol`` (at whom), ``weight``; one row per head and pair, ``n_heads * n_shown ** 2`` in all.
    Positions count from 0; the names are categories, so that a long table stays small.
    """
    head, looks, at = (index.ravel() for index in np.indices(attention.weights.shape, dtype=np.int32))
    columns: dict[str, Any] = {"head": head + 1}
    for side, token in (("from", looks), ("to", at)):
        columns[f"{side}_position"] = attention.positions[token]
        for name, values in (("gene_id", attention.gene_ids), ("symbol", attention.symbols)):
            names, codes = np.unique(values, return_inverse=True)
            categories = pd.Index(names.astype(object))
            columns[f"{side}_{name}"] = pd.Categorical.from_codes(codes[token], categories=categories)
    return pd.DataFrame(columns | {"weight": attention.weights.ravel()})


def most_attended(attention: Attention, *, head: int | None = None, n: int = 5) -> pd.DataFrame:
    """Return, for each shown token, the shown tokens at which it looks most strongly.

    Parameters
    ----------
    head
        Counted from 1; the mean over heads where None.
    n
        How many per token.

    Returns
    -------
    Columns ``symbol``, ``rank`` (1 for the strongest), ``attended``, ``weight``; equal weights in the order of the
    cell.
    """
    weights = attention.of_head(head)
    n = min(n, len(weights))
    strongest = np.argsort(-weights, axis=1, kind="stable")[:, :n]
    symbols = np.array(attention.symbols, dtype=object)
    columns = {
        "symbol": np.repeat(symbols, n),
        "rank": np.tile(np.arange(1, n + 1), len(weights)),
        "attended": symbols[strongest.ravel()],
        "weight": np.take_along_axis(weights, strongest, axis=1).ravel(),
    }
    return pd.DataFrame(columns)


def head_summary(attention: Attention, *, n_genes: int = 3) -> pd.DataFrame:
    """Return what each head looks at.

    Returns
    -------
    Columns ``head`` (from 1), ``entropy_bits``, ``shown_share`` (0 to 1), ``most_attended`` (of the tokens shown, the
    symbols of those that receive most attention of the whole cell, with commas between).
    """
    symbols = np.array(attention.symbols, dtype=object)
    most = np.argsort(-attention.received, axis=1, kind="stable")[:, :n_genes]
    columns = {
        "head": np.arange(1, attention.n_heads + 1),
        "entropy_bits": np.asarray(attention.entropy_bits),
        "shown_share": attention.shown_share,
        "most_attended": [", ".join(symbols[row]) for row in most],
    }
    return pd.DataFrame(columns)
