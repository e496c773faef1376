"""The command line on the questions that Geneformer's own code was asked: its recorded answers, in input order.

The recordings lie in `tests/models/golden/geneformer_v1` with their provenance and tolerances.
"""

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.sparse import csr_matrix

from scfm_core.cli import cli
from tests.geneformer_folders import write_published
from tests.plain_geneformer import PlainGeneformer

GOLDEN = Path(__file__).parent / "models" / "golden" / "geneformer_v1"
VECTORS, SHIFTS, GENES = 2e-6, 3e-7, 2e-6  # absolute tolerances
DELETED, OVEREXPRESSED = "ENSG00000106565", "ENSG00000196405"
START, GOAL, ALTERNATIVE = "CD14+ Monocyte", "Dendritic", "CD56+ NK"
STATES = ("--start", f"state={START}", "--goal", f"state={GOAL}", "--alternative", f"state={ALTERNATIVE}")
ON_GOLDEN = ("--model", "geneformer-v1-10m", "--weights", GOLDEN)


@pytest.fixture(scope="module", autouse=True)
def shared_workspace(tmp_path_factory):
    """One workspace for all tests of this file: the weights are converted once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCFM_WORKSPACE", str(tmp_path_factory.mktemp("workspace")))
        patch.setenv("SCFM_DEVICE", "cpu")
        patch.delenv("SCFM_SCHEDULER", raising=False)
        yield


@pytest.fixture(scope="module")
def tokens() -> dict[int, list[str]]:
    """The recorded tokens of each cell, by its row in the input, as gene ids."""
    recorded, gene = arrays("tokens_collapse1"), gene_of_token()
    rows = zip(recorded["cell_no"], recorded["input_ids"], recorded["length"], strict=True)
    return {int(cell): [gene[token] for token in ids[:length]] for cell, ids, length in rows}


@pytest.fixture(scope="module")
def file(tmp_path_factory, tokens) -> Path:
    """The input of the recordings, with a column that says in which cells the authors deleted every gene."""
    given = arrays("input_collapse1")
    n_cells = len(given["counts"])
    columns = {name: given[name] for name in ("n_counts", "filter_pass", "state")}
    obs = pd.DataFrame(columns, index=names(range(n_cells)))
    for goal in ("nogoal", "goal"):
        obs[f"screened_{goal}"] = np.isin(range(n_cells), list(screened_cells(goal, tokens).values()))
        obs[f"screened_{goal}"] = obs[f"screened_{goal}"].map({True: "yes", False: "no"})
    var = pd.DataFrame({"ensembl_id": given["ensembl_id"]}, index=given["ensembl_id"])
    path = tmp_path_factory.mktemp("input") / "in.h5ad"
    anndata.AnnData(csr_matrix(given["counts"].astype(np.float32)), obs=obs, var=var).write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def v2(tmp_path_factory, tokens) -> Path:
    """A random checkpoint of the second series with the genes of the recorded cells, which it cuts."""
    genes = sorted({gene for held in tokens.values() for gene in held})
    return write_published(tmp_path_factory.mktemp("v2"), series="v2", gene_ids=genes, context=150)


def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as recorded:
        return dict(recorded)


def names(cells) -> list[str]:
    return [f"cell {number}" for number in cells]


def gene_of_token() -> dict[int, str]:
    """The gene id of each token: what the restricted reader makes of the dictionary."""
    from scfm_core.checkpoints.pickled import read_dictionary

    return {int(token): gene_id for gene_id, token in read_dictionary(GOLDEN / "token_dictionary_gc30M.pkl").items()}


def recording(case: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"isp_{case}.json").read_text())


def screened(goal: str) -> dict[str, dict[str, dict[str, float]]]:
    """The recorded screen: number of the cell -> state, or "similarity" -> gene id -> value."""
    gene = gene_of_token()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, content in recording(f"delall_cell_{goal}").items():
        number = name.split("_embs_")[1].split("batch")[0]
        by_state = content if goal == "goal" else {"similarity": content}
        for state, values in by_state.items():
            genes = {gene[int(key.split("|")[0])]: value[0] for key, value in values.items()}
            found.setdefault(number, {}).setdefault(state, {}).update(genes)
    return found


def screened_cells(goal: str, tokens: dict[int, list[str]]) -> dict[str, int]:
    """Which row of the input each recorded cell is: the one that holds these genes, and no others."""
    rows = {}
    for number, by_state in screened(goal).items():
        genes = set(next(iter(by_state.values())))
        (rows[number],) = [cell for cell, held in tokens.items() if set(held) == genes]
    return rows


def in_authors_order(cells: pd.Series, tokens: dict[int, list[str]]) -> list[int]:
    """Places of our rows in the order in which the authors' code returns cells: longest first."""
    rows = [int(name.removeprefix("cell ")) for name in cells]
    assert rows == sorted(rows), "cells in the order of the input"
    return sorted(range(len(rows)), key=lambda place: -len(tokens[rows[place]]))


