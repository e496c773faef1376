"""Models whose weights are not here: how large they are, under which licence, and two ways to get them."""

from functools import partial
from pathlib import Path

import streamlit as st

from pages._models import card_text
from pages._transfers import Transfer, transfer_line, transfers
from pages._waiting import errors_as_text, show_error
from pages._words import megabytes, plain
from scfm_core.errors import ModelError
from scfm_core.model import ModelSpec, Published
from scfm_core.weights import add_weights

_POLL_SECONDS = 0.8


def models_to_get(specs: list[ModelSpec]) -> None:
    """List the published models whose weights are not here, one line each, with what opens behind it."""
    for transfer in transfers().lately_done():
        words = f"{plain(transfer.spec.title)} is here and can be chosen on every page."
        st.success(words, icon=":material/check_circle:")
    published = [(spec, spec.published) for spec in specs if spec.published is not None]
    if not published:
        return
    st.subheader("Published models whose weights are not here", anchor=False)
    st.caption(
        "The weights belong to their authors and are fetched once, or taken from a folder that you have. They are "
        "checked, converted and kept in the workspace of this server; all who use it can then choose the model."
    )
    for spec, source in published:
        transfer = transfers().of(spec)
        words = f"**{plain(spec.title)}**, {megabytes(source.size_bytes)}, licence {plain(spec.licence)}"
        with st.expander(words, expanded=transfer is not None, key=f"get-{spec.key}"), errors_as_text():
            _one(spec, source, transfer)


def _one(spec: ModelSpec, source: Published, transfer: Transfer | None) -> None:
    if transfer is not None and not transfer.finished:
        _watch(transfer)
        return
    if transfer is not None:
        _how_it_ended(transfer)
    text, ways = st.columns([3, 2], gap="medium")
    with text:
        card_text(spec)
    with ways:
        _from_the_hub(spec, source, again=transfer is not None and transfer.stopped)
        _from_a_folder(spec)


def _from_the_hub(spec: ModelSpec, source: Published, *, again: bool) -> None:
    st.markdown(
        f"**Download** {megabytes(source.size_bytes)} from the Hugging Face hub: "
        f"[{plain(source.repository)}](https://huggingface.co/{source.repository}/tree/{source.revision}), revision "
        f"`{source.revision[:10]}`"
    )
    label = "Go on" if again else f"Download {megabytes(source.size_bytes)}"
    if st.button(label, key=f"fetch-{spec.key}", icon=":material/download:", width="stretch"):
        _start(Transfer(spec, "Downloading", stoppable=True, total_bytes=source.size_bytes), _fetch)


def _from_a_folder(spec: ModelSpec) -> None:
    st.markdown("**Or from a folder on this server**")
    with st.form(f"folder-of-{spec.key}", border=False):
        folder = st.text_input(
            "Folder with the weights", key=f"folder-{spec.key}", placeholder="/data/Geneformer",
            help="As the authors hand it out: config.json with model.safetensors or pytorch_model.bin. The folder of "
            "the whole repository is taken too. It is only read.",
        )  # fmt: skip
        dictionaries = st.text_input(
            "Folder with the dictionaries, if elsewhere", key=f"dictionaries-{spec.key}",
            help="The lists of genes (token_dictionary, gene_median_dictionary and so on, .pkl or .json). Looked for "
            "beside the weights and above them where this is empty.",
        )  # fmt: skip
        wanted = st.form_submit_button("Add", key=f"add-{spec.key}", icon=":material/folder_open:", width="stretch")
    if not wanted:
        return
    if not folder.strip():
        show_error(ModelError("Expected the path of a folder on this server, found an empty field. Type the path."))
        return
    elsewhere = _path(dictionaries) if dictionaries.strip() else None
    _start(Transfer(spec, "Reading and converting", stoppable=False), partial(_add, _path(folder), elsewhere))


def _path(text: str) -> Path:
    return Path(text.strip().strip("'\"")).expanduser()


def _add(folder: Path, dictionaries: Path | None, transfer: Transfer) -> None:
    add_weights(transfer.spec, folder, dictionaries=dictionaries)


def _fetch(transfer: Transfer) -> None:
    from scfm_core.hub import fetch_weights  # not needed to look at a page

    fetch_weights(transfer.spec, on_progress=transfer.told, stop=transfer.asked_to_stop)


def _start(transfer: Transfer, work: "object") -> None:
    transfers().start(transfer, work)
    st.rerun()


def _how_it_ended(transfer: Transfer) -> None:
    if transfer.stopped:
        st.info("Stopped. What was fetched is kept, and going on takes only the rest.", icon=":material/pause_circle:")
    elif transfer.error:
        st.error(plain(transfer.error, longest=2000), icon=":material/error:")


@st.fragment(run_every=_POLL_SECONDS)
def _watch(transfer: Transfer) -> None:
    if transfer.finished:
        st.rerun()
    with st.container(border=True, key=f"waiting-{transfer.id}"):
        st.progress(transfer.share, text=transfer_line(transfer))
        if transfer.stoppable:
            st.button("Stop", key=f"stop-{transfer.id}", on_click=transfer.stop, disabled=transfer.stopping)
        st.caption("You can go on to other pages.")
