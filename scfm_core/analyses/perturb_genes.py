"""Which cells move when a gene is switched off, and do they move more than for a random gene of like abundance?

`perturbation_passes` holds what the workers do, `perturbation_null` the comparison with random genes and the
intervals, `perturbation_landing` the neighbours, `perturbation_words` the sentences.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scfm_core.analyses.embed_cells import EmbedCells, cells_per_chunk, model_arrays
from scfm_core.analyses.perturbation_landing import Landscape, mean_positions
from scfm_core.analyses.perturbation_null import (
    MIN_DONORS,
    Match,
    Pool,
    adjust_p,
    bootstrap_interval,
    empirical_p,
    generator,
    level_null,
    make_pool,
    match_genes,
    random_order,
    z_score,
)
from scfm_core.analyses.perturbation_passes import (
    Apparatus,
    Edit,
    Passes,
    all_pairs,
    embed_again,
    embed_edited,
    find_tokens,
    one_minus_cosine,
    read_genes,
    shift_genes,
    some_pairs,
)
from scfm_core.analyses.perturbation_words import sentence
from scfm_core.cell_set import CellSet
from scfm_core.errors import RequestError
from scfm_core.request import Context, Request
from scfm_core.tokens import Delete

__all__ = ["LandingArrows", "PerturbGenes", "PerturbationEffects", "estimated_passes", "landing_arrows", "sentence"]

NULL_CELLS = 16
RARELY_HELD_BELOW = 0.10
ALL_CELLS = "all cells"
_CELLS_READ_AT_ONCE = 512
_NOISE_CELLS = 32
_MIN_CELLS_PER_GENE = 5
_AFFECTED_GENES_KEPT = 200

_Wanted = tuple[int, NDArray[np.int64]]  # the number of a random edit, and the cells it is measured on


@dataclass(frozen=True)
class PerturbationEffects:
    """What switching genes off did to the vectors of cells.

    Attributes
    ----------
    effects
        One row per edit and group:

        - ``edit`` (symbols), ``gene_ids`` (joined with ``;``), ``group``;
        - ``n_cells`` (cells with a vector before and after), ``n_holding`` (those whose input the edit changes),
          ``share_holding``, ``n_expressing`` (those with counts of a gene of the edit, whether the model reads them or
          not);
        - ``effect``, mean of 1 - cosine over all cells of the group, where a cell that does not hold the gene counts
          exactly 0; ``ci_low`` and ``ci_high``, its 95 % bootstrap interval over ``ci_over`` (``"cells"`` or
          ``"donors"``); ``effect_holding``, the mean over holding cells, NaN if none;
        - ``null_effect``, the edit measured as the random genes are; ``null_mean`` and ``null_sd`` of the ``n_null``
          random genes at this edit's abundance, each measured on at most ``null_cells`` cells (``null_n_cells`` for
          this edit);
        - ``z``, ``p_empirical``, ``p_adjusted`` (Benjamini-Hochberg over all rows with a p);
        - ``match_distance`` and ``match_quality`` (``"close"``, ``"one-sided"``, ``"loose"``, or empty), see
          `perturbation_null`;
        - ``status``: ``"tested"``, ``"rarely held"`` (by less than 10 % of the cells) or ``"not held"``.
    cells
        One row per edit and cell: ``cell``, ``edit``, ``group``, ``cosine_similarity`` (exactly 1 where the edit
        changes nothing; NaN where the cell has no vector), ``holds``.
    genes
        The other genes whose contextual vectors turned most, at most 200 per edit and group, largest first: ``edit``,
        ``group``, ``gene_id``, ``symbol``, ``mean_shift`` (mean of 1 - cosine), ``n_cells``. Measured on the cells on
        which the edit is compared with random genes. Empty where the model has no gene vectors.
    null
        One row per random gene, or set of genes: ``edit``, ``group``, ``null_edit``, ``null_effect`` (levelled to the
        abundance of the tested gene, what ``p_empirical`` is computed from), ``null_measured`` (before that).
    landing_before
        The nearest unperturbed cells of each chosen cell as it was, itself left out, as positions in the dataset,
        shape ``(n_chosen, k)``, int32; -1 where the cell has no vector.
    landing_after
        The same for the cell as the edit leaves it, shape ``(n_edits, n_chosen, k)``, int32.
    chosen
        Positions of the perturbed cells in the dataset, ascending, shape ``(n_chosen,)``, int64.
    edits
        Labels of the edits in the order of the request, as in the column ``edit``.
    noise_floor
        Largest 1 - cosine between the stored vector of a cell and the same cell embedded again without an edit: an
        effect below it is arithmetic. About 1e-12 in float32; a cell whose input does not change is never embedded
        again and has no noise.
    n_passes
        How many times a cell went through the model for this answer, the stored baseline not counted.
    """

    effects: pd.DataFrame
    cells: pd.DataFrame
    genes: pd.DataFrame
    null: pd.DataFrame
    landing_before: NDArray[np.int32]
    landing_after: NDArray[np.int32]
    chosen: NDArray[np.int64]
    edits: tuple[str, ...]
    noise_floor: float
    n_passes: int


@dataclass(frozen=True)
class PerturbGenes(Request[PerturbationEffects]):
    """Switch genes off in the input of a model and measure how far each cell's vector moves.

    Parameters
    ----------
    baseline
        The unperturbed cells: dataset, model and options.
    edits
        Each inner tuple is applied together and is one line of the result.
    cells
        Which cells; all where None.
    group_by
        Column of the cell table; the effect is told per value of it. Cells without a value are left out.
        All chosen cells are one group where None.
    null_genes
        Random genes (or sets of genes) that each edit is compared with in each group; 0 for none.
    null_cells
        On how many cells that hold it each gene, tested or random, is measured for the comparison.
    seed
        Chooses the random genes, the cells for the comparison, and the resamples of the intervals.

    Raises
    ------
    RequestError
        If there is nothing to edit, a gene is not in the dataset, or the cells belong to another dataset.

    References
    ----------
    Theodoris et al. 2023, doi:10.1038/s41586-023-06139-9, Methods, "In silico deletion", for the deletion. The
    comparison with matched random genes is ours; `perturbation_null` describes and justifies it.
    """

    baseline: EmbedCells
    edits: tuple[tuple[Delete, ...], ...]
    cells: CellSet | None = None
    group_by: str | None = None
    null_genes: int = 100
    null_cells: int = NULL_CELLS
    seed: int = 0

    result_type: ClassVar[type] = PerturbationEffects

    def __post_init__(self) -> None:
        _require_genes(self)
        n_cells = self.baseline.dataset.n_cells
        if self.cells is not None and (self.cells.n_cells != n_cells or not len(self.cells)):
            msg = f"Expected some of the dataset's {n_cells:,} cells, found {self.cells!r}. Choose the cells again."
            raise RequestError(msg, "no-cells")
        if self.null_genes < 0 or self.null_cells < 1 or self.seed < 0:
            msg = (
                "Expected at least 0 random genes, 1 cell per gene and a seed of at least 0, found "
                f"{self.null_genes}, {self.null_cells} and {self.seed}."
            )
            raise RequestError(msg, "out-of-range")

    def run(self, context: Context) -> PerturbationEffects:
        """See `Request.run`."""
        study = _prepare(context, self)
        moved = _measure_edits(context, study)
        null = _measure_null(context, study, moved)
        genes, n_gene_passes = _measure_genes(context, study, moved)
        noise = _measure_noise(context, study)
        effects = _effects_table(study, moved, null)
        return PerturbationEffects(
            effects=effects,
            cells=_cells_table(study, moved),
            genes=genes,
            null=_null_table(study, null),
            landing_before=moved.landing_before,
            landing_after=moved.landing_after,
            chosen=study.chosen,
            edits=study.labels,
            noise_floor=noise,
            n_passes=int(moved.holds.sum()) + null.n_passes + n_gene_passes + min(_NOISE_CELLS, len(study.chosen)),
        )


@dataclass(frozen=True)
class LandingArrows:
    """Where cells lie on a map before and after each edit, both told by their nearest unperturbed cells.

    Attributes
    ----------
    start, end
        Shape ``(n_edits, n_chosen, 2)``; NaN for a cell without a vector. Equal where the edit changes nothing.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]


