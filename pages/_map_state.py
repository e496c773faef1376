"""What the maps show, as a value: it can be written into an address or a file, and put back."""

from dataclasses import asdict, dataclass

import streamlit as st

from pages._gene_search import gene_field, put_gene
from pages._gene_set_making import kept_gene_sets
from pages._models import baseline, embedding_of, second_view_model, usable_models
from pages._views import CLUSTERS, GENE, GENE_SET, MapSettings, colour_choices, settings_key
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.dataset import Dataset, parent_of
from scfm_core.gene_search import gene_labels

MOST_VIEWS = 4
WHOLE = "not split"
PARENT = "parent:"


@dataclass(frozen=True, kw_only=True)
class MapView:
    """One map: the model's key, what it is coloured by, and which gene or gene set where it is coloured by one.

    The key of a model that has embedded the dataset which a subset was taken from begins with "parent:".
    """

    model: str
    colour: str
    gene_id: str = ""
    gene_set: str = ""


@dataclass(frozen=True, kw_only=True)
class MapState:
    """All maps of a dataset: up to four views, how they are laid out, and the column by which the first is split."""

    views: tuple[MapView, ...]
    settings: MapSettings
    split_by: str = ""


def side_of(number: int) -> str:
    """Return the name of a view in the keys of its widgets."""
    return f"view{number + 1}"


def number_key(dataset: Dataset) -> str:
    """Return the key of the field with the number of views."""
    return f"maps:{dataset.sha256[:10]}:number"


def split_key(dataset: Dataset) -> str:
    """Return the key of the field with the column by which the map is split."""
    return f"maps:{dataset.sha256[:10]}:split"


def model_key(dataset: Dataset, number: int) -> str:
    """Return the key of the field with a view's model."""
    return f"{side_of(number)}:embedding:{dataset.sha256[:10]}"


def gene_set_field(number: int) -> str:
    """Return the key of the field with the gene set that a view is coloured by."""
    return f"{side_of(number)}:gene-set"


def model_choices(dataset: Dataset) -> dict[str, EmbedCells]:
    """Return the embeddings that a map can show, by their key: of the dataset, and of the one it was taken from."""
    specs, parent = usable_models(), parent_of(dataset)
    own = {spec.key: embedding_of(dataset, spec) for spec in specs}
    return own if parent is None else own | {f"{PARENT}{spec.key}": embedding_of(parent, spec) for spec in specs}


def colour_key(dataset: Dataset, number: int) -> str:
    """Return the key of the field with a view's colouring."""
    return f"{side_of(number)}:colour:{dataset.sha256[:10]}"


def first_views(dataset: Dataset) -> tuple[MapView, ...]:
    """Return the views that a dataset starts with: the baseline, then a model that has embedded it."""
    first, other = colour_choices(dataset)[0], second_view_model(dataset)
    second = first if not other.is_baseline else CLUSTERS
    return (MapView(model=baseline().key, colour=first), MapView(model=other.key, colour=second))


def start_of(dataset: Dataset, number: int) -> MapView:
    """Return what a view shows before anybody chose."""
    views = first_views(dataset)
    return views[number] if number < len(views) else MapView(model=views[number % 2].model, colour=CLUSTERS)


def map_state(dataset: Dataset) -> MapState:
    """Return what the maps of a dataset show in this session."""
    n_views = int(st.session_state.get(number_key(dataset)) or len(first_views(dataset)))
    views = []
    for number in range(n_views):
        start = start_of(dataset, number)
        colour = str(st.session_state.get(colour_key(dataset, number), start.colour))
        gene = st.session_state.get(gene_field(dataset, side_of(number)), "") if colour == GENE else ""
        gene_set = str(st.session_state.get(gene_set_field(number), "")) if colour == GENE_SET else ""
        model = str(st.session_state.get(model_key(dataset, number), start.model))
        views.append(MapView(model=model, colour=colour, gene_id=_gene_id(dataset, gene), gene_set=gene_set))
    split_by = str(st.session_state.get(split_key(dataset), WHOLE))
    settings = st.session_state.get(settings_key(dataset), MapSettings())
    return MapState(views=tuple(views), settings=settings, split_by="" if split_by == WHOLE else split_by)


def set_map_state(dataset: Dataset, state: MapState) -> list[str]:
    """Put back what the maps showed, before their fields are drawn; return in words what could not be put back."""
    lost: list[str] = []
    models, colours = model_choices(dataset), colour_choices(dataset)
    views = state.views[:MOST_VIEWS] or first_views(dataset)
    st.session_state[number_key(dataset)] = len(views)
    for number, view in enumerate(views):
        if view.model in models:
            st.session_state[model_key(dataset, number)] = view.model
        else:
            lost.append(f"The model {view.model} is not here; the map shows another one.")
        if view.colour not in colours:
            lost.append(f"There is nothing called {view.colour} to colour by; the map is coloured otherwise.")
            continue
        if view.colour == GENE and view.gene_id not in dataset.gene_ids:
            lost.append(f"The gene {view.gene_id} is not in this dataset; the map is coloured otherwise.")
            continue
        if view.colour == GENE_SET and view.gene_set not in kept_gene_sets():
            lost.append(f"No gene set {view.gene_set} is kept in this workspace; the map is coloured otherwise.")
            continue
        st.session_state[colour_key(dataset, number)] = view.colour
        if view.colour == GENE_SET:
            st.session_state[gene_set_field(number)] = view.gene_set
        if view.colour == GENE:
            put_gene(dataset, side_of(number), view.gene_id)
    for name, value in asdict(state.settings).items():
        st.session_state[f"{settings_key(dataset)}:{name}"] = value
    st.session_state[settings_key(dataset)] = state.settings
    if state.split_by:
        st.session_state[split_key(dataset)] = state.split_by
    return lost


def _gene_id(dataset: Dataset, label: object) -> str:
    return gene_labels(dataset).get(str(label), "")
