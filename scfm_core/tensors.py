"""Torch code that several models share: devices, a BERT of genes, padding, memory errors; knows no single model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Barrier
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from scfm_core.errors import ModelError, RequestError
from scfm_core.model import Precision
from scfm_core.tokens import Tokens, places_in_cells

PieceT = TypeVar("PieceT")
Runs = tuple[tuple[int, int], ...]
"""Cells that stand one after another: number and length of neighbours of one length."""

_MOST_LAYERS = 1000  # no BERT comes near it
_TILE = 2048  # tokens that go through the layers together on a processor: their states stay in its cache


def available_devices() -> list[str]:
    """Return where networks can run, by torch's names: every CUDA device, else Apple's, else the CPU."""
    if torch.cuda.is_available():
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["mps"] if torch.backends.mps.is_available() else ["cpu"]


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn torch's ways of saying that the memory is full into MemoryError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    except RuntimeError as error:
        if "alloc" in str(error) and "memory" in str(error):  # the CPU's allocator raises a bare RuntimeError
            raise MemoryError(str(error)) from error
        raise


@dataclass(frozen=True, kw_only=True)
class BertShape:
    """The sizes of a BERT, under the names that published ``config.json`` files use."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    hidden_dropout_prob: float = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    type_vocab_size: int = 2

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "BertShape":
        """Read the sizes out of a ``config.json``; other entries are ignored.

        Raises
        ------
        ModelError
            If a size is missing or none, or the activation is another one.
        """
        if config.get("hidden_act", "relu") != "relu":
            msg = f"Expected a network with hidden_act 'relu', found {config['hidden_act']!r}. Choose other weights."
            raise ModelError(msg, "unsuitable-weights")
        needed = [name for name in cls.__dataclass_fields__ if name not in config and not hasattr(cls, name)]
        if needed:
            msg = f"The config.json of the weights lacks {', '.join(needed)}. Get the weights again."
            raise ModelError(msg, "unsuitable-weights")
        sizes = {name: config[name] for name in cls.__dataclass_fields__ if name in config}
        wrong = [name for name, value in sizes.items() if not _is_size(name, value)]
        if wrong:
            msg = f"Expected a size of a network as {wrong[0]}, found {sizes[wrong[0]]!r}. Get the weights again."
            raise ModelError(msg, "broken-config")
        return cls(**sizes)


def _is_size(name: str, value: object) -> bool:
    """Whether a value of a stranger's ``config.json`` can be meant, before memory is taken for it."""
    if name in ("hidden_dropout_prob", "initializer_range", "layer_norm_eps"):
        return type(value) in (int, float) and 0 <= cast(float, value) <= 1
    largest = _MOST_LAYERS if name == "num_hidden_layers" else np.iinfo(np.int32).max
    return type(value) is int and 1 <= value <= largest


class _Table(nn.Module):
    """One vector per row, without values until `GeneBert.start_from_random` draws them or a file gives them."""

    def __init__(self, n_rows: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_rows, size))

    def forward(self, rows: Tensor) -> Tensor:
        return F.embedding(rows, self.weight)


