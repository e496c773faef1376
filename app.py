"""The application: every page in its frame. Start it with ``scfm serve`` or ``streamlit run app.py``."""

import streamlit as st

from pages._frame import run_app
from pages._served import routes

if __name__ == "__main__":  # Streamlit runs this file as __main__; a worker process that imports it starts nothing
    run_app()
else:
    app = st.App(__file__, routes=routes())
