"""The doctor's findings, its remedies, and the dataset that follows from them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scfm_core.dataset import Dataset, write_dataset
from scfm_core.errors import DatasetError
from scfm_core.intake import Choices, Finding, Inspection, Remedy
from scfm_core.intake.columns import confounding, find_roles, find_totals
from scfm_core.intake.contents import Candidate, Contents, InMemory
from scfm_core.intake.doctor import Examination, examine
from scfm_core.intake.findings import inspection_from_json
from scfm_core.intake.gene_names import unique_names
from scfm_core.intake.limits import Limits

LIMITS = Limits(memory_bytes=4 << 30, time_seconds=60, unpacked_bytes=1 << 30)


@pytest.fixture(scope="module")
def raw(tiny_dataset: Dataset) -> csr_matrix:
    return tiny_dataset.counts().matrix.astype(np.float64)


@pytest.fixture(scope="module")
def genes(tiny_dataset: Dataset) -> pd.DataFrame:
    return pd.DataFrame({"gene_ids": tiny_dataset.gene_ids}, index=pd.Index(tiny_dataset.gene_symbols))


def contents(genes: pd.DataFrame, cells: pd.DataFrame | None = None, **matrices: object) -> Contents:
    candidates = tuple(
        Candidate(name=name.replace("__", "/"), values=InMemory(csr_matrix(matrix), LIMITS), genes=genes)
        for name, matrix in matrices.items()
    )
    if cells is None:
        cells = pd.DataFrame(index=[f"c{n}" for n in range(candidates[0].values.shape[0])])
    return Contents(file_format="test", cells=cells, candidates=candidates)


def log1p(raw: csr_matrix) -> csr_matrix:
    return csr_matrix(np.log1p(raw.toarray() / raw.sum(axis=1) * 1e4))


def finding(examination: Examination, code: str) -> Finding:
    found = [each for each in examination.findings if each.code == code]
    assert len(found) == 1, [each.code for each in examination.findings]
    return found[0]


def has(examination: Examination, code: str) -> bool:
    return any(each.code == code for each in examination.findings)


class TestCounts:
    def test_in_x(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        seen = examine(contents(genes, X=raw))
        assert seen.choices.counts_from == "X"
        assert finding(seen, "counts-found").level == "good"
        assert seen.dataset is not None
        assert (seen.dataset.matrix != raw).nnz == 0

    @pytest.mark.parametrize("where", ["layers__counts", "raw"])
    def test_elsewhere(self, raw: csr_matrix, genes: pd.DataFrame, where: str) -> None:
        seen = examine(contents(genes, X=log1p(raw), **{where: raw}))
        assert seen.choices.counts_from == where.replace("__", "/")
        assert "Not taken: the main matrix (X) (log-transformed" in finding(seen, "counts-elsewhere").reason

    def test_layer_named_counts_comes_before_x(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        other = raw.copy()
        other.data = np.maximum(other.data - 1, 0)
        assert examine(contents(genes, X=other, layers__counts=raw)).choices.counts_from == "layers/counts"
        assert examine(contents(genes, X=raw, layers__spliced=other)).choices.counts_from == "X"

    def test_a_layer_called_counts_is_not_believed(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        rounded = csr_matrix(np.rint(raw.toarray() / raw.sum(axis=1) * 1e5))
        seen = examine(contents(genes, X=raw, layers__counts=rounded))
        assert seen.choices.counts_from == "X"
        assert "rounded" in finding(seen, "counts-found").reason

    def test_recovered_from_logarithms(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        seen = examine(contents(genes, X=log1p(raw).astype(np.float32)))
        assert seen.choices.counts_from == "recovered:X"
        assert "computed back" in finding(seen, "counts-recovered").title
        assert seen.dataset is not None
        assert np.array_equal(seen.dataset.matrix.toarray(), raw.toarray())
        assert any("computed back" in note for note in seen.dataset.notes)

    def test_divided_by_a_constant(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        seen = examine(contents(genes, X=raw * 2))
        assert seen.choices.counts_from == "recovered:X"
        assert "multiples of 2" in finding(seen, "counts-recovered").reason
        assert seen.dataset is not None
        assert np.array_equal(seen.dataset.matrix.toarray(), raw.toarray())

    def test_refusals_say_what_to_bring(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        dense = raw.toarray()
        centred = (dense - dense.mean(axis=0)) / np.where(dense.std(axis=0) > 0, dense.std(axis=0), 1)
        broken = dense.copy()
        broken[0, 0] = np.nan
        smoothed = log1p(raw).toarray() * np.random.default_rng(0).uniform(0.9, 1.1, dense.shape)
        for values, code in ((centred, "scaled"), (broken, "not-finite"), (smoothed, "log"), (dense - 0.5, "negative")):
            seen = examine(contents(genes, X=values))
            refusal = finding(seen, code)
            assert refusal.level == "refusal"
            assert "Bring the matrix of raw UMI counts" in refusal.reason
            assert seen.dataset is None
            assert seen.choices.counts_from == ""

    def test_ambient_correction_is_rounded_only_on_request(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        profile = np.asarray(raw.sum(axis=0)).ravel() / raw.sum()
        corrected = np.maximum(raw.toarray() - 0.05 * np.asarray(raw.sum(axis=1)) * profile, 0)
        seen = examine(contents(genes, X=corrected))
        remedy = finding(seen, "ambient-corrected").remedy
        assert remedy is not None
        assert remedy.choices.counts_from == "rounded:X"
        taken = examine(contents(genes, X=corrected), remedy.choices)
        assert finding(taken, "counts-rounded").level == "warning"
        assert taken.dataset is not None
        assert np.array_equal(taken.dataset.matrix.toarray(), np.rint(corrected))

    def test_a_rare_nan_is_seen(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        """Judged on a sample first, and in full before it is taken."""
        many = csr_matrix(np.tile(raw[:, :200].toarray(), (30, 1)))
        many.data[len(many.data) // 3] = np.nan
        assert examine(contents(genes.iloc[:200], X=many)).dataset is None

    def test_choice_of_a_person(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        both = contents(genes, X=raw, layers__other=raw * 3 - raw.astype(bool) * 2)
        seen = examine(both, Choices(counts_from="layers/other"))
        assert seen.choices.counts_from == "layers/other"
        assert examine(contents(genes, X=log1p(raw)), Choices(counts_from="X")).dataset is None
        with pytest.raises(DatasetError) as caught:
            examine(both, Choices(counts_from="layers/absent"))
        assert caught.value.code == "no-such-matrix"

    def test_no_matrix(self, genes: pd.DataFrame) -> None:
        with pytest.raises(DatasetError) as caught:
            examine(Contents(file_format="test", cells=pd.DataFrame(index=["c"]), candidates=()))
        assert caught.value.code == "no-matrix"


class TestGenes:
    def test_versions_retired_and_repeated_ids(self) -> None:
        table = pd.DataFrame(
            {"gene_ids": ["ENSG00000167286.14", "ENSG00000167286.9", "ENSG00000090382.7", "ENSG00000999999"]},
            index=["CD3D", "CD3D-1", "LYZ", "nobody"],
        )
        seen = examine(contents(table, X=np.arange(1, 13).reshape(3, 4)))
        assert seen.dataset is not None
        assert seen.dataset.gene_ids == ("ENSG00000167286", "ENSG00000090382", "ENSG00000999999")
        assert seen.dataset.matrix.toarray().tolist() == [[3, 3, 4], [11, 7, 8], [19, 11, 12]]
        said = finding(seen, "genes-known")
        assert said.title.startswith("75.0% of 4 genes")
        assert "3 ids lost their version" in said.reason
        assert "1 rows named a gene that was already there" in said.reason

    def test_retired_ids_are_replaced_or_kept(self) -> None:
        table = pd.DataFrame({"gene_ids": ["ENSG00000999998", "ENSG00000090382"]}, index=["CD3D", "LYZ"])
        given = contents(table, X=np.arange(1, 7).reshape(3, 2))
        seen = examine(given)
        assert seen.dataset is not None
        assert seen.dataset.gene_ids == ("ENSG00000167286", "ENSG00000090382")
        remedy = finding(seen, "genes-known").remedy
        assert remedy is not None
        assert remedy.label == "Keep the retired ids"
        kept = examine(given, remedy.choices)
        assert kept.dataset is not None
        assert kept.dataset.gene_ids == ("ENSG00000999998", "ENSG00000090382")
        assert kept.dataset.gene_symbols == ("CD3D", "LYZ")
        assert finding(kept, "genes-known").remedy is None

    def test_mouse_by_symbols(self) -> None:
        table = pd.DataFrame(index=["Cd3d", "Lyz2", "Ms4a1", "Nkg7"])
        seen = examine(contents(table, X=np.arange(1, 13).reshape(3, 4)))
        assert seen.choices.organism == "mouse"
        assert seen.dataset is not None
        assert seen.dataset.gene_ids[0] == "ENSMUSG00000032094"

    def test_unknown_organism_can_be_said(self) -> None:
        table = pd.DataFrame(index=["q1", "q2", "q3", "CD3D", "q4", "q5", "q6"])
        seen = examine(contents(table, X=np.arange(1, 22).reshape(3, 7)))
        remedy = finding(seen, "organism-unknown").remedy
        assert remedy is not None
        said = examine(contents(table, X=np.arange(1, 22).reshape(3, 7)), remedy.choices)
        assert said.choices.organism == "human"
        assert finding(said, "few-genes-known").level == "warning"


class TestCells:
    def test_empty_cells_and_genes_are_kept_until_asked(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        holed = raw.tolil()
        holed[5], holed[:, 7] = 0, 0
        given = contents(genes, X=holed.tocsr())
        seen = examine(given)
        empty_genes = int((np.asarray(holed.sum(axis=0)).ravel() == 0).sum())
        assert seen.dataset is not None
        assert seen.dataset.matrix.shape == raw.shape
        first, second = finding(seen, "empty-cells").remedy, finding(seen, "empty-genes").remedy
        assert first is not None
        assert second is not None
        assert first.label == "Leave out empty cells"
        both = replace(first.choices, drop_empty_genes=second.choices.drop_empty_genes)
        dropped = examine(given, both)
        assert dropped.dataset is not None
        assert dropped.dataset.matrix.shape == (raw.shape[0] - 1, raw.shape[1] - empty_genes)
        assert "c5" not in dropped.dataset.cells.index
        assert has(dropped, "empty-cells-dropped")

    def test_repeated_names(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        names = ["a", "a", "a-1", *[f"c{n}" for n in range(117)]]
        seen = examine(contents(genes, pd.DataFrame(index=names), X=raw))
        assert finding(seen, "cell-names-repeated").title.startswith("1 cell name")
        assert seen.dataset is not None
        assert list(seen.dataset.cells.index[:3]) == ["a", "a-2", "a-1"]

    def test_unique_names_are_unique(self) -> None:
        names = ["x", "x", "x-1", "x", "x-1", "x-2"]
        assert len(set(unique_names(names))) == len(names)
        assert unique_names(["a", "b"]) == ["a", "b"]

    def test_few(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        assert has(examine(contents(genes, X=raw[:20])), "few-cells")

    def test_nothing_left(self, genes: pd.DataFrame) -> None:
        seen = examine(contents(genes, X=csr_matrix((10, len(genes)))))
        assert finding(seen, "empty").level == "refusal"


class TestTotals:
    def test_taken_where_the_file_was_cut(self, raw: csr_matrix, genes: pd.DataFrame, tmp_path) -> None:
        full = np.asarray(raw.sum(axis=1)).ravel()
        cells = pd.DataFrame({"nCount_RNA": full.astype(np.float32)}, index=[f"c{n}" for n in range(120)])
        seen = examine(contents(genes.iloc[:300], cells, X=raw[:, :300]))
        assert seen.choices.totals_from == "nCount_RNA"
        assert "cut to fewer genes" in finding(seen, "totals-from-column").reason
        assert seen.dataset is not None
        assert np.array_equal(write_dataset(tmp_path, seen.dataset).total_counts, full)
        assert not has(seen, "cut-genes")

    def test_warning_without_totals(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        assert "2,000 genes" in finding(examine(contents(genes, X=raw)), "cut-genes").title

    def test_columns_that_are_no_totals(self) -> None:
        sums = np.array([10.0, 20.0, 30.0])
        good = [10.0, 25.0, 30.0]
        table = pd.DataFrame({"n_counts": [9.0, 25.0, 30.0], "total_counts_mt": good, "n_genes": good})
        assert find_totals(table, sums) is None  # too small in one cell; no totals by name
        assert find_totals(pd.DataFrame({"total_counts": sums}), sums) is None  # the file is not cut
        assert find_totals(pd.DataFrame({"nUMI": good, "n_counts": [11.0, 26.0, 31.0]}), sums) == "n_counts"
        assert find_totals(pd.DataFrame({"nUMI": [10.0, np.nan, 40.0]}), sums) is None

    def test_choice_that_is_no_total_is_refused(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        cells = pd.DataFrame({"score": np.zeros(120)}, index=[f"c{n}" for n in range(120)])
        for column, code in (("score", "not-totals"), ("absent", "no-such-column")):
            with pytest.raises(DatasetError) as caught:
                examine(contents(genes, cells, X=raw), Choices(totals_from=column))
            assert caught.value.code == code


class TestColumns:
    def test_roles_by_name_and_content(self) -> None:
        n = 200
        cells = pd.DataFrame(
            {
                "barcode": [f"b{i}" for i in range(n)],
                "batch": np.linspace(0, 1, n),  # a number on a scale, whatever its name
                "orig.ident": ["s1", "s2"] * (n // 2),
                "sample": ["only"] * n,
                "Patient ID": ["p1", "p2", "p3", "p4"] * (n // 4),
                "disease_state": ["healthy", "ill"] * (n // 2),
                "cell_type_source": ["by hand", "by machine"] * (n // 2),
                "clusters": pd.Categorical(["CD4 T cell", "Monocyte", "B cell", "NK"] * (n // 4)),
                "percent_mt": np.linspace(0, 9, n),
            }
        )
        roles = find_roles(cells)
        assert roles == {
            "batch": "orig.ident",
            "donor": "Patient ID",
            "condition": "disease_state",
            "cell_type": "clusters",
        }

    def test_a_person_overrules(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        cells = pd.DataFrame({"batch": ["a", "b"] * 60, "mine": ["x", "y"] * 60}, index=[f"c{n}" for n in range(120)])
        given = contents(genes, cells, X=raw)
        advised = examine(given).choices
        assert advised.batch == "batch"
        mine = examine(given, replace(advised, batch=None, condition="mine"))
        assert mine.dataset is not None
        assert mine.dataset.roles == {"condition": "mine"}
        with pytest.raises(DatasetError, match="no column 'absent'"):
            examine(given, replace(advised, donor="absent"))

    @pytest.mark.parametrize(
        ("condition", "batch", "how"),
        [
            ("ccss", "1122", "confounded"),
            ("ccss", "1234", "nested"),
            ("ccss", "1233", "confounded"),
            ("ccss", "1212", "crossed"),
            ("cccc", "1122", "crossed"),
            ("ccss", "1111", "crossed"),
        ],
    )
    def test_confounding(self, condition: str, batch: str, how: str) -> None:
        assert confounding(pd.Series(list(condition)), pd.Series(list(batch))) == how

    def test_confounding_is_said(self, raw: csr_matrix, genes: pd.DataFrame) -> None:
        cells = pd.DataFrame({"batch": ["1", "2"] * 60, "condition": ["ctrl", "stim"] * 60}, index=map(str, range(120)))
        seen = examine(contents(genes, cells, X=raw))
        assert finding(seen, "condition-confounded").level == "warning"


def test_report_survives_json() -> None:
    choices = Choices(counts_from="recovered:raw", organism="human", batch="b", totals_from="n_counts")
    remedy = Remedy("Leave out empty cells", replace(choices, drop_empty_cells=True))
    said = (
        Finding(code="a", level="warning", title="t", reason="r", remedy=remedy),
        Finding(code="b", level="good", title="t", reason="r"),
    )
    report = Inspection(
        file_name="f.h5ad",
        file_format="AnnData (.h5ad)",
        n_cells=1,
        n_genes=2,
        organism="human",
        findings=said,
        choices=choices,
        columns=("b",),
        matrices=("X", "raw"),
    )
    assert inspection_from_json(json.loads(json.dumps(report.to_json()))) == report
    assert report.admissible
    refused = replace(report, findings=(replace(said[0], level="refusal"),))
    assert not refused.admissible
    assert refused.to_json()["admissible"] is False


def test_findings_stand_in_order_of_weight(raw: csr_matrix, genes: pd.DataFrame) -> None:
    levels = [each.level for each in examine(contents(genes, X=raw)).findings]
    assert levels == sorted(levels, key=["refusal", "warning", "note", "good"].index)