class _Embeddings(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.word_embeddings = _Table(shape.vocab_size, shape.hidden_size)
        self.position_embeddings = _Table(shape.max_position_embeddings, shape.hidden_size)
        self.token_type_embeddings = _Table(shape.type_vocab_size, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.dropout = nn.Dropout(shape.hidden_dropout_prob)

    def forward(self, ids: Tensor, places: Tensor | None = None) -> Tensor:
        """Add the vectors of each token in the order of published code: the last bits of all states hang on it."""
        known = self.position_embeddings.weight
        place = known[: ids.shape[1]] if places is None else F.embedding(places, known)
        states = self.word_embeddings(ids) + self.token_type_embeddings.weight[0] + place
        return cast(Tensor, self.dropout(self.LayerNorm(states)))


class _SelfAttention(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.n_heads = shape.num_attention_heads
        self.query = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.key = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.value = nn.Linear(shape.hidden_size, shape.hidden_size)

    def forward(self, states: Tensor, where: Tensor | Runs | None) -> Tensor:
        if isinstance(where, tuple):
            return self._over_runs(states, where)
        n_cells, n_tokens, size = states.shape
        query, key, value = (
            linear(states).view(n_cells, n_tokens, self.n_heads, -1).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=where)
        return mixed.transpose(1, 2).reshape(n_cells, n_tokens, size)

    def _over_runs(self, states: Tensor, runs: Runs) -> Tensor:
        linears = (self.query, self.key, self.value)
        weight, bias = (torch.cat(parts) for parts in zip(*((x.weight, x.bias) for x in linears), strict=True))
        projected = F.linear(states, weight, bias)  # one product instead of three
        parts = []
        for n_cells, length in runs:
            part, projected = projected[: n_cells * length], projected[n_cells * length :]
            query, key, value = part.view(n_cells, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(query, key, value)
            parts.append(mixed.transpose(1, 2).reshape(n_cells * length, -1))
        return torch.cat(parts) if len(parts) > 1 else parts[0]


class _Output(nn.Module):
    """A linear map added to what came before, and normalised after (post-LN)."""

    def __init__(self, n_inputs: int, shape: BertShape) -> None:
        super().__init__()
        self.dense = nn.Linear(n_inputs, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.dropout = nn.Dropout(shape.hidden_dropout_prob)

    def forward(self, states: Tensor, before: Tensor) -> Tensor:
        return cast(Tensor, self.LayerNorm(before + self.dropout(self.dense(states))))


class _Attention(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.self = _SelfAttention(shape)
        self.output = _Output(shape.hidden_size, shape)

    def forward(self, states: Tensor, where: Tensor | Runs | None) -> Tensor:
        return cast(Tensor, self.output(self.self(states, where), states))


class _Intermediate(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.hidden_size, shape.intermediate_size)

    def forward(self, states: Tensor) -> Tensor:
        return F.relu(self.dense(states))


class _Layer(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.attention = _Attention(shape)
        self.intermediate = _Intermediate(shape)
        self.output = _Output(shape.intermediate_size, shape)

    def forward(self, states: Tensor, where: Tensor | Runs | None) -> Tensor:
        states = self.attention(states, where)
        return cast(Tensor, self.output(self.intermediate(states), states))


class _Encoder(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.layer = nn.ModuleList([_Layer(shape) for _ in range(shape.num_hidden_layers)])


class _Bert(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.embeddings = _Embeddings(shape)
        self.encoder = _Encoder(shape)


class _Transform(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)

    def forward(self, states: Tensor) -> Tensor:
        return cast(Tensor, self.LayerNorm(F.relu(self.dense(states))))


class _Predictions(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.transform = _Transform(shape)
        self.bias = nn.Parameter(torch.zeros(shape.vocab_size))


class _Heads(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.predictions = _Predictions(shape)


class GeneBert(nn.Module):
    """A BERT over gene tokens with a masked-gene head; parameters bear the names that published checkpoints use.

    Post-layer-norm, learned positions, ReLU, decoder tied to the gene embeddings.

    References
    ----------
    Devlin et al. 2019, arXiv:1810.04805; Theodoris et al. 2023, doi:10.1038/s41586-023-06139-9.
    """

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.shape = shape
        self.bert = _Bert(shape)
        self.cls = _Heads(shape)

    def forward(self, ids: Tensor, real: Tensor | None, n_layers: int | None = None) -> Tensor:
        """Return the state of every token after ``n_layers`` layers (all where None).

        Parameters
        ----------
        ids
            Token ids, shape ``(n_cells, n_tokens)``.
        real
            True where a token is no padding, shape ``(n_cells, n_tokens)``; None where nothing is padded.

        Returns
        -------
        Shape ``(n_cells, n_tokens, hidden_size)``.
        """
        mask = None if real is None else real[:, None, None, :]
        return self._through_layers(self.bert.embeddings(ids), mask, n_layers)

    def unpadded(self, ids: Tensor, places: Tensor, runs: Runs, n_layers: int | None = None) -> Tensor:
        """Return the state of every token of cells that stand one after another, without any padding.

        Parameters
        ----------
        ids, places
            Token ids of all cells, and the place of each token in its cell, shape ``(n_tokens,)``.
        runs
            Number and length of neighbouring cells of one length, in order.

        Returns
        -------
        Shape ``(n_tokens, hidden_size)``.
        """
        return self._through_layers(self.bert.embeddings(ids, places), runs, n_layers)

    def _through_layers(self, states: Tensor, where: Tensor | Runs | None, n_layers: int | None) -> Tensor:
        for layer in list(self.bert.encoder.layer)[:n_layers]:
            states = layer(states, where)
        return states

    def gene_scores(self, states: Tensor) -> Tensor:
        """Return a score for every gene at each place, shape ``(n_places, vocab_size)``."""
        head = self.cls.predictions
        return F.linear(head.transform(states), self.bert.embeddings.word_embeddings.weight, head.bias)

    def start_from_random(self) -> None:
        """Draw all weights anew from torch's generator, as BERT does."""
        for module in self.modules():
            if isinstance(module, nn.Linear | _Table):
                nn.init.normal_(module.weight, std=self.shape.initializer_range)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)


def gene_bert(shape: BertShape, state: Mapping[str, Tensor], device: str) -> GeneBert:
    """Build a network from stored weights, ready to embed, in float32 whatever they were stored in.

    Raises
    ------
    ModelError
        If an encoder weight is missing or has another size; the head may be missing.
    """
    network = GeneBert(shape)  # not on the device "meta", whose first use imports torch's compiler for over a second
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items() if name.startswith("bert.")}
    found = {name: tuple(value.shape) for name, value in state.items()}
    wrong = [name for name, size in wanted.items() if found.get(name) != size]
    if wrong:
        msg = (
            f"The weights do not fit their config.json: expected {wrong[0]} of size {wanted[wrong[0]]}, "
            f"found {found.get(wrong[0], 'none')}, and {len(wrong) - 1} more. Get both files from one place."
        )
        raise ModelError(msg, "unsuitable-weights")
    heads = {name: torch.zeros(value.shape) for name, value in network.state_dict().items() if name not in wanted}
    usable = {
        name: value.float()
        for name, value in state.items()
        if name in wanted or (name in heads and found[name] == tuple(heads[name].shape))
    }
    network.load_state_dict({**heads, **usable}, assign=True)
    return network.to(device).eval()


def layers_to_run(n_layers: int, layer: int) -> int:
    """Return how many layers lead to a hidden layer, where 0 is the last and ``-n_layers`` the embedding layer."""
    if not -n_layers <= layer <= 0:
        msg = f"Layer {layer} does not exist: expected 0 (the last) down to {-n_layers} (before the first layer)."
        raise RequestError(msg, "unknown-layer")
    return n_layers + layer


def padded(tokens: Tokens, fill: int = 0) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the genes of each cell in one row, filled up on the right, and where they are real.

    Returns
    -------
    Both of shape ``(n_cells, longest cell)``.
    """
    lengths = tokens.lengths
    real = np.arange(int(lengths.max(initial=0)))[None, :] < lengths[:, None]
    ids = np.full(real.shape, fill, dtype=np.int64)
    ids[real] = tokens.genes
    return ids, real


def token_states(network: GeneBert, tokens: Tokens, *, n_layers: int, precision: Precision) -> Tensor:
    """Return the state of each token after ``n_layers`` layers, without padding, shape ``(n_tokens, hidden_size)``.

    Float32 on the network's device, whatever the arithmetic was. Cells without tokens are left out of the run.

    Raises
    ------
    MemoryError
        If the batch does not fit the device.
    """
    device = next(network.parameters()).device
    some = tokens.take(np.flatnonzero(tokens.lengths))
    if some.n_cells == 0:
        return torch.zeros((0, network.shape.hidden_size), device=device)
    if device.type == "cpu":
        with memory_errors():
            return _states_without_padding(network, some, n_layers, precision)
    with memory_errors(), _arithmetic(device.type, precision):
        ids, real = (torch.from_numpy(array).to(device) for array in padded(some))
        states: Tensor = network(ids, None if bool(real.all()) else real, n_layers)
        return states[real].float()


def _states_without_padding(network: GeneBert, tokens: Tokens, n_layers: int, precision: Precision) -> Tensor:
    """Send whole cells through the layers, some thousand tokens at a time, one piece per core."""
    ids, places = torch.from_numpy(tokens.genes), torch.from_numpy(places_in_cells(tokens))
    with torch.inference_mode():
        states = torch.empty((len(ids), network.shape.hidden_size))

    def send(piece: tuple[int, int]) -> None:
        first, last = piece
        runs = _runs(tokens.lengths[first:last])
        part = slice(int(tokens.offsets[first]), int(tokens.offsets[last]))
        with _arithmetic("cpu", precision):
            states[part] = network.unpadded(ids[part], places[part], runs, n_layers)

    each_on_one_core(send, list(_tiles(tokens.offsets)))
    return states


@contextmanager
def _arithmetic(device_type: str, precision: Precision) -> Iterator[None]:
    """Compute without gradients, in the number format asked for; holds for this thread alone."""
    low = precision == "bfloat16"
    with torch.inference_mode(), torch.autocast(device_type, torch.bfloat16, enabled=low):
        yield


def each_on_one_core(work: Callable[[PieceT], None], pieces: Sequence[PieceT]) -> None:
    """Call ``work`` for every piece, as many at once as torch may use cores, each of them computing on one core.

    Cores that take a piece each are faster than cores that share every single product: they never wait for each other.
    A single piece is given all cores. Gradients, autocast and the like have to be chosen inside ``work``.
    """
    n_threads = torch.get_num_threads()
    several = len(pieces) > 1 and n_threads > 1
    for _ in _single_threads(n_threads).map(work, pieces) if several else map(work, pieces):
        pass


@cache
def _single_threads(n_threads: int) -> ThreadPoolExecutor:
    """Return threads in which torch computes on one core each."""
    all_there = Barrier(n_threads)

    def compute_alone() -> None:
        torch.set_num_threads(1)
        all_there.wait()

    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="one-core")
    for started in [pool.submit(compute_alone) for _ in range(n_threads)]:
        started.result()
    torch.set_num_threads(n_threads)  # torch takes the last number set anywhere for every thread that is new
    return pool


def _tiles(offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut cells into pieces of at most `_TILE` tokens, a longer cell alone."""
    first, n_cells = 0, len(offsets) - 1
    while first < n_cells:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _TILE, side="right")) - 1)
        yield first, last
        first = last


def _runs(lengths: NDArray[np.int64]) -> Runs:
    starts = np.flatnonzero(np.diff(lengths, prepend=-1))
    numbers = np.diff(starts, append=len(lengths))
    return tuple(zip(numbers.tolist(), lengths[starts].tolist(), strict=True))


def mean_per_cell(
    states: Tensor, tokens: Tokens, counted: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Return the mean state of each cell's tokens, shape ``(n_cells, hidden_size)``; NaN for a cell without tokens.

    Parameters
    ----------
    counted
        Which tokens count, shape ``(n_tokens,)``; all where None.
    """
    if states.device.type == "mps":  # which has no such sum
        states = states.cpu()
    which = np.arange(len(tokens.genes)) if counted is None else np.flatnonzero(counted)
    offsets = np.searchsorted(which, tokens.offsets)
    rows, starts = (torch.from_numpy(array).to(states.device) for array in (which, offsets[:-1]))
    with memory_errors(), torch.inference_mode():
        means: NDArray[np.float32] = F.embedding_bag(rows, states, starts, mode="mean").cpu().numpy()
    means[np.diff(offsets) == 0] = np.nan
    return means


def first_per_cell(states: Tensor, tokens: Tokens) -> NDArray[np.float32]:
    """Return the state of each cell's first token, shape ``(n_cells, hidden_size)``; NaN for a cell without tokens."""
    held = tokens.lengths > 0
    vectors = np.full((tokens.n_cells, states.shape[1]), np.nan, dtype=np.float32)
    vectors[held] = states[torch.from_numpy(tokens.offsets[:-1][held]).to(states.device)].cpu().numpy()
    return vectors


def attention_weights(network: GeneBert, tokens: Tokens, *, number: int) -> NDArray[np.float32]:
    """Return the attention of one cell's tokens to each other in layer ``number``, counted from 0.

    Returns
    -------
    Shape ``(n_heads, n_tokens, n_tokens)``, float32; each row sums to 1.
    """
    states = token_states(network, tokens, n_layers=number, precision="float32")
    attention = cast(_Layer, network.bert.encoder.layer[number]).attention.self
    with memory_errors(), torch.inference_mode():
        query, key = (
            linear(states).view(len(states), attention.n_heads, -1).transpose(0, 1)
            for linear in (attention.query, attention.key)
        )
        weights = np.empty((attention.n_heads, len(states), len(states)), dtype=np.float32)
        for head in range(attention.n_heads):  # one by one: of a long cell all of them together take gigabytes
            logits = query[head] @ key[head].T / query.shape[-1] ** 0.5
            weights[head] = torch.softmax(logits, dim=-1).cpu().numpy()
    return weights
