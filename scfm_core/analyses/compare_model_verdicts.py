"""Whether an embedding is better than PCA on these cells, and which to take: from paired intervals, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scfm_core.analyses.perturbation_phrases import counted, known, short

Verdict = Literal["better", "as good", "worse", "cannot tell", "not measured"]
MARGIN = 0.02  # of a score between 0 and 1: differences below it are of no use to anybody
BIOLOGY_WEIGHT = 0.6  # Luecken 2022, doi:10.1038/s41592-021-01336-8: overall = 0.6 biology + 0.4 batch


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A score of a model beside the same score of PCA on the same cells.

    Attributes
    ----------
    value, reference
        Of the model and of PCA; the higher the better.
    low, high
        95 % interval of ``value - reference`` over the same resampled cells; NaN where it is not known.
    """

    value: float
    reference: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """The model's score less that of PCA."""
        return self.value - self.reference


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What is known of one embedding.

    Attributes
    ----------
    model, title
        Key and name of the model.
    simple
        Whether it is a baseline, without pre-training.
    biology, batch
        Its summary scores beside those of PCA; None where there are none.
    """

    model: str
    title: str
    simple: bool
    biology: Beside | None
    batch: Beside | None


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """Which embedding to take for these cells.

    Attributes
    ----------
    model
        Key; empty where nothing can be recommended.
    sentence, reason
        For a reader.
    """

    model: str
    sentence: str
    reason: str


def judge(beside: Beside | None, *, margin: float = MARGIN) -> Verdict:
    """Say whether a score is better than PCA's, from the interval of the paired difference alone.

    Returns
    -------
    ``"as good"`` where the whole interval lies within ``margin`` of no difference; else ``"better"`` or ``"worse"``
    where it lies on one side of 0; else ``"cannot tell"``. Two intervals that overlap are never taken for equality.

    Examples
    --------
    >>> judge(Beside(value=0.70, reference=0.63, low=0.04, high=0.10))
    'better'
    >>> judge(Beside(value=0.62, reference=0.63, low=-0.018, high=0.004))
    'as good'
    >>> judge(Beside(value=0.62, reference=0.63, low=-0.08, high=0.06))
    'cannot tell'
    """
    if beside is None or not known(beside.value) or not known(beside.reference):
        return "not measured"
    if not known(beside.low) or not known(beside.high):
        return "cannot tell"
    if -margin <= beside.low and beside.high <= margin:
        return "as good"
    if beside.low > 0:
        return "better"
    return "worse" if beside.high < 0 else "cannot tell"


def verdict_sentence(candidate: Candidate, n_cells: int, *, margin: float = MARGIN) -> str:
    """Say in one or two sentences how an embedding stands beside PCA on these cells.

    Examples
    --------
    >>> biology = Beside(value=0.62, reference=0.63, low=-0.018, high=0.004)
    >>> batch = Beside(value=0.41, reference=0.52, low=-0.13, high=-0.09)
    >>> mini = Candidate(model="scfm-mini", title="scFM-mini", simple=False, biology=biology, batch=batch)
    >>> print(verdict_sentence(mini, 2700))
    On these 2,700 cells scFM-mini separates the cell types as well as PCA (0.620 against 0.630) and mixes the batches \
