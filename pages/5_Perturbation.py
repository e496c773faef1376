"""Choose a model, cells and genes; switch the genes off; see what moves, beside random genes and beside PCA."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from pages._columns import EFFECT_COLUMNS, GENE_COLUMNS, in_percent
from pages._frame import chosen_dataset, page_head
from pages._models import baseline, model_words, usable_models
from pages._show import HALF, TableFile, downloads, draw, provenance, say, theme, two_lines
from pages._state import cell_table, grouping_columns, selection
from pages._thread import embedded_models
from pages._views import MapSettings, gene_of_symbol, hover_table
from pages._waiting import answer, errors_as_text, stored
from pages._words import about, cells_of, count, file_stem, plain, plain_number
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.grouping import in_reading_order
from scfm_core.analyses.perturb_genes import (
    PerturbationEffects,
    PerturbGenes,
    estimated_passes,
    landing_arrows,
    sentence,
)
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset
from scfm_core.model import ModelSpec
from scfm_core.plots.cell_map import cell_map, with_arrows
from scfm_core.plots.perturbation import effect_bars, null_histogram
from scfm_core.tokens import Delete

ALL, GROUP, SELECTED = "All cells", "One group", "The selection"
TOGETHER_ALL = "all cells together"
FIRST_GENES = ("LYZ", "CD3D", "MS4A1", "Lyz2", "Cd3d", "ACTB", "Actb")
GREY = {"light": "color: #63707a", "dark": "color: #98a5b0"}
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Asked:
    """The question about a model and, where wanted, the same one about the baseline."""

    request: PerturbGenes
    beside: PerturbGenes | None

    @property
    def identities(self) -> tuple[str, ...]:
        """Equal where the answers are equal."""
        return tuple(request.identity for request in (self.request, self.beside) if request is not None)


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


def choose_cells(
    dataset: Dataset, key: str, edits: tuple[tuple[Delete, ...], ...]
) -> tuple[CellSet | None, str | None]:
    """Let the cells be chosen, and the groups that the effect is told for."""
    columns, chosen = grouping_columns(dataset), selection()
    ways = [*([GROUP] if columns else []), ALL, *([SELECTED] if chosen is not None else [])]
    way = st.selectbox("Cells", ways, key=f"{key}:cells:{len(ways)}", persist_state="session")
    if way == GROUP:
        column = st.selectbox("Column", columns, key=f"{key}:column", persist_state="session")
        names = in_reading_order(cell_table(dataset)[column].dropna().astype(str).unique())
        value = st.selectbox(
            "Group", names, index=names.index(fullest_group(dataset, column, edits)), key=f"{key}:group:{column}",
            persist_state="session", help="At the start the group in which most cells hold the gene.",
        )  # fmt: skip
        return CellSet.where(dataset, column, value), None
    cells = None
    if way == SELECTED and chosen is not None:
        cells = chosen
        st.caption(f"{cells_of(len(chosen))}, {plain(chosen.label)}.")
    group_by = st.selectbox(
        "Told per", [*columns, TOGETHER_ALL], key=f"{key}:per", persist_state="session",
        help="The effect is given for each value of this column.",
    )  # fmt: skip
    return cells, None if group_by == TOGETHER_ALL else group_by


def fullest_group(dataset: Dataset, column: str, edits: tuple[tuple[Delete, ...], ...]) -> str:
    """Return the group in which the largest share of cells holds the first gene; the largest group without a gene."""
    names = cell_table(dataset)[column].astype(str).where(cell_table(dataset)[column].notna())
    if not edits:
        return str(names.value_counts().index[0])
    holds = pd.Series(dataset.expression(edits[0][0].gene_id) > 0, index=names.index)
    return str(holds.groupby(names).mean().idxmax())


def choose_edits(dataset: Dataset, key: str) -> tuple[tuple[Delete, ...], ...]:
    """Let genes be chosen, and whether they go one by one or together."""
    genes = gene_of_symbol(dataset)
    names = list(genes)
    start = [name for name in FIRST_GENES if name in genes][:1]
    chosen = st.multiselect(
        "Genes to switch off", names, default=start, max_selections=25, key=f"{key}:genes", filter_mode="prefix",
        persist_state="session", select_all=False, wrap=True, placeholder="Type a symbol",
        help="Switching off takes the gene out of the cell's input. The genes behind it move up.",
    )  # fmt: skip
    edits = [Delete(genes[name]) for name in chosen]
    together = len(edits) > 1 and st.segmented_control(
        "Several genes", ["One by one", "Together"], default="One by one", required=True, key=f"{key}:together",
        persist_state="session",
    ) == "Together"  # fmt: skip
    return (tuple(edits),) if together else tuple((edit,) for edit in edits)


def choose_model(dataset: Dataset, key: str) -> ModelSpec:
    """Let a model be chosen, the first one that is no baseline at the start."""
    specs = usable_models()
    keys = [spec.key for spec in specs]
    start = next((place for place, spec in enumerate(specs) if not spec.is_baseline), 0)
    name = st.selectbox(
        "Model", keys, index=start, format_func=lambda name: model_words(specs[keys.index(name)]),
        key=f"{key}:model", persist_state="session",
    )  # fmt: skip
    return specs[keys.index(name)]


def build_question(dataset: Dataset, key: str) -> Asked | None:
    """Let the whole question be put together; None while no gene is chosen."""
    model = choose_model(dataset, key)
    edits = choose_edits(dataset, key)
    cells, group_by = choose_cells(dataset, key, edits)
    with st.expander("More: random genes, PCA"):
        null_genes = st.slider(
            "Random genes", 0, 500, 100, 10, key=f"{key}:null", persist_state="session",
            help="Each gene is compared with so many random genes that as many of the same cells hold, at a like rank.",
        )  # fmt: skip
        null_cells = st.slider(
            "Cells for the comparison", 4, 128, PerturbGenes.null_cells, 4, key=f"{key}:null-cells",
            persist_state="session", help="On so many cells of a group each gene, tested or random, is measured.",
        )  # fmt: skip
        seed = st.number_input(
            "Seed", 0, 9999, 0, key=f"{key}:seed", persist_state="session",
            help="Chooses the random genes and the cells for the comparison.",
        )  # fmt: skip
        compare = st.toggle("The same under PCA beside it", True, key=f"{key}:pca", persist_state="session")
    if not edits:
        return None
    request = PerturbGenes(
        EmbedCells(dataset, model), edits, cells=cells, group_by=group_by, null_genes=null_genes,
        null_cells=null_cells, seed=int(seed),
    )  # fmt: skip
    beside = replace(request, baseline=EmbedCells(dataset, baseline())) if compare and not model.is_baseline else None
    return Asked(request, beside)


@st.cache_data(show_spinner=False, max_entries=256)
def passes_of(identity: str, _request: PerturbGenes) -> int:
    """Return how many times a cell will go through the model."""
    return estimated_passes(_request)


def cost(asked: Asked) -> str:
    """Say how much work the question is."""
    n_passes = passes_of(asked.request.identity, asked.request)
    words = f"At most {count(n_passes)} cells go through the model"
    dataset, model = asked.request.baseline.dataset, asked.request.baseline.model
    ready = embedded_models(dataset)
    if model.key not in ready:
        return f"{words}, after the {cells_of(dataset.n_cells)} are embedded. The time is told while it runs."
    seconds = ready[model.key]
    return f"{words}, {about(seconds / dataset.n_cells * n_passes)} here." if seconds else f"{words}."


def controls(dataset: Dataset) -> Asked | None:
    """Let a question be built and asked; return the one whose answer stands on the page."""
    key = f"perturb:{dataset.sha256[:10]}"
    asked = build_question(dataset, key)
    if asked is None:
        st.caption("Choose a gene to switch off.")
    else:
        n_genes = sum(len(edit) for edit in asked.request.edits)
        label = "Switch this gene off" if n_genes == 1 else "Switch these genes off"
        if st.button(label, type="primary", key="perturb", width="stretch"):
            st.session_state[key] = asked
        st.caption(cost(asked))
    standing: Asked | None = st.session_state.get(key)
    if standing is not None and asked is not None and standing.identities != asked.identities:
        st.caption("The choices have changed since the answer beside was computed.")
    return standing


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


def main() -> None:
    """Ask, wait, show."""
    page_head("Perturbation", "Which cells move when a gene is switched off?")
    dataset = chosen_dataset()
    left, right = st.columns([1, 3], gap="medium")
    asked = standing = row = None
    with left, errors_as_text():
        asked = controls(dataset)
    with right, errors_as_text():
        standing = None if asked is None else wait_for(asked)
        if standing is None:
            before_the_answer()
        else:
            row = show_answer(standing)
    if standing is not None and row is not None:
        with errors_as_text():
            show_numbers(standing)
            show_closely(standing, row)


main()
