"""Models as the pages offer them: which can be used here, which have embedded a dataset, and their cards."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pages._batches import chosen_batch
from pages._state import engine, workspace
from pages._words import count, plain
from scfm_core.converted import read_manifest
from scfm_core.dataset import Dataset
from scfm_core.model import ModelSpec
from scfm_core.registry import all_models, yardstick
from scfm_core.weights import installed, missing_packages, weights_folder, weights_here

if TYPE_CHECKING:
    from scfm_core.analyses.embed_cells import EmbedCells


def model_cards() -> list[ModelSpec]:
    """Return the card of every model, with its weights where they are here; PCA first, then the other baselines."""
    cards = [installed(spec) for spec in all_models()]
    return sorted(cards, key=lambda spec: (not spec.is_baseline, spec.bundled_folder is None))


def usable_models() -> list[ModelSpec]:
    """Return the models that can run here, PCA and the other baselines first."""
    return [spec for spec in model_cards() if is_here(spec)]


def editable_models() -> list[ModelSpec]:
    """Return the usable models in which genes can be edited."""
    return [spec for spec in usable_models() if spec.gene_edits]


def embedding_of(dataset: Dataset, spec: ModelSpec) -> "EmbedCells":
    """Return the embedding that the pages mean by a model, with the batch column of this session where it needs one."""
    from scfm_core.analyses.embed_cells import EmbedCells  # not needed by the first page

    options = replace(spec.default_options(), batch=chosen_batch(dataset)) if spec.needs_batch else None
    return EmbedCells(dataset, spec, options)


def is_here(spec: ModelSpec) -> bool:
    """Whether a model of `model_cards` can run here."""
    return weights_here(spec)


def baseline() -> ModelSpec:
    """Return the baseline that stands beside every model."""
    return yardstick()


def model_words(spec: ModelSpec) -> str:
    """Return a model's name for a list of choices."""
    return f"{spec.title} (baseline)" if spec.is_baseline else spec.title


def embedded_models(dataset: Dataset) -> dict[str, float | None]:
    """Return the keys of the models that have embedded this dataset, the baseline first, with the seconds it took.

    Only what the weights that are here gave counts: other weights of the same model are another model.
    """
    answers = workspace().folder("answers")
    identities = tuple(embedding_of(dataset, spec).identity for spec in usable_models())
    return _embedded(str(answers), answers.stat().st_mtime_ns, identities, dataset.identity, dataset)


@st.cache_data(show_spinner=False, max_entries=64)
def _embedded(
    folder: str, changed: int, identities: tuple[str, ...], dataset: str, _dataset: Dataset
) -> dict[str, float | None]:
    store = engine().store
    found = {
        spec.key: store.about(identity) for spec, identity in zip(usable_models(), identities, strict=True)
    }
    return {key: stored.seconds for key, stored in found.items() if stored is not None}


def second_view_model(dataset: Dataset) -> ModelSpec:
    """Return the model that a second view starts with: one that is embedded already, else the baseline."""
    ready = embedded_models(dataset)
    return next((spec for spec in usable_models() if not spec.is_baseline and spec.key in ready), baseline())


def model_card(spec: ModelSpec, *, embedded: bool) -> None:
    """Show what a model is, what it was trained on, what it may be used for, and where its limits are."""
    with st.container(border=True, height="stretch", key=f"card-{spec.key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(spec.title)}**")
            if spec.is_baseline:
                st.badge("baseline", color="gray")
            if embedded:
                st.badge("embedded", color="green", icon=":material/check:")
            elif missing_packages(spec):
                st.badge("not installed", color="orange")
            elif not is_here(spec):
                st.badge("weights not here", color="orange")
        card_text(spec)
        _origin(spec)
        if not is_here(spec):
            what = "To use it" if missing_packages(spec) else "To get the weights"
            st.info(f"{what}: {plain(spec.how_to_get, longest=600)}", icon=":material/download:")


def _origin(spec: ModelSpec) -> None:
    """Say where the weights of a published model came from, and whether they are those of its authors."""
    folder = weights_folder(spec)
    manifest = None if spec.published is None or folder is None else read_manifest(folder)
    if spec.published is None or manifest is None:
        return
    source = manifest["source"]
    folder_name = Path(source.get("folder", "")).name  # where it lies on the server is nobody's business
    own = [file for file in source.get("files", ()) if file["name"].endswith((".safetensors", ".bin"))]
    if "repository" in source:
        words = f"Weights from {source['repository']}, revision {source['revision'][:10]}, as published."
    elif own and all(file.get("as_published") for file in own):
        words = f"Weights from the folder {folder_name}, the same as published."
    else:
        words = f"Weights from the folder {folder_name}: not those that its authors published under this name."
    for note in (words, *source.get("notes", ())):
        st.caption(plain(note, longest=400))


def card_text(spec: ModelSpec) -> None:
    """Say in words what stands on a model's card."""
    st.markdown(plain(spec.summary, longest=500))
    st.markdown("  \n".join(f"**{name}** {text}" for name, text in _facts(spec) if text))
    if spec.known_limits:
        limits = "\n".join(f"- {plain(limit, longest=400)}" for limit in spec.known_limits)
        st.markdown(f"**Known limits**\n{limits}")
    source = plain(spec.citation, longest=300)
    st.caption(f"Source: {source}" + (f" [{plain(spec.doi)}](https://doi.org/{spec.doi})" if spec.doi else ""))


def _facts(spec: ModelSpec) -> list[tuple[str, str]]:
    size = "fitted to each dataset" if spec.n_parameters is None else f"{count(spec.n_parameters)} weights"
    return [
        ("Trained on", plain(spec.training_data, longest=500)),
        ("Reads", plain(spec.vocabulary, longest=300)),
        ("Gives", f"{count(spec.embedding_size)} numbers per cell, {size}"),
        ("Organisms", ", ".join(spec.organisms)),
        ("Licence", plain(spec.licence)),
    ]
