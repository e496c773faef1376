"""Over-representation against scipy and against chance, and marker sets of a dataset with known markers."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control, hypergeom

from scfm_core.analyses.enrich_genes import EnrichGenes
from scfm_core.analyses.find_markers import FindMarkers
from scfm_core.analyses.grouping import ByColumn
from scfm_core.analyses.marker_sets import MarkerSets
from scfm_core.errors import RequestError
from scfm_core.gene_sets import GeneSet, GeneSets
from tests.analyses.planted import dataset_of, grouped_counts

UNIVERSE = tuple(f"GENE{number}" for number in range(400))


def random_sets(n_sets, seed=0, name="made up"):
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(500, rng.integers(3, 60), replace=False) for _ in range(n_sets)]  # a fifth was never tested
    sets = [GeneSet(f"set {n}", "", tuple(f"GENE{g}" for g in genes)) for n, genes in enumerate(drawn)]
    return GeneSets(name=name, source="a test", sets=tuple(sets))


def test_p_equals_the_hypergeometric_of_the_tested_genes(engine):
    sets = random_sets(40)
    hits = UNIVERSE[5:35]
    found = engine.compute(EnrichGenes(hits, UNIVERSE, sets)).table
    expected = {}
    for each in sets.sets:
        inside = set(each.genes) & set(UNIVERSE)
        if len(inside) >= 5:
            shared = len(inside & set(hits))
            p = hypergeom.sf(shared - 1, len(UNIVERSE), len(inside), len(hits))
            a, b, c = shared + 0.5, len(inside) - shared + 0.5, len(hits) - shared + 0.5
            odds_ratio = a * (len(UNIVERSE) - len(inside) - len(hits) + shared + 0.5) / (b * c)
            expected[each.name] = (shared, len(inside), p, odds_ratio)
    table = found.set_index("term")
    assert set(table.index) == set(expected)
    assert (table.overlap == 0).any()
    for term, (shared, size, p, odds_ratio) in expected.items():
        row = table.loc[term]
        assert (row.overlap, row.n_set, row.n_hits, row.n_universe) == (shared, size, 30, 400)
        assert row.p == pytest.approx(p, rel=1e-9)
        assert row.odds_ratio == pytest.approx(odds_ratio, rel=1e-9)
        assert len([gene for gene in row.genes.split(";") if gene]) == shared
    assert found.p.is_monotonic_increasing
    assert found.p_adjusted.to_numpy() == pytest.approx(false_discovery_control(found.p))


def test_a_planted_set_is_found_whatever_the_letters_case(engine):
    planted = GeneSet("planted", "", tuple(f"Gene{number}" for number in range(20)))
    sets = random_sets(60)
    sets = GeneSets(sets.name, sets.source, (*sets.sets, planted))
    hits = (*(f"gene{number}" for number in range(15)), *UNIVERSE[200:215])
    found = engine.compute(EnrichGenes(hits, UNIVERSE, sets))
    first = found.table.iloc[0]
    assert (first.term, first.overlap, first.n_set) == ("planted", 15, 20)
    assert first.p_adjusted < 1e-6
    assert first.genes.split(";") == [f"GENE{number}" for number in range(15)]
    assert (found.table.p_adjusted[1:] > 0.05).all()
    assert found.remarks == ()
    assert (found.name, found.source, found.n_left_out) == ("made up", "a test", 61 - len(found.table))


def test_random_hits_are_not_called(engine):
    """Discrete p-values may be too large, never too small."""
    sets, rng = random_sets(50, seed=3), np.random.default_rng(5)
    p, any_found = [], []
    for _ in range(60):
        hits = tuple(rng.choice(UNIVERSE, 25, replace=False).tolist())
        table = engine.compute(EnrichGenes(hits, UNIVERSE, sets)).table
        p += table.p.tolist()
        any_found.append(bool((table.p_adjusted <= 0.05).any()))
    p = np.array(p)
    for level in (0.01, 0.05, 0.2, 0.5):
        assert np.mean(p <= level) <= 1.2 * level + 0.005
    assert np.mean(p <= 0.2) > 0.08  # and not so large that nothing could be found
    assert np.mean(any_found) <= 0.1


def test_sizes_are_those_among_the_tested_genes(engine):
    sets = GeneSets("s", "", (
        GeneSet("small", "", (*UNIVERSE[:4], "OTHER1", "OTHER2")),
        GeneSet("fits", "", UNIVERSE[:6]),
        GeneSet("large", "", UNIVERSE[:9]),
    ))  # fmt: skip
    found = engine.compute(EnrichGenes(UNIVERSE[:3], UNIVERSE, sets, min_size=5, max_size=8))
    assert found.table.term.tolist() == ["fits"]
    assert found.n_left_out == 2
    with pytest.raises(RequestError, match="None of the 3 sets") as caught:
        engine.compute(EnrichGenes(UNIVERSE[:3], UNIVERSE, sets, min_size=20))
    assert caught.value.code == "no-sets"


def test_too_few_hits_are_said(engine):
    sets = random_sets(10)
    assert "only 2 genes" in engine.compute(EnrichGenes(UNIVERSE[:2], UNIVERSE, sets)).remarks[0]
    assert "No set" not in " ".join(engine.compute(EnrichGenes(UNIVERSE[:3], UNIVERSE, sets)).remarks)
    found = engine.compute(EnrichGenes(UNIVERSE, UNIVERSE, sets))
    assert "no set can stand out" in found.remarks[0]
    assert (found.table.p == 1).all()


@pytest.mark.parametrize(
    ("hits", "sizes", "code"),
    [
        ((), (5, 500), "no-hits"),
        (("NEVER", "GENE1"), (5, 500), "outside-universe"),
        (("GENE1",), (9, 5), "out-of-range"),
    ],
)
def test_questions_that_make_no_sense_are_refused(hits, sizes, code):
    with pytest.raises(RequestError) as caught:
        EnrichGenes(hits, UNIVERSE, random_sets(3), *sizes)
    assert caught.value.code == code


def test_marker_sets_are_the_strongest_markers_of_each_group(engine, tmp_path):
    counts, groups = grouped_counts(150, 120, 3, seed=2)
    data = dataset_of(tmp_path, counts, {"kind": [f"type {group}" for group in groups]})
    found = engine.compute(MarkerSets(data, "kind", n_genes=8))
    sets = {each.name: each.genes for each in found.gene_sets.sets}
    assert list(sets) == ["type 0", "type 1", "type 2"]
    for group, genes in enumerate(sets.values()):
        own = {f"G{number}" for number in range(10 * group, 10 * group + 10)}
        assert len(genes) == 8
        assert len(own & set(genes)) >= 7
    table = engine.compute(FindMarkers(data, ByColumn("kind"))).table
    kept = table[(table.p_adjusted < 0.05) & (table.log2_fold_change > 0) & (table.group == "type 1")]
    assert sets["type 1"] == tuple(kept.symbol[:8])
    assert "kind" in found.gene_sets.name
    hits = tuple(f"G{number}" for number in range(10, 16))
    first = engine.compute(EnrichGenes(hits, data.gene_symbols, found.gene_sets)).table.iloc[0]
    assert first.term == "type 1"
    assert first.p_adjusted < 0.01


def test_a_column_that_marks_nothing_is_refused(engine, tmp_path):
    counts = np.random.default_rng(0).poisson(1.0, (40, 30))
    data = dataset_of(tmp_path, counts, {"kind": ["a", "b"] * 20})
    with pytest.raises(RequestError, match="marks a value") as caught:
        engine.compute(MarkerSets(data, "kind"))
    assert caught.value.code == "no-markers"
    with pytest.raises(RequestError, match="At least|at least"):
        MarkerSets(data, "kind", n_genes=0)
