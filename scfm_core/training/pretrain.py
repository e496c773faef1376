"""The pre-training loop of scfm-mini: masked genes, AdamW, a validation curve, and weights written as they improve."""

import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from scfm_core.errors import DatasetError, ModelError
from scfm_core.intake import admit_file
from scfm_core.tensors import BertShape, GeneBert, available_devices, gene_bert, memory_errors
from scfm_core.tokens import batches_by_length
from scfm_core.training.batches import MaskedBatch, drawn_batches, masked
from scfm_core.training.corpus import Corpus, CorpusPart, Vocabulary, build_corpus, learn_vocabulary
from scfm_core.training.loss_curve import Loss, loss_curve_svg

WEIGHTS, CONFIG, VOCABULARY, RECORD = "model.safetensors", "config.json", "vocabulary.json", "training.json"
CURVE = "loss_curve.svg"


@dataclass(frozen=True, kw_only=True)
class PretrainSettings:
    """How to train.

    Attributes
    ----------
    minutes
        Time for the loop; it also ends after ``max_steps``. Only a run that ends by steps repeats exactly.
    min_cells
        A gene enters the vocabulary if this many training cells express it.
    gene_prefix
        How the ids of the genes in the vocabulary begin.
    initializer_range, position_range
        Standard deviation of the first weights, and of the first vectors of the ranks. A narrow network begins to learn
        sooner where the first are larger; where the second are 0, two neighbouring ranks begin alike.
    share_hidden
        Share of a cell's genes that are hidden and told.
    contexts
        Context lengths in tokens, drawn at random per group of batches.
    token_budget
        Tokens in one batch, padding included.
    held_out_share, n_validation_cells
        Share of cells never trained on, and how many of them make a point of the validation curve.
    validate_every_seconds, validate_every_steps
        When the curve gets a point and the weights are written if they are better: whichever comes first.
    low_precision
        Whether the arithmetic is bfloat16, where the processor has it; the weights stay float32.
    """

    minutes: float = 40.0
    max_steps: int = 1_000_000
    seed: int = 0
    min_cells: int = 10
    gene_prefix: str = "ENSG"
    hidden_size: int = 128
    n_layers: int = 4
    n_heads: int = 2
    intermediate_size: int = 256
    max_tokens: int = 512
    dropout: float = 0.02
    initializer_range: float = 0.02
    position_range: float = 0.02
    share_hidden: float = 0.15
    contexts: tuple[int, ...] = (128, 256, 512)
    token_budget: int = 4096
    learning_rate: float = 1e-3
    warm_up: float = 0.04
    weight_decay: float = 0.01
    held_out_share: float = 0.1
    n_validation_cells: int = 256
    validate_every_seconds: float = 120.0
    validate_every_steps: int = 1_000_000
    low_precision: bool = True
    device: str = ""