worse than PCA (0.410 against 0.520).
    """
    title = short(candidate.title)
    said = [_clause("biology", candidate.biology, margin), _clause("batch", candidate.batch, margin)]
    told = " and ".join(clause for clause in said if clause)
    if not told:
        return f"On these {counted(n_cells)} {title} could not be compared with PCA."
    sides = [side for side in (candidate.biology, candidate.batch) if side is not None]
    open_ = [side for side in sides if judge(side, margin=margin) == "cannot tell"]
    why = ""
    if open_:
        why = (
            " The interval of the difference includes 0, so these cells cannot tell; more cells may."
            if all(known(one.low) for one in open_)
            else " Without an interval nothing can be told from the numbers."
        )
    return f"On these {counted(n_cells)} {title} {told}.{why}"


def recommend(candidates: Sequence[Candidate], *, margin: float = MARGIN, favours_pca: bool = False) -> Recommendation:
    """Say which embedding to take: PCA, unless another one is shown to be better and not worse at anything else.

    Parameters
    ----------
    candidates
        All but random numbers; PCA among them, with key ``pca``.
    favours_pca
        Whether the labels come from a PCA of these cells.

    Returns
    -------
    Of several that are better, the one with the highest score (0.6 biology + 0.4 batch, or biology alone); a baseline
    before a pre-trained model where their scores lie within ``margin``.

    Examples
    --------
    >>> recommend([]).sentence
    'Nothing can be recommended: PCA was not scored on these cells.'
    """
    pca = next((one for one in candidates if one.model == "pca"), None)
    if pca is None or pca.biology is None:
        return Recommendation(
            model="", sentence="Nothing can be recommended: PCA was not scored on these cells.",
            reason="Every other embedding is judged beside PCA. Score PCA too.",
        )  # fmt: skip
    others = [one for one in candidates if one.model != "pca"]
    better = [one for one in others if _is_better(one, margin)]
    trap = " The labels come from a PCA of these cells, which favours PCA." if favours_pca else ""
    if not better:
        return Recommendation(model="pca", sentence="Take PCA.", reason=_why_pca(others, margin) + trap)
    best = max(better, key=_overall)
    near = [one for one in better if _overall(best) - _overall(one) <= margin]
    chosen = max(near, key=lambda one: (one.simple, _overall(one)))
    reason = f"{_gains(chosen, margin)}."
    if chosen is not best:
        reason += f" {short(best.title)} scores no more than {margin:g} higher and is less simple."
    elif len(better) > 1:
        rest = ", ".join(short(one.title) for one in better if one is not chosen)
        reason += f" It scores highest among those that are better than PCA (also: {rest})."
    return Recommendation(model=chosen.model, sentence=f"Take {short(chosen.title)}.", reason=reason + trap)


_VERBS = {"biology": "separates the cell types", "batch": "mixes the batches"}
_WORDS: dict[Verdict, str] = {
    "better": "{verb} better than PCA ({numbers})",
    "as good": "{verb} as well as PCA ({numbers})",
    "worse": "{verb} worse than PCA ({numbers})",
    "cannot tell": "{verb} perhaps better, perhaps worse than PCA ({numbers})",
}


def _clause(about: str, beside: Beside | None, margin: float) -> str:
    verdict = judge(beside, margin=margin)
    if beside is None or verdict == "not measured":
        return ""
    numbers = f"{beside.value:.3f} against {beside.reference:.3f}"
    if verdict == "cannot tell" and known(beside.low):
        numbers += f", difference {beside.low:+.3f} to {beside.high:+.3f}"
    return _WORDS[verdict].format(verb=_VERBS[about], numbers=numbers)


def _is_better(one: Candidate, margin: float) -> bool:
    """Whether an embedding is better at one of the two, and not worse and not undecided at the other."""
    verdicts = [judge(side, margin=margin) for side in (one.biology, one.batch) if side is not None]
    return "better" in verdicts and all(verdict in ("better", "as good") for verdict in verdicts)


def _overall(one: Candidate) -> float:
    biology = one.biology.value if one.biology is not None else float("nan")
    if one.batch is None or not known(one.batch.value):
        return biology
    return BIOLOGY_WEIGHT * biology + (1 - BIOLOGY_WEIGHT) * one.batch.value


def _gains(one: Candidate, margin: float) -> str:
    said = [_clause("biology", one.biology, margin), _clause("batch", one.batch, margin)]
    return f"{short(one.title)} {' and '.join(clause for clause in said if clause)}"


def _why_pca(others: Sequence[Candidate], margin: float) -> str:
    if not others:
        return "It is the only embedding that was scored, so nothing speaks for another one yet."
    verdicts = {one: {judge(side, margin=margin) for side in (one.biology, one.batch)} for one in others}
    traded = [one for one, found in verdicts.items() if "better" in found and "worse" in found]
    open_ = [one for one, found in verdicts.items() if "cannot tell" in found and "worse" not in found]
    words = "It is the simplest, and no other embedding is shown to be better on these cells without being worse at "
    words += "something else."
    if traded:
        words += f" A trade: {'; '.join(_gains(one, margin) for one in traded)}."
    if open_:
        words += f" Not decided: {', '.join(short(one.title) for one in open_)}."
    return words
