"""What holds for every figure: both renderers draw it, the same, with units, n and two lines of words."""

import io
import json
import re
import xml.etree.ElementTree as ET
from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

from scfm_core.errors import RequestError
from scfm_core.plots.colours import THEMES
from scfm_core.plots.figure import INK, MUTED, Points
from scfm_core.plots.print import PICTURE_SIZES, PictureSize, to_pdf, to_png, to_svg
from scfm_core.plots.screen import to_plotly
from tests.plots.example_figures import HOSTILE, every_figure, hostile_map

FIGURES = every_figure()
every = pytest.mark.parametrize("name", FIGURES)


def figures_of_every_kind():
    """Return the names of figures that together hold every mark with every way of colouring it."""
    seen, chosen = set(), []
    for name, figure in FIGURES.items():
        marks = (mark for panel in figure.panels for mark in panel.marks)
        kinds = {(type(mark), type(getattr(mark, "colour", None))) for mark in marks}
        if not kinds <= seen:
            seen |= kinds
            chosen.append(name)
    return chosen


SVG = "{http://www.w3.org/2000/svg}"


def svg_texts(svg: bytes) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter(f"{SVG}text")]


@every
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_plotly_accepts_it_with_our_theme_and_keeps_zoom(name, theme):
    figure = FIGURES[name]
    chart = json.loads(to_plotly(figure, theme=theme).to_json())
    layout = chart["layout"]
    assert layout["uirevision"] == "scfm"
    assert "sendChartToCloud" in layout["modebar"]["remove"]
    assert layout["template"]["layout"]["font"]["color"] == THEMES[theme].shade(INK)
    assert layout["dragmode"] == ("lasso" if figure.panels[0].equal_aspect else "zoom")
    for place, panel in enumerate(figure.panels):
        suffix = "" if place == 0 else str(place + 1)
        for axis, described in (("x", panel.x), ("y", panel.y)):
            limits = np.log10(described.limits) if described.scale == "log" else described.limits
            np.testing.assert_allclose(layout[f"{axis}axis{suffix}"]["range"], limits)


@every
def test_svg_parses_and_its_text_is_text(name):
    figure = FIGURES[name]
    svg = to_svg(figure)
    words = svg_texts(svg)
    assert not [word for word in words if word.startswith("DejaVu")]
    for title in (figure.panels[-1].x.title, figure.panels[-1].y.title):
        assert all(line in words for line in title.split("\n") if line), (title, words)
    assert b"<script" not in svg
    styles = [element.get("style") or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]
    assert all("font-family" in style or "font:" in style for style in styles)
    assert b"DejaVu Sans" in svg  # named, so that another program sets the same letters


@pytest.mark.parametrize("name", figures_of_every_kind())
def test_equal_figures_give_equal_bytes(name):
    assert to_svg(FIGURES[name]) == to_svg(every_figure_again()[name])


@lru_cache
def every_figure_again():
    return every_figure()


@pytest.mark.parametrize("name", figures_of_every_kind())
def test_pdf_embeds_truetype_and_carries_no_date(name):
    pdf = to_pdf(FIGURES[name])
    assert pdf.startswith(b"%PDF")
    assert b"/FontFile2" in pdf or b"/CIDFontType2" in pdf
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf


@every
def test_words_stand_at_every_figure(name):
    figure = FIGURES[name]
    assert figure.caption.endswith(".")
    assert figure.caveat.endswith(".")
    assert figure.title
    for panel in figure.panels:
        for axis in (panel.x, panel.y):
            measured = axis.ticks is None and axis.title
            if measured:
                assert re.search(r"\(.+\)|per cell", axis.title), f"no unit in {axis.title!r}"


@pytest.mark.parametrize("name", PICTURE_SIZES)
def test_png_has_the_asked_size(name):
    size = PICTURE_SIZES[name]
    width_mm = size.width_mm or FIGURES["null"].width_mm
    with Image.open(io.BytesIO(to_png(FIGURES["null"], size))) as picture:
        assert picture.width == pytest.approx(width_mm / 25.4 * size.dpi, abs=1)
        assert picture.info["dpi"][0] == pytest.approx(size.dpi, abs=0.1)
        if size.shape is not None:
            assert picture.width / picture.height == pytest.approx(size.shape, rel=0.002)


def test_a_finer_picture_has_more_dots_and_the_same_width():
    fine, coarse = (
        Image.open(io.BytesIO(to_png(FIGURES["null"], PictureSize(width_mm=89, dpi=dpi)))) for dpi in (600, 150)
    )
    assert fine.width == pytest.approx(4 * coarse.width, abs=4)
    assert fine.width / fine.info["dpi"][0] == pytest.approx(coarse.width / coarse.info["dpi"][0], rel=0.01)


@pytest.mark.parametrize("size", [PictureSize(width_mm=5), PictureSize(width_mm=900, dpi=1200), PictureSize(dpi=7000)])
def test_a_picture_beyond_all_measure_is_refused(size):
    with pytest.raises(RequestError, match="million dots"):
        to_png(FIGURES["null"], size)


def test_hostile_labels_stay_text_on_the_screen():
    text = to_plotly(hostile_map()).to_json()
    for raw in ("<img", "<b>", "<i>", "$"):
        assert raw not in text.replace("\\u003c", "<")
    assert "&lt;img src=x onerror=alert(1)&gt;" in text.replace("\\u0026", "&")


def test_hostile_labels_stay_text_in_print():
    words = svg_texts(to_svg(hostile_map()))
    for label in HOSTILE[:2]:
        assert f"{label} (n = 23)" in words or f"{label} (n = 22)" in words
    assert "line break %{x} (n = 22)" in words
    assert "<i>type</i> $x$" in words


def test_points_are_the_same_in_both_renderers():
    figure = FIGURES["map of types"]
    described = np.concatenate([mark.cells for mark in figure.panels[0].marks if isinstance(mark, Points)])
    chart = to_plotly(figure)
    drawn = np.concatenate([trace.customdata for trace in chart.data if trace.customdata is not None])
    assert sorted(drawn) == sorted(described) == list(range(90))
    groups = [
        group for group in ET.fromstring(to_svg(figure)).iter(f"{SVG}g") if "PathCollection" in group.get("id", "")
    ]
    signs = [sign for group in groups for kind in ("use", "path") for sign in group.iter(f"{SVG}{kind}")]
    assert len([sign for sign in signs if not sign.get("id")]) == 90


def test_many_points_go_to_webgl_and_become_a_picture_in_print():
    import pandas as pd

    from scfm_core.plots.cell_map import cell_map

    places = np.random.default_rng(0).normal(size=(6000, 2))
    figure = cell_map(places, pd.Series(np.arange(6000) % 3))
    assert {trace.type for trace in to_plotly(figure).data} == {"scattergl"}
    svg = to_svg(figure)
    assert b"<image" in svg
    assert any("n = 2\u202f000" in word for word in svg_texts(svg))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("colour", [INK, MUTED])
def test_text_has_enough_contrast(theme, colour):
    def luminance(shade):
        parts = np.array([int(shade[start : start + 2], 16) for start in (1, 3, 5)]) / 255
        return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    pair = sorted([luminance(THEMES[theme].shade(colour)), luminance(THEMES[theme].background)])
    assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5
