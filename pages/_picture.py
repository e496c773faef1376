"""How large a picture of dots is: chosen once, for all figures of a session."""

from dataclasses import replace

import streamlit as st

from scfm_core.plots.print import PICTURE_SIZES, PictureSize

OWN = "Own width"
_SIZES = (*PICTURE_SIZES, OWN)
_CHOSEN, _WIDTH, _DPI = "picture-size", "picture-width-mm", "picture-dpi"
_START = {_CHOSEN: _SIZES[0], _WIDTH: 120.0, _DPI: 300}


def size_in_use() -> PictureSize:
    """Return the size that this session chose."""
    chosen = _kept(_CHOSEN)
    size = PictureSize(width_mm=_kept(_WIDTH)) if chosen == OWN else PICTURE_SIZES[chosen]
    return replace(size, dpi=int(_kept(_DPI)))


def choose_size(key: str) -> None:
    """Let the size be chosen, in one of many places that all show the same choice.

    Parameters
    ----------
    key
        Of the place.
    """
    left, right = st.columns([2, 1])
    left.selectbox("Size of the PNG", _SIZES, help="For all figures of this session.", **_shared(key, _CHOSEN))
    right.selectbox("Dots per inch", [150, 300, 600], **_shared(key, _DPI))
    if _kept(_CHOSEN) == OWN:
        left.number_input("Width (mm)", 20.0, 500.0, step=1.0, **_shared(key, _WIDTH))


def _shared(key: str, name: str) -> dict[str, object]:
    """Return the options of a widget that shows what the session chose, and chooses for the session."""
    own = f"{key}:{name}"
    st.session_state[own] = _kept(name)
    return {"key": own, "on_change": _keep, "args": (name, own)}


def _kept(name: str) -> object:
    return st.session_state.get(name, _START[name])


def _keep(name: str, own: str) -> None:
    st.session_state[name] = st.session_state[own]
