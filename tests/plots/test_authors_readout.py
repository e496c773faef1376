"""The readout's figures show its numbers: one violin an edit, or one bar of a histogram an edit."""

import numpy as np
import pandas as pd
import pytest

from scfm_core.errors import RequestError
from scfm_core.plots.authors_readout import MAX_VIOLINS, readout_figure
from scfm_core.plots.figure import Histogram, Rule, Violin
from scfm_core.plots.print import to_svg
from scfm_core.plots.screen import to_plotly


def readout(n_edits: int, column: str) -> pd.DataFrame:
    random = np.random.default_rng(0)
    edits = np.repeat([f"delete:ENSG{number:011d}" for number in range(n_edits)], 20)
    values = random.normal(0.0, 1e-3, len(edits)) + np.repeat(np.linspace(0.0, 0.01, n_edits), 20)
    return pd.DataFrame({"cell": np.arange(len(edits)), "edit": edits, column: values})


def labels(n_edits: int) -> dict[str, str]:
    return {f"delete:ENSG{number:011d}": f"GENE{number}" for number in range(n_edits)}


def test_few_edits_are_violins_the_strongest_first():
    figure = readout_figure(readout(3, "shift_to:healthy"), "shift_to:healthy", labels=labels(3), doing="Deleting")
    panel = figure.panels[0]
    assert [label.split("\n") for _, label in panel.x.ticks or ()] == [
        ["GENE2", "n = 20"], ["GENE1", "n = 20"], ["GENE0", "n = 20"],
    ]  # fmt: skip
    assert len([mark for mark in panel.marks if isinstance(mark, Violin)]) == 3
    assert [mark.at for mark in panel.marks if isinstance(mark, Rule)] == [0.0]
    assert figure.title.startswith("Deleting GENE2 shifts the cells toward healthy most among n = 3 edits")
    assert "healthy" in panel.y.title


def test_many_edits_are_a_histogram_that_holds_each_once():
    table = readout(40, "cosine_similarity")
    table["cosine_similarity"] = 1 - table["cosine_similarity"].abs()
    figure = readout_figure(table, "cosine_similarity", labels=labels(40))
    histogram = next(mark for mark in figure.panels[0].marks if isinstance(mark, Histogram))
    assert histogram.counts.sum() == 40
    lowest = table.groupby("edit")["cosine_similarity"].mean().idxmin()
    assert figure.title.startswith(f"{labels(40)[lowest]} moves the cells most")
    assert MAX_VIOLINS < 40


@pytest.mark.parametrize("n_edits", [1, 3, 40])
@pytest.mark.parametrize("column", ["cosine_similarity", "shift_to:<b>state</b>"])
def test_both_renderers_draw_it(n_edits, column):
    figure = readout_figure(readout(n_edits, column), column, labels=labels(n_edits))
    assert to_plotly(figure, theme="dark").data
    assert figure.panels[0].x.title.encode() in to_svg(figure).replace(b"&lt;", b"<").replace(b"&gt;", b">")
    assert figure.caption.endswith(".")


def test_nothing_to_draw_is_said():
    table = readout(2, "cosine_similarity").assign(cosine_similarity=np.nan)
    with pytest.raises(RequestError) as error:
        readout_figure(table, "cosine_similarity", labels={})
    assert error.value.code == "nothing-to-draw"
