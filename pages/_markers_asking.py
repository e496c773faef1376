"""Lets be asked which groups of which cells are compared with what, over donors or over cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages._groupings import cells_of_groups, group_names_of, grouping_choices, grouping_of
from pages._models import baseline
from pages._state import cell_table, engine, grouping_columns, saved_selections, selection
from pages._views import MapSettings, choose_embedding
from pages._waiting import answer
from pages._words import cells_of, plain
from scfm_core.analyses.compare_donors import MIN_CELLS_OF_SAMPLE, CompareDonors
from scfm_core.analyses.compared_cells import compared_cells
from scfm_core.analyses.donor_design import MIN_DONORS
from scfm_core.analyses.find_markers import FindMarkers
from scfm_core.analyses.group_sums import present_groups
from scfm_core.analyses.grouping import ByClusters, ByLabels, BySelections, Grouping
from scfm_core.analyses.rank_genes import REST
from scfm_core.cell_set import CellSet
from scfm_core.dataset import Dataset

COLUMN, CLUSTERS, SELECTIONS = "A column", "Clusters", "Selections A and B"
DONORS = "donors"
TESTS = {
    DONORS: "Over donors (pseudobulk, DESeq2)",
    "wilcoxon": "Over cells: Wilcoxon rank sum",
    "t-test": "Over cells: Welch's t-test",
}
ALL_CELLS, SELECTED, OF_GROUPS = "All cells", "The selected cells", "Some groups of a column"
NO_BATCH = "none"
_MOST_DONORS = 2000


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One comparison, and the cells that take part in it.

    Attributes
    ----------
    request
        The question: over donors, or over cells.
    cells
        A grouping in which exactly the cells of the comparison have a group, for every figure.
    groups, n_cells
        Its groups and their cells, shape ``(n_groups,)``.
    groups_are
        What the groups are, in words.
    within
        The cells that the comparison keeps to, in words; empty for all.
    """

    dataset: Dataset
    request: FindMarkers | CompareDonors
    cells: Grouping
    groups: tuple[str, ...]
    n_cells: NDArray[np.int64]
    groups_are: str
    within: str

    @property
    def exploratory(self) -> bool:
        """Whether cells stand in for replicates."""
        return isinstance(self.request, FindMarkers)

    @property
    def against(self) -> str:
        """What each group is compared with."""
        return "all other cells" if self.request.reference == REST else self.request.reference

    @property
    def key(self) -> str:
        """Begins the keys of the widgets that show the answer."""
        return f"markers:{self.dataset.sha256[:10]}:{self.request.identity[:10]}"


def ask(dataset: Dataset) -> Asked | None:
    """Let the comparison be put together; None, with a word, where it is not complete."""
    key = f"markers:{dataset.sha256[:10]}"
    grouping, column = _choose_grouping(dataset, key)
    if grouping is None:
        return None
    within = _choose_within(dataset, key, column)
    names = _names(dataset, grouping)
    if names is None:
        return None
    method = _choose_test(dataset, key)
    reference = _choose_reference(grouping, names, key, rest=method == DONORS or within is None)
    donor = batch = ""
    min_cells = MIN_CELLS_OF_SAMPLE
    if method == DONORS:
        donor, batch, min_cells = _choose_donors(dataset, key, column)
    cells, groups, n_cells = _compared(
        (dataset.identity, repr(grouping), _stamp(grouping, within), reference, donor), dataset, grouping, within
    )
    if method == DONORS:
        request: FindMarkers | CompareDonors = CompareDonors(
            dataset, grouping, donor, reference, within=within, batch_column=batch, min_cells=min_cells
        )
    else:
        request = FindMarkers(dataset, grouping if within is None else cells, method=method, reference=reference)
    return Asked(
        dataset=dataset, request=request, cells=cells, groups=groups, n_cells=n_cells,
        groups_are=_grouping_words(grouping, column), within="" if within is None else within.label,
    )  # fmt: skip


