"""First-order deletions: from a few passes, how each single deletion would move a cell's vector; knows no vocabulary.

Deleting gene ``i`` does three things to the vector ``e`` that is read from a cell, and each has its own estimate.

1. *It leaves the mean.* Exact in all dimensions: ``-(h_i - e) / (n - 1)`` with ``h_i`` its last state.
2. *It is no longer attended to.* A gate ``g`` stands on every token as a key: ``log(g)`` is added to its attention
   logits in every layer; 1 changes nothing, 0 deletes it. Minus the derivative at 1 along each gate predicts each
   deletion, and one backward pass gives the derivative of a scalar along all gates. The gate is a constant column of
   the queries against a column of the keys that holds its logarithm, so that no ``n x n`` matrix is ever made.
3. *The genes behind it move up one rank.* A step from one learned position to the next is large, and a derivative at
   the start of it overshoots several times over. What a token's step does to its own state is therefore measured: one
   pass with every token one rank up, attending to the unmoved keys. What the step does to the other tokens goes
   through its keys and values ``(k, v)``, and is taken to first order in their measured change, with the derivative
   half-way along the step: ``sum over layers of dS/dk . (k' - k) + dS/dv . (v' - v)``. Effects of moved tokens add up
   (a suffix sum over ranks). At a few cuts the whole move of all tokens behind the cut is computed exactly, one pass
   each, and what the sums miss there is interpolated between the cuts.

The derivative of 2, too, is taken half-way and carried to the unmoved keys and values to first order, so that one
backward pass serves both. It is needed along single directions of ``e`` only: along the part of a goal state that is
orthogonal to ``e`` for a shift toward the goal, and along the principal axes of the estimate without it (1, 3 without
keys, the cuts) for the size of the shift.
"""

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scfm_core.model import ScreenEffort
from scfm_core.tensors import GeneBert, memory_errors