def run(*arguments, status: int = 0):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output + result.stderr
    return result


def perturb(file: Path, out: Path, *arguments) -> pd.DataFrame:
    run("perturb", file, *ON_GOLDEN, "--readout", "official", *arguments, "--per-cell", "--out", out)
    return pd.read_parquet(out / "cells.parquet")


def refused(file: Path, out: Path, *arguments) -> str:
    return run("perturb", file, *ON_GOLDEN, "--readout", "official", *arguments, "--out", out, status=1).stderr


@pytest.mark.parametrize("pool", [(), ("--pool", "cell")])
def test_vectors_of_all_cells_in_the_order_of_the_input(file, tmp_path, pool):
    run("embed", file, *ON_GOLDEN, *pool, "--out", tmp_path / "out.h5ad")
    written = anndata.read_h5ad(tmp_path / "out.h5ad")
    recorded = arrays("embeddings")
    assert list(written.obs_names) == names(range(52))  # also the two that the authors' filter drops
    vectors = written.obsm["X_geneformer-v1-10m"]
    cells = recorded["cell_layer-1_cell_no"]
    assert len(cells) == 50
    np.testing.assert_allclose(vectors[cells], recorded["cell_layer-1"], rtol=0, atol=VECTORS)
    assert np.isfinite(vectors).all()


def test_a_deletion_without_states(file, tmp_path, tokens):
    table = perturb(file, tmp_path / "out", "--delete", DELETED)
    (values,) = recording("del1_cell_nogoal").values()
    assert list(table.columns) == ["cell", "edit", "cosine_similarity"]
    assert set(table["edit"]) == {f"delete:{DELETED}"}
    order = in_authors_order(table["cell"], tokens)
    (recorded,) = values.values()
    np.testing.assert_allclose(table["cosine_similarity"].to_numpy()[order], recorded, rtol=0, atol=SHIFTS)
    data = pd.read_csv(tmp_path / "out" / "statistics.csv", comment="#")
    np.testing.assert_allclose(data["Cosine_sim"], table["cosine_similarity"])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["n_cells_perturbed"] == 24
    assert report["n_passes"] == 48  # each cell once as it is, once without the gene
    assert report["statistics"][0]["name"] == "aggregate_data"


@pytest.mark.parametrize(
    ("case", "edit"), [("del1", ("--delete", DELETED)), ("oe1", ("--overexpress", OVEREXPRESSED))]
)
def test_an_edit_between_states(file, tmp_path, tokens, case, edit):
    table = perturb(file, tmp_path / "out", *edit, *STATES)
    (values,) = recording(f"{case}_cell_goal").values()
    assert set(table.columns) == {"cell", "edit", *(f"shift_to:{state}" for state in (START, GOAL, ALTERNATIVE))}
    order = in_authors_order(table["cell"], tokens)
    for state in (START, GOAL, ALTERNATIVE):
        (recorded,) = values[state].values()
        ours = table[f"shift_to:{state}"].to_numpy()[order]
        np.testing.assert_allclose(ours, recorded, rtol=0, atol=SHIFTS)
    shifts = pd.read_csv(tmp_path / "out" / "statistics.csv", comment="#")
    np.testing.assert_allclose(shifts["Shift_to_goal_end"], table[f"shift_to:{GOAL}"].mean())
    np.testing.assert_allclose(shifts[f"Shift_to_alt_end_{ALTERNATIVE}"], table[f"shift_to:{ALTERNATIVE}"].mean())


