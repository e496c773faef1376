"""``scfm markers``: cut-offs, donors as replicates, cells within others, gene sets."""

import json

import anndata
import pandas as pd
import pytest

from scfm_core.analyses.export_dataset import to_anndata, write_h5ad
from tests.analyses.donors import RAISED, donor_dataset
from tests.test_cli import refused, run


@pytest.fixture(scope="module", autouse=True)
def shared_workspace(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCFM_WORKSPACE", str(tmp_path_factory.mktemp("workspace")))
        patch.setenv("SCFM_DEVICE", "cpu")
        patch.delenv("SCFM_SCHEDULER", raising=False)
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    data = donor_dataset(tmp_path_factory.mktemp("data"), paired=True, planted=True, n_donors=4, n_genes=150)
    path = tmp_path_factory.mktemp("input") / "donors.h5ad"
    write_h5ad(to_anndata(data), path)
    return str(path)


def asked(file, out, *more):
    return ["markers", file, "--group-by", "side", "--reference", "a", *more, "--out", out]


def test_donors_as_replicates_with_samples_models_and_gene_sets(file, tmp_path):
    symbols = pd.read_csv(run_and_read(file, tmp_path / "all.csv"), comment="#")["symbol"]
    gmt = tmp_path / "sets.gmt"
    planted = [f"G{number}" for number in range(20)]
    others = [symbol for symbol in symbols if symbol not in planted][:25]
    gmt.write_text("\t".join(["planted", "x", *planted]) + "\n" + "\t".join(["others", "x", *others]) + "\n")
    out = tmp_path / "m.csv"
    report = json.loads(
        run(
            *asked(file, out, "--pseudobulk", "--donor-column", "donor", "--n-genes", "40", "--gmt", gmt, "--json")
        ).stdout
    )
    assert [name.rpartition("/")[2] for name in report["files"]] == [
        "m.csv",
        "m.samples.csv",
        "m.models.csv",
        "m.sets.csv",
    ]
    table = pd.read_csv(out, comment="#")
    assert set(table["n_donors_in"]) == {4}
    assert len({f"G{number}" for number in range(RAISED)} & set(table["symbol"])) > 20
    head = [line for line in out.read_text().splitlines() if line.startswith("#")]
    assert "model of DESeq2" in head[0]
    assert not any("exploratory" in line for line in head)
    assert pd.read_csv(tmp_path / "m.models.csv", comment="#")["formula"].tolist() == ["donor + side"]
    assert len(pd.read_csv(tmp_path / "m.samples.csv", comment="#")) == 8
    sets = pd.read_csv(tmp_path / "m.sets.csv", comment="#")
    assert sets.iloc[0][["group", "term"]].tolist() == ["b", "planted"]
    assert sets.iloc[0]["p_adjusted"] < 0.01


def run_and_read(file, out):
    run(*asked(file, out, "--pseudobulk", "--donor-column", "donor"))
    return out


def test_over_cells_the_header_says_exploratory(file, tmp_path):
    out = tmp_path / "c.csv"
    run(*asked(file, out, "--direction", "both", "--n-genes", "1000", "--max-p", "1", "--min-log2-fold-change", "1.5",
               "--max-share-out", "0.9"))  # fmt: skip
    table = pd.read_csv(out, comment="#")
    assert (table["log2_fold_change"].abs() >= 1.5).all()
    assert (table[["share_in", "share_out"]].min(axis=1) <= 0.9).all()
    assert "# status: exploratory: cells are not replicates" in out.read_text()


def test_within_some_cells(file, tmp_path):
    out = tmp_path / "w.csv"
    run(*asked(file, out, "--within", "kind=one"))
    table = pd.read_csv(out, comment="#")
    assert set(table["n_in"] + table["n_out"]) == {120}
    both = tmp_path / "both.csv"
    run(*asked(file, both, "--within", "kind=one", "--within", "kind=other", "--within", "lane=lane 1"))
    table = pd.read_csv(both, comment="#")
    assert set(table["n_in"] + table["n_out"]) == {120}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--donor-column", "donor"], "--donor-column is for --pseudobulk"),
        (["--within", "kind"], "reads COLUMN=VALUE"),
        (["--within", "kind=one", "--reference", "rest"], "Name the group with --reference"),
        (["--within", "kind=nothing"], "No cell has 'nothing'"),
        (["--max-p", "2"], "Change the cut-offs"),
        (["--pseudobulk", "--donor-column", "lane"], "at least 3 donors"),
    ],
)
def test_what_cannot_be_asked_is_refused(file, tmp_path, more, words):
    assert words in refused(*asked(file, tmp_path / "x.csv", *more))


def test_donors_that_nobody_named_are_asked_for(file, tmp_path):
    data = anndata.read_h5ad(file)
    data.obs = data.obs.rename(columns={"donor": "who"})
    data.write_h5ad(tmp_path / "other.h5ad")
    message = refused(*asked(str(tmp_path / "other.h5ad"), tmp_path / "x.csv", "--pseudobulk"))
    assert "needs to know the donors. Name their column: who, side" in message


def test_no_file_is_written_over(file, tmp_path):
    (tmp_path / "m.samples.csv").write_text("mine")
    more = ["--pseudobulk", "--donor-column", "donor"]
    assert "exists" in refused(*asked(file, tmp_path / "m.csv", *more))
    assert (tmp_path / "m.samples.csv").read_text() == "mine"
