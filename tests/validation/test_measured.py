"""What a screen measured, and the baselines, on counts whose changes are planted."""


import numpy as np
import pytest

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.dataset import Dataset
from scfm_core.engine import Engine
from scfm_core.errors import RequestError
from scfm_core.registry import find_model
from scfm_core.validation.baseline_rankings import coexpression, gene_identity, gene_statistics, pca_change
from scfm_core.validation.measured_changes import read_screen
from scfm_core.validation.validate_on_crispr import ValidateOnCrispr, find_targets
from tests.analyses.planted import dataset_of

N_GENES = 60


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """G0 makes G1 to G9; where it is knocked out they fall to a fifth. Knocking out G20 does nothing."""
    random = np.random.default_rng(3)
    n = 900
    label = np.array(["control", "G0", "G20"])[np.arange(n) % 3]
    activity = random.gamma(2.0, 0.5, n)
    means = np.tile(random.uniform(2.0, 8.0, N_GENES), (n, 1))
    means[:, :10] *= activity[:, None]
    means[label == "G0", 1:10] = 0.2 * means[label == "G0", 1:10]
    means[label == "G0", 0] = 0.0
    counts = random.poisson(means * random.lognormal(0, 0.2, n)[:, None])
    label[:5] = ["lost", "G5", "G5", "nothing", "nothing"]
    cells = {"guide": label, "replicate": [f"rep {number % 2}" for number in range(n)]}
    return dataset_of(tmp_path_factory.mktemp("screen"), counts, cells, roles={"batch": "replicate"})


def test_planted_changes_are_found_and_others_are_not(screen: Dataset, engine: Engine) -> None:
    answer = engine.submit(ValidateOnCrispr(EmbedCells(screen, find_model("pca")), "guide", "control")).result()
    changed = answer.genes[answer.genes["changed"]]
    assert set(changed.loc[changed["target"] == "G0", "symbol"]) == {f"G{number}" for number in range(1, 10)}
    assert "G20" not in set(changed["target"])
    fold = answer.genes[answer.genes["target"] == "G0"].set_index("symbol")["log2_fold_change"]
    assert fold[[f"G{number}" for number in range(1, 10)]].between(-2.6, -1.9).all()
    rest = fold[[f"G{number}" for number in range(10, N_GENES)]]
    assert rest.abs().max() < 0.2  # though their share of the counts rises
    assert answer.left_out.set_index("target")["reason"].to_dict() == {
        "nothing": "not among the 60 measured genes",
        "lost": "not among the 60 measured genes",
        "G5": "carried by 2 cells, 20 are needed",
    }
    scores = answer.table.set_index(["target", "method"])["auroc"]
    assert scores["G0", "co-expression"] > 0.95
    assert scores["G0", "PCA"] > 0.9
    assert np.isnan(scores["G20", "co-expression"])
    assert "gives no vectors of genes" in answer.in_words[0]
    vectors = answer.vectors.set_index("target")
    assert vectors.loc["G0", "cosine"] > 0.2
    assert "2, by the column replicate" in " ".join(answer.notes)


@pytest.mark.parametrize(
    ("column", "control", "code", "words"),
    [
        ("guides", "control", "unknown-column", "guide, replicate"),
        ("guide", "non-targeting", "no-control-cells", "control, G0, G20"),
    ],
)
def test_what_cannot_be_asked_is_refused(screen: Dataset, column: str, control: str, code: str, words: str) -> None:
    with pytest.raises(RequestError) as error:
        ValidateOnCrispr(EmbedCells(screen, find_model("pca")), column, control)
    assert error.value.code == code
    assert all(word in str(error.value) for word in words.split(", "))


def test_a_column_without_genes_names_no_target(screen: Dataset, engine: Engine) -> None:
    with pytest.raises(RequestError, match="names of measured genes") as error:
        engine.submit(ValidateOnCrispr(EmbedCells(screen, find_model("pca")), "replicate", "rep 0")).result()
    assert error.value.code == "no-target"


def test_targets_beyond_the_most_are_named(screen: Dataset) -> None:
    read = read_screen(screen, "guide", "control", None)
    targets, left_out = find_targets(screen, read, "guide", most=1)
    assert len(targets) == 1
    assert "beyond the 1 targets with the most cells" in left_out.values()


def test_coexpression_is_the_correlation_of_log_values(screen: Dataset) -> None:
    cells = np.arange(0, 900, 3)
    counts = screen.counts(cells)
    values = np.log1p(counts.matrix.toarray() / counts.total_counts[:, None] * 1e4)
    expected = np.abs(np.corrcoef(values.T))[[2, 7]]
    np.testing.assert_allclose(coexpression(screen, cells, np.array([2, 7])), expected, atol=1e-9)
    statistics = gene_statistics(screen, cells)
    np.testing.assert_allclose(statistics["mean"], values.mean(axis=0))
    np.testing.assert_allclose(statistics["sd"], values.std(axis=0))
    np.testing.assert_allclose(statistics["detection"], (values > 0).mean(axis=0))


def test_pca_change_is_that_of_the_rebuilt_values(screen: Dataset) -> None:
    cells = np.arange(0, 900, 3)
    counts = screen.counts(cells)
    values = np.log1p(counts.matrix.toarray() / counts.total_counts[:, None] * 1e4)
    centred = values - values.mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][: N_GENES // 5]
    without = centred.copy()
    without[:, 4] -= values[:, 4]  # the value becomes 0
    change = np.abs((without - centred) @ directions.T @ directions)
    rebuilt = pca_change(screen, cells, np.array([4]))[0]
    np.testing.assert_allclose(change.mean(axis=0) / values[:, 4].mean(), rebuilt, atol=1e-7)


def test_gene_identity_learns_from_the_other_targets_alone() -> None:
    mean = np.linspace(0.0, 1.0, 40)
    statistics = {"mean": mean, "detection": mean, "sd": mean}
    changes = np.stack([-mean, -mean, mean])
    falling = gene_identity(statistics, changes, leave_out=2)
    assert np.corrcoef(falling, mean)[0, 1] < -0.99
    changes[2] = np.nan
    np.testing.assert_allclose(gene_identity(statistics, changes, leave_out=2), falling)
    alone = gene_identity(statistics, changes[:1], leave_out=0)
    assert (np.diff(alone) > 0).all()
