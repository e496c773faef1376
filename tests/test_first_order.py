"""First-order deletions against the network itself: gates, derivatives, steps, and against deleting every gene."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr

from scfm_core.first_order import Reading, _Cells, deletion_estimates
from scfm_core.model import EmbedOptions, ScreenEffort
from scfm_core.rank_bert import RankBert
from scfm_core.registry import find_model
from scfm_core.tensors import BertShape, GeneBert
from scfm_core.tokens import Tokens
from scfm_core.weights import loaded_model

N_POSITIONS, SIZE, LENGTH, N_LAYERS = 40, 32, 24, 3
SHAPE = BertShape(
    vocab_size=N_POSITIONS,
    hidden_size=SIZE,
    num_hidden_layers=N_LAYERS,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=LENGTH + 2,
    initializer_range=0.15,  # strong enough that attention is not uniform
)
MEAN = Reading(n_layers=2)
FRAMED = Reading(n_layers=2, n_before=1, n_after=1)
CLS = Reading(n_layers=2, first_token=True, n_before=1, n_after=1)


def network(seed: int = 0) -> GeneBert:
    torch.manual_seed(seed)
    made = GeneBert(SHAPE)
    made.start_from_random()
    return made.eval().double()


def cell(seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).permutation(np.arange(2, N_POSITIONS))[:LENGTH])[None]


def gated_states(net: GeneBert, start: torch.Tensor, gates: torch.Tensor, n_layers: int) -> torch.Tensor:
    """The network written out plainly: every key's logits get the logarithm of its gate."""
    states = start
    for layer in list(net.bert.encoder.layer)[:n_layers]:
        query, key, value = (
            linear(states).view(LENGTH, 4, -1).transpose(0, 1)
            for linear in (layer.attention.self.query, layer.attention.self.key, layer.attention.self.value)
        )
        logits = query @ key.mT / query.shape[-1] ** 0.5 + gates.log()
        mixed = (logits.softmax(-1) @ value).transpose(0, 1).reshape(LENGTH, -1)
        states = layer.output(layer.intermediate(middle := layer.attention.output(mixed, states)), middle)
    return states


