"""Words for embeddings: of pre-trained models, and of each baseline."""

from collections.abc import Callable, Mapping

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.fit_model import FitModel
from scfm_core.analyses.perturbation_phrases import short
from scfm_core.model import EmbedOptions, ModelSpec
from scfm_core.models.hvg import MIN_CELLS, MIN_GENES
from scfm_core.models.scvi import N_LATENT, N_LAYERS, n_epochs_for
from scfm_core.registry import find_model
from scfm_core.report.citations import of_model
from scfm_core.report.wording import Wording, Words

_LOG_VALUES = "Counts were scaled to 10,000 per cell and log-transformed, ln(1 + x)"
_CHOSEN = "up to 2,000 highly variable genes were chosen {satija2015} by scanpy {wolf2018}"
_COMPONENTS = "the cells were projected on up to 50 principal components, found exactly and with a fixed sign."


def _embedded(asked: EmbedCells) -> Wording:
    model, options, dataset = asked.model, asked.chosen_options, asked.dataset
    if model.is_baseline:
        start = (EmbedCells(dataset, find_model(model.starts_from)),) if model.starts_from else ()
        text = _fitted_words(model) + _of_baseline(asked)
        return Wording(text=text, works=(of_model(model),), questions=start)
    layer = "the last layer" if options.layer == 0 else f"layer {options.layer} (0 is the last)"
    read = f" from {layer}, {options.pooling} pooling" if model.n_layers else ""
    tokens = f"; at most {model.max_tokens:,} genes of a cell are read" if model.max_tokens else ""
    text = (
        f"The {dataset.n_cells:,} cells were embedded with {model.title} (key {model.key}, revision {model.revision}; "
        f"{model.embedding_size} numbers per cell{read}, {options.precision}{tokens}) {{{of_model(model).key}}} "
        "without training it further. A cell that holds no gene of the model has no vector and takes no part."
    )
    return Wording(text=text, works=(of_model(model),))


def _fitted(asked: FitModel) -> Wording:
    model = asked.model
    words = _BASELINES.get(model.key)
    text = f"{model.title} {{{of_model(model).key}}} was fitted to all cells. "
    return Wording(text=text + ("" if words is None else words(EmbedOptions(), asked.dataset.n_cells)),
                   works=(of_model(model),))  # fmt: skip


def _fitted_words(model: ModelSpec) -> str:
    if model.key == "random":
        return f"As the zero of the comparison, {model.title.lower()} {{{of_model(model).key}}} were drawn. "
    return f"As a baseline without pre-training, {model.title} {{{of_model(model).key}}} was fitted to all cells. "


def _of_baseline(asked: EmbedCells) -> str:
    words = _BASELINES.get(asked.model.key)
    return "" if words is None else words(asked.chosen_options, asked.dataset.n_cells)


def _pca(options: EmbedOptions, n_cells: int) -> str:
    return f"{_LOG_VALUES}; {_CHOSEN} and centred, and {_COMPONENTS}"


def _hvg(options: EmbedOptions, n_cells: int) -> str:
    return (
        f"Cells with fewer than {MIN_GENES} genes, then genes expressed in fewer than {MIN_CELLS} of the others, were "
        f"left out of the fit {{kedzierska2025}}. {_LOG_VALUES}; {_CHOSEN}. Their log values are the vectors, neither "
        "scaled nor projected."
    )


def _combat(options: EmbedOptions, n_cells: int) -> str:
    return (
        f"{_LOG_VALUES}; {_CHOSEN}. Their values were corrected for the batch {_column(options)}, gene by gene and "
        "without covariates, by ComBat {johnson2007} as scanpy implements it; then, as in a published comparison "
        f"{{luecken2022}}, {_COMPONENTS}"
    )


def _harmony(options: EmbedOptions, n_cells: int) -> str:
    return (
        f"The vectors of PCA were corrected for the batch {_column(options)} by Harmony {{korsunsky2019}} through "
        f"harmonypy with its default parameters, seed {options.seed}."
    )


def _scvi(options: EmbedOptions, n_cells: int) -> str:
    return (
        f"Of the counts of up to 2,000 highly variable genes, those of PCA, a variational autoencoder {{lopez2018}} of "
        f"scvi-tools {{gayoso2022}} was trained with the batch {_column(options)} as covariate: {N_LAYERS} layers, "
        f"{N_LATENT} latent dimensions, negative binomial counts {{kedzierska2025}}, otherwise the defaults of "
        f"scvi-tools: 128 hidden units, Adam with learning rate 0.001, 128 cells per step, {n_epochs_for(n_cells):,} "
        "epochs on nine in ten cells, warm-up of the divergence over 400 epochs, seed "
        f"{options.seed}. The mean of each cell's latent distribution is its vector."
    )


def _random(options: EmbedOptions, n_cells: int) -> str:
    return f"50 numbers per cell come from a normal distribution, seed {options.seed}; they depend on no count."


def _column(options: EmbedOptions) -> str:
    return f"(column {short(options.batch)})" if options.batch else "(no column is known)"


_BASELINES: Mapping[str, Callable[[EmbedOptions, int], str]] = {
    "pca": _pca, "hvg": _hvg, "combat": _combat, "harmony": _harmony, "scvi": _scvi, "random": _random,
}  # fmt: skip
WORDINGS: Mapping[str, Words] = {"EmbedCells": _embedded, "FitModel": _fitted}