_GATE_COLUMNS = 8  # one would do; kernels like heads of a round size
_SPARE_AXES, _TURNS = 3, 12


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a cell's vector is read from the states of its tokens.

    Attributes
    ----------
    n_layers
        How many layers are run.
    first_token
        The vector is the state of the first token; the mean over the genes where False.
    n_before, n_after
        Special tokens before and after the genes. They cannot be deleted; those behind a deleted gene move up.
    """

    n_layers: int
    first_token: bool = False
    n_before: int = 0
    n_after: int = 0


class _Keys(NamedTuple):
    """What tokens offer to others in one layer, each of shape ``(n_cells, n_heads, n_tokens, head_size)``."""

    key: Tensor
    value: Tensor


class _Line(NamedTuple):
    """First-order effects on a scalar, each of shape ``(n_cells, n_tokens)``."""

    gate: Tensor  # of deleting each token as a key
    step: Tensor  # of moving each token up one rank, through its keys and values


def deletion_estimates(
    network: GeneBert, ids: Tensor, reading: Reading, *, goals: Tensor, effort: ScreenEffort
) -> tuple[Tensor, Tensor]:
    """Estimate how the vector of each cell would move if each of its genes were deleted.

    Parameters
    ----------
    ids
        Token ids of cells of one length, shape ``(n_cells, n_tokens)``.
    goals
        Goal states, shape ``(n_goals, hidden_size)``; one backward pass each.
    effort
        How many axes (a backward pass each; 0: no cuts and no axes either) and cuts (a pass each).

    Returns
    -------
    The size of the shift, 1 - cosine of the vectors before and after, shape ``(n_cells, n_tokens)``, and the shift
    toward each goal, cosine to it after minus before, shape ``(n_cells, n_goals, n_tokens)``; float64 on the network's
    device, NaN for special tokens and in cells with fewer than two genes.

    Raises
    ------
    MemoryError
        If the cells do not fit the device.
    """
    with memory_errors():
        return _Cells(network, ids, reading).estimates(goals, effort)


class _Cells:
    """Cells of one length on their way through the layers, unmoved and with every token one rank up."""

    def __init__(self, network: GeneBert, ids: Tensor, reading: Reading) -> None:
        self._layers = list(network.bert.encoder.layer)[: reading.n_layers]
        self._reading = reading
        n_tokens, numbers = ids.shape[1], network.bert.embeddings.word_embeddings.weight.dtype
        self._at = torch.arange(n_tokens, device=ids.device)
        first, last = reading.n_before, n_tokens - reading.n_after
        self._gene = (self._at >= first) & (self._at < last)
        self.n_genes = max(last - first, 0)
        if self.n_genes < 2:
            self._vector = torch.zeros((len(ids), network.shape.hidden_size), device=ids.device, dtype=numbers)
            return
        self._weights = self._pooling_weights().to(numbers)
        with torch.no_grad():
            up = torch.where(self._at > first, self._at - 1, self._at)  # the first gene has no better rank to go to
            self._start = network.bert.embeddings(ids, self._at.expand_as(ids))
            self._moved = network.bert.embeddings(ids, up.expand_as(ids))
            self._states, self._keys = self._run(self._start)
            self._states_up, self._keys_up = self._run(self._moved, self._keys)
            self._vector = self._pooled(self._states)

    def estimates(self, goals: Tensor, effort: ScreenEffort) -> tuple[Tensor, Tensor]:
        """See `deletion_estimates`."""
        n_cells, n_tokens = len(self._vector), len(self._at)
        if self.n_genes < 2:
            size = torch.full((n_cells, n_tokens), torch.nan, dtype=torch.float64, device=self._at.device)
            return size, size[:, None].expand(-1, len(goals), -1)
        toward, cosine = _orthogonal_parts(goals, self._vector)
        shift = self._all_dimensions(effort)
        across = shift - _along(shift, F.normalize(self._vector, dim=-1)[:, None])
        axes = _principal_axes(across, effort.n_axes)
        lines = self._lines(torch.cat([axes, toward], dim=1), effort)
        on_axes, on_goals = lines[:, : effort.n_axes], lines[:, effort.n_axes :].double()
        shift = shift + (on_axes - (shift @ axes.mT).mT).mT @ axes
        before = self._vector[:, None].double()
        after = before + shift.double()
        size = 1 - F.cosine_similarity(before, after, dim=-1)
        # a goal g = cos(t) e/|e| + sin(t) u with u orthogonal to e: the new cosine is the sum of both parts' cosines
        sine = (1 - cosine**2).clamp(min=0).sqrt()[..., None]
        goal = sine * on_goals / after.norm(dim=-1)[:, None] - cosine[..., None] * size[:, None]
        return size.masked_fill(~self._gene, torch.nan), goal.masked_fill(~self._gene, torch.nan)

    @property
    def _larger(self) -> float:
        """By what every remaining token weighs more in the pooling once a gene is gone."""
        return 1.0 if self._reading.first_token else self.n_genes / (self.n_genes - 1)

    def _pooling_weights(self) -> Tensor:
        return self._at == 0 if self._reading.first_token else self._gene.double() / self.n_genes

    def _pooled(self, states: Tensor) -> Tensor:
        return torch.einsum("n,cnd->cd", self._weights, states)

    def _run(self, states: Tensor, read: list[_Keys] | None = None) -> tuple[Tensor, list[_Keys]]:
        """Send tokens through the layers, attending to the keys of others where given; return states and own keys."""
        offered = []
        for number, layer in enumerate(self._layers):
            query, own = _projected(layer, states)
            offered.append(own)
            keys = own if read is None else read[number]
            states = _mixed(layer, F.scaled_dot_product_attention(query, *keys), states)
        return states, offered

    def _own_steps(self) -> Tensor:
        """Return what one rank up does to each token's share of the vector, ``(n_cells, n_tokens, hidden_size)``."""
        return (self._states_up - self._states) * (self._weights * self._larger)[:, None]

    def _leaving(self) -> Tensor:
        """Return what leaving the mean does to the vector, ``(n_cells, n_tokens, hidden_size)``."""
        if self._reading.first_token:
            return torch.zeros_like(self._states)
        return (self._vector[:, None] - self._states) / (self.n_genes - 1)

    def _all_dimensions(self, effort: ScreenEffort) -> Tensor:
        """Estimate the shift of the vector without the attention paid to the gene, as `_own_steps`."""
        steps = _behind(self._own_steps().mT).mT
        self._cuts, self._exact = self._exact_moves(effort.n_cuts)
        return self._leaving() + self._corrected(steps, self._exact)

    def _exact_moves(self, n_cuts: int) -> tuple[list[int], Tensor]:
        """Move all tokens behind each cut up one rank; shape ``(n_cells, n_cuts + 1, hidden_size)``, 0 at the end."""
        n_tokens = len(self._at)
        places = np.linspace(self._reading.n_before, n_tokens - 1, n_cuts + 1).round()
        cuts = np.unique(places.astype(int)).tolist() if n_cuts else [n_tokens - 1]
        moves = [torch.zeros_like(self._vector)]
        with torch.no_grad():
            for cut in reversed(cuts[:-1]):
                moved = torch.where((self._at > cut)[:, None], self._moved, self._start)
                moves.append((self._pooled(self._run(moved)[0]) - self._vector) * self._larger)
        return cuts, torch.stack(moves[::-1], dim=1)

    def _corrected(self, sums: Tensor, exact: Tensor) -> Tensor:
        """Add what sums, ``(n_cells, n_tokens, n)``, miss at the cuts, interpolated between them."""
        if len(self._cuts) == 1:
            return sums
        table = np.stack([np.interp(np.arange(len(self._at)), self._cuts, row) for row in np.eye(len(self._cuts))], 1)
        between = torch.from_numpy(table).to(sums)
        return sums + between @ (exact - sums[:, self._cuts])

    def _lines(self, directions: Tensor, effort: ScreenEffort) -> Tensor:
        """Return the estimated shift along directions ``(n_cells, n, hidden_size)``, ``(n_cells, n, n_tokens)``."""
        if not directions.shape[1]:
            return directions.new_zeros((len(directions), 0, len(self._at)))
        found = self._derivatives(directions)
        gate = torch.stack([line.gate for line in found], dim=1) * self._larger
        through_keys = torch.stack([line.step for line in found], dim=1) * self._larger
        own = directions @ self._own_steps().mT
        behind = _behind(own + through_keys)
        moved = self._corrected(behind.mT, self._exact @ directions.mT).mT
        return directions @ self._leaving().mT + gate + moved

    def _derivatives(self, directions: Tensor) -> list[_Line]:
        """Go back from the vector half-way along the step to every token's gate, keys and values."""
        with torch.enable_grad():
            states = (self._start + self._moved) / 2
            half: list[_Keys] = []
            for layer in self._layers:
                query, own = _projected(layer, states)
                size = query.shape[-1]
                column = F.pad(query.new_full((*query.shape[:-1], 1), size**0.5), (0, _GATE_COLUMNS - 1))
                half.append(_Keys(F.pad(own.key, (0, _GATE_COLUMNS)), F.pad(own.value, (0, _GATE_COLUMNS))))
                mixed = F.scaled_dot_product_attention(torch.cat([query, column], -1), *half[-1], scale=size**-0.5)
                states = _mixed(layer, mixed[..., :size], states)
        return [self._line(states, half, directions[:, place]) for place in range(directions.shape[1])]

    def _line(self, states: Tensor, half: list[_Keys], direction: Tensor) -> _Line:
        gate = step = states.new_zeros(states.shape[:2])
        if not half:
            return _Line(gate, step)
        back = self._weights[:, None] * direction[:, None]
        flat = [tensor for keys in half for tensor in keys]
        slopes = torch.autograd.grad(states, flat, back.expand_as(states), retain_graph=True)
        for number, (unmoved, moved, middle) in enumerate(zip(self._keys, self._keys_up, half, strict=True)):
            size = unmoved.key.shape[-1]
            by_key, by_value = slopes[2 * number], slopes[2 * number + 1][..., :size]
            by_gate, by_key = by_key[..., size], by_key[..., :size]
            to_unmoved = by_key * (unmoved.key - middle.key.detach()[..., :size])
            to_unmoved += by_value * (unmoved.value - middle.value.detach()[..., :size])
            upward = by_key * (moved.key - unmoved.key) + by_value * (moved.value - unmoved.value)
            gate = gate - by_gate.sum(1) - to_unmoved.sum((1, 3))
            step = step + upward.sum((1, 3))
        return _Line(gate, step)


