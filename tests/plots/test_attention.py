"""The gene-by-gene figure shows the weights as they are, names what it leaves out, and claims nothing of biology."""

import numpy as np
import pytest

from scfm_core.errors import RequestError
from scfm_core.plots.attention import MAX_GENES, attention_map
from scfm_core.plots.figure import HeatMap
from scfm_core.plots.screen import to_plotly
from tests.plots.example_figures import attention


def heat(figure) -> HeatMap:
    return figure.panels[0].marks[0]


@pytest.mark.parametrize("head", [None, 1, 2])
def test_the_squares_are_the_weights_of_the_genes_that_receive_most(head):
    answer = attention(50, 60)
    figure = attention_map(answer, head=head)
    received = answer.received.mean(axis=0) if head is None else answer.received[head - 1]
    shown = sorted(np.argsort(-received)[:MAX_GENES])
    weights = answer.weights.mean(axis=0) if head is None else answer.weights[head - 1]
    np.testing.assert_allclose(heat(figure).colour.values, weights[np.ix_(shown, shown)], atol=1e-7)
    names = [answer.symbols[place] for place in shown]
    for axis in (figure.panels[0].x, figure.panels[0].y):
        assert [name for _, name in axis.ticks] == names
    low, high = figure.panels[0].y.limits
    assert low > high  # the first token stands on top
    most = [answer.symbols[place] for place in np.argsort(-received)[:3]]
    assert f"{most[0]}, {most[1]} and {most[2]}, n = 60 tokens" in figure.title
    assert figure.title.startswith("Mean of 2 heads" if head is None else f"Head {head}")
    share = f"{100 * received[shown].sum():.3g} % of the attention of all 60 tokens"
    assert share in figure.caption


def test_the_colours_start_at_zero_and_say_where_they_end():
    answer = attention(12, 12)
    figure = attention_map(answer, head=1)
    assert heat(figure).colour.limits[0] == 0
    assert heat(figure).colour.title.startswith("Attention weight")
    assert "each row sums to 1" in figure.caption
    answer.weights[0, 3, 4] = 40.0
    capped = attention_map(answer, head=1)
    top = heat(capped).colour.limits[1]
    n_above = int((answer.weights[0] > top).sum())
    assert 0 < top < 40
    assert n_above == 2
    assert "2 squares are above" in capped.caption
    assert "where the colours end" not in attention_map(attention(4, 4), head=1).caption


def test_every_square_tells_who_looks_at_whom():
    answer = attention(12, 12)
    words = heat(attention_map(answer, head=2)).hover[3][5]
    weight = answer.weights[1, 3, 5]
    assert words.startswith(f"{answer.symbols[3]} looks at {answer.symbols[5]}\nweight {weight:.3g}, ")
    assert f"{weight * 12:.3g} times an even share" in words


def test_special_tokens_stay_text_on_the_screen():
    text = to_plotly(attention_map(attention(12, 12))).to_json()
    assert "&lt;cls&gt;" in text.replace("\\u0026", "&")
    assert "<cls>" not in text.replace("\\u003c", "<").replace("\\u003e", ">")


def test_the_caveat_stands_at_the_figure():
    assert "not that one gene regulates another" in attention_map(attention()).caveat


def test_a_head_that_is_not_there():
    with pytest.raises(RequestError, match="There is no head 3"):
        attention_map(attention(), head=3)
