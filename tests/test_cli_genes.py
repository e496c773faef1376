"""Gene vectors and attention through the command line, read back as a person would."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.embed_genes import EmbedGenes, StaticGeneVectors
from scfm_core.analyses.export_dataset import additions_for, to_anndata, write_h5ad
from scfm_core.analyses.read_attention import ReadAttention
from scfm_core.cluster import connect
from scfm_core.dataset import list_datasets
from scfm_core.registry import find_model
from scfm_core.workspace import Workspace
from tests.geneformer_folders import CONTEXT, make_dictionaries, model_folder, real_gene_ids, write_published
from tests.rank_bert_cards import PlainBert
from tests.test_cli import read, refused, run

MINI = ("--model", "scfm-mini")


@pytest.fixture(scope="module", autouse=True)
def shared_workspace(tmp_path_factory):
    """One workspace for all tests of this file: what one computed, the next finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCFM_WORKSPACE", str(tmp_path_factory.mktemp("workspace")))
        patch.setenv("SCFM_DEVICE", "cpu")
        patch.delenv("SCFM_SCHEDULER", raising=False)
        yield Workspace.from_environment()


@pytest.fixture(scope="module")
def file(tiny_dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("input") / "tiny.h5ad"
    write_h5ad(to_anndata(tiny_dataset), path)
    return str(path)


@pytest.fixture
def stored(file, shared_workspace):
    """The dataset that the command line made of the file, an engine on its workspace."""
    run("export", file, "--out", shared_workspace.root / "any.h5ad", "--overwrite")
    engine = connect()
    yield list_datasets(shared_workspace.folder("datasets"))[0], engine
    engine.close()


def test_gene_vectors_stand_beside_the_genes(file, tmp_path, stored):
    out = tmp_path / "genes.h5ad"
    options = [*MINI, "--genes", "--static-genes", "--out", out, "--json"]
    report = json.loads(run("embed", file, *options).stdout)
    before, after = read(file), read(out)
    dataset, engine = stored
    baseline = EmbedCells(dataset, find_model("scfm-mini"))
    contextual = engine.compute(EmbedGenes(baseline))
    static = engine.compute(StaticGeneVectors(dataset, baseline.model))
    assert after.var_names.tolist() == before.var_names.tolist()
    for name, vectors in (("X_scfm-mini", contextual), ("static_scfm-mini", static)):
        found = after.varm[name]
        assert found.shape == (2000, 128)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(found).all(axis=1), vectors.rows < 0)
        known = np.flatnonzero(vectors.rows >= 0)
        assert 0 < len(known) < 2000
        np.testing.assert_array_equal(found[known], vectors.points[vectors.rows[known]])
        assert [vectors.gene_ids[row] for row in vectors.rows[known]] == after.var["ensembl_id"].iloc[known].tolist()
    n_cells = after.var["n_cells_scfm-mini"].to_numpy()
    np.testing.assert_array_equal(n_cells == 0, contextual.rows < 0)
    np.testing.assert_array_equal(n_cells[contextual.rows >= 0], contextual.n_cells[contextual.rows[n_cells > 0]])
    assert after.obsm["X_scfm-mini"].shape == (120, 128)
    answers = after.uns["scfm"]["answers"]
    assert set(answers) == {"X_scfm-mini", "varm:X_scfm-mini", "var:n_cells_scfm-mini", "varm:static_scfm-mini"}
    assert json.loads(answers["varm:X_scfm-mini"]["question"])["question"] == "EmbedGenes"
    assert [one["name"] for one in report["embeddings"][0]["genes"]] == ["X_scfm-mini", "static_scfm-mini"]


def test_gene_vectors_follow_the_layer_of_the_embedding(file, tmp_path, stored):
    run("embed", file, *MINI, "--genes", "--layer", "0", "--out", tmp_path / "last.h5ad")
    run("embed", file, *MINI, "--genes", "--out", tmp_path / "default.h5ad")
    last, default = (read(tmp_path / name).varm["X_scfm-mini"] for name in ("last.h5ad", "default.h5ad"))
    assert np.nanmax(np.abs(last - default)) > 0.01


def test_stored_gene_vectors_travel_with_the_export(file, tmp_path):
    run("embed", file, *MINI, "--genes", "--out", tmp_path / "genes.h5ad")
    run("export", file, "--out", tmp_path / "all.h5ad")
    one, other = (read(tmp_path / name) for name in ("genes.h5ad", "all.h5ad"))
    names = [name for name in other.varm if name.startswith("X_scfm-mini")]
    assert any(np.array_equal(other.varm[name], one.varm["X_scfm-mini"], equal_nan=True) for name in names)
    assert "n_cells_scfm-mini" in other.var


def test_two_answers_of_one_kind_get_names_of_their_own(stored):
    dataset, engine = stored
    baseline = EmbedCells(dataset, find_model("scfm-mini"))
    request = EmbedGenes(baseline)
    twice = 2 * additions_for(request, engine.compute(request), engine.store)
    data = to_anndata(dataset, twice)
    assert list(data.varm) == ["X_scfm-mini", "X_scfm-mini_2"]
    assert [name for name in data.var if name.startswith("n_cells")] == ["n_cells_scfm-mini", "n_cells_scfm-mini_2"]


def test_a_model_without_gene_vectors_is_told_before_anything_is_computed(file, tmp_path):
    message = refused("embed", file, *MINI, "--model", "pca", "--genes", "--out", tmp_path / "x.h5ad")
    assert "PCA gives cells a vector, not genes" in message
    assert not (tmp_path / "x.h5ad").exists()


