"""The numbers in the figures of markers are those of their results, for few genes and for many."""

import numpy as np
import pytest

from scfm_core.errors import RequestError
from scfm_core.plots.donor_strips import donor_strips
from scfm_core.plots.dot_plot import dot_plot
from scfm_core.plots.figure import HeatMap, Line, Note, Points, Rule, Violin
from scfm_core.plots.marker_heat_map import marker_heat_map
from scfm_core.plots.marker_violins import marker_violins
from scfm_core.plots.matrix_plot import matrix_plot
from scfm_core.plots.volcano import volcano
from tests.plots.marker_figures import donor_values, marker_table, sample, summary


def marks(figure, kind, *, panel=0):
    return [mark for mark in figure.panels[panel].marks if isinstance(mark, kind)]


def test_dot_plot_shows_shares_and_means():
    found = summary()
    (mark,) = marks(dot_plot(found), Points)
    np.testing.assert_allclose(mark.colour.values, found.means.ravel())
    np.testing.assert_allclose((mark.size / max(mark.size_key.sizes)) ** 2, found.shares.ravel())
    assert mark.x.tolist() == [0, 1, 2] * 3
    assert mark.y.tolist() == [0] * 3 + [1] * 3 + [2] * 3


@pytest.mark.parametrize("n_genes", [21, 51, 100])
def test_many_genes_stand_in_rows_each_once_with_its_name(n_genes):
    found = summary(900, n_genes, 9)
    figure = dot_plot(found)
    names = [name for panel in figure.panels for _, name in panel.y.ticks]
    assert names == list(found.symbols)
    assert max(len(panel.y.ticks) for panel in figure.panels) <= 50
    shown = {}
    for panel in figure.panels:
        (mark,) = [mark for mark in panel.marks if isinstance(mark, Points)]
        for x, y, value in zip(mark.x, mark.y, mark.colour.values, strict=True):
            shown[panel.y.ticks[int(y)][1], panel.x.ticks[int(x)][1].partition(" (n")[0]] = value
    expected = {
        (symbol, group): found.means[row, column]
        for row, group in enumerate(found.groups)
        for column, symbol in enumerate(found.symbols)
    }
    assert shown == pytest.approx(expected)


@pytest.mark.parametrize("draw", [dot_plot, matrix_plot])
def test_more_genes_than_a_figure_holds_are_refused(draw):
    with pytest.raises(RequestError, match="1 to 100 genes in a figure, found 101"):
        draw(summary(300, 101))