def landing_arrows(effects: PerturbationEffects, coordinates: NDArray[np.floating[Any]]) -> LandingArrows:
    """Translate landing places into arrows on a map.

    Start and end are measured with the same ruler, the mean position of the nearest unperturbed cells other than the
    cell itself, so that a cell that did not move has an arrow of length exactly 0.

    Parameters
    ----------
    coordinates
        Position on the map of every cell of the dataset, shape ``(n_cells, 2)``.
    """
    start = mean_positions(effects.landing_before, coordinates)
    end = mean_positions(effects.landing_after, coordinates)
    return LandingArrows(start=np.broadcast_to(start, end.shape), end=end)


def estimated_passes(request: PerturbGenes) -> int:
    """Return about how many times a cell will go through the model, before anything is computed.

    An upper bound from the counts alone: genes outside the vocabulary, genes behind the longest input and random genes
    that several edits share make it fewer. The baseline's vectors are not counted.
    """
    dataset = request.baseline.dataset
    chosen, groups = _chosen_cells(request)
    members = [chosen[groups == name] for name in np.unique(groups)]
    passes = min(_NOISE_CELLS, len(chosen))
    twice = 2 if request.baseline.model.has_gene_vectors else 0
    for edit in request.edits:
        holds = np.any([dataset.expression(single.gene_id) > 0 for single in edit], axis=0)
        for cells in members:
            n_holding = int(holds[cells].sum())
            passes += n_holding + min(request.null_cells, n_holding) * (request.null_genes + twice)
    return passes


