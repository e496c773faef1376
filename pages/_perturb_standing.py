"""The answer that stands on the page: what of it is there by now, and which line is looked at closely."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from pages._perturb_chosen import Asked
from pages._perturb_stages import Chain, best_of
from pages._words import plain
from scfm_core.analyses.perturb_genes import PerturbationEffects, PerturbGenes
from scfm_core.analyses.perturbation_verdicts import verdict_of
from scfm_core.dataset import Dataset

MORE_THAN_RANDOM = "more than random genes"
_VERDICTS = {
    "found": MORE_THAN_RANDOM,
    "chance": "may be chance",
    "no more": "no more than random genes",
    "not compared": "not compared yet",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One model's answer as far as it is there."""

    title: str
    request: PerturbGenes
    effects: PerturbationEffects

    @property
    def table(self) -> pd.DataFrame:
        """The effects with the model's name and a verdict, in the order of the question."""
        table, model = self.effects.effects, self.request.baseline.model
        return table.assign(model=model.title, verdict=[verdict(row) for _, row in table.iterrows()])


@dataclass(frozen=True)
class Standing:
    """What stands on the page: the model's part first, the baseline's behind it."""

    chain: Chain
    parts: tuple[Part, ...]

    @property
    def asked(self) -> Asked:
        """The question."""
        return self.chain.asked

    @property
    def dataset(self) -> Dataset:
        """The dataset that is asked about."""
        return self.asked.dataset

    @property
    def effects(self) -> PerturbationEffects:
        """The model's answer."""
        return self.parts[0].effects

    @property
    def key(self) -> str:
        """Names the elements on the page that show this answer."""
        return f"perturbed:{self.asked.request.identity[:10]}"


def standing_of(chain: Chain) -> Standing | None:
    """Return what is there by now; None before the model's first answer."""
    effects = best_of(chain.levels)
    if effects is None:
        return None
    request = chain.asked.request
    parts = [Part(title=_title(request), request=request, effects=effects)]
    other = best_of(chain.beside)
    if chain.asked.beside is not None and other is not None:
        parts.append(Part(title=_title(chain.asked.beside), request=chain.asked.beside, effects=other))
    return Standing(chain, tuple(parts))


def choose_line(standing: Standing, *, shown: bool = True) -> pd.Series:
    """Return the line that is looked at closely; let it be chosen where ``shown``.

    In the order of the edits, the group that holds each most first, so that the order stays as numbers come in.
    """
    table = standing.parts[0].table
    number = {label: place for place, label in enumerate(standing.effects.edits)}
    order = table.assign(edit_number=table["edit"].map(number))
    order = order.sort_values(["edit_number", "share_holding"], ascending=[True, False], kind="stable")
    table = table.loc[order.index].reset_index(drop=True)
    key = f"{standing.key}:line"
    if len(table) == 1:
        return table.iloc[0]
    if not shown:
        return table.iloc[int(st.session_state.get(key, 0))]
    chosen = st.selectbox(
        "Look closely at", range(len(table)), key=key,
        format_func=lambda place: f"{table.iloc[place]['edit']} in {table.iloc[place]['group']}: "
        f"{table.iloc[place]['verdict']}",
    )  # fmt: skip
    return table.iloc[chosen]


def matching(table: pd.DataFrame | None, row: pd.Series) -> pd.Series | None:
    """Return the line of the same edit in the same cells."""
    if table is None or table.empty:
        return None
    same = table[(table["edit"] == row["edit"]) & (table["group"].astype(str) == str(row["group"]))]
    return None if same.empty else same.iloc[0]


def verdict(row: pd.Series) -> str:
    """Say how an effect stands beside its random genes."""
    if row["status"] == "not held":
        return "not held: refused"
    rarely = ", rarely held" if row["status"] == "rarely held" else ""
    return _VERDICTS[verdict_of(row)] + rarely


def name_of(row: pd.Series) -> str:
    """Name a line in a heading."""
    return f"{plain(row['edit'])} in {plain(row['group'])}"


def _title(request: PerturbGenes) -> str:
    model = request.baseline.model
    return f"{model.title} (baseline)" if model.is_baseline else model.title
