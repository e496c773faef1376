"""How the numbers of a page were made: methods with citations for a paper, and code that makes them again."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from pages._state import engine
from pages._words import file_stem, plain
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.request import Request

_LONGEST = 6000
_NOTEBOOK = "application/x-ipynb+json"


def methods_and_code(dataset: Dataset, requests: Sequence[Request[Any]], key: str) -> None:
    """Offer methods, citations, a script and a notebook for the questions of a page, in one small menu.

    Parameters
    ----------
    dataset
        The one that the page is about.
    requests
        What the page asked, answered or not; each is told once. Nothing is shown where there is none.
    key
        Of the place.
    """
    asked = tuple({request.identity: request for request in requests}.values())
    if not asked:
        return
    stem = file_stem(dataset.title, key)
    with st.popover("Methods and code", icon=":material/menu_book:", type="tertiary", key=f"methods:{key}"):
        _methods(asked, stem)
        st.markdown("**Code** that makes these numbers again, and compares them with the ones on this page.")
        with st.container(horizontal=True, gap="small"):
            _file("Script (.py)", partial(_script, engine(), asked, stem), f"{stem}.py", "text/x-python")
            _file("Notebook (.ipynb)", partial(_notebook, engine(), asked, stem), f"{stem}.ipynb", _NOTEBOOK)
        st.caption("Both read the dataset from the workspace, by its hash, and compute every answer anew.")


def _methods(asked: Sequence[Request[Any]], stem: str) -> None:
    from scfm_core.report.written_methods import write_methods  # knows all questions, which the first page does not

    methods = write_methods(asked)
    st.markdown("**Methods**")
    with st.container(height=320, border=True):
        for paragraph in methods.paragraphs:
            st.markdown(plain(paragraph, longest=_LONGEST))
        cited = [f"{number}. {plain(work, longest=600)}" for number, work in enumerate(methods.cited, 1)]
        st.caption("\n".join(cited))
    with st.container(horizontal=True, gap="small"):
        _file("Text (.txt)", methods.text, f"{stem}-methods.txt", "text/plain")
        _file("Citations (.bib)", methods.bibtex, f"{stem}.bib", "application/x-bibtex")


def _file(label: str, data: Any, name: str, mime: str) -> None:
    st.download_button(
        label, data=data, file_name=name, mime=mime, key=f"methods:{name}", on_click="ignore", type="tertiary",
        icon=":material/download:",
    )  # fmt: skip


def _script(engine: Engine, asked: Sequence[Request[Any]], title: str) -> bytes:
    from scfm_core.report.script import script_of  # as above

    return script_of(_answered(engine, asked), title=title).encode()


def _notebook(engine: Engine, asked: Sequence[Request[Any]], title: str) -> bytes:
    from scfm_core.report.script import notebook_of  # as above

    return notebook_of(_answered(engine, asked), title=title)


def _answered(engine: Engine, asked: Sequence[Request[Any]]) -> list[Any]:
    from scfm_core.report.script import Asked  # as above

    return [Asked(request, engine.answer(request)) for request in asked]