def test_every_other_gene_of_a_deletion(file, tmp_path, tokens):
    perturb(file, tmp_path / "out", "--delete", DELETED, "--genes")
    genes = pd.read_parquet(tmp_path / "out" / "genes.parquet")
    assert list(genes.columns) == ["cell", "edit", "gene_id", "cosine_similarity"]
    by_gene = dict(iter(genes.groupby("gene_id")))
    (_, recorded), gene = recording("del1_cell_and_gene_nogoal").values(), gene_of_token()
    assert set(by_gene) == {gene[int(key.split("|")[1])] for key in recorded}
    for key, values in recorded.items():
        table = by_gene[gene[int(key.split("|")[1])]]
        order = in_authors_order(table["cell"], tokens)
        np.testing.assert_allclose(table["cosine_similarity"].to_numpy()[order], values, rtol=0, atol=GENES)
    shifts = pd.read_csv(tmp_path / "out" / "gene_statistics.csv", comment="#")
    assert len(shifts) == 1 + len(recorded)
    assert shifts["Affected"][0] == "cell_emb"
    row = shifts[shifts["Affected_Ensembl_ID"] == gene[101]].iloc[0]
    values = recorded["162|101"]
    assert row["N_Detections"] == len(values)
    np.testing.assert_allclose(row[["Cosine_sim_mean", "Cosine_sim_stdev"]].astype(float),
                               [np.mean(values), np.std(values)], rtol=0, atol=GENES)  # fmt: skip


@pytest.mark.parametrize("goal", ["nogoal", "goal"])
def test_every_gene_of_a_cell(file, tmp_path, tokens, goal):
    states = STATES if goal == "goal" else ()
    table = perturb(file, tmp_path / "out", "--screen", "all", "--cells", f"screened_{goal}=yes", *states)
    cells, recorded = screened_cells(goal, tokens), screened(goal)
    assert list(dict.fromkeys(table["cell"])) == names(sorted(cells.values()))
    for number, cell in cells.items():
        ours = table[table["cell"] == f"cell {cell}"].set_index("edit")
        assert list(ours.index) == [f"delete:{gene_id}" for gene_id in tokens[cell]]  # strongest gene first
        for state, values in recorded[number].items():
            column = "cosine_similarity" if goal == "nogoal" else f"shift_to:{state}"
            shifts = ours.loc[[f"delete:{gene_id}" for gene_id in values], column]
            np.testing.assert_allclose(shifts, list(values.values()), rtol=0, atol=SHIFTS)


def test_statistics_of_a_screen_between_states(file, tmp_path):
    perturb(file, tmp_path / "out", "--screen", "all", "--cells", "screened_goal=yes", *STATES)
    ours = pd.read_csv(tmp_path / "out" / "statistics.csv", comment="#")
    theirs = pd.read_csv(GOLDEN / "stats_goal_state_shift.csv", index_col=0)
    assert list(ours.columns) == list(theirs.columns)
    pd.testing.assert_frame_equal(ours, pd.read_parquet(tmp_path / "out" / "statistics.parquet"))
    assert ours["Shift_to_goal_end"].is_monotonic_decreasing  # no gene is significant, so that Sig sorts nothing
    ours, theirs = (table.set_index("Ensembl_ID").sort_index() for table in (ours, theirs))
    assert list(ours.index) == list(theirs.index)
    for column in ("Gene", "N_Detections", "Sig"):
        assert list(ours[column]) == list(theirs[column])
    for column in ("Shift_to_goal_end", f"Shift_to_alt_end_{ALTERNATIVE}"):
        np.testing.assert_allclose(ours[column], theirs[column], rtol=0, atol=SHIFTS)
    for column in [name for name in theirs if "pval" in name or "FDR" in name]:
        # ranks of nearly equal shifts may be exchanged by rounding
        np.testing.assert_allclose(ours[column], theirs[column], rtol=0, atol=2e-3)


