"""Shows figures and tables, with what they do not prove, and hands them out as files."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any

import pandas as pd
import streamlit as st

from pages._words import count, file_stem, plain, safe_cell
from scfm_core import __version__
from scfm_core.dataset import Dataset
from scfm_core.plots.colours import ThemeName
from scfm_core.plots.figure import Figure
from scfm_core.plots.screen import to_plotly
from scfm_core.request import Request, recipe

_CHART = {"displaylogo": False, "modeBarButtonsToRemove": ["toImage", "autoScale2d", "zoomIn2d", "zoomOut2d"]}
_MAP_CHART = {**_CHART, "scrollZoom": True}
_FONT = '"Source Sans", "Source Sans 3", "Helvetica Neue", Arial, sans-serif'  # the one that Streamlit brings along
WIDE, HALF = 680, 450
_HALF_MAP = 540.0  # the same for all maps that stand side by side
_AROUND_MAP = 190.0  # pixels for the title, the axis and a legend below
_XLSX_ROWS = 200_000
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_PACKAGES = ("scanpy", "numpy", "scipy", "pandas", "scikit-learn", "umap-learn", "torch")


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
        What stands on the second sheet: the test, the correction, n, versions.
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
    st.plotly_chart(
        picture,
        key=key,
        theme=None,
        config=_MAP_CHART,
        on_select=partial(_tell, key, on_select),
        selection_mode=("lasso", "box"),
        alt=alt,
    )


def say(figure: Figure) -> None:
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


def downloads(key: str, *, stem: str, figure: Figure | None = None, tables: Sequence[TableFile] = ()) -> None:
    """Offer a figure as SVG and PDF and tables as CSV and XLSX, in one row; each file is made when it is asked for."""
    with st.container(horizontal=True, gap="small", key=f"files-{file_stem(key)}"):
        if figure is not None:
            _file("Figure (SVG)", partial(_svg, figure), f"{stem}.svg", "image/svg+xml", key)
            _file("Figure (PDF)", partial(_pdf, figure), f"{stem}.pdf", "application/pdf", key)
        for file in tables:
            name = stem if len(tables) == 1 else f"{stem}-{file_stem(file.label)}"
            if file.spreadsheet:
                _file(f"{file.label} (XLSX)", partial(to_xlsx, file), f"{name}.xlsx", _XLSX, key)
            _file(f"{file.label} (CSV)", partial(to_csv, file), f"{name}.csv", "text/csv", key)


def provenance(dataset: Dataset, request: Request[Any], **facts: str) -> dict[str, str]:
    """Return what a table's second sheet says: the dataset, the facts, the question, the versions."""
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return {
        "dataset": f"{dataset.title} ({count(dataset.n_cells)} cells, {count(dataset.n_genes)} genes)",
        "dataset sha256": dataset.sha256,
        **{name.replace("_", " "): fact for name, fact in facts.items()},
        "question": json.dumps(recipe(request), sort_keys=True),
        "answer": request.identity,
        "versions": f"scFM Explorer {__version__}, {versions}",
    }


def to_csv(file: TableFile) -> bytes:
    """Return a table as CSV in which no cell is a formula."""
    return _safe(file.table()).to_csv(index=False).encode()


def to_xlsx(file: TableFile) -> bytes:
    """Return a table as a spreadsheet: the table on the first sheet, what it is on the second."""
    table = _safe(file.table())
    about = dict(file.about)
    if len(table) > _XLSX_ROWS:
        about["rows"] = f"the first {count(_XLSX_ROWS)} of {count(len(table))} rows; the CSV file holds all"
    notes = pd.DataFrame([(str(name), safe_cell(str(text))) for name, text in about.items()], columns=["what", "value"])
    out = io.BytesIO()
    with pd.ExcelWriter(out, engine="openpyxl") as book:
        table.iloc[:_XLSX_ROWS].to_excel(book, sheet_name="Table", index=False, freeze_panes=(1, 0))
        notes.to_excel(book, sheet_name="About", index=False)
        for sheet in book.sheets.values():
            for cell in sheet[1]:
                sheet.column_dimensions[cell.column_letter].width = max(12, min(len(str(cell.value)) + 2, 40))
    return out.getvalue()


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


def _svg(figure: Figure) -> bytes:
    from scfm_core.plots.print import to_svg  # matplotlib is slow to import

    return to_svg(figure)


def _pdf(figure: Figure) -> bytes:
    from scfm_core.plots.print import to_pdf  # matplotlib is slow to import

    return to_pdf(figure)


def _safe(table: pd.DataFrame) -> pd.DataFrame:
    out = table.copy()
    for name in out.columns:
        if not pd.api.types.is_numeric_dtype(out[name]):
            out[name] = out[name].astype(object).map(safe_cell, na_action="ignore")
    return out.rename(columns=lambda name: safe_cell(str(name)))