@pytest.mark.parametrize(("series", "key"), [("v1", "geneformer-v1-10m"), ("v2", "geneformer-v2-104m")])
def test_a_published_folder_answers_as_its_description_says(file, tmp_path, shared_workspace, series, key):
    weights = model_folder(write_published(tmp_path / "published", series=series), series)
    few = read(file)[:12].copy()
    few.obs["n_counts"] = few.obs["total_counts"]
    few.write_h5ad(tmp_path / "few.h5ad")
    options = ["--model", key, "--weights", weights]
    run("embed", tmp_path / "few.h5ad", *options, "--genes", "--out", tmp_path / "genes.h5ad")
    cell = ["--cell", few.obs_names[2], "--layer", "3", "--top", "all"]
    report = json.loads(
        run("attention", tmp_path / "few.h5ad", *options, *cell, "--out", tmp_path / "a.npz", "--json").stdout
    )
    plain = plain_bert(weights, series)
    stored = list_datasets(shared_workspace.folder("datasets"))
    dataset = next(one for one in stored if one.sha256 == report["dataset"])
    vectors: dict[str, list[np.ndarray]] = {}
    for number in range(12):
        names = plain.read(dataset, number)
        states, attentions = plain.run(names)
        for name, vector in zip(names, states[2], strict=True):  # layer -1 of three
            vectors.setdefault(name, []).append(vector)
        if number == 2:
            with np.load(tmp_path / "a.npz") as arrays:
                np.testing.assert_allclose(arrays["weights"], attentions[2], rtol=0, atol=2e-5)
                special = [name for name in names if name.startswith("<")]
                assert [name for name in arrays["symbols"] if name.startswith("<")] == special
    genes = read(tmp_path / "genes.h5ad")
    found, n_cells = genes.varm[f"X_{key}"], genes.var[f"n_cells_{key}"]
    for place, gene_id in enumerate(genes.var["ensembl_id"]):
        assert n_cells.iloc[place] == len(vectors.get(gene_id, []))
        if gene_id in vectors:
            np.testing.assert_allclose(found[place], np.mean(vectors[gene_id], axis=0), rtol=0, atol=2e-5)
        else:
            assert np.isnan(found[place]).all()


def plain_bert(folder, series) -> PlainBert:
    genes = real_gene_ids()
    dictionaries = make_dictionaries(series, genes)
    weights = load_file(folder / "model.safetensors")
    return PlainBert(
        tokens=tuple(dictionaries["token_dictionary"]),
        medians={gene: dictionaries["gene_median_dictionary"][gene] for gene in genes},
        aliases={},
        weights={name: value.astype(np.float64) for name, value in weights.items()},
        context=CONTEXT[series],
    )


def test_attention_as_a_table_and_as_arrays(file, tmp_path, stored):
    dataset, engine = stored
    name = read(file).obs_names[3]
    arguments = ["attention", file, *MINI, "--cell", name, "--layer", "2"]
    report = json.loads(run(*arguments, "--top", "12", "--out", tmp_path / "a.csv", "--json").stdout)
    run(*arguments, "--top", "12", "--out", tmp_path / "a.parquet")
    run(*arguments, "--top", "all", "--out", tmp_path / "a.npz")
    baseline = EmbedCells(dataset, find_model("scfm-mini"))
    shown = engine.compute(ReadAttention(baseline, 3, 2, top=12))
    table, same = pd.read_csv(tmp_path / "a.csv", comment="#"), pd.read_parquet(tmp_path / "a.parquet")
    assert table.columns.tolist() == same.columns.tolist()
    assert len(table) == len(same) == shown.n_heads * 144
    np.testing.assert_allclose(table["weight"], shown.weights.ravel(), rtol=1e-5)
    np.testing.assert_array_equal(same["weight"], shown.weights.ravel())
    assert table["from_symbol"][:144:12].tolist() == list(shown.symbols)
    assert (report["n_shown"], report["n_tokens"]) == (12, shown.n_tokens)
    assert report["heads"][0]["shown_share"] == pytest.approx(shown.shown_share[0])
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["weights"].shape == (shown.n_heads, shown.n_tokens, shown.n_tokens)
        np.testing.assert_allclose(arrays["weights"].sum(axis=2), 1, atol=1e-5)
        assert arrays["symbols"][shown.positions].tolist() == list(shown.symbols)
        assert arrays["n_tokens"] == shown.n_tokens
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.npz", "a.parquet"]


def test_attention_refuses_in_words(file, tmp_path):
    name = read(file).obs_names[0]
    out = ["--out", tmp_path / "a.csv"]
    assert "No cell is called 'nobody'" in refused("attention", file, *MINI, "--cell", "nobody", "--layer", "1", *out)
    assert "has no attention layer 9" in refused("attention", file, *MINI, "--cell", name, "--layer", "9", *out)
    pca = ["--model", "pca", "--cell", name, "--layer", "1"]
    assert "PCA has no attention weights" in refused("attention", file, *pca, *out)
    wrong = ["--out", tmp_path / "a.xlsx"]
    assert "ends in .csv or" in refused("attention", file, *MINI, "--cell", name, "--layer", "1", *wrong)
    arguments = ["attention", file, *MINI, "--cell", name, "--layer", "1", *out, "--top"]
    for top in ("0", "-3", "many"):
        assert "expected a number of genes from 1 on, or all" in run(*arguments, top, status=2).stderr
