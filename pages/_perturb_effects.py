"""Chosen genes are switched off, beside random genes and beside PCA: the answer."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from pages._columns import EFFECT_COLUMNS, GENE_COLUMNS, in_percent
from pages._perturb_chosen import Asked
from pages._show import HALF, TableFile, downloads, draw, provenance, say, theme, two_lines
from pages._state import cell_table, grouping_columns
from pages._views import MapSettings, hover_table
from pages._waiting import answer, errors_as_text, stored
from pages._words import count, file_stem, plain, plain_number
from scfm_core.analyses.perturb_genes import PerturbationEffects, PerturbGenes, landing_arrows, sentence
from scfm_core.dataset import Dataset
from scfm_core.plots.cell_map import cell_map, with_arrows
from scfm_core.plots.perturbation import effect_bars, null_histogram

GREY = {"light": "color: #63707a", "dark": "color: #98a5b0"}
SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class Part:
    """One model's answer, with its table of effects and verdicts."""

    title: str
    request: PerturbGenes
    effects: PerturbationEffects
    table: pd.DataFrame


@dataclass(frozen=True)
class Standing:
    """The answer that stands on the page: the model's part first, the baseline's behind it."""

    asked: Asked
    parts: tuple[Part, ...]

    @property
    def key(self) -> str:
        """Names the elements on the page that show this answer."""
        return f"perturbed:{self.asked.request.identity[:10]}"


def verdict(row: pd.Series) -> str:
    """Say how an effect stands beside its random genes."""
    if row["status"] == "not held":
        return "no cell holds the gene: nothing to test"
    if not np.isfinite(row["p_adjusted"]):
        return "not compared"
    rarely = ", but rarely held" if row["status"] == "rarely held" else ""
    return ("more than random genes" if row["p_adjusted"] <= SIGNIFICANT else "no more than random genes") + rarely


def effects_table(effects: PerturbationEffects, title: str) -> pd.DataFrame:
    """Return the effects with a verdict, the largest first."""
    table = effects.effects.assign(model=title)
    table["verdict"] = [verdict(row) for _, row in table.iterrows()]
    return table.sort_values("effect", ascending=False, kind="stable", ignore_index=True)


def show_table(table: pd.DataFrame) -> None:
    """Show the effects; a line that fails its control is grey."""
    grey = GREY[theme()]
    columns = [name for name in EFFECT_COLUMNS if name in table]
    lines = in_percent(table[columns]).style.apply(
        lambda row: [grey if row["verdict"] != "more than random genes" else ""] * len(row), axis=1
    )
    st.dataframe(lines, hide_index=True, column_config=EFFECT_COLUMNS, column_order=columns)
    st.caption(
        "Grey: no more than random genes do, rarely held, or not testable; the column says which. Effects of two "
        "models are on scales of their own: compare each with its own random genes."
    )


def matching(table: pd.DataFrame | None, row: pd.Series) -> pd.Series | None:
    """Return the line of the same deletion in the same cells."""
    if table is None:
        return None
    same = table[(table["edit"] == row["edit"]) & (table["group"] == row["group"])]
    return None if same.empty else same.iloc[0]


def choose_line(table: pd.DataFrame, key: str) -> pd.Series:
    """Let one deletion in one group be looked at closely, the clearest at the start."""
    ordered = table.sort_values(["p_empirical", "effect"], ascending=[True, False], na_position="last")
    if len(ordered) == 1:
        return ordered.iloc[0]
    places = list(range(len(ordered)))
    chosen = st.selectbox(
        "Look closely at", places, key=f"{key}:line",
        format_func=lambda place: f"{ordered.iloc[place]['edit']} in {ordered.iloc[place]['group']}",
    )  # fmt: skip
    return ordered.iloc[chosen]


def spoken(row: pd.Series, other: pd.Series | None) -> None:
    """Say the result in words that can be repeated; grey where it fails its control."""
    words = plain(sentence(row, baseline=other, baseline_title="PCA"), longest=1500)
    with st.container(border=True, key="spoken"):
        if verdict(row) == "more than random genes":
            st.markdown(words)
        else:
            st.markdown(f":gray[{words}]")


def show_map(part: Part, row: pd.Series, key: str) -> None:
    """Draw where the perturbed cells land among their unperturbed neighbours."""
    asked, dataset, edit = part.request, part.request.baseline.dataset, row["edit"]
    projection = answer(MapSettings().projection(asked.baseline))
    if projection is None:
        return
    coordinates = np.asarray(projection.coordinates)
    columns = grouping_columns(dataset)
    column = asked.group_by or (columns[0] if columns else None)
    if column is None:
        colour = pd.Series(pd.Categorical(["cell"] * dataset.n_cells), name="Cells")
    else:
        colour = cell_table(dataset)[column].reset_index(drop=True)
    arrows = landing_arrows(part.effects, coordinates)
    place = list(part.effects.edits).index(edit)
    figure = cell_map(coordinates, colour, title=f"Where cells land without {edit}", hover=hover_table(dataset))
    figure = with_arrows(figure, arrows.start[place], arrows.end[place])
    draw(figure, key, width=HALF)
    say(figure)
    downloads(key, stem=file_stem(dataset.title, "landing", edit, asked.baseline.model.key), figure=figure)


def show_genes(effects: PerturbationEffects, row: pd.Series) -> None:
    """List the other genes whose vectors turned most."""
    genes = effects.genes
    if genes.empty:
        st.caption("This model has no vectors of single genes, so no other genes can be listed.")
        return
    mine = genes[(genes["edit"] == row["edit"]) & (genes["group"] == row["group"])].head(25)
    st.dataframe(mine, hide_index=True, column_config=GENE_COLUMNS, column_order=list(GENE_COLUMNS), height=320)
    st.caption(
        f"The genes of {plain(row['group'])} whose vectors turn most without {plain(row['edit'])}, in the same cells. "
        "A gene's vector depends on all genes of its cell: a shift here is no evidence of regulation."
    )