def donor_columns(dataset: Dataset) -> list[str]:
    """Return the columns that can name donors: that with the role first, then others whose values come again."""
    table = cell_table(dataset)
    first = [dataset.roles[role] for role in ("donor", "batch") if dataset.roles.get(role) in table]
    rest = [name for name in table if _can_name(table[name])]
    return list(dict.fromkeys([*first, *rest]))


def n_donors(dataset: Dataset) -> int:
    """Return how many donors the dataset names."""
    column = dataset.roles.get("donor")
    return int(cell_table(dataset)[column].nunique()) if column is not None and column in cell_table(dataset) else 0


def _choose_grouping(dataset: Dataset, key: str) -> tuple[Grouping | None, str]:
    """Return the groups and the column that they are of, empty where of none."""
    columns = grouping_choices(dataset)
    ways = [COLUMN, CLUSTERS, SELECTIONS] if columns else [CLUSTERS, SELECTIONS]
    way = st.selectbox("Groups by", ways, key=f"{key}:way", persist_state="session")
    if way == COLUMN:
        column = st.selectbox("Column", columns, key=f"{key}:column", persist_state="session")
        return grouping_of(dataset, column), column
    if way == CLUSTERS:
        embedding = choose_embedding(dataset, key, baseline())
        resolution = st.slider("Resolution", 0.1, 3.0, 1.0, 0.1, key=f"{key}:resolution", persist_state="session")
        return ByClusters(MapSettings(resolution=resolution).clusters(embedding)), ""
    saved = saved_selections()
    if "A" in saved and "B" in saved:
        st.caption(f"A: {cells_of(len(saved['A']))}. B: {cells_of(len(saved['B']))}.")
        return BySelections((saved["A"], saved["B"])), ""
    missing = " and ".join(name for name in ("A", "B") if name not in saved)
    st.info(f"Draw around cells on the page UMAP and keep them as {missing}.", icon=":material/lasso_select:")
    return None, ""


def _choose_within(dataset: Dataset, key: str, column: str) -> CellSet | None:
    """Return the cells that the comparison keeps to; None for all."""
    columns = [name for name in grouping_choices(dataset) if name != column]
    chosen = selection()
    ways = [ALL_CELLS, *([SELECTED] if chosen is not None else []), *([OF_GROUPS] if columns else [])]
    way = st.selectbox(
        "Among", ways, key=f"{key}:within:{len(ways)}", persist_state="session",
        help="Compare within some cells: a condition against another within one cell type.",
    )  # fmt: skip
    if way == SELECTED:
        return chosen
    if way == ALL_CELLS:
        return None
    by = st.selectbox("Cells by", columns, key=f"{key}:within-by", persist_state="session")
    names = group_names_of(dataset, by)
    picked = st.multiselect("Which", names, default=names[:1], key=f"{key}:within-names:{by}", persist_state="session")
    if not picked:
        st.caption("No group is chosen: all cells take part.")
        return None
    cells = cells_of_groups(dataset, by, picked)
    st.caption(f"{cells_of(len(cells))} of {plain(', '.join(picked), longest=200)}.")
    return cells


def _names(dataset: Dataset, grouping: Grouping) -> list[str] | None:
    """Return the groups; None while clusters are being computed."""
    if isinstance(grouping, ByClusters) and answer(grouping.clusters, place="marker-clusters") is None:
        return None
    return list(_groups((dataset.identity, repr(grouping), _stamp(grouping, None)), dataset, grouping))


def _choose_reference(grouping: Grouping, names: list[str], key: str, *, rest: bool) -> str:
    """Return what each group is compared with; among some cells only, a test over cells needs a group."""
    options = [*([REST] if rest else []), *names]
    index = len(options) - 1 if isinstance(grouping, BySelections) else 0
    return st.selectbox(
        "Compared with", options, index=index, key=f"{key}:reference:{len(names)}:{len(options)}:{index}",
        format_func=lambda name: "all other cells" if name == REST else name,
    )  # fmt: skip