@dataclass(frozen=True, eq=False)
class _Study:
    """A request with everything looked up that its steps share."""

    request: PerturbGenes
    apparatus: Apparatus
    labels: tuple[str, ...]
    points: NDArray[np.float32]  # unperturbed vectors of all cells of the dataset
    chosen: NDArray[np.int64]
    groups: NDArray[np.str_]  # of the chosen cells
    donors: NDArray[np.str_] | None  # of the chosen cells
    token_of_gene: NDArray[np.int32]

    @cached_property
    def group_names(self) -> list[str]:
        return [str(name) for name in np.unique(self.groups)]

    @cached_property
    def members(self) -> dict[str, NDArray[np.int64]]:
        """The chosen cells of each group that have a vector, as positions in `chosen`."""
        there = ~np.isnan(self.points[self.chosen, 0])
        return {group: np.flatnonzero((self.groups == group) & there) for group in self.group_names}

    @cached_property
    def in_random_order(self) -> dict[str, NDArray[np.int64]]:
        """The cells of each group on which genes are compared, as positions in `chosen`."""
        seed = self.request.seed
        return {group: random_order(cells, seed=seed, group=group) for group, cells in self.members.items()}

    @property
    def edits(self) -> tuple[Edit, ...]:
        return self.request.edits

    def expresses(self, gene_id: str) -> NDArray[np.bool_]:
        """Return which chosen cells have counts of a gene."""
        return self.apparatus.dataset.expression(gene_id)[self.chosen] > 0

    def sample(self, moved: "_Moved", edit: int, group: str) -> NDArray[np.int64]:
        """Return the cells on which an edit is compared with random genes, as positions in `chosen`."""
        order = self.in_random_order[group]
        holding: NDArray[np.int64] = order[moved.holds[edit, order]]
        return holding[: self.request.null_cells]

    def share(self, moved: "_Moved", edit: int, group: str) -> float:
        """Return the share of the pool's cells that hold an edit."""
        return float(moved.holds[edit, self.in_random_order[group]].mean())

    def observed(self, moved: "_Moved", edit: int, group: str) -> float:
        """Return the statistic of an edit, measured as that of random genes is; NaN where no cell holds it."""
        sample = self.sample(moved, edit, group)
        return self.share(moved, edit, group) * _mean(moved.distance[edit, sample]) if len(sample) else float("nan")


@dataclass(frozen=True, eq=False)
class _Moved:
    """What the edits of the request did."""

    distance: NDArray[np.float64]  # 1 - cosine, (n_edits, n_chosen); NaN where there is no vector before or after
    holds: NDArray[np.bool_]  # (n_edits, n_chosen)
    landing_before: NDArray[np.int32]
    landing_after: NDArray[np.int32]



@dataclass(frozen=True, eq=False)
class _Null:
    """What random genes did: by (edit, group), the draws, and the statistic of each as measured and levelled."""

    matches: dict[tuple[int, str], Match]
    measured: dict[tuple[int, str], NDArray[np.float64]]
    levelled: dict[tuple[int, str], NDArray[np.float64]]
    n_passes: int


