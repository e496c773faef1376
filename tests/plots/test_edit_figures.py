"""The numbers in the figures of edits are the numbers of their results."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from scfm_core.errors import RequestError
from scfm_core.plots.arrow_field import with_arrow_field
from scfm_core.plots.baseline_share import baseline_scatter
from scfm_core.plots.cell_map import cell_map
from scfm_core.plots.controls import controls_figure
from scfm_core.plots.donors import donor_effects
from scfm_core.plots.enrichment import enrichment_bars
from scfm_core.plots.figure import (
    Arrows,
    Bars,
    Beside,
    Categories,
    HeatMap,
    Histogram,
    Intervals,
    Note,
    Points,
    Ribbons,
    Rule,
    Segments,
    Solid,
)
from scfm_core.plots.gene_network import gene_network
from scfm_core.plots.gene_screen import estimate_against_exact, first_genes, screen_volcano
from scfm_core.plots.goal_volcano import goal_volcano
from scfm_core.plots.labels import name_points
from scfm_core.plots.network_layout import hub_places, ring_places
from scfm_core.plots.pair_matrix import pair_matrix
from scfm_core.plots.perturbation import effect_bars, null_histogram
from scfm_core.plots.print import to_svg
from scfm_core.plots.screen import to_plotly
from scfm_core.plots.switches import switch_diagram
from scfm_core.plots.validation import validation_bars
from tests.plots import example_results as results
from tests.plots.example_figures import cell_types, gene_screen
from tests.plots.example_results import perturbation


def marks(figure, kind, *, panel=0):
    return [mark for mark in figure.panels[panel].marks if isinstance(mark, kind)]


def beside(figure):
    (words,) = marks(figure, Beside)
    return words.texts


# --- effects ---------------------------------------------------------------------------------------------------------


def test_effects_stand_beside_their_null():
    effects = perturbation()
    figure = effect_bars(effects)
    (bars,) = marks(figure, Bars)
    for drawn, column in ((bars.value, "effect"), (bars.low, "ci_low"), (bars.high, "ci_high")):
        np.testing.assert_array_equal(drawn, effects.effects[column][:2])
    (null,) = marks(figure, Intervals)
    drawn = effects.null.loc[effects.null["edit"] == "LYZ", "null_effect"]
    assert (null.low[0], null.value[0], null.high[0]) == pytest.approx(
        (drawn.quantile(0.025), drawn.mean(), drawn.quantile(0.975))
    )
    (own,) = marks(figure, Points)
    np.testing.assert_array_equal(own.x, effects.effects["null_effect"][:2])
    tested, rare, not_held = beside(figure)
    assert tested.split("\n")[:3] == ["z = 3.2", "adjusted p =\u00a00.0198", "3 of 4 donors agree"]
    assert "exploratory" in rare
    assert "5 %" in rare
    assert "no cell holds it" in not_held
    assert figure.title.startswith("2 of 2 tested deletions move the cells that hold the gene")
    assert "LYZ\nNK\nn = 145 of 161" in dict(figure.panels[0].y.ticks).values()


def test_an_edit_that_no_cell_allows_has_no_bar():
    figure = effect_bars(perturbation())
    (bars,) = marks(figure, Bars)
    assert 2.0 - 0.17 not in bars.at
    assert np.isfinite(bars.value).all()


def test_many_effects_keep_their_names_and_say_what_is_left_out():
    figure = effect_bars(results.many_edits(60))
    assert len(figure.panels[0].y.ticks) == 40
    assert all(f"overexpress LONGGENE{place}\n" in name for place, (_, name) in enumerate(figure.panels[0].y.ticks))
    assert "20 rows with smaller effects are not drawn" in figure.caption
    assert "edits" in figure.title
    assert "exploratory" in figure.title


def test_effects_without_a_null_are_drawn():
    effects = perturbation()
    columns = ["null_effect", "null_mean", "null_sd", "z", "p_empirical", "p", "p_adjusted", "match_distance"]
    without = effects.effects.assign(**dict.fromkeys(columns, np.nan), n_null=0)
    bare = dataclasses.replace(effects, null=effects.null.iloc[:0], effects=without)
    figure = effect_bars(bare)
    to_svg(figure)
    to_plotly(figure)
    assert "not compared" in figure.title
    with pytest.raises(RequestError, match="no random genes"):
        null_histogram(bare, "LYZ", "NK")


def test_null_histogram_holds_every_random_gene():
    effects = perturbation()
    figure = null_histogram(effects, "LYZ", "NK")
    (mark,) = marks(figure, Histogram)
    drawn = effects.null.loc[effects.null["edit"] == "LYZ", "null_effect"].to_numpy()
    assert mark.counts.sum() == len(drawn) == 100
    np.testing.assert_array_equal(mark.counts, np.histogram(drawn, mark.edges)[0])
    (rule,) = marks(figure, Rule)
    assert rule.at == effects.effects["null_effect"][0]
    assert f"{(drawn < rule.at).sum()} of 100 random genes" in figure.title
    assert "0.0099 and 0.0396" in figure.caption
    with pytest.raises(RequestError, match="no edit 'GAPDH'"):
        null_histogram(effects, "GAPDH", "NK")


# --- volcanoes -------------------------------------------------------------------------------------------------------


def test_the_volcano_holds_every_shift_and_its_line_parts_them():
    effects = perturbation()
    figure = goal_volcano(effects, "healthy")
    rows = effects.shifts[(effects.shifts["state"] == "healthy") & effects.shifts["shift"].notna()]
    (tested,) = (mark for mark in marks(figure, Points) if isinstance(mark.colour, Categories))
    (grey,) = (mark for mark in marks(figure, Points) if isinstance(mark.colour, Solid))
    known = rows["p"].notna()
    assert sorted(tested.x) == sorted(rows.loc[known, "shift"])
    assert sorted(grey.x) == sorted(rows.loc[~known, "shift"])
    assert (grey.y == 0).all()
    assert grey.symbol == "cross"
    np.testing.assert_allclose(sorted(10**-tested.y), sorted(rows.loc[known, "p"]))
    (line,) = (rule for rule in marks(figure, Rule) if rule.axis == "y")
    passed = rows.loc[known, "p_adjusted"] < 0.05
    assert (-np.log10(rows.loc[known, "p"][passed]) >= line.at).all()
    assert (-np.log10(rows.loc[known, "p"][~passed]) < line.at).all()
    assert tested.colour.counts[2] == (~passed).sum()
    assert {note.text for note in marks(figure, Note)} <= set(rows.loc[known, "edit"][passed])
    assert "not drawn: 1" in figure.caption
    assert "exploratory" in figure.title
    n_toward = (passed & (rows.loc[known, "shift"] > 0)).sum()
    assert n_toward
    assert f"{n_toward} of {known.sum()} tested deletions shift the cells further toward healthy" in figure.title
    table = effects.shifts.assign(null_mean=10 * effects.shifts["shift"])  # random genes shift them further
    assert goal_volcano(dataclasses.replace(effects, shifts=table), "healthy").title.startswith("0 of ")
    with pytest.raises(RequestError, match="healthy, NK"):
        goal_volcano(effects, "tired")


@pytest.mark.parametrize("n_edits", [3, 500])
def test_volcanoes_of_one_and_of_many_edits(n_edits):
    effects = dataclasses.replace(perturbation(), shifts=results.shift_table(n_edits))
    if n_edits == 3:
        effects = dataclasses.replace(effects, shifts=effects.shifts.iloc[:1])
    figure = goal_volcano(effects, "healthy")
    assert sum(len(mark.x) for mark in marks(figure, Points)) == (1 if n_edits == 3 else 499)
    assert len(to_svg(figure)) > 1000


def test_names_cover_no_other_name_and_few_points():
    x, y = np.full(30, 1.0), np.full(30, 1.0)
    limits = ((0.0, 2.0), (0.0, 2.0))
    assert name_points(["GENE"] * 30, x, y, chosen=x > 0, limits=limits, n_labels=9)
    far = np.linspace(0.2, 1.8, 5)
    assert len(name_points(["GENE"] * 5, far, far, chosen=far > 0, limits=limits, n_labels=9)) == 5
    row = np.linspace(0.6, 1.4, 61)
    (note,) = name_points(["GENE"] * 61, row, np.ones(61), chosen=np.arange(61) == 30, limits=limits, n_labels=1)
    assert note.anchor == "centre"  # above or under the row, not in it


def test_the_screen_volcano_parts_estimated_and_exact_genes():
    screen = gene_screen(200)
    figure = screen_volcano(screen)
    drawn = marks(figure, Points)
    exact = screen.table[screen.table["method"] == "exact"]
    diamonds = np.concatenate([mark.x for mark in drawn if mark.symbol == "diamond"])
    known = exact["goal_p"].notna()
    np.testing.assert_array_equal(sorted(diamonds), sorted(exact.loc[known, "goal_estimate"]))  # what p rests on
    assert sum(len(mark.x) for mark in drawn) == 200
    n_toward = ((screen.table["goal_p_adjusted"] < 0.05) & (screen.table["goal_estimate"] > 0)).sum()
    assert figure.title.startswith(f"{n_toward} of {screen.table['goal_p'].notna().sum()} genes shift")
    behind = screen.table.assign(goal_z=-screen.table["goal_z"])  # like genes shift the cells further
    assert screen_volcano(dataclasses.replace(screen, table=behind)).title.startswith("0 of ")
    assert "exploratory" in figure.caption
    with pytest.raises(RequestError, match="no goal"):
        screen_volcano(dataclasses.replace(screen, goal=""))
    assert screen_volcano(dataclasses.replace(screen, goal=""), "size").panels[0].x.limits[1] > 0


def test_a_screen_without_estimates_shows_its_exact_values():
    screen = gene_screen(60)
    estimates = [f"{by}_estimate{end}" for by in ("size", "goal") for end in ("", "_there")]
    table = screen.table[screen.table["method"] == "exact"].assign(**dict.fromkeys(estimates, np.nan))
    exact = dataclasses.replace(screen, table=table, so_far="40 of 60 cells")
    for figure in (screen_volcano(exact), first_genes(exact, by="goal")):
        assert figure.caption.startswith("40 of 60 cells. ")
        assert np.isfinite(figure.panels[0].x.limits).all()
        assert {mark.symbol for mark in marks(figure, Points)} <= {"diamond", "cross"}
        drawn = np.concatenate([mark.x for mark in marks(figure, Points)])
        assert sorted(drawn) == sorted(table["goal_exact"])
    assert "estimate" not in first_genes(exact).title
    with pytest.raises(RequestError, match="both an estimate"):
        estimate_against_exact(exact)


# --- maps and diagrams -----------------------------------------------------------------------------------------------


def test_arrows_of_the_field_are_means_over_squares():
    random = np.random.default_rng(0)
    start = random.uniform(0, 10, (4000, 2))
    moved = np.where(start[:, :1] > 5, [[0.02, 0.0]], [[0.0, -0.02]]) + random.normal(0, 0.001, start.shape)
    figure = with_arrow_field(cell_map(start, cell_types(4000)), start, start + moved)
    (arrows,) = marks(figure, Arrows)
    right = arrows.x0 > 5.5
    x, y = arrows.x1 - arrows.x0, arrows.y1 - arrows.y0
    factor = x[right].mean() / 0.02
    assert factor == pytest.approx(20, rel=0.02)  # 1, 2 or 5 times a power of ten
    assert "drawn 20 times as long" in figure.caption
    assert "20 times" in arrows.label
    np.testing.assert_allclose(y[arrows.x0 < 4.5], -0.4, atol=0.05)
    assert "distorts" in figure.caveat
    side = (figure.panels[0].x.limits[1] - figure.panels[0].x.limits[0]) / 25
    assert len(arrows.x0) == pytest.approx((10 / side) ** 2, rel=0.2)


def test_squares_with_few_cells_and_cells_without_a_place_have_no_arrow():
    start = np.array([[0.0, 0.0]] * 3 + [[5.0, 5.0]] * 2 + [[9.0, 9.0]] * 4)
    end = start + [1.0, 0.0]
    end[-1] = np.nan
    figure = with_arrow_field(cell_map(start, cell_types(9)), start, end)
    (arrows,) = marks(figure, Arrows)
    assert arrows.x0.tolist() == [0.0, 9.0]
    assert "n = 3 cells" in arrows.label
    assert "no place: 1" in figure.caption
    assert "6 of 8 moved cells in 2 squares" in figure.caption
    still = with_arrow_field(cell_map(start, cell_types(9)), start[:2], start[:2])
    assert not marks(still, Arrows)
    assert "no arrow is drawn" in still.caption
    with pytest.raises(RequestError, match="a start and an end"):
        with_arrow_field(figure, start, end[:2])


def test_bands_are_as_wide_as_the_numbers_of_cells():
    effects = perturbation()
    figure = switch_diagram(effects, "LYZ", "NK", categories=["B", "CD4 T cell", "CD8 T cell", "NK"])
    stays, moves, before, after = marks(figure, Ribbons)
    table = effects.switches
    same = table["label_before"] == table["label_after"]
    for bands, rows in ((stays, table[same]), (moves, table[~same])):
        for low, high in ((bands.low0, bands.high0), (bands.low1, bands.high1)):
            widths = high - low
            np.testing.assert_allclose(widths / widths.sum(), rows["n_cells"] / rows["n_cells"].sum())
    for blocks, column in ((before, "label_before"), (after, "label_after")):
        heights = blocks.high0 - blocks.low0
        counts = table.groupby(column)["n_cells"].sum()
        np.testing.assert_allclose(heights / heights.sum(), counts / counts.sum())
        assert (blocks.low0[1:] > blocks.high0[:-1]).all()
    words = [note.text for note in marks(figure, Note)]
    assert "NK\nn = 128, 10 leave" in words
    assert "CD8 T cell\nn = 23, 9 come" in words
    assert {"9", "2", "1"} <= set(words)
    assert "12 of 145" in figure.title
    assert "2.1" in figure.title
    assert before.colours[2] == "#CC79A7"  # the fourth of all labels, also where one is not drawn


def test_many_labels_stand_together_as_other():
    effects = results.many_switches(20)
    figure = switch_diagram(effects, "LYZ", "NK")
    *_, before, after = marks(figure, Ribbons)
    assert len(before.colours) == len(after.colours) == 12
    drawn = sum((mark.high0 - mark.low0).sum() for mark in marks(figure, Ribbons)[:2])
    assert drawn == pytest.approx((before.high0 - before.low0).sum(), rel=1e-6)
    assert "9 labels with few cells" in figure.caption
    with pytest.raises(RequestError, match="No label"):
        switch_diagram(dataclasses.replace(effects, switches=effects.switches.iloc[:0]), "LYZ", "NK")


def test_the_network_has_the_strongest_followers_of_every_edit():
    table = results.followers()
    hubs = ["HUB0", "HUB1", "HUB2"]
    figure = gene_network(table, hubs, "NK", most=12)
    (edges,) = marks(figure, Segments)
    names = {note.text for note in marks(figure, Note)} - set(hubs)
    for hub in hubs:
        own = table[table["edit"] == hub].nlargest(3, "specific_z")["symbol"]
        assert set(own) <= names
    kept = table[table["symbol"].isin(names) & (table["specific_z"] > 0)]
    assert len(edges.x0) == len(kept)
    assert len(names) == 12
    widest = edges.hover[int(edges.width.argmax())]
    strongest = kept.loc[kept["specific_z"].idxmax()]
    assert strongest["edit"] in widest
    assert strongest["symbol"] in widest
    hub, *nodes = reversed(marks(figure, Points))
    assert len(hub.x) == 3
    assert sum(len(mark.x) for mark in nodes) == 12
    largest = max(nodes, key=lambda mark: mark.size.max())
    biggest = kept.groupby("symbol")["mean_shift"].max().idxmax()
    assert biggest in largest.hover[int(largest.size.argmax())]
    assert json.dumps(to_plotly(figure).to_dict(), default=str) == json.dumps(
        to_plotly(gene_network(table, hubs, "NK", most=12)).to_dict(), default=str
    )


@pytest.mark.parametrize("edits", [[], [f"HUB{n}" for n in range(7)], ["GAPDH"]])
def test_a_network_without_followers_or_with_too_many_hubs_is_refused(edits):
    with pytest.raises(RequestError):
        gene_network(results.followers(), edits, "NK")


@pytest.mark.parametrize("n_hubs", range(1, 7))
def test_no_node_of_a_network_covers_another(n_hubs):
    hubs = hub_places(n_hubs)
    ring = ring_places(np.random.default_rng(0).normal(size=(60, 2)))
    for places, near in ((hubs, 0.25), (ring, 0.03)):
        distance = np.abs(places[:, None] - places[None])
        apart = distance.max(axis=2) + np.eye(len(places))
        assert apart.min() >= near
    for side in (ring[:, 0] < 0, ring[:, 0] > 0):  # names stand in rows
        heights = np.sort(ring[side, 1])
        assert np.diff(heights).min() >= 2.0 / 30


# --- tables as pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["vector", "size"])
def test_every_pair_stands_once_in_the_lower_triangle(by):
    pairs = results.pairs()
    figure = pair_matrix(pairs, "NK", by)
    (mark,) = marks(figure, HeatMap)
    columns, rows = ([name for _, name in axis.ticks] for axis in (figure.panels[0].x, figure.panels[0].y))
    for _, row in pairs.table.iterrows():
        drawn = mark.colour.values[rows.index(row["edit_b"]), columns.index(row["edit_a"])]
        assert drawn == pytest.approx(row[f"{by}_beyond"], nan_ok=True)
    assert np.isfinite(mark.colour.values).sum() == len(pairs.table) - 1
    low, high = mark.colour.limits
    assert low == (0 if by == "vector" else -high)
    (dots,) = marks(figure, Points)
    n_passed = (pairs.table["vector_p_adjusted" if by == "vector" else "p_adjusted"] < 0.05).sum()
    assert len(dots.x) == n_passed
    assert figure.title.startswith(f"{n_passed} of 14 tested pairs")
    assert ("0.21" if by == "vector" else "-0.0004") in figure.caption
    assert "n/a" in [note.text for note in marks(figure, Note)]
    assert "n\u00a0=\u00a01 pairs" in figure.caption
    with pytest.raises(RequestError, match="one of: NK"):
        pair_matrix(pairs, "B", by)


def test_donors_stand_in_natural_order_beside_their_random_genes():
    effects = perturbation()
    figure = donor_effects(effects, "LYZ", "NK")
    names = [name.split("\n")[0] for _, name in figure.panels[0].y.ticks]
    assert names == ["donor 2", "donor 3", "donor 4", "donor 5", "donor 10"]
    assert beside(figure) == ("above", "not above", "above", "too few cells", "above")
    randoms, above, below = marks(figure, Points)
    table = effects.donors.set_index("donor")
    assert above.x.tolist() == table.loc[["donor 2", "donor 4", "donor 10"], "effect"].tolist()
    assert below.x.tolist() == [table.loc["donor 3", "effect"]]
    assert sorted(randoms.x) == sorted(table["null_mean"].dropna())
    assert "3 of 4 donors" in figure.title
    assert "0.012" in figure.title
    shift = donor_effects(effects, "LYZ", "NK", state="healthy")
    assert beside(shift) == ("toward", "away", "toward", "too few cells", "toward")
    assert [rule.at for rule in marks(shift, Rule)] == [0.0]
    with pytest.raises(RequestError, match="no shift toward"):
        donor_effects(effects, "LYZ", "NK", state="tired")
    with pytest.raises(RequestError, match="no donors"):
        donor_effects(dataclasses.replace(effects, donors=pd.DataFrame()), "LYZ", "NK")


def test_controls_are_told_by_shape_and_word():
    figure = controls_figure(results.controls(), perturbation().effects.iloc[0], "NK")
    words = beside(figure)
    assert [text.split("\n")[0] for text in words] == ["asked", "passed", "passed", "failed", "passed", "cannot tell"]
    assert words[1] == "passed\nexactly 0"
    asked, passed, failed = marks(figure, Points)
    assert len({asked.symbol, passed.symbol, failed.symbol}) == 3
    assert passed.x.tolist() == [0.0, 0.003, 0.0101]
    assert failed.x.tolist() == [0.0081]
    assert asked.x.tolist() == [perturbation().effects["effect"][0]]
    (ranges,) = marks(figure, Intervals)
    assert len(ranges.at) == 4  # the silent gene and the marker have none
    assert "ACTB moves more" in figure.caption
    assert "3 of 5 controls pass, 1 fail, 1 cannot tell" in figure.title
    with pytest.raises(RequestError, match="no control"):
        controls_figure(results.controls(), perturbation().effects.iloc[0], "B")


def test_genes_stand_where_model_and_baselines_put_them():
    explanation = results.explanation()
    figure = baseline_scatter(explanation, "NK")
    randoms, *asked = marks(figure, Points)
    table = explanation.genes
    np.testing.assert_array_equal(randoms.x, table.loc[~table["tested"], "expected"])
    np.testing.assert_array_equal(randoms.y, table.loc[~table["tested"], "model_percentile"])
    assert [len(mark.x) for mark in asked] == [2, 1, 1]
    assert (asked[1].x[0], asked[1].y[0]) == (35.0, 96.0)
    assert "68.3 %" in figure.title
    assert {note.text for note in marks(figure, Note)} == {"LYZ", "CD3D", "NKG7", "GNLY"}
    with pytest.raises(RequestError, match="Too few genes"):
        baseline_scatter(explanation, "B")


def test_gene_sets_are_ordered_by_p_and_counted():
    enrichment = results.enrichment()
    figure = enrichment_bars(enrichment, n_sets=10)
    drawn = np.concatenate([mark.value for mark in marks(figure, Bars)])
    np.testing.assert_allclose(drawn, -np.log10(enrichment.table["p_adjusted"][:10]))
    first = enrichment.table.iloc[0]
    assert beside(figure)[0].startswith(f"{first['overlap']} of {first['n_set']}\n")
    assert f"{(enrichment.table['p_adjusted'] < 0.05).sum()} of 30 gene sets" in figure.title
    assert "19 further sets" in figure.caption  # one of 30 shares no gene with the hits
    with pytest.raises(RequestError):
        enrichment_bars(dataclasses.replace(enrichment, table=enrichment.table.assign(overlap=0)))


def test_methods_stand_side_by_side_with_chance():
    table, targets = results.validation()
    figure = validation_bars(table, targets)
    for panel, (measure, chance) in enumerate((("auroc", 0.5), ("spearman", 0.0))):
        (means,) = marks(figure, Intervals, panel=panel)
        np.testing.assert_array_equal(means.value, table[measure])
        np.testing.assert_array_equal(means.low, table[f"{measure}_low"])
        assert [rule.at for rule in marks(figure, Rule, panel=panel)] == [chance]
        dots, _ = marks(figure, Points, panel=panel)
        assert sorted(dots.x) == sorted(targets[measure])
    above = (table["auroc_low"] > 0.5).sum()
    assert figure.title.startswith(f"{above} of 4 methods")
    with pytest.raises(RequestError):
        validation_bars(table.iloc[:0], targets)


# --- both renderers --------------------------------------------------------------------------------------------------


def test_words_beside_the_panel_have_room_on_the_screen():
    chart = to_plotly(effect_bars(perturbation()), width=450)
    (words,) = marks(effect_bars(perturbation()), Beside)
    longest = max(len(line) for text in words.texts for line in text.split("\n"))
    assert chart.layout.margin.r >= 6 * longest
    assert chart.layout.margin.r < 200


def test_a_narrow_figure_has_its_colour_bar_below():
    figure = pair_matrix(results.pairs(), "NK")
    assert to_plotly(figure, width=450).layout.coloraxis.colorbar.orientation == "h"
    assert to_plotly(figure, width=680).layout.coloraxis.colorbar.orientation is None


def test_segments_and_bands_are_the_same_in_both_renderers():
    network = gene_network(results.followers(), ["HUB0"], "NK", most=8)
    (edges,) = marks(network, Segments)
    lines = [trace for trace in to_plotly(network).data if trace.mode == "lines" and trace.x[0] is not None]
    drawn = np.concatenate([np.asarray(trace.x, dtype=float).reshape(-1, 3)[:, 1] for trace in lines])
    assert sorted(drawn) == pytest.approx(sorted(edges.x1))
    assert to_svg(network).count(b"stroke-linecap: round") >= len(edges.x1)
    diagram = switch_diagram(perturbation(), "LYZ", "NK")
    n_bands = sum(len(mark.colours) for mark in marks(diagram, Ribbons))
    filled = [trace for trace in to_plotly(diagram).data if trace.fill == "toself"]
    assert len(filled) == n_bands
    assert to_svg(diagram).count(b'id="patch_') >= n_bands
