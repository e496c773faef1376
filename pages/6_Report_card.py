"""Is an embedding better than PCA on these cells: scores beside PCA and random vectors, in words, with intervals."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from pages._card_asking import Asked, ask
from pages._card_panels import show_batches, show_labels, show_maps, show_neighbours
from pages._card_queue import Queue, ask_all
from pages._card_scores import show_metrics, show_scores, show_table, show_verdict
from pages._frame import chosen_dataset, page_head
from pages._methods import methods_and_code
from pages._show import two_lines
from pages._waiting import answer, errors_as_text
from scfm_core.analyses.compare_model_tables import Scored, candidate_title
from scfm_core.analyses.compare_models import ModelComparison, comparison_of
from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.request import Request

SCORES, BIOLOGY, BATCHES, LABELS, MAPS, NEIGHBOURS, DATA = (
    "Scores", "Biology", "Mixing", "Each type", "Maps", "Neighbours", "The data",
)  # fmt: skip
ORIGIN = "Origin of the labels"
PANEL = "card-panel"


def main() -> None:
    """Ask for the question, show what is answered of it."""
    page_head("Report card", "Is this embedding better than PCA, on your cells?")
    dataset = chosen_dataset()
    left, right = st.columns([1, 3], gap="medium")
    asked = None
    with left, errors_as_text():
        asked = ask(dataset)
    if asked is None:
        return
    with right, errors_as_text():
        card(asked)


def card(asked: Asked) -> None:
    """Show the queue, the verdict, the table and one of the panels."""
    question = asked.question
    scores = {candidate_title(one): question.score(one, asked.family) for one in question.candidates}
    queue = ask_all({ORIGIN: question.trace, **scores}, place="card", start=asked.started)
    done = [one for one in question.candidates if candidate_title(one) in queue.answers]
    found = compared(asked, queue, done)
    requests: list[Request[Any]] = []
    if found is None:
        two_lines(
            "The scores of each embedding beside PCA and random vectors, as soon as the first is there. Choose cell "
            "types and models on the left and start.",
            "That an embedding that scores well holds new biology: a score asks for labels that somebody gave.",
        )
    else:
        show_verdict(found, asked, unfinished=len(scores) - len(done))
        show_table(found, asked)
        requests.append(question)
    requests += before_scores(asked) if found is None else panel(asked, found, done)
    methods_and_code(question.dataset, requests, key="report-card")


def compared(asked: Asked, queue: Queue, done: Sequence[EmbedCells]) -> ModelComparison | None:
    """Return the comparison of what is scored: the stored one when nothing is on its way, else what is known so far."""
    question = asked.question
    if not done:
        return None
    if not queue.n_pending and not queue.n_open and set(question.candidates[:2]) <= set(done):
        found = answer(replace(question, models=tuple(done)), place="card-compared")
        if found is not None:
            return found
    scored = [Scored(one, asked.family, queue.answers[candidate_title(one)]) for one in done]
    return comparison_of(scored, trace=queue.answers.get(ORIGIN))


def before_scores(asked: Asked) -> list[Request[Any]]:
    """Show what can be said before anything is scored: batches in the data itself."""
    st.markdown("**Batches in the data itself**")
    with errors_as_text():
        return show_batches(asked)
    return []


def panel(asked: Asked, found: ModelComparison, done: Sequence[EmbedCells]) -> list[Request[Any]]:
    """Show one of the panels; return what it asked."""
    names = [SCORES, BIOLOGY, *([BATCHES] if asked.batch else []), LABELS, MAPS, NEIGHBOURS, DATA]
    if st.session_state.get(PANEL) not in (None, *names):
        del st.session_state[PANEL]  # batches were chosen, and are no longer
    chosen = st.segmented_control("Beneath the table", names, default=names[0], required=True, key=PANEL,
                                  persist_state="session", label_visibility="collapsed")  # fmt: skip
    with errors_as_text():
        if chosen == MAPS:
            return show_maps(asked, done)
        if chosen == DATA:
            return show_batches(asked)
        views = {SCORES: show_scores, LABELS: show_labels, NEIGHBOURS: show_neighbours}
        if chosen in views:
            views[chosen](found, asked)
        else:
            show_metrics(found, asked, "biology" if chosen == BIOLOGY else "batch")
    return []


main()