@dataclass(frozen=True)
class CurvePoint:
    """Where the training stands.

    Attributes
    ----------
    train_loss
        Mean over the steps since the last point, nats per hidden gene; None before the first step.
    validation_loss, validation_accuracy
        On the same held-out cells with the same hidden genes at every point.
    """

    step: int
    seconds: float
    train_loss: float | None
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What a training run was and how it went.

    Attributes
    ----------
    unigram_loss, unigram_accuracy
        The same validation, told by each gene's frequency in the training cells alone.
    cells
        Cells used of each part.
    """

    steps: int
    seconds: float
    best: CurvePoint
    curve: tuple[CurvePoint, ...]
    unigram_loss: float
    unigram_accuracy: float
    n_cells: int
    n_held_out: int
    cells: dict[str, int]
    n_genes: int
    n_parameters: int
    tokens_seen: int
    cells_seen: int
    settings: PretrainSettings
    machine: str
    versions: dict[str, str]


def pretrain(
    files: Sequence[Path],
    out: Path,
    settings: PretrainSettings,
    report: Callable[[CurvePoint], None] = lambda point: None,
) -> TrainingReport:
    """Train a network from scratch on the cells of some files; see `pretrain_on`.

    Parameters
    ----------
    files
        Any files of counts that the application reads; only human cells can be trained on. Each is read as its
        inspection recommends.

    Raises
    ------
    DatasetError
        If a file is refused, is of another organism, or nothing is left to train on.
    """
    parts = []
    with tempfile.TemporaryDirectory(prefix="scfm-pretrain-") as folder:
        for number, path in enumerate(files):
            dataset = admit_file(path, Path(folder) / str(number))
            if dataset.organism != "human":
                msg = f"Training needs human cells; those of {path.name!r} are {dataset.organism}. Leave the file out."
                raise DatasetError(msg, "wrong-organism")
            parts.append(CorpusPart(name=path.name, counts=dataset.counts()))
    return pretrain_on(parts, out, settings, report)


def pretrain_on(
    parts: Sequence[CorpusPart],
    out: Path,
    settings: PretrainSettings,
    report: Callable[[CurvePoint], None] = lambda point: None,
    *,
    start: Path | None = None,
) -> TrainingReport:
    """Train a network, from scratch or from where another run ended, into a folder that the model ``scfm-mini`` loads.

    The folder holds the best weights so far whenever the run is stopped.

    Parameters
    ----------
    parts
        The training cells.
    out
        Folder for ``model.safetensors``, ``config.json``, ``vocabulary.json``, ``training.json``, ``loss_curve.svg``.
    report
        Called at every point of the validation curve.
    start
        Folder of an earlier run on the same cells with the same seed, whose network is trained further: the learning
        rate warms up anew, the same cells stay held out, and the record goes on.

    Raises
    ------
    DatasetError
        If no gene or no cell is left to train on.
    ModelError
        If the network in ``start`` has another vocabulary or shape.
    """
    vocabulary = learn_vocabulary(parts, min_cells=settings.min_cells, prefix=settings.gene_prefix)
    corpus = build_corpus(
        parts,
        vocabulary,
        max_tokens=settings.max_tokens,
        held_out_share=settings.held_out_share,
        seed=settings.seed,
    )
    run = _Run(parts=parts, corpus=corpus, vocabulary=vocabulary, settings=settings)
    if start is not None:
        run.go_on_from(start)
    out.mkdir(parents=True, exist_ok=True)
    write_vocabulary(out, vocabulary)
    _write_json(out / CONFIG, {**asdict(run.network.shape), "hidden_act": "relu", "model_type": "bert"})
    for point in run.points():
        if point == run.best:
            _write_weights(out / WEIGHTS, run.network)
        record = run.record()
        _write_json(out / RECORD, asdict(record))
        losses = [Loss(point.step, point.train_loss, point.validation_loss) for point in record.curve]
        (out / CURVE).write_text(loss_curve_svg(losses, unigram_loss=record.unigram_loss))
        report(point)
    return run.record()


@dataclass
class _Run:
    """The state of one training run."""

    parts: Sequence[CorpusPart]
    corpus: Corpus
    vocabulary: Vocabulary
    settings: PretrainSettings
    curve: list[CurvePoint] = field(default_factory=list)
    step: int = 0
    tokens_seen: int = 0
    cells_seen: int = 0

    def __post_init__(self) -> None:
        torch.manual_seed(self.settings.seed)
        self.device = self.settings.device or available_devices()[0]
        self.network = GeneBert(_shape(self.settings, self.vocabulary)).to(self.device)
        self.network.start_from_random()
        self.log_frequency = _log_frequency(self.corpus, self.vocabulary.size)
        position = self.network.bert.embeddings.position_embeddings.weight
        with torch.no_grad():
            position.mul_(self.settings.position_range / self.settings.initializer_range)
            self.network.cls.predictions.bias.copy_(torch.from_numpy(self.log_frequency))  # the first guess
        self.validation = _validation_batches(self.corpus, self.vocabulary.size, self.settings)
        self.optimiser = _optimiser(self.network, self.settings)
        self.first_step, self.earlier_seconds = 0, 0.0
        self.started = time.monotonic()

    def go_on_from(self, start: Path) -> None:
        """Take over the network and the record of an earlier run."""
        vocabulary, record = (json.loads((start / name).read_text()) for name in (VOCABULARY, RECORD))
        if tuple(vocabulary["gene_ids"]) != self.vocabulary.gene_ids:
            msg = (
                f"The earlier run reads {len(vocabulary['gene_ids']):,} genes, these cells give "
                f"{len(self.vocabulary.gene_ids):,} others. Train further on the same cells, or start anew."
            )
            raise ModelError(msg, "unsuitable-weights")
        network = gene_bert(self.network.shape, load_file(start / WEIGHTS), self.device)
        self.network.load_state_dict(network.state_dict())
        self.curve = [CurvePoint(**point) for point in record["curve"]]
        best = self.best
        self.step = self.first_step = best.step
        self.earlier_seconds = best.seconds
        self.curve = [point for point in self.curve if point.step < best.step]
        self.tokens_seen, self.cells_seen = record["tokens_seen"], record["cells_seen"]

    @property
    def seconds(self) -> float:
        """Time spent training, an earlier run's included."""
        return self.earlier_seconds + time.monotonic() - self.started

    @property
    def best(self) -> CurvePoint:
        return min(self.curve, key=lambda point: point.validation_loss)

    def points(self) -> Iterator[CurvePoint]:
        """Train, and yield at every point of the validation curve."""
        settings = self.settings
        random = np.random.default_rng([settings.seed + 1, self.first_step])
        batches = drawn_batches(self.corpus, random, token_budget=settings.token_budget, contexts=settings.contexts)
        losses: list[float] = []
        yield self._point(losses)
        last_seconds, last_step = self.seconds, self.step
        while self._progress() < 1.0:
            tokens = next(batches)
            losses.append(self._step(masked(tokens, self.vocabulary.size, random, share=self.settings.share_hidden)))
            self.tokens_seen += int(tokens.offsets[-1])
            self.cells_seen += tokens.n_cells
            waited = self.seconds - last_seconds >= settings.validate_every_seconds
            if waited or self.step - last_step >= settings.validate_every_steps or self._progress() >= 1.0:
                yield self._point(losses)
                losses.clear()
                last_seconds, last_step = self.seconds, self.step

    def _progress(self) -> float:
        seconds = self.seconds - self.earlier_seconds
        steps = self.step - self.first_step
        return max(steps / self.settings.max_steps, seconds / (self.settings.minutes * 60.0))

    def _step(self, batch: MaskedBatch) -> float:
        rate = self.settings.learning_rate * _schedule(self._progress(), self.settings.warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        with memory_errors():
            loss = F.cross_entropy(*self._told(batch))
            torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        return float(loss.detach())

    def _told(self, batch: MaskedBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scores of all genes at each hidden place, shape ``(n_hidden, size)``, and the true genes."""
        ids, real, hidden, genes = (
            torch.from_numpy(array).to(self.device) for array in (batch.ids, batch.real, batch.hidden, batch.genes)
        )
        low = self.settings.low_precision
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=low):
            states = self.network(ids, None if batch.real.all() else real)
            scores = self.network.gene_scores(states[hidden])
        return scores.float(), genes

    def _point(self, losses: list[float]) -> CurvePoint:
        self.network.eval()
        summed, right, n_hidden = 0.0, 0, 0
        with torch.inference_mode():
            for scores, genes in map(self._told, self.validation):
                summed += float(F.cross_entropy(scores, genes, reduction="sum"))
                right += int((scores.argmax(dim=1) == genes).sum())
                n_hidden += len(genes)
        point = CurvePoint(
            step=self.step,
            seconds=round(self.seconds, 1),
            train_loss=float(np.mean(losses)) if losses else None,
            validation_loss=summed / n_hidden,
            validation_accuracy=right / n_hidden,
        )
        self.curve.append(point)
        return point

    def record(self) -> TrainingReport:
        genes = np.concatenate([batch.genes for batch in self.validation])
        return TrainingReport(
            steps=self.step,
            seconds=round(self.seconds, 1),
            best=self.best,
            curve=tuple(self.curve),
            unigram_loss=float(-self.log_frequency[genes].mean()),
            unigram_accuracy=float((genes == self.log_frequency.argmax()).mean()),
            n_cells=int((self.corpus.weights > 0).sum()),
            n_held_out=int(self.corpus.held_out.sum()),
            cells={part.name: int(part.counts.matrix.shape[0]) for part in self.parts},
            n_genes=len(self.vocabulary.gene_ids),
            n_parameters=sum(weight.numel() for weight in self.network.parameters()),
            tokens_seen=self.tokens_seen,
            cells_seen=self.cells_seen,
            settings=self.settings,
            machine=f"{platform.machine()}, {os.cpu_count()} processor cores, device {self.device}",
            versions={"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
        )


def write_vocabulary(out: Path, vocabulary: Vocabulary) -> None:
    """Write the genes and their medians, six digits each, as the model reads them."""
    medians = [float(f"{median:.6g}") for median in vocabulary.medians]
    _write_json(out / VOCABULARY, {"gene_ids": list(vocabulary.gene_ids), "medians": medians}, indent=None)


def _shape(settings: PretrainSettings, vocabulary: Vocabulary) -> BertShape:
    return BertShape(
        vocab_size=vocabulary.size,
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.n_layers,
        num_attention_heads=settings.n_heads,
        intermediate_size=settings.intermediate_size,
        max_position_embeddings=settings.max_tokens,
        hidden_dropout_prob=settings.dropout,
        initializer_range=settings.initializer_range,
    )


def _optimiser(network: GeneBert, settings: PretrainSettings) -> torch.optim.AdamW:
    """Decay the matrices, not the biases and norms."""
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))


def _schedule(progress: float, warm_up: float) -> float:
    """Rise in a line, then fall in a half cosine to 2 %."""
    if progress < warm_up:
        return max(progress, 1e-4) / warm_up
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min((progress - warm_up) / (1.0 - warm_up), 1.0)))


def _log_frequency(corpus: Corpus, size: int) -> NDArray[np.float32]:
    """Return the log share of each token id among the tokens of the training cells, one added to each count."""
    weight = np.repeat(corpus.weights, corpus.tokens.lengths) * int((corpus.weights > 0).sum())
    counts = np.bincount(corpus.tokens.genes, weights=weight, minlength=size) + 1.0
    log_share: NDArray[np.float32] = np.log(counts / counts.sum()).astype(np.float32)
    return log_share


def _validation_batches(corpus: Corpus, size: int, settings: PretrainSettings) -> list[MaskedBatch]:
    random = np.random.default_rng(settings.seed + 2)
    usable = np.flatnonzero(corpus.held_out & (corpus.tokens.lengths >= 2))
    if len(usable) == 0:  # too few cells to hold any out: the curve is drawn on training cells
        usable = np.flatnonzero(corpus.weights)
    cells = corpus.tokens.take(random.permutation(usable)[: settings.n_validation_cells])
    batches = batches_by_length(cells.lengths, token_budget=settings.token_budget)
    return [masked(cells.take(batch), size, random, share=settings.share_hidden) for batch in batches]


def _write_weights(path: Path, network: GeneBert) -> None:
    """Write the weights in float16, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    state = {name: value.detach().cpu().half().contiguous() for name, value in network.state_dict().items()}
    save_file(state, partial)
    partial.replace(path)


def _write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(value, indent=indent))
    partial.replace(path)
