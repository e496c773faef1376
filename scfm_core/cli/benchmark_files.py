"""What ``scfm benchmark`` leaves in its folder: the report, every table in two formats, every figure as SVG."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scfm_core.analyses.export_dataset import versions
from scfm_core.cli.asking import plain
from scfm_core.cli.tables import provenance, write_table
from scfm_core.plots.print import to_svg
from scfm_core.report.card import Card, drawings_of_card, tables_of_card
from scfm_core.report.figures import Album
from scfm_core.report.write_card import write_card
from scfm_core.request import recipe

FIGURES = "figures"
_ENDINGS = ("csv", "xlsx")
_OF_STRUCTURE = ("variance", "associations", "composition")
_NOTHING = {"test": "none: nothing is tested in this table", "correction": "none"}


def write_folder(out: Path, card: Card) -> list[str]:
    """Write the report, the tables and the figures; return the names of the files.

    Tables and figures that an earlier run left under these names are replaced.
    """
    (out / FIGURES).mkdir(parents=True, exist_ok=True)
    album = Album()
    (out / "report.html").write_bytes(write_card(card, album=album))
    written = ["report.html", "report.json"]
    for name, table in tables_of_card(card).items():
        about = _about(card, name)
        for ending in _ENDINGS:
            write_table(table, out / f"{name}.{ending}", about)
            written.append(f"{name}.{ending}")
    for drawing in drawings_of_card(card):
        figure = drawing.figure()
        if figure is not None:
            (out / FIGURES / f"{drawing.name}.svg").write_bytes(album.svgs.get(drawing.name) or to_svg(figure))
            written.append(f"{FIGURES}/{drawing.name}.svg")
    summary = {**summary_of(card), "files": written}
    (out / "report.json").write_text(json.dumps(plain(summary), indent=1, allow_nan=False))
    return written


def summary_of(card: Card) -> dict[str, Any]:
    """Return what was asked and found, as plain values."""
    question, dataset = card.question, card.question.dataset
    return {
        "question": recipe(question),
        "identity": question.identity,
        "dataset": {"hash": dataset.identity, "title": dataset.title, "n_cells": dataset.n_cells},
        "candidates": [embedding.model.identity for embedding in question.candidates],
        "failed": [{"candidate": title, "why": why} for title, why in card.failed],
        **{name: table.to_dict("records") for name, table in tables_of_card(card).items()},
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _about(card: Card, name: str) -> Mapping[str, str]:
    if name in _OF_STRUCTURE and card.asked_structure is not None:
        return provenance(None, card.asked_structure)
    facts = _NOTHING if name == "seconds" else {}
    return provenance(None, card.question, **facts)
