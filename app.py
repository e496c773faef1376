"""The frame around every page: title, theme, navigation, and the thread in the sidebar."""

from pathlib import Path

import streamlit as st

from pages._frame import PageEnds, show_thread
from pages._show import theme
from pages._state import open_demo_dataset
from pages._waiting import errors_as_text
from scfm_core.resources import asset

HERE = Path(__file__).parent


def main() -> None:
    """Run the page that the address names, and draw the sidebar after it, so that it shows what the page changed."""
    st.set_page_config(page_title="scFM Explorer", page_icon=str(asset("logo-mark.svg")), layout="wide")
    st.logo(str(asset(f"logo-{theme()}.svg")), size="large", icon_image=str(asset("logo-mark.svg")))
    st.html(asset("style.css"))
    files = sorted((HERE / "pages").glob("[0-9]*.py"))
    pages = {file.stem.split("_", 1)[1]: st.Page(file) for file in files}
    page = st.navigation(list(pages.values()))
    thread = st.sidebar.container()
    try:
        with errors_as_text():
            if _demo_asked_for():
                st.switch_page(pages["UMAP"])
            page.run()
    except PageEnds:
        pass
    finally:
        with thread, errors_as_text():
            show_thread()


def _demo_asked_for() -> bool:
    """Open the demo that the address names (``?demo=pbmc3k``), once."""
    key = st.query_params.get("demo")
    if key is None:
        return False
    del st.query_params["demo"]
    with st.spinner("Opening the demo"):
        open_demo_dataset(key)
    return True


if __name__ == "__main__":  # Streamlit runs this file as __main__; a worker process that imports it starts nothing
    main()