def test_a_retired_id_names_the_same_gene_as_the_canonical_one(file, tmp_path):
    """The file holds ENSG99999000001, which the dictionary of the model leads to ENSG00000002933."""
    canonical = perturb(file, tmp_path / "one", "--delete", "ENSG00000002933")
    retired = perturb(file, tmp_path / "two", "--delete", "ENSG99999000001.3")
    symbol = perturb(file, tmp_path / "three", "--delete", "tmem176a")
    assert len(canonical) > 0
    assert set(retired["edit"]) == {"delete:ENSG99999000001"}
    assert set(symbol["edit"]) == {"delete:ENSG00000002933"}
    for other in (retired, symbol):
        np.testing.assert_array_equal(other["cosine_similarity"], canonical["cosine_similarity"])


def test_groups_are_joined_by_plus_by_comma_and_together_but_not_by_a_second_option(file, tmp_path, tokens):
    one, other = tokens[0][3], tokens[0][10]
    group = perturb(file, tmp_path / "plus", "--delete", f"{one}+{other}")
    assert set(group["edit"]) == {f"delete:{one}+{other}"}
    holding = [cell for cell, held in tokens.items() if one in held and other in held]
    assert list(group["cell"]) == names(holding)  # only cells that hold both
    comma = perturb(file, tmp_path / "comma", "--delete", f"{one},{other}")
    joined = perturb(file, tmp_path / "together", "--delete", one, "--delete", other, "--together")
    for same in (comma, joined):
        pd.testing.assert_frame_equal(same, group)
    apart = perturb(file, tmp_path / "apart", "--delete", one, "--delete", other)
    assert set(apart["edit"]) == {f"delete:{one}", f"delete:{other}"}
    assert list(apart["cell"]) == sorted(apart["cell"], key=lambda name: int(name.removeprefix("cell ")))


def test_a_screen_of_the_first_genes_and_of_another_edit(file, tmp_path, tokens):
    cells = ("--cells", "screened_nogoal=yes", "--max-genes", "5")
    deleted = perturb(file, tmp_path / "delete", "--screen", "all", *cells)
    first = int(deleted["cell"][0].removeprefix("cell "))
    assert list(deleted["edit"][:5]) == [f"delete:{gene_id}" for gene_id in tokens[first][:5]]
    assert (deleted.groupby("cell").size() == 5).all()
    put_first = perturb(file, tmp_path / "over", "--screen", "all", "--screen-edit", "overexpress", *cells)
    assert list(put_first["edit"][:4]) == [f"overexpress:{gene_id}" for gene_id in tokens[first][1:5]]
    inhibited = perturb(file, tmp_path / "inhibit", "--screen", "all", "--screen-edit", "inhibit", *cells)
    named = perturb(file, tmp_path / "named", "--inhibit", tokens[first][2], *cells[:2])
    row = inhibited[(inhibited["cell"] == f"cell {first}") & (inhibited["edit"] == f"inhibit:{tokens[first][2]}")]
    ours = named[named["cell"] == f"cell {first}"]
    np.testing.assert_allclose(row["cosine_similarity"], ours["cosine_similarity"], rtol=0, atol=SHIFTS)


def test_other_cells_to_compare_with(file, tmp_path):
    here, there = ("--cells", f"state={START}"), ("--against", f"state={GOAL}")
    test = perturb(file, tmp_path / "out", "--delete", DELETED, *here, *there)
    null = perturb(file, tmp_path / "null", "--delete", DELETED, "--cells", f"state={GOAL}")
    (row,) = pd.read_csv(tmp_path / "out" / "statistics.csv", comment="#").to_dict("records")
    assert (row["N_Detections_test"], row["N_Detections_null"]) == (len(test), len(null))
    means = test["cosine_similarity"].mean(), null["cosine_similarity"].mean()
    assert row["Test_vs_null_avg_shift"] == pytest.approx(means[0] - means[1])