def _choose_test(dataset: Dataset, key: str) -> str:
    """Return the test; donors stand first where there are enough of them."""
    enough = n_donors(dataset) >= MIN_DONORS
    over_cells = [name for name in TESTS if name != DONORS]
    names = [DONORS, *over_cells] if enough else over_cells + ([DONORS] if donor_columns(dataset) else [])
    return st.selectbox(
        "Test", names, format_func=TESTS.__getitem__, key=f"{key}:test:{enough}", persist_state="session",
        help="Over donors: counts are added up per donor, and donors are compared. Over cells: fast, and exploratory, "
        "because cells of one donor are no independent replicates.",
    )  # fmt: skip


def _choose_donors(dataset: Dataset, key: str, column: str) -> tuple[str, str, int]:
    """Return the column of the donors, that of the batch (empty for none), and how many cells make a sample."""
    columns = [name for name in donor_columns(dataset) if name != column] or donor_columns(dataset)
    donor = st.selectbox(
        "Donors by", columns, key=f"{key}:donors", persist_state="session",
        help="Patients, animals or independent cultures: what an experiment would be repeated with.",
    )  # fmt: skip
    with st.expander("More: batch, size of a sample"):
        batches = [NO_BATCH, *(name for name in grouping_columns(dataset) if name not in (donor, column))]
        role = dataset.roles.get("batch", "")
        batch = st.selectbox(
            "Batch in the model", batches, index=batches.index(role) if role in batches else 0,
            key=f"{key}:batch:{donor}", persist_state="session",
            help="Taken into the model where it can be told from the sides and the donors; the answer says whether.",
        )  # fmt: skip
        min_cells = st.number_input(
            "Cells of a donor on one side, at least", 1, 10_000, MIN_CELLS_OF_SAMPLE, key=f"{key}:min-cells",
            persist_state="session", help="Fewer are left out: a sum over few cells is mostly noise.",
        )  # fmt: skip
    return donor, "" if batch == NO_BATCH else batch, int(min_cells)


def _can_name(values: pd.Series) -> bool:
    if pd.api.types.is_float_dtype(values):
        return False
    return 2 <= values.nunique() <= min(_MOST_DONORS, len(values) // 2)


def _grouping_words(grouping: Grouping, column: str) -> str:
    match grouping:
        case ByClusters():
            return f"Leiden clusters, {grouping.clusters.embedding.model.title}"
        case BySelections():
            return "selection"
        case ByLabels():
            return grouping.name
        case _:
            return column


def _stamp(grouping: Grouping, within: CellSet | None) -> tuple[int, ...]:
    """Return what tells two groupings or sets of cells of equal names apart."""
    parts: Sequence[bytes] = [within.bits] if within is not None else []
    if isinstance(grouping, ByLabels):
        parts = [*parts, grouping.codes]
    if isinstance(grouping, BySelections):
        parts = [*parts, *(cells.bits for cells in grouping.selections)]
    if isinstance(grouping, ByClusters):
        parts = [*parts, grouping.clusters.identity.encode()]
    return tuple(hash(part) for part in parts)


@st.cache_resource(show_spinner=False, max_entries=16)
def _groups(asked: tuple[object, ...], _dataset: Dataset, _grouping: Grouping) -> tuple[str, ...]:
    return present_groups(engine(), _dataset, _grouping)[0]


@st.cache_resource(show_spinner=False, max_entries=16)
def _compared(
    asked: tuple[object, ...], _dataset: Dataset, _grouping: Grouping, _within: CellSet | None
) -> tuple[Grouping, tuple[str, ...], NDArray[np.int64]]:
    """Return the grouping of the cells that take part, its groups and their sizes."""
    *_, reference, donor = asked
    columns = (str(donor),) if donor else ()
    cells = compared_cells(engine(), _dataset, _grouping, reference=str(reference), within=_within, columns=columns)
    groups, codes = present_groups(engine(), _dataset, cells)
    return cells, groups, np.bincount(codes[codes >= 0], minlength=len(groups))
