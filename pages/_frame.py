"""The frame around every page: title, navigation, the head with its question, and the way on."""

from contextvars import ContextVar
from functools import partial

import streamlit as st

from pages._link import keep_address, open_address, tell_lost
from pages._share import session_page, share_menu
from pages._show import theme
from pages._state import dataset_in_use, open_demo_dataset
from pages._thread import show_thread
from pages._waiting import errors_as_text
from pages._words import plain
from scfm_core.dataset import Dataset
from scfm_core.resources import asset, root

FIRST_DEMO = "pbmc3k"
_NEXT = {
    "Dataset": ("Embedding", "pages/2_Embedding.py"),
    "Embedding": ("UMAP", "pages/3_UMAP.py"),
    "UMAP": ("Markers", "pages/4_Markers.py"),
    "Markers": ("Perturbation", "pages/5_Perturbation.py"),
    "Perturbation": ("Report card", "pages/6_Report_card.py"),
}
_framed = ContextVar("framed", default=False)


class PageEnds(BaseException):
    """Nothing more can be shown on this page; unlike ``st.stop``, the sidebar is still drawn."""


def page_head(title: str, question: str, *, onward: bool = True) -> None:
    """Show the title, the question that the page answers, and, where it can be gone, the way to the next page."""
    if not _framed.get():  # Streamlit runs a page alone where it is the first one that a server is asked for
        run_app()
        st.stop()
    left, right = st.columns([4, 1.2], vertical_alignment="center")
    with left:
        st.title(title, anchor=False)
        st.markdown(question)
    following = _NEXT.get(title)
    if onward and following is not None and dataset_in_use() is not None:
        name, path = following
        if right.button(
            f"Next: {name}", key="next", type="primary", width="stretch",
            icon=":material/arrow_forward:", icon_position="right",
        ):  # fmt: skip
            st.switch_page(path)


def chosen_dataset() -> Dataset:
    """Return the dataset of this session; or say that the page needs one, offer a demo, and end the page."""
    dataset = dataset_in_use()
    if dataset is None:
        _offer_dataset()
        raise PageEnds
    return dataset


def _offer_dataset() -> None:
    with st.container(border=True):
        st.markdown("**This page needs a dataset, and none is open yet.** Start with the demo, or add a file.")
        with st.container(horizontal=True):
            if st.button("Open the demo: PBMC 3k", type="primary", key="hint-demo"):
                with errors_as_text(), st.spinner("Opening the demo"):
                    open_demo_dataset(FIRST_DEMO)
                if dataset_in_use() is not None:
                    st.rerun()
            if st.button("Choose or add a dataset", key="hint-dataset"):
                st.switch_page("pages/1_Dataset.py")


def run_app() -> None:
    """Run the page that the address names, and draw the sidebar after it, so that it shows what the page changed."""
    st.set_page_config(page_title="scFM Explorer", page_icon=str(asset("logo-mark.svg")), layout="wide")
    st.logo(str(asset(f"logo-{theme()}.svg")), size="large", icon_image=str(asset("logo-mark.svg")))
    st.html(asset("style.css"))
    files = sorted((root() / "pages").glob("[0-9]*.py"))
    pages = {file.stem.split("_", 1)[1].replace("_", " "): st.Page(file) for file in files}
    page = st.navigation(list(pages.values()))
    thread = st.sidebar.container()
    token = _framed.set(True)
    try:
        with errors_as_text():
            if _demo_asked_for():
                st.switch_page(pages["UMAP"])
            open_address()
            brought = session_page()
            if brought in pages and brought != page.title:
                st.switch_page(pages[brought])
            tell_lost(partial(plain, longest=400))
            page.run()
    except PageEnds:
        pass
    finally:
        _framed.reset(token)
        with thread, errors_as_text():
            show_thread()
    with thread, errors_as_text():
        share_menu(page.title)
    with errors_as_text():
        keep_address(page.title)


def _demo_asked_for() -> bool:
    """Open the demo that the address names (``?demo=pbmc3k``), once."""
    key = st.query_params.get("demo")
    if key is None:
        return False
    del st.query_params["demo"]
    with st.spinner("Opening the demo"):
        open_demo_dataset(key)
    return True
