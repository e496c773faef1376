"""The tables of a perturbation, as `PerturbationEffects` describes them; knows no workers and embeds nothing."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.measure_edits import EditedCells
from scfm_core.analyses.perturbation_comparison import Comparison, Comparisons, Levelled
from scfm_core.analyses.perturbation_donors import Donors
from scfm_core.analyses.perturbation_evidence import SHIFT, SIZE, Evidence
from scfm_core.analyses.perturbation_null import adjust_p, bootstrap_interval, generator, p_range
from scfm_core.analyses.perturbation_study import RandomGenes, Study
from scfm_core.analyses.perturbation_switching import Identities, random_switching, switching

RARELY_HELD_BELOW = 0.10
_NOTHING = np.empty(0)
_NOT_SWITCHING: dict[str, Any] = {
    "share_switching": np.nan,
    "switch_to": "",
    "n_switching": 0,
    "null_switching": np.nan,
    "p_switching": np.nan,
}
_SWITCHES = {"edit": str, "group": str, "label_before": str, "label_after": str, "n_cells": int}
_SHIFTS = ["edit", "group", "state", "role", "n_cells", "shift", "ci_low", "ci_high", "ci_over", "share_toward"]
_SHIFTS += ["null_effect", "null_mean", "null_sd", "n_null", "z", "p_empirical"]
_SHIFTS += ["n_donors", "donors_agree", "p_donors", "p", "evidence", "p_adjusted"]


def effects_table(study: Study, edited: EditedCells, random: RandomGenes | None) -> pd.DataFrame:
    """Return one row per edit and group, edits in the order of the request."""
    comparisons, identities = Comparisons(study, edited, random), Identities.of(study, edited, random)
    distance = _NOTHING if random is None else random.distance
    expressing = [np.any([study.expresses(single.gene_id) for single in edit], axis=0) for edit in study.edits]
    rows = []
    for group in study.group_names:
        donors = Donors.of(study, group)
        low, high = _intervals(study, edited.distance, group)
        for edit in range(len(study.edits)):
            cells, comparison = _holding(study, edited, (edit, group)), comparisons.of(edit, group)
            size = Evidence.of(
                SIZE, comparison, values=(edited.distance[edit], distance), holding=cells, donors=donors
            )
            row = _what(study, edited, (edit, group), expressing[edit]) | {"effect": size.mean}
            row |= size.interval((low[edit], high[edit]))
            row |= size.against_random() | {"null_n_cells": int(comparison.tested.sum())}
            row |= _range_of_p(size, comparison, generator(study.seed, group, study.labels[edit], "p"))
            row |= size.over_donors() | _quality(comparison, row["n_null"])
            rows.append(row | (switching(identities, edit, cells, comparison) if identities else _NOT_SWITCHING))
    return _in_order(study, pd.DataFrame(rows))


def shifts_table(study: Study, edited: EditedCells, random: RandomGenes | None) -> pd.DataFrame:
    """Return one row per edit, group and state; none where the question names no state."""
    comparisons = Comparisons(study, edited, random)
    rows = []
    for group in study.group_names:
        donors = Donors.of(study, group)
        for number, (state, role) in enumerate(zip(study.states, study.state_roles, strict=True)):
            low, high = _intervals(study, edited.shifts[:, number], group)
            toward = _NOTHING if random is None else random.shifts[number]
            for edit, label in enumerate(study.labels):
                cells, own = _holding(study, edited, (edit, group)), edited.shifts[edit, number]
                shift = Evidence.of(
                    SHIFT, comparisons.of(edit, group), values=(own, toward), holding=cells, donors=donors
                )
                row: dict[str, Any] = {"edit": label, "group": group, "state": state, "role": role}
                row |= {"n_cells": len(cells), "shift": shift.mean} | shift.interval((low[edit], high[edit]))
                row |= {"share_toward": float((own[cells] > 0).mean()) if len(cells) else np.nan}
                rows.append(row | shift.against_random() | shift.over_donors())
    return _in_order(study, pd.DataFrame(rows)) if rows else _typed(_SHIFTS)


def donors_table(study: Study, edited: EditedCells, random: RandomGenes | None) -> pd.DataFrame:
    """Return one row per edit, group and donor; none where nobody named donors.

    ``null_mean`` is what the mean random gene does in this donor at the abundance of the tested gene, and ``above``
    whether the edit does more.
    """
    comparisons = Comparisons(study, edited, random)
    distance = _NOTHING if random is None else random.distance
    tables = []
    for edit, label in enumerate(study.labels):
        for group in study.group_names:
            donors = Donors.of(study, group)
            if donors is None:
                continue
            values, cells = (edited.distance[edit], distance), _holding(study, edited, (edit, group))
            size = Evidence.of(SIZE, comparisons.of(edit, group), values=values, holding=cells, donors=donors)
            if size.donors is None:
                continue
            found = size.donors
            table = pd.DataFrame({"donor": donors.names})
            table.insert(0, "group", group)
            table.insert(0, "edit", label)
            table["n_cells"] = donors.count(np.ones(len(study.chosen), dtype=bool))
            table["n_holding"], table["effect"], table["null_mean"] = found.n_holding, found.effect, found.null_mean
            table["above"] = found.effect > found.null_mean
            shifts = {name: donors.means(edited.shifts[edit, state]) for state, name in enumerate(_states(study))}
            tables.append(table.assign(**shifts))
    columns = ["edit", "group", "donor", "n_cells", "n_holding", "effect", "null_mean", "above", *_states(study)]
    return pd.concat(tables, ignore_index=True) if tables else _typed(columns)


def switches_table(study: Study, edited: EditedCells) -> pd.DataFrame:
    """Return how many holding cells of each group lie among which cells before and after each edit."""
    identities = Identities.of(study, edited, None)
    tables = [pd.DataFrame(columns=list(_SWITCHES)).astype(_SWITCHES)]
    for edit, label in enumerate(study.labels):
        for group in study.group_names:
            cells = _holding(study, edited, (edit, group))
            if identities is None or not len(cells):
                continue
            before, after = identities.before[cells], identities.after[edit, cells]
            known = pd.DataFrame({"label_before": before, "label_after": after})[(before != "") & (after != "")]
            counts = known.value_counts(sort=False).rename("n_cells").reset_index()
            tables.append(counts.assign(edit=label, group=group)[list(_SWITCHES)])
    found = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(found, ignore_index=True)


def cells_table(study: Study, edited: EditedCells) -> pd.DataFrame:
    """Return one row per edit and chosen cell; numbers are NaN where the edit changes nothing."""
    n_edits, n_chosen = edited.holds.shape
    identities = Identities.of(study, edited, None)
    table = pd.DataFrame(
        {
            "cell": np.tile(study.dataset.cells().index.to_numpy(dtype=str)[study.chosen], n_edits),
            "edit": np.repeat(study.labels, n_chosen),
            "group": np.tile(study.groups, n_edits),
            "holds": edited.holds.ravel(),
            "cosine_similarity": 1.0 - edited.distance.ravel(),
        }
    )
    for state, name in enumerate(_states(study)):
        table[name] = edited.shifts[:, state].ravel()
    table["label_before"] = "" if identities is None else np.tile(identities.before, n_edits)
    table["label_after"] = "" if identities is None else identities.after.ravel()
    return table


def null_table(study: Study, edited: EditedCells, random: RandomGenes | None) -> pd.DataFrame:
    """Return one row per random gene, or set of genes; effects and shifts at the abundance of the tested gene."""
    columns = ["edit", "group", "null_edit", "null_effect", "null_measured", "null_switching", *_states(study)]
    if random is None:
        return _typed(columns)
    comparisons, identities = Comparisons(study, edited, random), Identities.of(study, edited, random)
    tables = []
    for edit, group in random.matches:
        comparison = comparisons.of(edit, group)
        if not comparison.names:
            continue
        table = pd.DataFrame({"null_edit": list(comparison.names)})
        sizes = comparison.values(edited.distance[edit], random.distance)
        level = Levelled.of(sizes, comparison.abundance, SIZE.level)
        table["null_effect"], table["null_measured"] = level.levelled, level.measured
        table["null_switching"] = random_switching(identities, edit, comparison)[1:] if identities else np.nan
        for state, name in enumerate(_states(study)):
            shifts = comparison.values(edited.shifts[edit, state], random.shifts[state])
            table[name] = Levelled.of(shifts, comparison.abundance, SHIFT.level).levelled
        tables.append(table.assign(edit=study.labels[edit], group=group)[columns])
    return pd.concat(tables, ignore_index=True) if tables else _typed(columns)


def _holding(study: Study, edited: EditedCells, key: tuple[int, str]) -> NDArray[np.int64]:
    """Return the cells of a group that hold an edit and have a vector before and after."""
    edit, group = key
    members = study.members[group]
    holding: NDArray[np.int64] = members[edited.holds[edit, members] & ~np.isnan(edited.distance[edit, members])]
    return holding


def _what(
    study: Study, edited: EditedCells, key: tuple[int, str], expressing: NDArray[np.bool_]
) -> dict[str, Any]:
    edit, group = key
    members = study.members[group]
    valid = members[~(edited.holds[edit, members] & np.isnan(edited.distance[edit, members]))]
    n_holding = len(_holding(study, edited, key))
    share = n_holding / len(valid) if len(valid) else 0.0
    return {
        "edit": study.labels[edit],
        "kind": study.kinds[edit],
        "gene_ids": ";".join(single.gene_id for single in study.edits[edit]),
        "group": group,
        "n_cells": len(valid),
        "n_holding": n_holding,
        "share_holding": share,
        "n_expressing": int(expressing[valid].sum()),
        "status": "not held" if not n_holding else "rarely held" if share < RARELY_HELD_BELOW else "tested",
    }


def _range_of_p(size: Evidence, comparison: Comparison, rng: np.random.Generator) -> dict[str, float]:
    there: NDArray[np.bool_] = np.any(~np.isnan(size.cells), axis=1)
    if not there[0] or there.sum() < 2:
        return {"p_low": np.nan, "p_high": np.nan}
    low, high = p_range(size.cells[there], comparison.abundance[there], rng)
    return {"p_low": low, "p_high": high}


def _quality(comparison: Comparison, n_null: int) -> dict[str, Any]:
    match = comparison.match if n_null else None
    return {"match_distance": match.distance if match else np.nan, "match_quality": match.quality if match else ""}


def _intervals(
    study: Study, values: NDArray[np.float64], group: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the intervals over cells of the means of values, shape ``(n_edits, n_chosen)``, in a group."""
    return bootstrap_interval(values[:, study.members[group]].T, generator(study.seed, group, "resamples"))


def _states(study: Study) -> list[str]:
    return [f"shift:{state}" for state in study.states]


def _in_order(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Adjust p over all rows and put edits into the order of the request."""
    adjusted = table.assign(p_adjusted=adjust_p(table["p"].to_numpy(dtype=np.float64)))
    order = {label: number for number, label in enumerate(study.labels)}
    return adjusted.sort_values("edit", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def _typed(columns: list[str]) -> pd.DataFrame:
    """Return an empty table: text, whole numbers and truth values by name, else numbers."""
    words = {"edit", "group", "state", "role", "donor", "null_edit", "ci_over", "evidence"}
    kinds = dict.fromkeys(words, "str") | {"above": "bool"}
    kinds |= {name: "int64" for name in columns if name.startswith("n_") or name == "donors_agree"}
    return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, "float64")) for name in columns})
