"""What the figures of the report card show equals the tables; the good end of every metric is told."""

import numpy as np
import pandas as pd
import pytest

from scfm_core.errors import RequestError
from scfm_core.plots.figure import Bars, HeatMap, Intervals, Points, Rule, Segments
from scfm_core.plots.report_card import model_colours, of_metric, report_card
from scfm_core.plots.report_card_batches import batch_composition, variance_by_column
from scfm_core.plots.report_card_labels import labels_told
from scfm_core.plots.report_card_maps import candidate_maps
from scfm_core.plots.report_card_metrics import metric_panels
from scfm_core.plots.report_card_scatter import biology_against_batch
from tests.plots.card_figures import MODELS, composition, explained, score_table, transfer

TABLE = score_table()


def marks(panel, kind):
    return [mark for mark in panel.marks if isinstance(mark, kind)]


def test_bars_are_sorted_by_the_first_metric_and_stand_in_one_order():
    figure = report_card(TABLE, ("avg_bio", "avg_batch"))
    rows = of_metric(TABLE, "avg_bio")
    assert [name for _, name in figure.panels[0].y.ticks] == ["Harmony", "PCA", "scFM mini", "Random vectors"]
    (bars,) = marks(figure.panels[0], Bars)
    order = np.argsort(bars.at)
    np.testing.assert_allclose(bars.value[order], rows["value"])
    np.testing.assert_allclose(bars.high[order], rows["ci_high"])
    (batch,) = marks(figure.panels[1], Bars)
    np.testing.assert_allclose(batch.value[np.argsort(batch.at)], [0.80, 0.52, 0.41, 0.99])
    assert [rule.at for rule in marks(figure.panels[1], Rule)] == [0.52]
    assert "n = 2\u202f700 cells" in figure.title


def test_the_best_of_a_metric_is_the_lowest_where_low_is_good():
    assert list(of_metric(TABLE, "pcr_batch")["model"]) == ["random", "harmony", "pca", "scfm-mini"]
    assert "lower is better" in report_card(TABLE, ("pcr_batch",)).panels[0].x.title


def test_the_scatter_shows_both_scores_with_their_intervals():
    figure = biology_against_batch(TABLE, "avg_bio", "avg_batch")
    points = marks(figure.panels[0], Points)
    assert [(float(point.x[0]), float(point.y[0])) for point in points] == [
        (0.52, 0.63), (0.99, 0.05), (0.41, 0.62), (0.80, 0.70)
    ]  # fmt: skip
    lines = marks(figure.panels[0], Segments)[0]
    np.testing.assert_allclose([lines.x0[0], lines.x1[0], lines.y0[1], lines.y1[1]], [0.50, 0.55, 0.61, 0.66])


def test_a_candidate_without_batches_is_no_point():
    table = TABLE[(TABLE["model"] != "harmony") | (TABLE["metric"] != "avg_batch")]
    assert len(marks(biology_against_batch(table, "avg_bio", "avg_batch").panels[0], Points)) == 3
    with pytest.raises(RequestError, match="Choose a batch column"):
        biology_against_batch(TABLE[TABLE["metric"] != "avg_batch"], "avg_bio", "avg_batch")


def test_each_metric_has_a_panel_with_its_arrow():
    figure = metric_panels(TABLE, "batch")
    assert [panel.title for panel in figure.panels] == ["AvgBATCH \u2192", "Variance explained by batch \u2190"]
    (interval,) = marks(figure.panels[1], Intervals)
    np.testing.assert_allclose(interval.value, [0.30, 0.001, 0.35, 0.05])
    assert figure.panels[1].y.ticks == ()
    with pytest.raises(RequestError, match="neighbourhood"):
        metric_panels(TABLE, "neighbourhood")


def test_missing_values_leave_gaps_and_no_error():
    holes = TABLE.assign(value=TABLE["value"].where(TABLE["model"] != "pca"), ci_low=np.nan, ci_high=np.nan)
    assert len(marks(report_card(holes, ("avg_bio",)).panels[0], Bars)[0].value) == 3
    assert not marks(metric_panels(holes, "biology").panels[0], Rule)
    with pytest.raises(RequestError, match="found none"):
        report_card(TABLE.assign(value=np.nan), ("avg_bio",))


def test_colours_tell_candidates_apart_and_random_is_grey():
    colours = model_colours(list(MODELS.values()))
    assert len(set(colours.values())) == 4
    assert colours["Random vectors"] == "#8C8C8C"


def test_maps_are_on_equal_footing():
    random = np.random.default_rng(0)
    places = [("A", random.normal(size=(50, 2))), ("B", 100 * random.normal(size=(50, 2)) * [1, 3])]
    places[0][1][7] = np.nan
    colour = pd.Series(np.array(["x", "y"])[np.arange(50) % 2], name="kind")
    figure = candidate_maps(places, colour)
    colours = [marks(panel, Points)[-1].colour for panel in figure.panels]
    assert colours[0].colours == colours[1].colours
    assert colours[0].counts == colours[1].counts == (25, 25)
    sizes = {mark.size for panel in figure.panels for mark in marks(panel, Points)}
    assert len(sizes) == 1
    for panel in figure.panels:
        spans = [axis.limits[1] - axis.limits[0] for axis in (panel.x, panel.y)]
        assert spans[0] == pytest.approx(spans[1])
    with pytest.raises(RequestError, match="found none"):
        candidate_maps([], colour)
    with pytest.raises(RequestError, match="cells"):
        candidate_maps([("A", np.zeros((3, 2)))], colour)


def test_variance_and_composition_equal_the_tables():
    table = explained()
    figure = variance_by_column(table, model="PCA", labels="kind")
    of_all, within = marks(figure.panels[0], Bars)
    np.testing.assert_allclose(of_all.value, 100 * table["explained"])
    np.testing.assert_allclose(within.value, 100 * table["explained_within"])
    assert len(marks(variance_by_column(table, model="PCA").panels[0], Bars)) == 1
    (heat,) = marks(batch_composition(composition(), batches="batch", labels="kind").panels[0], HeatMap)
    assert heat.colour.values.shape == (3, 4)
    np.testing.assert_allclose(heat.colour.values.sum(axis=0), 100)
    with pytest.raises(RequestError, match="Choose a batch"):
        batch_composition(composition().iloc[:0], batches="batch", labels="kind")


def test_rare_labels_stand_first_on_lines_of_their_own():
    figure = labels_told(transfer(), folds="the other batches")
    names = [name for _, name in figure.panels[0].y.ticks]
    assert names == ["all (n = 589)", "rare: Megakaryocyte (n = 9)", "B (n = 80)", "T (n = 500)"]
    pca, random = marks(figure.panels[0], Points)
    np.testing.assert_allclose(pca.x, 90)
    np.testing.assert_allclose(random.x, 30)
    assert sorted(np.rint(pca.y)) == [0, 1, 2, 3]
    assert not set(pca.y) & set(random.y)
    with pytest.raises(RequestError, match="found none"):
        labels_told(transfer().iloc[:0], folds="five random parts")