def unmoved_and_up(net: GeneBert, ids: torch.Tensor, first: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    at = torch.arange(LENGTH)
    up = torch.where(at > first, at - 1, at)
    return tuple(net.bert.embeddings(ids, places[None])[0] for places in (at, up))


@torch.no_grad()
def exact_vectors(net: GeneBert, ids: torch.Tensor, reading: Reading) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the vector before, and after each deletion (NaN for a special token)."""

    def vector(tokens: torch.Tensor) -> torch.Tensor:
        states = net(tokens[None], None, reading.n_layers)[0]
        if reading.first_token:
            return states[0]
        return states[reading.n_before : len(states) - reading.n_after].mean(0)

    genes = range(reading.n_before, LENGTH - reading.n_after)
    after = torch.full((LENGTH, SIZE), torch.nan, dtype=torch.float64)
    for gene in genes:
        after[gene] = vector(torch.cat([ids[0, :gene], ids[0, gene + 1 :]]))
    return vector(ids[0]), after


@torch.no_grad()
def test_a_gate_at_zero_is_a_deletion_with_all_others_in_their_places():
    net, ids = network(), cell()
    start, _ = unmoved_and_up(net, ids)
    for gone in (0, 7, LENGTH - 1):
        others = torch.arange(LENGTH) != gone
        gated = gated_states(net, start, others.double(), 2)[others]
        places = torch.arange(LENGTH)[others][None]
        deleted = net.bert.embeddings(ids[:, others], places)
        for layer in list(net.bert.encoder.layer)[:2]:
            deleted = layer(deleted, None)
        torch.testing.assert_close(gated, deleted[0], rtol=0, atol=1e-12)


def test_the_gates_derivative_is_that_of_finite_differences():
    net, ids = network(), cell()
    start, up = unmoved_and_up(net, ids)
    direction = torch.randn(SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    cells = _Cells(net, ids, MEAN)
    with torch.no_grad():
        cells._keys = cells._keys_up = cells._run((cells._start + cells._moved) / 2)[1]
    line = cells._derivatives(direction[None, None])[0]  # keys as they are half-way: the gate alone is left
    half, step = (start + up).detach() / 2, 1e-6

    def scalar(gates: torch.Tensor) -> float:
        with torch.no_grad():
            return float(gated_states(net, half, gates, 2).mean(0) @ direction)

    for token in (0, 5, LENGTH - 1):
        change = torch.zeros(LENGTH, dtype=torch.float64)
        change[token] = step
        slope = (scalar(1 + change) - scalar(1 - change)) / (2 * step)
        assert float(line.gate[0, token]) == pytest.approx(-slope, rel=1e-6, abs=1e-10)
    assert not line.step.any()


def test_steps_of_positions_agree_with_the_network_where_they_are_small():
    """Positions that differ little: moving the genes behind a rank up, by sums, against doing it."""
    net, ids = network(), cell()
    with torch.no_grad():
        table = net.bert.embeddings.position_embeddings.weight
        table.copy_(table[:1] + 1e-4 * table)
    start, up = (states.detach() for states in unmoved_and_up(net, ids))
    direction = torch.randn(SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    cells = _Cells(net, ids, MEAN)
    line = cells._derivatives(direction[None, None])[0]
    weight = 1 / LENGTH
    own = (cells._states_up - cells._states)[0] @ direction * weight
    steps = (own + line.step[0]).detach()
    ones = torch.ones(LENGTH, dtype=torch.float64)
    for cut in (0, 6, LENGTH - 2):
        behind = torch.arange(LENGTH) > cut
        with torch.no_grad():
            moved = gated_states(net, torch.where(behind[:, None], up, start), ones, 2).mean(0)
            truth = float((moved - gated_states(net, start, ones, 2).mean(0)) @ direction)
        assert float(steps[behind].sum()) == pytest.approx(truth, rel=2e-3)


@pytest.mark.parametrize("reading", [MEAN, FRAMED, CLS], ids=["mean", "mean of genes between specials", "cls"])
def test_estimates_follow_exact_deletions_and_leave_special_tokens_out(reading):
    net, ids = network(), cell()
    before, after = exact_vectors(net, ids, reading)
    goals = torch.randn((3, SIZE), dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    effort = ScreenEffort(n_axes=SIZE - 1, n_cuts=LENGTH)  # all axes and every cut: the gate's estimate alone is left
    size, shift = deletion_estimates(net, ids, reading, goals=goals, effort=effort)
    genes = torch.arange(reading.n_before, LENGTH - reading.n_after)
    true_size = (1 - F.cosine_similarity(before[None], after))[genes].detach()
    assert spearmanr(size[0, genes], true_size)[0] > 0.9
    for place, goal in enumerate(goals):
        moved = F.cosine_similarity(after[genes], goal[None]) - F.cosine_similarity(before, goal, dim=0)
        assert spearmanr(shift[0, place, genes].detach(), moved)[0] > 0.9
    special = np.setdiff1d(np.arange(LENGTH), genes)
    assert torch.isnan(size[0, special]).all()
    assert torch.isnan(shift[0, :, special]).all()


def test_without_layers_a_mean_is_estimated_exactly():
    net, ids = network(), cell()
    reading = Reading(n_layers=0)
    before, after = exact_vectors(net, ids, reading)
    size, _ = deletion_estimates(
        net, ids, reading, goals=torch.zeros((0, SIZE)), effort=ScreenEffort(n_axes=0, n_cuts=0)
    )
    torch.testing.assert_close(size[0], 1 - F.cosine_similarity(before[None], after), rtol=1e-9, atol=1e-12)


def test_cells_with_fewer_than_two_genes_have_no_estimate():
    for reading, n_tokens in ((MEAN, 1), (FRAMED, 3), (CLS, 3)):
        ids = torch.arange(2, 2 + n_tokens)[None]
        size, shift = deletion_estimates(network(), ids, reading, goals=torch.ones((2, SIZE)), effort=ScreenEffort())
        assert size.shape == (1, n_tokens)
        assert shift.shape == (1, 2, n_tokens)
        assert torch.isnan(size).all()
        assert torch.isnan(shift).all()


def test_no_gradient_is_left_on_the_weights():
    net = network()
    deletion_estimates(net, cell(), MEAN, goals=torch.ones((1, SIZE)), effort=ScreenEffort())
    assert all(weight.grad is None for weight in net.parameters())


@pytest.fixture(scope="module")
def mini() -> RankBert:
    model = loaded_model(find_model("scfm-mini"), {})
    assert isinstance(model, RankBert)
    return model


@pytest.fixture(scope="module")
def three_cells(mini, demo_dataset) -> Tokens:
    """Two cells of one length and a shorter one, cut to few genes so that each deletion is quick."""
    tokens = mini.encode(demo_dataset.counts(np.array([5, 700, 1500])))
    place = np.arange(len(tokens.genes)) - np.repeat(tokens.offsets[:-1], tokens.lengths)
    return tokens.keep(place < np.array([256, 256, 200])[tokens.cell_of_token()])


OPTIONS = EmbedOptions(layer=-1, pooling="mean")


def goals_of(mini, demo_dataset) -> np.ndarray:
    vectors = mini.embed(mini.encode(demo_dataset.counts(np.arange(40, 60))), OPTIONS).cells.astype(np.float64)
    return np.array([vectors[:10].mean(axis=0), vectors[10:].mean(axis=0)])


def test_estimates_of_a_trained_network_rank_deletions_as_deleting_does(mini, three_cells, demo_dataset):
    goals = goals_of(mini, demo_dataset)
    found = mini.estimate_deletions(three_cells, OPTIONS, goals=goals, effort=ScreenEffort())
    sizes = []
    unit = goals / np.linalg.norm(goals, axis=1, keepdims=True)
    for number in range(three_cells.n_cells):
        one = three_cells.take(np.array([number]))
        n_tokens = len(one.genes)
        copies = one.take(np.zeros(n_tokens, dtype=np.int64))
        after = mini.embed(copies.keep(~np.eye(n_tokens, dtype=bool).ravel()), OPTIONS).cells.astype(np.float64)
        before = mini.embed(one, OPTIONS).cells.astype(np.float64)
        after, before = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (after, before))
        mine = slice(int(three_cells.offsets[number]), int(three_cells.offsets[number + 1]))
        sizes.append(spearmanr(found.size[mine], 1 - after @ before[0])[0])
        for goal, shift in zip(unit, found.goals, strict=True):
            assert spearmanr(shift[mine], (after - before) @ goal)[0] > 0.99
    assert np.median(sizes) > 0.97
    assert min(sizes) > 0.93


def test_estimates_do_not_depend_on_the_batch(mini, three_cells, demo_dataset):
    goals = goals_of(mini, demo_dataset)
    together = mini.estimate_deletions(three_cells, OPTIONS, goals=goals, effort=ScreenEffort())
    for number in range(three_cells.n_cells):
        alone = mini.estimate_deletions(
            three_cells.take(np.array([number])), OPTIONS, goals=goals[:1], effort=ScreenEffort()
        )
        mine = slice(int(three_cells.offsets[number]), int(three_cells.offsets[number + 1]))
        np.testing.assert_allclose(alone.size, together.size[mine], rtol=1e-3, atol=1e-9)
        np.testing.assert_allclose(alone.goals[0], together.goals[0, mine], rtol=1e-3, atol=1e-8)