def _projected(layer: torch.nn.Module, states: Tensor) -> tuple[Tensor, _Keys]:
    """Return the query of each token and what it offers, ``(n_cells, n_heads, n_tokens, head_size)``."""
    attention = layer.get_submodule("attention.self")
    linears = [cast(torch.nn.Linear, attention.get_submodule(name)) for name in ("query", "key", "value")]
    weight, bias = (torch.cat(parts) for parts in zip(*((x.weight, x.bias) for x in linears), strict=True))
    heads = cast(int, attention.n_heads)
    projected = F.linear(states, weight, bias).view(*states.shape[:2], 3, heads, -1)
    query, key, value = projected.permute(2, 0, 3, 1, 4)
    return query, _Keys(key, value)


def _mixed(layer: torch.nn.Module, mixed: Tensor, states: Tensor) -> Tensor:
    """Return the states after a layer from what its heads gathered."""
    gathered = mixed.transpose(1, 2).reshape(states.shape)
    states = layer.get_submodule("attention.output")(gathered, states)
    return cast(Tensor, layer.get_submodule("output")(layer.get_submodule("intermediate")(states), states))


def _behind(values: Tensor) -> Tensor:
    """Return the sum over all later tokens, along the last axis."""
    return values.sum(-1, keepdim=True) - values.cumsum(-1)