def _require_genes(request: PerturbGenes) -> None:
    if not request.edits or not all(request.edits):
        msg = "Expected at least one gene in every edit, found none. Name the genes to switch off."
        raise RequestError(msg, "no-genes")
    known = set(request.baseline.dataset.gene_ids)
    unknown = [single.gene_id for edit in request.edits for single in edit if single.gene_id not in known]
    if unknown:
        msg = (
            f"Not among the {len(known):,} genes of this dataset: {', '.join(sorted(set(unknown)))}. "
            "Choose genes that were measured."
        )
        raise RequestError(msg, "unknown-gene")
    if len({frozenset(edit) for edit in request.edits}) < len(request.edits):
        msg = "The same edit stands in the request twice. Name each gene, or set of genes, once."
        raise RequestError(msg, "repeated-edit")


def _prepare(context: Context, request: PerturbGenes) -> _Study:
    baseline = request.baseline
    dataset, model = baseline.dataset, baseline.model
    chosen, groups = _chosen_cells(request)
    points = np.asarray(context.compute(baseline).points)
    apparatus = Apparatus(dataset, model, baseline.chosen_options, model_arrays(context, dataset, model))
    donor = dataset.roles.get("donor")
    table = dataset.cells()
    n_left_out = (len(request.cells) if request.cells else dataset.n_cells) - len(chosen)
    if n_left_out:
        context.log(f"{n_left_out:,} cells have no {request.group_by} and are left out")
    return _Study(
        request=request,
        apparatus=apparatus,
        labels=_labels(request),
        points=points,
        chosen=chosen,
        groups=groups,
        donors=table[donor].astype(str).to_numpy(dtype=str)[chosen] if donor in table else None,
        token_of_gene=context.call(partial(find_tokens, apparatus), step=f"Loading {model.title}"),
    )


