"""Shows figures and tables, with what they do not prove, and hands them out as files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages._picture import choose_size, size_in_use
from pages._words import file_stem, plain
from scfm_core import tables_out
from scfm_core.dataset import Dataset
from scfm_core.plots.colours import ThemeName
from scfm_core.plots.figure import Figure
from scfm_core.plots.print import PictureSize
from scfm_core.plots.screen import to_plotly
from scfm_core.request import Request

_CHART = {"displaylogo": False, "modeBarButtonsToRemove": ["toImage", "autoScale2d", "zoomIn2d", "zoomOut2d"]}
_MAP_CHART = {**_CHART, "scrollZoom": True}
_FONT = '"Source Sans", "Source Sans 3", "Helvetica Neue", Arial, sans-serif'  # the one that Streamlit brings along
WIDE, HALF = 680, 450
_HALF_MAP = 540.0  # the same for all maps that stand side by side
_AROUND_MAP = 190.0  # pixels for the title, the axis and a legend below
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, kw_only=True, eq=False)
class LaterFigure:
    """The words of a figure that is drawn otherwise on the page; it is made when its file is asked for.

    Attributes
    ----------
    title, caption, caveat
        As in `Figure`, of what stands on the page.
    make
        Makes the figure.
    """

    title: str
    caption: str
    caveat: str
    make: Callable[[], Figure]


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """A table on its way to a file.

    Attributes
    ----------
    label
        What it is, as the button says it.
    table
        Made when the file is asked for.
    about
        What stands above the table: the test, the correction, n, the dataset, versions; see `provenance`.
    spreadsheet
        Whether it fits a spreadsheet.
    """

    label: str
    table: Callable[[], pd.DataFrame]
    about: Mapping[str, str] = field(default_factory=dict)
    spreadsheet: bool = True


def theme() -> ThemeName:
    """Return the theme of the page that the person looks at."""
    return "dark" if st.context.theme.type == "dark" else "light"


def draw(
    figure: Figure,
    key: str,
    *,
    width: int = WIDE,
    height: int | None = None,
    on_select: Callable[[Mapping[str, Any]], None] | None = None,
) -> None:
    """Draw a figure.

    Parameters
    ----------
    width
        About how many pixels it is wide in a small window: `WIDE`, or `HALF` where two stand side by side.
    height
        In pixels; as the figure says where None.
    on_select
        Is told what a lasso or a box holds, before the page is run again.
    """
    picture = to_plotly(figure, theme=theme(), width=width)
    picture.update_layout(font_family=_FONT)
    if height is not None:
        picture.update_layout(height=height)
    elif figure.panels[0].equal_aspect:
        _fit_map(picture, figure, width)
    alt = figure.title or figure.caption
    if on_select is None:
        st.plotly_chart(picture, key=key, theme=None, config=_CHART, alt=alt)
        return
    key = f"{key}:map"
    picture.update_layout(dragmode="lasso")
    st.plotly_chart(
        picture,
        key=key,
        theme=None,
        config=_MAP_CHART,
        on_select=partial(_tell, key, on_select),
        selection_mode=("lasso", "box"),
        alt=alt,
    )


def say(figure: Figure | LaterFigure) -> None:
    """Say in two lines what one sees and what it does not prove."""
    two_lines(figure.caption, figure.caveat)


def two_lines(seen: str, not_proved: str) -> None:
    """Say what one sees and what it does not prove; both texts come from the application, names in them as they are."""
    lines = [f"**What you see.** {plain(seen, longest=900)}"] if seen else []
    if not_proved:
        lines.append(f"**What it does not prove.** {plain(not_proved, longest=900)}")
    st.caption("  \n".join(lines))


def show_figure(figure: Figure, key: str, *, stem: str, tables: Sequence[TableFile] = ()) -> None:
    """Draw a figure with its two lines beneath and one row of files."""
    draw(figure, key)
    say(figure)
    downloads(key, stem=stem, figure=figure, tables=tables)


def downloads(
    key: str, *, stem: str, figure: Figure | LaterFigure | None = None, tables: Sequence[TableFile] = ()
) -> None:
    """Offer a figure and tables as files, in one row: a menu for each; a file is made when it is asked for."""
    with st.container(horizontal=True, gap="small", key=f"files-{file_stem(key)}"):
        if figure is not None:
            with st.popover("Figure", icon=":material/image:", type="tertiary", key=f"{key}:figure-menu"):
                _figure_files(figure, key, stem)
        if tables:
            words = "Table" if len(tables) == 1 else "Tables"
            with st.popover(words, icon=":material/table:", type="tertiary", key=f"{key}:table-menu"):
                _table_files(tables, key, stem)


def _figure_files(figure: Figure | LaterFigure, key: str, stem: str) -> None:
    with st.container(horizontal=True, gap="small"):
        _file("Figure (SVG)", partial(_svg, figure), f"{stem}.svg", "image/svg+xml", key)
        _file("Figure (PDF)", partial(_pdf, figure), f"{stem}.pdf", "application/pdf", key)
        _file("Figure (PNG)", partial(_png, figure, size_in_use()), f"{stem}.png", "image/png", key)
    choose_size(key)
    st.caption("SVG and PDF keep text as text.")


def _table_files(tables: Sequence[TableFile], key: str, stem: str) -> None:
    for file in tables:
        name = stem if len(tables) == 1 else f"{stem}-{file_stem(file.label)}"
        with st.container(horizontal=True, gap="small"):
            if file.spreadsheet:
                _file(f"{file.label} (XLSX)", partial(to_xlsx, file), f"{name}.xlsx", _XLSX, key)
            _file(f"{file.label} (CSV)", partial(to_csv, file), f"{name}.csv", "text/csv", key)
    if any(file.about for file in tables):
        st.caption("Test, correction, n, dataset and versions stand on top, in CSV as lines that begin with #.")


def provenance(dataset: Dataset | None, request: Request[Any], **facts: str) -> dict[str, str]:
    """Return what stands above a table, see `scfm_core.report.provenance.provenance`."""
    from scfm_core.report.provenance import provenance as told  # knows all questions, which the first page does not

    return told(dataset, request, **facts)


def plain_provenance(dataset: Dataset, **facts: str) -> dict[str, str]:
    """Return what stands above a table that no question stands behind, such as the cells of a selection."""
    from scfm_core.report.provenance import plain_provenance as told  # as above

    return told(dataset, **facts)


def to_csv(file: TableFile) -> bytes:
    """Return a table as CSV with what it is on top, in which no cell is a formula."""
    return tables_out.to_csv(file.table(), file.about)


def to_xlsx(file: TableFile) -> bytes:
    """Return a table as a spreadsheet that says what it is."""
    return tables_out.to_xlsx(file.table(), file.about)


def _fit_map(picture: Any, figure: Figure, width: int) -> None:
    """Give a map the height that its shape needs, and let maps side by side begin at one height."""
    (left, right), (low, high) = figure.panels[0].x.limits, figure.panels[0].y.limits
    wanted = width * (high - low) / max(right - left, 1e-9) + _AROUND_MAP
    picture.update_layout(height=_HALF_MAP if width == HALF else min(max(wanted, 420.0), 640.0))
    picture.update_yaxes(constraintoward="top")


def _tell(key: str, on_select: Callable[[Mapping[str, Any]], None]) -> None:
    event = st.session_state.get(key)
    if event is not None:
        on_select(event["selection"])


def _file(label: str, make: Callable[[], bytes], name: str, mime: str, key: str) -> None:
    st.download_button(
        label, data=make, file_name=name, mime=mime, key=f"{key}:{name}", on_click="ignore", type="tertiary",
        icon=":material/download:",
    )  # fmt: skip


def _made(figure: Figure | LaterFigure) -> Figure:
    return figure.make() if isinstance(figure, LaterFigure) else figure


def _svg(figure: Figure | LaterFigure) -> bytes:
    from scfm_core.plots.print import to_svg  # matplotlib is slow to import

    return to_svg(_made(figure))


def _pdf(figure: Figure | LaterFigure) -> bytes:
    from scfm_core.plots.print import to_pdf  # matplotlib is slow to import

    return to_pdf(_made(figure))


def _png(figure: Figure | LaterFigure, size: PictureSize) -> bytes:
    from scfm_core.plots.print import to_png  # matplotlib is slow to import

    return to_png(_made(figure), size)