def files(dataset: Dataset, asked: Asked, table: pd.DataFrame, effects: PerturbationEffects) -> None:
    """Offer the tables as files."""
    request = asked.request
    facts = provenance(
        dataset,
        request,
        model=request.baseline.model.title,
        effect="mean of 1 - cosine between a cell's vector before and after",
        test=f"empirical p among {request.null_genes} random genes matched for detection and rank in the same cells",
        correction="Benjamini-Hochberg over all rows with a p",
        seed=str(request.seed),
    )
    stem = file_stem(dataset.title, "deletion", *effects.edits[:3])
    downloads(
        "effects",
        stem=stem,
        tables=[
            TableFile(label="Effects", table=lambda: table, about=facts),
            TableFile(label="Per cell", table=lambda: effects.cells, about=facts, spreadsheet=False),
            TableFile(label="Random genes", table=lambda: effects.null, about=facts, spreadsheet=False),
            TableFile(label="Affected genes", table=lambda: effects.genes, about=facts, spreadsheet=False),
        ],
    )


def show_effects(standing: Standing) -> None:
    """Show the effects of each model beside its random genes, one model under the other."""
    dataset = standing.asked.request.baseline.dataset
    for part in standing.parts:
        figure = effect_bars(part.effects)
        st.markdown(f"**{plain(part.title)}**")
        few = len(part.effects.effects) <= 3
        height = 225 + 55 * len(part.effects.effects) if few else None  # both models on one screen
        draw(figure, f"{standing.key}:bars:{part.title}", height=height)
        downloads(f"bars:{part.title}", stem=file_stem(dataset.title, "effects", part.title), figure=figure)
    say(figure)


def show_numbers(standing: Standing) -> None:
    """Show the table of both models, and hand out the files."""
    table = pd.concat([part.table for part in standing.parts], ignore_index=True)
    show_table(table)
    effects = standing.parts[0].effects
    st.caption(
        f"{count(effects.n_passes)} cells went through {plain(standing.parts[0].title)}. Arithmetic alone moves a "
        f"vector by up to {plain_number(effects.noise_floor)}: a smaller effect means nothing."
    )
    files(standing.asked.request.baseline.dataset, standing.asked, table, effects)


def show_closely(standing: Standing, row: pd.Series) -> None:
    """Show one deletion in one group: the random genes, the map, the other genes; the baseline always beside."""
    dataset = standing.asked.request.baseline.dataset
    st.subheader(f"{plain(row['edit'])} in {plain(row['group'])}: beside the random genes", anchor=False)
    for place, part in zip(st.columns(len(standing.parts), gap="medium"), standing.parts, strict=True):
        with place, errors_as_text():
            st.markdown(f"**{plain(part.title)}**")
            same = matching(part.table, row)
            if same is None or not np.isfinite(same["p_empirical"]):
                st.caption("No random genes to compare with here.")
                continue
            figure = null_histogram(part.effects, row["edit"], row["group"])
            draw(figure, f"{standing.key}:null:{part.title}", width=HALF)
            say(figure)
            stem = file_stem(dataset.title, "null", part.title, row["edit"])
            downloads(f"null:{part.title}", stem=stem, figure=figure)
    st.subheader("Where the cells land", anchor=False)
    for place, part in zip(st.columns(len(standing.parts), gap="medium"), standing.parts, strict=True):
        with place, errors_as_text():
            st.markdown(f"**{plain(part.title)}**")
            show_map(part, row, f"{standing.key}:map:{part.title}")
    st.subheader("The most affected other genes", anchor=False)
    show_genes(standing.parts[0].effects, row)


def beside(asked: Asked | None) -> tuple[Standing, pd.Series] | None:
    """Show the sentence and the effects, or what the page is about to show; return the line looked at closely."""
    standing = None if asked is None else wait_for(asked)
    if standing is None:
        before_the_answer()
        return None
    return standing, show_answer(standing)


def below(asked: Asked, found: tuple[Standing, pd.Series]) -> None:
    """Show the numbers, the files, and one deletion closely."""
    show_numbers(found[0])
    show_closely(*found)


def wait_for(asked: Asked) -> Standing | None:
    """Return the answers that are there, None without the model's; what is not there yet shows how far it is."""
    parts = []
    for request in (asked.request, asked.beside):
        if request is None:
            continue
        model = request.baseline.model
        if stored(request) is None:
            st.markdown(f"**{plain(model.title)}**")
        effects = answer(request)
        if effects is not None:
            title = f"{model.title} (baseline)" if model.is_baseline else model.title
            table = effects_table(effects, model.title)
            parts.append(Part(title=title, request=request, effects=effects, table=table))
    return Standing(asked, tuple(parts)) if parts and parts[0].request is asked.request else None


def show_answer(standing: Standing) -> pd.Series:
    """Show the sentence and the effects; return the line that is looked at closely."""
    table = standing.parts[0].table
    row = choose_line(table, standing.key)
    spoken(row, matching(standing.parts[1].table if len(standing.parts) > 1 else None, row))
    show_effects(standing)
    return row


def before_the_answer() -> None:
    """Say what the page is about to show."""
    two_lines(
        "How far the model moves each cell's vector when a gene is taken out of its input, beside random genes that as "
        "many of the same cells hold, and beside PCA.",
        "That cells without this gene would change like this. This is a statement about the model's input, not an "
        "experiment.",
    )