@pytest.mark.parametrize("pool", ["cls", "cell"])
def test_a_model_with_special_tokens_against_a_plain_computation(file, tmp_path, v2, pool):
    given, plain = arrays("input_collapse1"), PlainGeneformer(v2 / "Geneformer-V2-104M", v2 / "geneformer", "gc104M")
    rows = zip(given["counts"], given["n_counts"], strict=True)
    cells = [plain.read(dict(zip(given["ensembl_id"].tolist(), row, strict=True)), total) for row, total in rows]
    on_v2 = ("--model", "geneformer-v2-104m", "--weights", v2, "--pool", pool)
    arguments = ("perturb", file, *on_v2, "--readout", "official", "--delete", DELETED, "--genes", "--per-cell")
    summary = json.loads(run(*arguments, "--json", "--out", tmp_path / "out").stdout)
    table = pd.read_parquet(tmp_path / "out" / "cells.parquet")
    assert summary["n_cells_perturbed"] == len(table) > 20
    assert ("their code refuses this one" in " ".join(summary["left_out"])) == (pool == "cell")
    genes = pd.read_parquet(tmp_path / "out" / "genes.parquet")
    for name in table["cell"][::9]:
        original, edited = plain.delete(cells[int(name.removeprefix("cell "))], [DELETED])
        ours = table.loc[table["cell"] == name, "cosine_similarity"].item()
        assert ours == pytest.approx(plain.similarity(original, edited, [DELETED], pool), abs=1e-6)
        cosines = plain.gene_cosines(original, edited, [DELETED])
        ours = genes[genes["cell"] == name].set_index("gene_id")["cosine_similarity"]
        assert list(ours.index) == list(cosines)
        np.testing.assert_allclose(ours, list(cosines.values()), rtol=0, atol=GENES)
    run("embed", file, *on_v2, "--out", tmp_path / "out.h5ad")
    vectors = anndata.read_h5ad(tmp_path / "out.h5ad").obsm["X_geneformer-v2-104m"]
    for number in (0, 1, 20, 51):
        np.testing.assert_allclose(vectors[number], plain.vector(cells[number], pool), rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "found neither"),
        (("--delete", DELETED, "--screen", "all"), "found both"),
        (("--delete", DELETED, "--start", f"state={START}"), "--start only"),
        (("--delete", DELETED, "--goal", f"state={GOAL}"), "--goal only"),
        (("--delete", DELETED, "--start", "stat=A", "--goal", "state=B"), "no column 'stat'"),
        (("--delete", DELETED, "--start", "state=A", "--goal", f"state={GOAL}"), "No cell has 'A'"),
        (("--delete", DELETED, "--start", START, "--goal", GOAL), "COLUMN=VALUE"),
        (("--delete", DELETED, "--start", f"state={GOAL}", "--goal", f"state={GOAL}"), "different states"),
        (("--delete", "ENSG00000000001"), "does not know ENSG00000000001"),
        (("--delete", "NOTAGENE"), "NOTAGENE"),
        (("--delete", DELETED, "--group-by", "state"), "--group-by: belongs to --readout matched"),
        (("--delete", DELETED, "--max-genes", "3"), "every gene"),
        (("--delete", DELETED, "--against", f"state={GOAL}", *STATES), "--against"),
        (("--delete", DELETED, "--pool", "cls"), "cls"),
    ],
)
def test_what_is_refused(file, tmp_path, arguments, words):
    told = refused(file, tmp_path / "out", *arguments)
    assert words in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_no_cell_holds_all_genes(file, tmp_path, tokens):
    both = next(
        (one, other)
        for one in tokens[0] for other in tokens[2]
        if not any(one in held and other in held for held in tokens.values())
    )  # fmt: skip
    assert "None of the 50 cells holds all genes" in refused(file, tmp_path / "out", "--delete", "+".join(both))


def test_a_model_without_ranks_has_no_authors_readout(file, tmp_path):
    arguments = ("--model", "pca", "--readout", "official", "--delete", DELETED, "--out", tmp_path / "out")
    assert "does not read genes by rank" in run("perturb", file, *arguments, status=1).stderr


def test_options_of_the_authors_readout_need_it(file, tmp_path):
    arguments = ("--model", "pca", "--screen", "all", "--out", tmp_path / "out")
    assert "--screen: belongs to --readout official" in run("perturb", file, *arguments, status=1).stderr