def _along(vectors: Tensor, unit: Tensor) -> Tensor:
    return (vectors * unit).sum(-1, keepdim=True) * unit


def _orthogonal_parts(goals: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
    """Return the unit vector from each cell toward each goal, and the cosine between them.

    Returns
    -------
    Shapes ``(n_cells, n_goals, hidden_size)``, orthogonal to the cell's vector, and ``(n_cells, n_goals)``, float64.
    """
    unit = F.normalize(vector.double(), dim=-1)
    goal = F.normalize(goals.double(), dim=-1)
    cosine = unit @ goal.mT
    across = goal[None] - cosine[..., None] * unit[:, None]
    return F.normalize(across, dim=-1, eps=1e-30).to(vector.dtype), cosine


def _principal_axes(points: Tensor, n_axes: int) -> Tensor:
    """Return the directions of largest mean square of points ``(n_cells, n, d)``, ``(n_cells, n_axes, d)``."""
    if not n_axes:
        return points.new_zeros((len(points), 0, points.shape[2]))
    square = (points.mT @ points).double()
    generator = torch.Generator().manual_seed(0)
    start = torch.randn((points.shape[2], n_axes + _SPARE_AXES), generator=generator, dtype=torch.float64)
    basis = start.to(square.device).expand(len(points), -1, -1)
    for _ in range(_TURNS):  # subspace iteration: a few axes of a few hundred, for less than a whole decomposition
        basis = torch.linalg.qr(square @ basis).Q
    order = torch.linalg.eigh(basis.mT @ square @ basis).eigenvectors.flip(-1)
    axes: Tensor = (basis @ order)[..., :n_axes].mT
    return axes.to(points.dtype)