def _chosen_cells(request: PerturbGenes) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Return the positions of the cells to perturb, and the group of each."""
    dataset, cells = request.baseline.dataset, request.cells
    chosen = np.arange(dataset.n_cells) if cells is None else cells.positions
    if request.group_by is None:
        return chosen, np.full(len(chosen), ALL_CELLS if cells is None else cells.label)
    table = dataset.cells()
    if request.group_by not in table:
        names = ", ".join(table.columns) or "none"
        msg = f"The cell table has no column {request.group_by!r}. Its columns: {names}."
        raise RequestError(msg, "unknown-column")
    column = table[request.group_by].iloc[chosen]
    kept = column.notna().to_numpy()
    if not kept.any():
        msg = f"No chosen cell has a value in column {request.group_by!r}. Choose another column or other cells."
        raise RequestError(msg, "no-groups")
    return chosen[kept], column[kept].astype(str).to_numpy(dtype=str)


def _labels(request: PerturbGenes) -> tuple[str, ...]:
    """Name the edits by symbols; by gene ids where two edits would be called the same."""
    dataset = request.baseline.dataset
    symbol = dict(zip(dataset.gene_ids, dataset.gene_symbols, strict=True))
    labels = ["+".join(symbol[single.gene_id] for single in edit) for edit in request.edits]
    ids = ["+".join(single.gene_id for single in edit) for edit in request.edits]
    return tuple(gene_ids if labels.count(label) > 1 else label for label, gene_ids in zip(labels, ids, strict=True))


def _measure_edits(context: Context, study: _Study) -> _Moved:
    n_edits, n_chosen = len(study.edits), len(study.chosen)
    landscape = Landscape.of(study.points)
    distance = np.where(np.isnan(study.points[study.chosen, 0]), np.nan, np.zeros((n_edits, n_chosen)))
    holds = np.zeros((n_edits, n_chosen), dtype=bool)
    before = landscape.neighbours(study.points[study.chosen], itself=study.chosen)
    after = np.repeat(before[None], n_edits, axis=0)
    work = all_pairs(study.chosen, n_edits, passes_per_chunk=cells_per_chunk(study.apparatus.model))
    step = f"Switching off {_listed(study.labels)}"
    for passes, part in _embed(context, study, (study.edits, work, step)):
        edit, cell = passes.edit_of_pair[part["changed"]], passes.cells[passes.cell_of_pair[part["changed"]]]
        position = np.searchsorted(study.chosen, cell)
        holds[edit, position] = True
        distance[edit, position] = one_minus_cosine(study.points[cell], part["points"])
        after[edit, position] = landscape.neighbours(part["points"], itself=cell)
    return _Moved(distance, holds, before, after)


def _embed(
    context: Context, study: _Study, job: tuple[Sequence[Edit], list[Passes], str]
) -> Iterator[tuple[Passes, dict[str, NDArray[Any]]]]:
    edits, work, step = job
    function = partial(embed_edited, study.apparatus, edits)
    parts = context.map(function, work, step=step, sizes=[len(passes) for passes in work], unit="edited cells")
    return zip(work, parts, strict=True)


def _measure_null(context: Context, study: _Study, moved: _Moved) -> _Null:
    pools = _make_pools(context, study) if study.request.null_genes and moved.holds.any() else {}
    members = _members(study)
    matches = _match_all(study, moved, (pools, members))
    numbers: dict[tuple[int, ...], int] = {}  # of the distinct random edits
    wanted: dict[tuple[int, str], list[_Wanted]] = {}
    for (edit, group), match in matches.items():
        for genes in match.genes:
            number = numbers.setdefault(tuple(sorted(int(gene) for gene in genes)), len(numbers))
            cells = pools[group].cells[pools[group].holders_of(genes)[: study.request.null_cells]]
            wanted.setdefault((edit, group), []).append((number, cells))
    pairs = _Measured.of(context, study, list(numbers), [each for row in wanted.values() for each in row])
    measured, levelled = {}, {}
    for (edit, group), row in wanted.items():
        means = np.array([pairs.mean(number, cells) for number, cells in row])
        measured[edit, group] = study.share(moved, edit, group) * means
        abundance = [pools[group].abundance_of(genes) for genes in (members[edit], *matches[edit, group].genes)]
        observed = study.observed(moved, edit, group)
        levelled[edit, group] = level_null(observed, measured[edit, group], np.array(abundance))
    return _Null(matches, measured, levelled, len(pairs.keys))


def _make_pools(context: Context, study: _Study) -> dict[str, Pool]:
    """Read which genes the cells hold on which genes are compared."""
    orders = {group: study.chosen[study.in_random_order[group]] for group in study.group_names}
    cells = np.concatenate(list(orders.values()))
    chunks = [cells[start : start + _CELLS_READ_AT_ONCE] for start in range(0, len(cells), _CELLS_READ_AT_ONCE)]
    read = partial(read_genes, study.apparatus, study.token_of_gene)
    parts = list(context.map(read, chunks, step="Looking for genes of like abundance", sizes=[len(c) for c in chunks]))
    genes = np.concatenate([part["genes"] for part in parts])
    ranks = np.concatenate([part["ranks"] for part in parts])
    ends = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(part["offsets"]) for part in parts]))])
    pools, start = {}, 0
    for group, order in orders.items():
        offsets = ends[start : start + len(order) + 1]
        where = slice(int(offsets[0]), int(offsets[-1]))
        pools[group] = make_pool(order, (genes[where], ranks[where], offsets - offsets[0]))
        start += len(order)
    return pools


def _members(study: _Study) -> list[list[int]]:
    """Return the genes of each edit, as pools know them."""
    position = {gene_id: number for number, gene_id in enumerate(study.apparatus.dataset.gene_ids)}
    return [[_same_token(study, position[single.gene_id]) for single in edit] for edit in study.edits]


def _match_all(
    study: _Study, moved: _Moved, known: tuple[dict[str, Pool], list[list[int]]]
) -> dict[tuple[int, str], Match]:
    pools, members = known
    barred = np.unique(np.concatenate(members))
    matches = {}
    for group, pool in pools.items():
        for edit in range(len(study.edits)):
            if moved.holds[edit, study.members[group]].any():
                drawn = match_genes(
                    pool, members[edit], n=study.request.null_genes, barred=barred, seed=(study.request.seed, group)
                )
                matches[edit, group] = drawn
    return matches


def _same_token(study: _Study, gene: int) -> int:
    """Return the gene by which a pool knows a token, where several genes of the dataset share it."""
    token = study.token_of_gene[gene]
    return gene if token < 0 else int(np.flatnonzero(study.token_of_gene == token)[0])


@dataclass(frozen=True, eq=False)
class _Measured:
    """1 - cosine of pairs of random edit and cell, each pair measured once."""

    keys: NDArray[np.int64]  # cell * n_edits + edit, ascending
    distance: NDArray[np.float64]
    n_edits: int

    @classmethod
    def of(
        cls,
        context: Context,
        study: _Study,
        drawn: list[tuple[int, ...]],
        wanted: list[_Wanted],
    ) -> "_Measured":
        if not wanted:
            return cls(np.empty(0, dtype=np.int64), np.empty(0), 0)
        gene_ids = study.apparatus.dataset.gene_ids
        edits = [tuple(Delete(gene_ids[gene]) for gene in genes) for genes in drawn]
        keys = np.unique(np.concatenate([cells * len(edits) + number for number, cells in wanted]))
        cells, numbers = np.divmod(keys, len(edits))
        work = some_pairs(cells, numbers, passes_per_chunk=cells_per_chunk(study.apparatus.model))
        step = f"Switching off {len(edits):,} random {'genes' if len(drawn[0]) == 1 else 'sets of genes'}"
        distances = []
        for passes, part in _embed(context, study, (edits, work, step)):
            each = np.zeros(len(passes))
            cell = passes.cells[passes.cell_of_pair[part["changed"]]]
            each[part["changed"]] = one_minus_cosine(study.points[cell], part["points"])
            distances.append(each)
        return cls(keys, np.concatenate(distances), len(edits))

    def mean(self, number: int, cells: NDArray[np.int64]) -> float:
        return _mean(self.distance[np.searchsorted(self.keys, cells * self.n_edits + number)])


def _measure_genes(context: Context, study: _Study, moved: _Moved) -> tuple[pd.DataFrame, int]:
    """Find the other genes whose vectors turn most, and say how many passes that took."""
    columns = ["edit", "group", "gene_id", "symbol", "mean_shift", "n_cells"]
    dataset = study.apparatus.dataset
    samples = {
        (edit, group): study.chosen[study.sample(moved, edit, group)]
        for edit in range(len(study.edits))
        for group in study.group_names
        if study.apparatus.model.has_gene_vectors
    }
    enough = min(_MIN_CELLS_PER_GENE, study.request.null_cells)
    samples = {key: cells for key, cells in samples.items() if len(cells) >= enough}
    work = [(study.edits[edit], np.sort(cells)) for (edit, _), cells in samples.items()]
    sizes = [2 * len(cells) for _, cells in work]
    shift = partial(shift_genes, study.apparatus, study.token_of_gene)
    parts = context.map(shift, work, step="Finding the genes that follow", sizes=sizes, unit="passes") if work else []
    tables = [pd.DataFrame({name: [] for name in columns}).astype({"mean_shift": float, "n_cells": int})]
    for (edit, group), part in zip(samples, parts, strict=True):
        often = np.flatnonzero(part["n_cells"] >= enough)
        most = often[np.argsort(-part["mean_shift"][often], kind="stable")][:_AFFECTED_GENES_KEPT]
        genes = part["genes"][most]
        table = pd.DataFrame({"gene_id": [dataset.gene_ids[gene] for gene in genes]})
        table["symbol"] = [dataset.gene_symbols[gene] for gene in genes]
        table["mean_shift"], table["n_cells"] = part["mean_shift"][most], part["n_cells"][most]
        tables.append(table.assign(edit=study.labels[edit], group=group)[columns])
    found = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(found, ignore_index=True), sum(sizes)


def _measure_noise(context: Context, study: _Study) -> float:
    """Return the largest 1 - cosine between a stored vector and the same cell embedded again."""
    sample = np.sort(generator(study.request.seed, "noise").permutation(study.chosen)[:_NOISE_CELLS])
    again = context.call(partial(embed_again, study.apparatus, sample), step="Measuring the noise of the arithmetic")
    distance = one_minus_cosine(study.points[sample], again)
    return float(np.nanmax(distance)) if np.isfinite(distance).any() else float("nan")


def _effects_table(study: _Study, moved: _Moved, null: _Null) -> pd.DataFrame:
    rows = []
    for group in study.group_names:
        intervals, over = _intervals(study, moved, group)
        for edit, interval in enumerate(intervals):
            rows.append(_effect_row(study, moved, (edit, group)) | interval | {"ci_over": over})
            rows[-1] |= _comparison(study, moved, (null, edit, group))
    table = pd.DataFrame(rows)
    table["p_adjusted"] = adjust_p(table["p_empirical"].to_numpy())
    order = {label: number for number, label in enumerate(study.labels)}
    return table.sort_values("edit", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def _effect_row(study: _Study, moved: _Moved, key: tuple[int, str]) -> dict[str, Any]:
    edit, group = key
    members = study.members[group]
    valid = members[~np.isnan(moved.distance[edit, members])]
    holding = valid[moved.holds[edit, valid]]
    share = len(holding) / len(valid) if len(valid) else 0.0
    status = "not held" if not len(holding) else "rarely held" if share < RARELY_HELD_BELOW else "tested"
    expressing = np.any([study.expresses(single.gene_id)[valid] for single in study.edits[edit]], axis=0)
    return {
        "edit": study.labels[edit],
        "gene_ids": ";".join(single.gene_id for single in study.edits[edit]),
        "group": group,
        "n_cells": len(valid),
        "n_holding": len(holding),
        "share_holding": share,
        "n_expressing": int(expressing.sum()),
        "effect": _mean(moved.distance[edit, valid]),
        "effect_holding": _mean(moved.distance[edit, holding]),
        "status": status,
    }


def _comparison(study: _Study, moved: _Moved, key: tuple[_Null, int, str]) -> dict[str, Any]:
    null, edit, group = key
    sample = study.sample(moved, edit, group)
    observed = study.observed(moved, edit, group)
    drawn = null.levelled.get((edit, group), np.empty(0))
    drawn = drawn[~np.isnan(drawn)]
    match = null.matches.get((edit, group))
    return {
        "null_effect": observed,
        "null_mean": _mean(drawn),
        "null_sd": float(drawn.std(ddof=1)) if len(drawn) > 1 else float("nan"),
        "n_null": len(drawn),
        "null_n_cells": len(sample),
        "z": z_score(observed, drawn),
        "p_empirical": empirical_p(observed, drawn),
        "match_distance": match.distance if match and len(drawn) else float("nan"),
        "match_quality": match.quality if match else "",
    }


def _intervals(study: _Study, moved: _Moved, group: str) -> tuple[list[dict[str, float]], str]:
    """Return the interval of each edit's effect, and over what it was drawn."""
    members = study.members[group]
    members = members[~np.isnan(moved.distance[:, members]).any(axis=0)]
    donors = None if study.donors is None else study.donors[members]
    if donors is not None and len(np.unique(donors)) < MIN_DONORS:
        donors = None
    rng = generator(study.request.seed, group, "resamples")
    low, high = bootstrap_interval(moved.distance[:, members].T, rng, clusters=donors)
    ends = [{"ci_low": float(a), "ci_high": float(b)} for a, b in zip(low, high, strict=True)]
    return ends, "cells" if donors is None else "donors"


def _cells_table(study: _Study, moved: _Moved) -> pd.DataFrame:
    names = study.apparatus.dataset.cells().index.to_numpy(dtype=str)[study.chosen]
    n_edits = len(study.edits)
    return pd.DataFrame(
        {
            "cell": np.tile(names, n_edits),
            "edit": np.repeat(study.labels, len(names)),
            "group": np.tile(study.groups, n_edits),
            "cosine_similarity": 1.0 - moved.distance.ravel(),
            "holds": moved.holds.ravel(),
        }
    )


def _null_table(study: _Study, null: _Null) -> pd.DataFrame:
    symbols = study.apparatus.dataset.gene_symbols
    rows = [
        (study.labels[edit], group, "+".join(symbols[gene] for gene in genes), levelled, measured)
        for (edit, group), match in null.matches.items()
        for genes, levelled, measured in zip(
            match.genes, null.levelled.get((edit, group), []), null.measured.get((edit, group), []), strict=True
        )
    ]
    types = {"edit": str, "group": str, "null_edit": str, "null_effect": float, "null_measured": float}
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are there; NaN of none."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels) if len(labels) <= 3 else f"{len(labels):,} genes or sets of genes"