def test_matrix_plot_of_means_of_shares_of_the_range_and_of_scores():
    found = summary()
    (plain,) = marks(matrix_plot(found), HeatMap)
    np.testing.assert_allclose(plain.colour.values, found.means)
    (scaled,) = marks(matrix_plot(found, scale="per gene"), HeatMap)
    np.testing.assert_allclose(scaled.colour.values.min(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.colour.values.max(axis=0), 1)
    (scores,) = marks(matrix_plot(found, scale="z-score"), HeatMap)
    np.testing.assert_allclose(scores.colour.values, (found.means - found.means.mean(0)) / found.means.std(0))
    assert scores.colour.limits[0] == -scores.colour.limits[1]
    (many,) = marks(matrix_plot(summary(900, 45, 20)), HeatMap)
    np.testing.assert_allclose(many.colour.values, summary(900, 45, 20).means.T)
    with pytest.raises(RequestError, match="Choose one of mean, per gene, z-score"):
        matrix_plot(found, scale="rainbow")


def test_heat_map_of_cells_thins_large_groups_and_counts_all():
    drawn = sample(6000)
    figure = marker_heat_map(drawn, standardise=False)
    (mark,) = marks(figure, HeatMap)
    assert mark.colour.values.shape == (3, 1998)
    assert "1\u202f998 of 12\u202f000 cells are drawn" in figure.caption
    assert "n = 12\u202f000 cells" in figure.title
    assert [name.partition("(")[2] for _, name in figure.panels[0].x.ticks] == ["n = 4\u202f000)"] * 3
    assert [rule.at for rule in marks(figure, Rule)] == [665.5, 1331.5]
    whole = marker_heat_map(sample(), standardise=False)
    np.testing.assert_array_equal(marks(whole, HeatMap)[0].colour.values, sample().values.T)


def test_violins_have_a_row_per_gene_and_a_violin_per_group():
    figure = marker_violins(sample())
    assert [len(marks(figure, (Violin, Points), panel=place)) for place in range(3)] == [3, 3, 3]
    assert figure.panels[2].x.ticks[0][1] == "B (n = 60)"
    assert "Of 180 cells 90 are drawn" in figure.caption
    many = marker_violins(sample(90, 20))
    assert len(many.panels) == 12
    assert "The first 12 of 20 genes" in many.caption
    assert len(marker_violins(sample(400, 2, 40)).panels[0].marks) == 40


def test_one_denominator_in_all_figures():
    """The same n in the title and at the groups of each figure."""
    found, drawn = summary(), sample()
    for figure, n_all in (
        (dot_plot(found), 90),
        (matrix_plot(found), 90),
        (marker_heat_map(drawn), 180),
        (marker_violins(drawn), 180),
    ):
        axis = figure.panels[-1].x if figure.panels[-1].x.title != "Gene" else figure.panels[-1].y
        counts = [int(name.partition("(n = ")[2].rstrip(")")) for _, name in axis.ticks]
        assert sum(counts) == n_all
        assert f"n = {n_all} cells" in figure.title


def test_volcano_colours_what_passes_both_thresholds():
    table = marker_table()
    figure = volcano(table, "B", max_p_adjusted=0.01, min_log2_fold_change=1.5)
    (mark,) = marks(figure, Points)
    passed = (table["p_adjusted"] <= 0.01) & (table["log2_fold_change"].abs() >= 1.5)
    up = passed & (table["log2_fold_change"] > 0)
    assert mark.colour.counts == (up.sum(), (passed & ~up).sum(), (~passed).sum() - 1)  # one has no p
    assert f"{up.sum()} genes higher" in figure.title
    assert np.isfinite(mark.y).all()
    assert "still smaller p" in figure.caption
    assert "without an adjusted p, not drawn: 1" in figure.caption
    assert 0 < len(marks(figure, Note)) <= 12
    with pytest.raises(RequestError, match="no group 'T'"):
        volcano(table, "T")


def test_each_point_of_a_volcano_knows_its_gene():
    table = marker_table()
    (mark,) = marks(volcano(table, "B"), Points)
    assert sorted(mark.cells) == [0, *range(2, 300)]
    reach = volcano(table, "B").panels[0].x.limits[1] / 1.08
    np.testing.assert_allclose(mark.x, table["log2_fold_change"].to_numpy()[mark.cells].clip(-reach, reach))
    assert all(words.startswith(f"GENE{place}\n") for place, words in zip(mark.cells, mark.hover, strict=True))


def test_picked_genes_are_named():
    figure = volcano(marker_table(), "B", picked=("ENSG00000000200", "ENSG00000000100"))
    assert {note.text for note in marks(figure, Note)} == {"GENE200", "GENE100"}
    ring = marks(figure, Points)[1]
    np.testing.assert_allclose(sorted(ring.x), sorted(marker_table()["log2_fold_change"][[100, 200]]))


@pytest.mark.parametrize("p", [0.0, 1e-320, 1.0])
def test_volcano_takes_any_threshold(p):
    figure = volcano(marker_table(), "B", max_p_adjusted=p, min_log2_fold_change=0.0)
    assert all(np.isfinite(rule.at) for rule in marks(figure, Rule))


def test_volcano_says_on_how_many_donors_it_rests():
    figure = volcano(marker_table().assign(n_donors_in=4, n_donors_out=5), "B")
    assert "n = 4 against 5 donors" in figure.title
    assert "Donors are the replicates" in figure.caveat
    assert "not independent replicates" in volcano(marker_table(), "B").caveat


def test_volcano_names_do_not_cover_each_other():
    table = marker_table().assign(log2_fold_change=3.0, p_adjusted=1e-9)
    assert len(marks(volcano(table, "B"), Note)) <= 4  # all at one place: at most one name on each side


def test_donors_have_a_point_per_side_and_a_line_where_they_have_both():
    values = donor_values()
    figure = donor_strips(values, inside="stim", outside="ctrl")
    assert [panel.y.title.split("\n")[0] for panel in figure.panels] == [f"GENE{gene}" for gene in range(6)]
    assert len(marks(figure, Line)) == 4
    outside, inside = marks(figure, Points)
    mine = values[values["symbol"] == "GENE0"]
    assert inside.y.tolist() == mine.loc[mine["side"] == "in", "log2_counts"].tolist()
    assert outside.y.tolist() == mine.loc[mine["side"] == "out", "log2_counts"].tolist()
    assert [name for _, name in figure.panels[0].x.ticks] == ["ctrl", "stim"]
    assert "stim (n = 5) against ctrl (n = 4)" in figure.title
    with pytest.raises(RequestError, match="found 25"):
        donor_strips(donor_values(25), inside="a", outside="b")
