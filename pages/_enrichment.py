"""Gene sets that hold more hits than expected: the figure, the table, the files; the same on every page."""

import streamlit as st

from pages._columns import ENRICHMENT_COLUMNS
from pages._show import TableFile, downloads, draw, provenance, say
from pages._words import count, counted, file_stem, plain
from scfm_core.analyses.enrich_genes import EnrichGenes, Enrichment
from scfm_core.dataset import Dataset
from scfm_core.plots.enrichment import enrichment_bars


def show_enriched(dataset: Dataset, asked: EnrichGenes, found: Enrichment, key: str, **facts: str) -> None:
    """Show what was found.

    Parameters
    ----------
    key
        Begins the keys of the widgets.
    facts
        What else stands in the header of the table, such as how the hits were found.
    """
    figure = enrichment_bars(found)
    draw(figure, f"{key}:enrichment-figure")
    say(figure)
    for remark in found.remarks:
        st.caption(plain(remark, longest=400))
    columns = [name for name in ENRICHMENT_COLUMNS if name in found.table]
    st.dataframe(found.table.head(50), hide_index=True, column_config=ENRICHMENT_COLUMNS, column_order=columns)
    st.caption(
        f"{counted(len(asked.hits), 'gene')} among {count(len(asked.universe))} that could have been found; "
        f"one-sided hypergeometric test, Benjamini-Hochberg over {counted(len(found.table), 'set')}; "
        f"{counted(found.n_left_out, 'set')} too small or too large here. Sets: {plain(found.source, longest=300)}."
    )
    about = provenance(dataset, asked, sets=found.source, test="one-sided hypergeometric", **facts)
    stem = file_stem(dataset.title, "enrichment", found.name)
    tables = [TableFile(label="Enrichment", table=lambda: found.table, about=about)]
    downloads("enrichment", stem=stem, figure=figure, tables=tables)
