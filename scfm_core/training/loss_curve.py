"""The loss curve of a training run as a small SVG, drawn without any plotting library."""

from collections.abc import Sequence
from typing import NamedTuple

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 480, 280, 60, 16, 30, 44
_TRAIN, _VALIDATION, _BASELINE = "#E69F00", "#0072B2", "#777777"


class Loss(NamedTuple):
    """Losses after some steps, nats per hidden gene; ``train`` is None before the first step."""

    step: int
    train: float | None
    validation: float


def loss_curve_svg(curve: Sequence[Loss], *, unigram_loss: float) -> str:
    """Draw training and validation loss against the step, and the loss of the gene frequencies as a dashed line."""
    values = [unigram_loss, *(loss for point in curve for loss in (point.train, point.validation) if loss is not None)]
    low, high, last = min(values), max(values), max(point.step for point in curve) or 1

    def place(step: float, loss: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / last
        y = _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - loss) / ((high - low) or 1.0)
        return f"{x:.1f},{y:.1f}"

    def line(points: Sequence[tuple[float, float]], colour: str, dash: str = "") -> str:
        path = " ".join(place(*point) for point in points)
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'

    def text(x: float, y: float, words: str, more: str = "") -> str:
        return f'<text x="{x}" y="{y}" {more}>{words}</text>'

    base = _HEIGHT - _BOTTOM
    turned = f'text-anchor="middle" transform="rotate(-90 16 {base / 2})"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#555555">',
        f'<path d="M{_LEFT} {_TOP}V{base}H{_WIDTH - _RIGHT}" fill="none" stroke="#999999"/>',
        line([(0, unigram_loss), (last, unigram_loss)], _BASELINE, ' stroke-dasharray="5 4"'),
        line([(point.step, point.train) for point in curve if point.train is not None], _TRAIN),
        line([(point.step, point.validation) for point in curve], _VALIDATION),
        text(_LEFT - 6, _TOP + 5, f"{high:.2f}", 'text-anchor="end"'),
        text(_LEFT - 6, base, f"{low:.2f}", 'text-anchor="end"'),
        text(_WIDTH - _RIGHT, base + 16, f"{last:,}", 'text-anchor="end"'),
        text(_LEFT, base + 16, "0"),
        text((_LEFT + _WIDTH) / 2, base + 32, "training steps", 'text-anchor="middle"'),
        text(16, base / 2, "loss (nats per hidden gene)", turned),
        text(_LEFT, 18, "training", f'fill="{_TRAIN}"'),
        text(_LEFT + 70, 18, "validation", f'fill="{_VALIDATION}"'),
        text(_LEFT + 150, 18, "gene frequencies alone", f'fill="{_BASELINE}"'),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
