"""What the authors of Geneformer compute from a perturbation (``InSilicoPerturberStats``), under their column names.

Differences from their code, each named in a test: the two components of the mixture are put in order by their means,
and sampling leaves the state of Python's random numbers alone. None of these numbers treats donors as replicates.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.perturb_as_authors import AuthorsReadout
from scfm_core.analyses.perturbation_null import adjust_p
from scfm_core.analyses.rank_sums import rank_sum_p, sampled
from scfm_core.errors import RequestError

SIGNIFICANT_BELOW = 0.05
SIMILARITY = "cosine_similarity"
CELL = "cell_emb"
_NOT_REPLICATES = "Cells are not replicates: cells of one donor resemble each other, so that p is too small."

IN_WORDS = {
    "aggregate_data": "One row per cell and edit: the cosine similarity of the cell before and after. 1 means that "
    "nothing moved. How low is low is not told by this number alone: compare it with other genes or cells.",
    "aggregate_gene_shifts": "For every edit, each other gene with the mean and standard deviation, over cells, of the "
    "cosine of its vector before and after; rows named cell_emb are the cells as a whole. The lower, the more the "
    "gene's vector turned. A gene that turns is read differently by the model; that is no proof of regulation.",
    "goal_state_shift": "Mean shift toward the goal state, and toward each alternative: above 0 the edit brings cells "
    "closer to it. In a screen, p compares the shifts of a gene with those of all genes together by a rank sum test "
    "(FDR by Benjamini and Hochberg), so it says that the gene differs from the others and not that it has an effect. "
    + _NOT_REPLICATES,
    "vs_null": "Mean similarity in the chosen cells, in the cells compared against, and their difference (below 0: the "
    "edit moves the chosen cells more), with a rank sum test and FDR. A difference shows that the model reads the gene "
    "differently in both, whatever else differs between them. " + _NOT_REPLICATES,
    "mixture_model": "The mean similarity of each gene, split by a mixture of two normal distributions into genes with "
    "impact (1) and without (0), and the share of cells (%) in which the gene counts as one with impact. The "
    "split is always found, also where all genes move cells alike: look at the distribution before you believe it.",
}


@dataclass(frozen=True)
class Statistic:
    """A table, what the authors call it, under which name it is written, and what it says and does not say."""

    name: str
    file: str
    table: pd.DataFrame
    in_words: str


def statistics_of(
    readout: AuthorsReadout, *, symbols: Mapping[str, str], null: AuthorsReadout | None = None
) -> tuple[Statistic, ...]:
    """Return the statistics that apply: of the cells, and of single genes where these were compared.

    Parameters
    ----------
    symbols
        Of genes by their ids.
    null
        The same edits in other cells; ``vs_null`` is made then.
    """
    if null is not None:
        name, table = "vs_null", vs_null(readout, null)
    elif readout.states:
        name, table = "goal_state_shift", goal_state_shift(readout)
    elif readout.every_gene and _means(readout, SIMILARITY).nunique() > 1:
        name, table = "mixture_model", mixture_model(readout)
    else:
        name, table = "aggregate_data", aggregate_data(readout)
    found = [Statistic(name, "statistics", table, IN_WORDS[name])]
    if len(readout.genes):
        shifts = aggregate_gene_shifts(readout, symbols=symbols)
        found.append(Statistic("aggregate_gene_shifts", "gene_statistics", shifts, IN_WORDS["aggregate_gene_shifts"]))
    return tuple(found)


def aggregate_data(readout: AuthorsReadout) -> pd.DataFrame:
    """Return the similarity of each cell: ``Cosine_sim``, ``Gene``, ``Gene_name``, ``Ensembl_ID``, ``Cell``."""
    _require_similarities(readout)
    cells = readout.cells
    named = _names(readout).loc[cells["edit"]].reset_index(drop=True)
    return pd.DataFrame({"Cosine_sim": cells[SIMILARITY].to_numpy(), **named, "Cell": cells["cell"].to_numpy()})


def aggregate_gene_shifts(readout: AuthorsReadout, *, symbols: Mapping[str, str]) -> pd.DataFrame:
    """Return mean and population standard deviation of the similarity for every edit and affected gene.

    Rows of whole cells (``Affected`` is ``cell_emb``) come first, where similarities of cells were measured; then by
    ascending mean.
    """
    genes = readout.genes.rename(columns={"gene_id": "Affected"})
    tables = [genes]
    if not readout.states:
        tables = [readout.cells.assign(Affected=CELL), genes]
    rows = pd.concat([_described(table) for table in tables], ignore_index=True)
    named = _names(readout).loc[rows["edit"]].reset_index(drop=True)
    is_cell = rows["Affected"] == CELL
    table = pd.DataFrame(
        {
            "Perturbed": named["Gene"],
            "Gene_name": named["Gene_name"],
            "Ensembl_ID": named["Ensembl_ID"],
            "Affected": rows["Affected"],
            "Affected_gene_name": [symbols.get(gene_id, gene_id) for gene_id in rows["Affected"]],
            "Affected_Ensembl_ID": rows["Affected"],
            **rows[["Cosine_sim_mean", "Cosine_sim_stdev", "N_Detections"]],
        }
    )
    order = np.lexsort((table["Cosine_sim_mean"], ~is_cell))
    return table.iloc[order].reset_index(drop=True)


def goal_state_shift(readout: AuthorsReadout) -> pd.DataFrame:
    """Return the mean shift of each edit toward the goal and the alternatives, largest first.

    In a screen of every gene, also ``Goal_end_vs_random_pval`` (rank sum test against the shifts of all genes
    together), ``Goal_end_FDR``, the same for alternatives, ``N_Detections`` and ``Sig`` (FDR below 0.05), and rows
    with ``Sig`` stand first.
    """
    if not readout.states:
        msg = "Shifts toward a goal need states. Ask with a start and a goal state."
        raise RequestError(msg, "no-states")
    ends = {"Shift_to_goal_end": readout.states[1]}
    ends |= {f"Shift_to_alt_end_{state}": state for state in readout.states[2:]}
    table = _names(readout)
    for column, state in ends.items():
        table[column] = _means(readout, f"shift_to:{state}")
    n_cells = readout.edits.set_index("edit")["n_cells"]
    if not readout.every_gene:
        table["N_Detections"] = n_cells
        return table.sort_values("Shift_to_goal_end", ascending=False, kind="stable").reset_index(drop=True)
    tests = {"Goal_end": readout.states[1]} | {f"Alt_end_{state}": state for state in readout.states[2:]}
    p = {name: _against_all(readout, f"shift_to:{state}") for name, state in tests.items()}
    for name, values in p.items():
        table[_test_column(name, "vs_random_pval")] = values
    for name, values in p.items():
        table[_test_column(name, "FDR")] = adjust_p(values)
    table["N_Detections"] = n_cells
    table["Sig"] = (table["Goal_end_FDR"] < SIGNIFICANT_BELOW).astype(int)
    by, ascending = ["Sig", "Shift_to_goal_end", "Goal_end_FDR"], [False, False, True]
    return table.sort_values(by, ascending=ascending, kind="stable").reset_index(drop=True)


def vs_null(readout: AuthorsReadout, null: AuthorsReadout) -> pd.DataFrame:
    """Compare the similarities of each edit with those of the same edit in other cells.

    An edit that could not be made in both gets p = 1, as the authors set it, and NaN where it has no mean.
    """
    from scipy.stats import ranksums

    _require_similarities(readout, null)
    test = dict(iter(readout.cells.groupby("edit", sort=False)[SIMILARITY]))
    other = dict(iter(null.cells.groupby("edit", sort=False)[SIMILARITY]))
    table = _names(readout)
    nothing = pd.Series(dtype=np.float64)
    found = [(test.get(str(edit), nothing), other.get(str(edit), nothing)) for edit in table.index]
    table["Test_avg_shift"] = [one.mean() for one, _ in found]
    table["Null_avg_shift"] = [two.mean() for _, two in found]
    table["Test_vs_null_avg_shift"] = table["Test_avg_shift"] - table["Null_avg_shift"]
    tested = [ranksums(one, two).pvalue if len(one) and len(two) else 1.0 for one, two in found]
    p: NDArray[np.float64] = np.nan_to_num(np.array(tested, dtype=np.float64), nan=1.0)
    table["Test_vs_null_pval"] = p
    table["Test_vs_null_FDR"] = adjust_p(p)
    table["N_Detections_test"] = [len(one) for one, _ in found]
    table["N_Detections_null"] = [len(two) for _, two in found]
    table["Sig"] = (table["Test_vs_null_FDR"] < SIGNIFICANT_BELOW).astype(int)
    by, ascending = ["Sig", "Test_vs_null_avg_shift", "Test_vs_null_FDR"], [False, False, True]
    return table.sort_values(by, ascending=ascending, kind="stable").reset_index(drop=True)


def mixture_model(readout: AuthorsReadout) -> pd.DataFrame:
    """Split the genes of a screen into those with impact and those without, by two normal distributions.

    The component of the lower mean similarity is that of genes with impact. A value above the higher mean counts as no
    impact and one below the lower mean as impact, whatever the distributions' widths.

    Raises
    ------
    RequestError
        If there are no two genes with different means.
    """
    from sklearn.mixture import GaussianMixture

    _require_similarities(readout)
    means = _means(readout, SIMILARITY)
    if means.nunique() < 2:
        msg = f"Two groups of genes need genes that differ, found {len(means):,} with {means.nunique()} mean values."
        raise RequestError(msg, "too-few-genes")
    fitted = GaussianMixture(n_components=2, random_state=0).fit(means.to_numpy()[:, None])
    low, high = sorted(fitted.means_[:, 0])
    lower_component = int(np.argmin(fitted.means_[:, 0]))

    def has_impact(values: NDArray[np.float64]) -> NDArray[np.int64]:
        said = (fitted.predict(values[:, None]) == lower_component).astype(np.int64)
        return np.where(values > high, 0, np.where(values < low, 1, said))

    each = pd.Series(has_impact(readout.cells[SIMILARITY].to_numpy()), index=readout.cells["edit"])
    table = _names(readout)
    table["Test_avg_shift"] = means
    table["Impact_component"] = has_impact(means.to_numpy())
    table["Impact_component_percent"] = 100.0 * each.groupby(level=0).mean()
    table["N_Detections"] = readout.edits.set_index("edit")["n_cells"]
    by = ["Impact_component", "Test_avg_shift"]
    return table.sort_values(by, ascending=[False, True], kind="stable").reset_index(drop=True)


def _against_all(readout: AuthorsReadout, column: str) -> NDArray[np.float64]:
    place = pd.Series(np.arange(len(readout.edits)), index=readout.edits["edit"])
    groups = place.loc[readout.cells["edit"]].to_numpy()
    values = readout.cells[column].to_numpy()
    return rank_sum_p(values, groups, sampled(values[np.argsort(groups, kind="stable")]))


def _names(readout: AuthorsReadout) -> pd.DataFrame:
    """Return ``Gene``, ``Gene_name`` and ``Ensembl_ID`` of each edit, indexed by its label."""
    edits = readout.edits.set_index("edit")
    single = not edits["tokens"].str.contains(";").any()
    token = edits["tokens"].astype(np.int64) if single else edits["tokens"]
    return pd.DataFrame({"Gene": token, "Gene_name": edits["symbols"], "Ensembl_ID": edits["gene_ids"]})


def _means(readout: AuthorsReadout, column: str) -> pd.Series:
    means = readout.cells.groupby("edit", sort=False)[column].mean()
    return means.loc[readout.edits["edit"]]


def _described(cosines: pd.DataFrame) -> pd.DataFrame:
    group = cosines.groupby(["edit", "Affected"], sort=False)[SIMILARITY]
    table = pd.DataFrame({"Cosine_sim_mean": group.mean(), "Cosine_sim_stdev": group.std(ddof=0)})
    return table.assign(N_Detections=group.size()).reset_index()


def _test_column(name: str, what: str) -> str:
    """Return the authors' name of a column: the state stands last."""
    end, _, state = name.partition("_end")
    return f"{end}_end_{what}{state}"


def _require_similarities(*readouts: AuthorsReadout) -> None:
    if any(readout.states for readout in readouts):
        msg = "This statistic is made of similarities, found shifts toward states. Ask without states."
        raise RequestError(msg, "states-not-wanted")
