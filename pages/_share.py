"""The menu in the sidebar that hands out the link and the session file, and takes a session file."""

from functools import partial

import streamlit as st

from pages._link import link, say_after
from pages._state import dataset_in_use
from pages._view_state import ViewState, view_again, view_now
from pages._words import file_stem
from scfm_core.dataset import Dataset

_PENDING, _ROUND = "session-pending", "session-round"


def share_menu(page: str) -> None:
    """Offer the link to this view, and a session file to take along or to bring."""
    dataset = dataset_in_use()
    with st.popover("Link and session", icon=":material/link:", width="stretch", key="share"):
        if dataset is not None:
            st.markdown("**Link** to this view, for whoever may open the dataset on this server")
            st.code(link(dataset, page), language=None, wrap_lines=True)
            st.markdown("**Session file**, with the selected cells and the labels, for any server that has the dataset")
            st.download_button(
                "Session (JSON)", data=partial(_file, dataset, view_now(dataset, page)),
                file_name=f"{file_stem(dataset.title)}-session.json", mime="application/json", key="session-file",
                on_click="ignore", type="tertiary", icon=":material/download:",
            )  # fmt: skip
        number = int(st.session_state.get(_ROUND, 0))
        st.file_uploader(
            "Open a session file", type="json", key=f"session-upload:{number}", max_upload_size=32,
            on_change=_take, args=(number,),
        )  # fmt: skip


def session_page() -> str:
    """Put back the session whose file was brought, before anything is drawn; return the name of its page, or nothing.

    What is not here is said on the page.
    """
    pending: bytes | None = st.session_state.pop(_PENDING, None)
    if pending is None:
        return ""
    page: list[str] = []
    say_after(partial(_put_back, pending, page))
    return page[0] if page else ""


def _file(dataset: Dataset, state: ViewState) -> bytes:
    from pages._session_file import session_file  # not needed by the first page

    return session_file(dataset, state)


def _take(number: int) -> None:
    """Keep an uploaded file for the run that follows, and empty the field."""
    upload = st.session_state.get(f"session-upload:{number}")
    if upload is not None:
        st.session_state[_PENDING] = upload.getvalue()
        st.session_state[_ROUND] = number + 1


def _put_back(content: bytes, page: list[str]) -> list[str]:
    from pages._session_file import put_labels, read_session  # as above

    state, labels = read_session(content)
    page.append(state.page)
    said = put_labels(state.dataset, labels, author="session file") if labels else []
    return [*said, *view_again(state)]
