"""What a user would write instead of our map: plotly's WebGL scatter of every cell, a trace a category, in Streamlit.

Run by ``bench_map.py``; the folder of the dataset and its map stand in the environment.
"""

import os
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from scfm_core.analyses.read_expression import log_expression
from scfm_core.dataset import open_dataset


@st.cache_resource
def opened():
    dataset = open_dataset(Path(os.environ["BENCH_DATASET"]))
    return dataset, np.load(os.environ["BENCH_PLACES"]), dataset.cells()


def main():
    """Draw the page."""
    dataset, places, cells = opened()
    choice = st.selectbox("Colour", ["cell_type", "batch", "a gene"])
    figure = go.Figure(layout={"height": 600, "uirevision": "same"})
    if choice == "a gene":
        values = log_expression(dataset, os.environ["BENCH_GENE"])
        marker = {"size": 2, "color": values, "colorscale": "Purples"}
        figure.add_scattergl(x=places[:, 0], y=places[:, 1], mode="markers", marker=marker)
    else:
        codes = cells[choice].cat.codes.to_numpy()
        for code, name in enumerate(cells[choice].cat.categories):
            own = places[codes == code]
            figure.add_scattergl(x=own[:, 0], y=own[:, 1], mode="markers", marker={"size": 2}, name=str(name))
    event = st.plotly_chart(figure, key="map", on_select="rerun", selection_mode=("lasso", "box"))
    st.text(f"DONE {choice} {len(event.selection.points)} selected")


if __name__ == "__main__":  # Streamlit runs a page under this name
    main()
