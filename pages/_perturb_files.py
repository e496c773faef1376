"""Every table of an answer as a file, and the whole of it as one report."""

import pandas as pd
import streamlit as st

from pages._perturb_effects import facts_of, ranked
from pages._perturb_standing import Standing
from pages._show import TableFile, downloads
from pages._words import file_stem, plain


def show_files(standing: Standing, row: pd.Series) -> None:
    """Offer the tables of each model."""
    stem = file_stem(standing.dataset.title, "perturbation", *standing.effects.edits[:3])
    for part in standing.parts:
        effects = part.effects
        about = facts_of(standing, part)
        named = {
            "Effects": (effects.effects, True),
            "Shifts": (effects.shifts, True),
            "Donors": (effects.donors, True),
            "Switches": (effects.switches, True),
            "Random genes": (effects.null, False),
            "Per cell": (effects.cells, False),
        }
        st.markdown(f"**{plain(part.title)}**")
        files = [
            TableFile(label=label, table=lambda table=table: table, about=about, spreadsheet=small)
            for label, (table, small) in named.items()
            if not table.empty
        ]
        downloads(f"tables:{part.title}", stem=f"{stem}-{file_stem(part.request.baseline.model.key)}", tables=files)
    st.markdown("**Both models in one table**")
    about = facts_of(standing, standing.parts[0])
    table = TableFile(label="Ranked table", table=lambda: ranked(standing), about=about)
    downloads("ranked", stem=stem, tables=[table])
