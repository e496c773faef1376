"""What the report card is asked for: labels, batches, embeddings; the rest under More."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import streamlit as st

from pages._batches import chosen_batch
from pages._groupings import grouping_choices, grouping_of
from pages._models import embedded_models, model_words, usable_models
from pages._waiting import stored
from pages._words import plain
from scfm_core.analyses.compare_model_tables import PCA, RANDOM
from scfm_core.analyses.compare_models import CompareModels
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.dataset import Dataset
from scfm_core.metrics.catalogue import Family
from scfm_core.model import ModelSpec

NO_BATCH, NO_DONOR = "None", "None"
FAMILIES: dict[str, Family] = {"As published": "published", "scib-metrics": "scib-metrics"}
_FIRST_CHOSEN = 3
_MOST_SEEDS = 5


@dataclass(frozen=True)
class Asked:
    """A question for the report card, with what its parts are called.

    Attributes
    ----------
    batch
        Empty where no batches were chosen.
    started
        Whether the person pressed the button for these very scores.
    """

    question: CompareModels
    label: str
    batch: str
    started: bool

    @property
    def family(self) -> Family:
        """The one family that is shown."""
        return self.question.families[0]


def ask(dataset: Dataset) -> Asked | None:
    """Let the question be chosen and started; None where the dataset has no column of groups."""
    columns = grouping_choices(dataset)
    if not columns:
        st.info(
            "No column of the cell table tells cells apart into groups, so nothing can be scored. Name cells on the "
            "page UMAP, or add a file with a column of cell types.",
            icon=":material/info:",
        )
        return None
    key = f"card:{dataset.sha256[:10]}"
    label = _label(dataset, columns, key)
    batch = _batch(dataset, columns, label, key)
    specs = _models(dataset, batch, key)
    family, donors, numbers = _more(dataset, columns, key)
    models = [one for spec in specs for one in _embeddings(dataset, spec, batch, numbers["seeds"], numbers["seed"])]
    pca = EmbedCells(dataset, next(spec for spec in usable_models() if spec.key == PCA))
    question = CompareModels(
        dataset, tuple(models) or (pca,), grouping_of(dataset, label), grouping_of(dataset, batch) if batch else None,
        families=(family,), n_neighbors=numbers["neighbors"], n_bootstrap=numbers["resamples"], seed=numbers["seed"],
        donor_column=donors,
    )  # fmt: skip
    return Asked(question, label, batch, _start(question, key))


def _label(dataset: Dataset, columns: Sequence[str], key: str) -> str:
    start = dataset.roles.get("cell_type", "")
    return str(
        st.selectbox(
            "Cell types", columns, index=columns.index(start) if start in columns else 0, key=f"{key}:label",
            persist_state="session", help="The column whose groups a good embedding keeps apart.",
        )
    )  # fmt: skip


def _batch(dataset: Dataset, columns: Sequence[str], label: str, key: str) -> str:
    choices = [NO_BATCH, *(name for name in columns if name != label)]
    likely = [chosen_batch(dataset), *(dataset.roles.get(role, "") for role in ("batch", "donor", "condition"))]
    start = next((name for name in likely if name in choices), NO_BATCH)
    chosen = st.selectbox(
        "Batches", choices, index=choices.index(start), key=f"{key}:batch", persist_state="session",
        help="The column whose groups a good embedding mixes. Without one nothing is said about mixing.",
    )  # fmt: skip
    return "" if chosen == NO_BATCH else str(chosen)


def _models(dataset: Dataset, batch: str, key: str) -> list[ModelSpec]:
    specs = {spec.key: spec for spec in usable_models() if spec.key not in (PCA, RANDOM)}
    ready = [name for name in embedded_models(dataset) if name in specs]
    first = sorted(specs, key=lambda name: (specs[name].is_baseline, specs[name].bundled_folder is None))
    chosen = st.multiselect(
        "Models and baselines", list(specs), default=ready or first[:1], key=f"{key}:models", persist_state="session",
        format_func=lambda name: model_words(specs[name]), wrap=True,
        help="Each is scored on the same cells. PCA, the yardstick, and random vectors, the honest zero, are always "
        "scored beside.",
    )  # fmt: skip
    st.caption("PCA and random vectors always stand beside.")
    lacking = [specs[name].title for name in chosen if specs[name].needs_batch and not batch]
    if lacking and not dataset.roles.get("batch"):
        st.caption(f"{plain(', '.join(lacking))}: needs batches. Choose their column.")
    return [specs[name] for name in chosen]


def _embeddings(dataset: Dataset, spec: ModelSpec, batch: str, n_seeds: int, seed: int) -> list[EmbedCells]:
    """Return the embeddings of a model: several where it draws random numbers and more than one seed is asked for."""
    options = spec.default_options()
    if spec.needs_batch:
        options = replace(options, batch=batch)
    seeds = range(seed, seed + n_seeds) if spec.draws else (0,)
    return [EmbedCells(dataset, spec, replace(options, seed=one)) for one in seeds]


def _more(dataset: Dataset, columns: Sequence[str], key: str) -> tuple[Family, str, dict[str, int]]:
    with st.expander("More", key=f"{key}-more"):
        family = st.radio(
            "Definitions of the metrics", list(FAMILIES), key=f"{key}:family", persist_state="session",
            help="As published: scIB 1.1.7, recomputed, so that numbers can be set beside those of papers. "
            "scib-metrics: the library. The two are told apart and never mixed.",
        )  # fmt: skip
        donors = st.selectbox(
            "Donors", [NO_DONOR, *columns], key=f"{key}:donors", persist_state="session",
            index=_place([NO_DONOR, *columns], dataset.roles.get("donor", "")),
            help="From six donors on, intervals are over donors; else over cells, which are no replicates.",
        )  # fmt: skip
        resamples = st.number_input("Resamples for the intervals", 5, 1000, 20, 5, key=f"{key}:resamples",
                                    persist_state="session")  # fmt: skip
        seed = st.number_input("Seed", 0, 9999, 0, key=f"{key}:seed", persist_state="session",
                               help="Of clusters, resamples and trainings.")  # fmt: skip
        seeds = st.number_input(
            "Seeds of each model that is trained here", 1, _MOST_SEEDS, 1, key=f"{key}:seeds", persist_state="session",
            help="Each seed is a candidate of its own: how far they lie apart is not in any interval.",
        )  # fmt: skip
        neighbors = st.number_input("Neighbours compared with PCA", 5, 100, 30, 5, key=f"{key}:neighbors",
                                    persist_state="session")  # fmt: skip
    numbers = {"resamples": resamples, "seed": seed, "seeds": seeds, "neighbors": neighbors}
    chosen = "" if donors == NO_DONOR or donors not in dataset.cell_columns else str(donors)
    return FAMILIES[cast(str, family)], chosen, {name: int(value) for name, value in numbers.items()}


def _place(choices: Sequence[str], name: str) -> int:
    return list(choices).index(name) if name in choices else 0


def _start(question: CompareModels, key: str) -> bool:
    """Show the button; return whether it was pressed for these scores, now or before."""
    pressed: set[str] = st.session_state.setdefault(f"{key}-pressed", set())
    asked = [question.score(one, family) for one in question.candidates for family in question.families]
    waiting = question.identity not in pressed and any(stored(one) is None for one in asked)
    n = len(question.candidates)
    if st.button(f"Score {n} embeddings", type="primary", key="card-start", width="stretch", disabled=not waiting):
        pressed.add(question.identity)
        return True
    return not waiting
