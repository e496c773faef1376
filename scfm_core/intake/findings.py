"""What the input doctor found in a file, and what will be done with it; plain values that travel as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from scfm_core.dataset import Organism, Role

Level = Literal["good", "note", "warning", "refusal"]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """How a file is to be read; `Inspection.choices` holds the recommended ones.

    Attributes
    ----------
    counts_from
        Which matrix holds the raw counts: ``"X"``, ``"raw"``, ``"layers/NAME"``. ``"recovered:X"`` computes the counts
        back from a transformed matrix where that is exact, ``"rounded:X"`` rounds fractions to whole counts. Empty:
        the doctor looks for them (asked), the file holds none (answered).
    organism
        Whose genes these are; "unknown": the doctor finds out.
    batch, donor, condition, cell_type
        The column of the cell table that plays this part, None where there is none.
    totals_from
        The column of the cell table that holds the counts of a cell over all measured genes; None: the doctor looks for
        one, and takes the row sums where there is none.
    drop_empty_cells, drop_empty_genes
        Whether cells without counts and genes without counts are left out.
    keep_retired_ids
        Whether a gene keeps an Ensembl id that is retired today, rather than get the current id of its symbol. Models
        that were trained with the retired id, such as Geneformer V1, then read the gene as their authors do.
    """

    counts_from: str = ""
    organism: Organism = "unknown"
    batch: str | None = None
    donor: str | None = None
    condition: str | None = None
    cell_type: str | None = None
    totals_from: str | None = None
    drop_empty_cells: bool = False
    drop_empty_genes: bool = False
    keep_retired_ids: bool = False

    @property
    def roles(self) -> dict[Role, str]:
        """Role -> column, without the roles that no column plays."""
        named: dict[Role, str | None] = {
            "batch": self.batch,
            "donor": self.donor,
            "condition": self.condition,
            "cell_type": self.cell_type,
        }
        return {role: column for role, column in named.items() if column is not None}


@dataclass(frozen=True)
class Remedy:
    """A change of the choices that one click makes.

    Attributes
    ----------
    label
        Text of the button.
    choices
        All choices, with the remedy applied.
    """

    label: str
    choices: Choices


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that the doctor has to say.

    Attributes
    ----------
    code
        A stable short name for programs.
    level
        ``"good"`` as it should be, ``"note"`` was done or is worth knowing, ``"warning"`` limits what the results
        mean, ``"refusal"`` the file cannot be used as it is.
    title, reason
        One line, and the sentences that explain it.
    remedy
        What one click can change, or None.
    """

    code: str
    level: Level
    title: str
    reason: str
    remedy: Remedy | None = None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The doctor's report on one file.

    Attributes
    ----------
    n_cells, n_genes
        Shape of the chosen matrix as it stands in the file.
    columns
        The columns of the cell table, from which roles may be chosen.
    matrices
        Every matrix of the file that may hold counts, as `Choices.counts_from` names it.
    """

    file_name: str
    file_format: str
    n_cells: int
    n_genes: int
    organism: Organism
    findings: tuple[Finding, ...]
    choices: Choices
    columns: tuple[str, ...]
    matrices: tuple[str, ...] = ()

    @property
    def admissible(self) -> bool:
        """Whether the file can become a dataset with `choices`."""
        return not any(finding.level == "refusal" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the report as values that `json.dumps` takes."""
        return {**asdict(self), "admissible": self.admissible}


def choices_from_json(values: Mapping[str, Any]) -> Choices:
    """Return the choices that `dataclasses.asdict` turned into JSON.

    Examples
    --------
    >>> from dataclasses import asdict
    >>> choices_from_json(asdict(Choices(batch="sample"))).batch
    'sample'
    """
    return replace(Choices(), **values)


def inspection_from_json(values: Mapping[str, Any]) -> Inspection:
    """Return the report that `Inspection.to_json` turned into JSON."""
    fields = {name: value for name, value in values.items() if name != "admissible"}
    fields["findings"] = tuple(_finding_from_json(finding) for finding in values["findings"])
    fields["choices"] = choices_from_json(values["choices"])
    for name in ("columns", "matrices"):
        fields[name] = tuple(values[name])
    return Inspection(**fields)


def _finding_from_json(values: Mapping[str, Any]) -> Finding:
    remedy = values["remedy"]
    read = None if remedy is None else Remedy(remedy["label"], choices_from_json(remedy["choices"]))
    return Finding(**{**values, "remedy": read})
