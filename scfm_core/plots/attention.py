"""Figure of the attention weights between the genes of one cell, gene by gene."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scfm_core.plots.figure import (
    Axis,
    Continuous,
    Figure,
    FloatArray,
    HeatMap,
    Panel,
    grouped_number,
    one_line,
    plain_number,
)

if TYPE_CHECKING:
    from scfm_core.analyses.read_attention import Attention

MAX_GENES = 40
_CAVEAT = (
    "Attention says which tokens the network mixes, not that one gene regulates another or that the cell depends on "
    "it; other heads and layers can undo what one of them shows."
)


def attention_map(attention: "Attention", *, head: int | None = None, where: str = "") -> Figure:
    """Draw the attention weights of one head, or their mean over heads: rows look, columns are looked at.

    At most 40 genes are drawn: of those that were kept, the ones that receive most attention of the whole cell in this
    head, in the order in which the model reads them.

    Parameters
    ----------
    head
        Counted from 1; the mean over heads where None.
    where
        Words that begin the title, such as ``"Layer 4, cell AAACATAC-1"``.

    Raises
    ------
    RequestError
        If there is no such head.
    """
    received = attention.received_by(head)
    shown = np.sort(np.argsort(-received, kind="stable")[:MAX_GENES])
    weights = attention.of_head(head)[np.ix_(shown, shown)]
    symbols = [attention.symbols[place] for place in shown]
    names = tuple((float(place), one_line(symbol, longest=16)) for place, symbol in enumerate(symbols))
    limits = (-0.5, len(names) - 0.5)
    colour = _colour(weights)
    n_above = int((weights > colour.limits[1]).sum())
    return Figure(
        panels=(
            Panel(
                x=Axis(title="Gene looked at", limits=limits, ticks=names),
                y=Axis(title="Gene that looks", limits=limits[::-1], ticks=names),
                marks=(HeatMap(colour=colour, hover=_hover(weights, symbols, attention.n_tokens)),),
            ),
        ),
        title=_title(attention, received, head, where),
        caption=_caption(attention, head, len(names), float(received[shown].sum()), _above(n_above, colour)),
        caveat=_CAVEAT,
        width_mm=183.0,
        height_mm=float(np.clip(45 + 3.2 * len(names), 80, 180)),
    )


def _colour(weights: FloatArray) -> Continuous:
    """Return a scale from 0 that a few very large weights do not squeeze."""
    largest, usual = float(weights.max()), float(np.percentile(weights, 99))
    top = largest if largest <= 2 * usual else usual
    return Continuous(values=weights, scale="viridis", limits=(0.0, top), title="Attention weight (share of a row)")


def _hover(weights: FloatArray, symbols: Sequence[str], n_tokens: int) -> tuple[tuple[str, ...], ...]:
    names = [one_line(symbol) for symbol in symbols]

    def words(looks: str, at: str, weight: float) -> str:
        beside_even = plain_number(weight * n_tokens)
        return f"{looks} looks at {at}\nweight {plain_number(weight)}, {beside_even} times an even share"

    rows = zip(names, weights.tolist(), strict=True)
    return tuple(tuple(words(looks, at, weight) for at, weight in zip(names, row, strict=True)) for looks, row in rows)


def _title(attention: "Attention", received: NDArray[np.float64], head: int | None, where: str) -> str:
    most = [one_line(attention.symbols[place], longest=16) for place in np.argsort(-received, kind="stable")[:3]]
    names = most[0] if len(most) == 1 else f"{', '.join(most[:-1])} and {most[-1]}"
    heads = f"mean of {attention.n_heads} heads" if head is None else f"head {head}"
    start = f"{one_line(where, longest=100)}, {heads}" if where else f"{heads[0].upper()}{heads[1:]}"
    return f"{start}: most attention here goes to {names}, n = {grouped_number(attention.n_tokens)} tokens"


def _caption(attention: "Attention", head: int | None, n_drawn: int, share: float, above: str) -> str:
    scope = "the mean over heads of the share" if head is None else "the share"
    n_tokens = attention.n_tokens
    part = (
        "Every token of the cell is drawn, so each row sums to 1."
        if n_drawn == n_tokens
        else f"The {n_drawn} tokens drawn, of those that receive most, hold {100 * share:.3g} % of the attention of "
        f"all {grouped_number(n_tokens)} tokens (an even share would be {100 * n_drawn / n_tokens:.3g} %), so a row "
        "sums to less than 1."
    )
    return (
        f"A square is {scope} of its attention that the gene of the row gives to the gene of the column, both in the "
        f"order in which the model reads the cell. {part}{above}"
    )


def _above(n_above: int, colour: Continuous) -> str:
    if not n_above:
        return ""
    squares = "1 square is" if n_above == 1 else f"{grouped_number(n_above)} squares are"
    return f" {squares} above {plain_number(colour.limits[1])}, where the colours end."
