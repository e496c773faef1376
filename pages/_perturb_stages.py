"""The questions behind one answer, asked one after another while the page stays open; each shows where it stays.

One runs at a time, so that the first answer does not wait for what refines it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from pages._perturb_chosen import Asked, cost
from pages._state import engine
from pages._waiting import answer, job_of, progress_line, show_error, stored
from pages._words import count, plain
from scfm_core.analyses.compare_groups import CompareGroups
from scfm_core.analyses.explain_by_baselines import ExplainByBaselines
from scfm_core.analyses.follow_genes import FollowGenes
from scfm_core.analyses.perturb_genes import ALL_HOLDING, PerturbationEffects, PerturbGenes
from scfm_core.analyses.run_controls import RunControls
from scfm_core.engine import Job
from scfm_core.errors import Cancelled, ScfmError
from scfm_core.request import Request, ResultT

FIRST_CELLS, MORE_CELLS = 16, 64
_POLL_SECONDS = 0.8
_DONE, _FAILED, _STOPPED = ":material/check:", ":material/error:", ":material/pause_circle:"


@dataclass(frozen=True)
class Stage:
    """One question of the chain, and what it is called."""

    name: str
    request: Request[Any]


@dataclass(frozen=True)
class Chain:
    """All questions about one answer, in the order in which they are asked.

    Attributes
    ----------
    levels, beside
        The same question with more and more cells compared, of the model and of the baseline.
    """

    asked: Asked

    @property
    def levels(self) -> tuple[PerturbGenes, ...]:
        """The exact edit alone, then beside random genes on 16 and on 64 cells."""
        return _levels(self.asked.request)

    @property
    def beside(self) -> tuple[PerturbGenes, ...]:
        """The same of the baseline; empty where none stands beside."""
        return () if self.asked.beside is None else _levels(self.asked.beside)[1:]

    @property
    def controls(self) -> RunControls:
        """Genes of which one knows what they should do."""
        return RunControls(self.first)

    @property
    def comparison(self) -> CompareGroups:
        """The same genes in the other groups."""
        return CompareGroups(self.first)

    @property
    def explanation(self) -> ExplainByBaselines:
        """What simpler models know already."""
        return ExplainByBaselines(self.first)

    @property
    def followers(self) -> FollowGenes:
        """Other genes whose vectors turn."""
        return FollowGenes(self.first)

    @property
    def first(self) -> PerturbGenes:
        """The question with its first answer."""
        return self.levels[1]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All of them, in order."""
        request = self.asked.request
        exact, *compared = self.levels
        out = [Stage("the edit itself", exact)]
        if not request.null_genes:
            return (*out, *(Stage("PCA", one) for one in self.beside[:1]))
        first, more = compared
        n_random = count(request.null_genes)
        out += [Stage("PCA", one) for one in self.beside[:1]]
        out += [Stage(f"{n_random} random genes on {FIRST_CELLS} cells each", first)]
        out += [Stage("controls", self.controls), Stage("generic or specific", self.comparison)]
        if not request.baseline.model.is_baseline:
            out += [Stage("what baselines explain", self.explanation)]
        if request.baseline.model.has_gene_vectors:
            out += [Stage("other genes", self.followers)]
        out += [Stage(f"random genes on {MORE_CELLS} cells", more)]
        return (*out, *(Stage(f"PCA on {MORE_CELLS}", one) for one in self.beside[1:]))


def _levels(request: PerturbGenes) -> tuple[PerturbGenes, ...]:
    exact = replace(request, null_genes=0)
    if not request.null_genes:
        return exact, exact
    return exact, replace(request, null_cells=FIRST_CELLS), replace(request, null_cells=MORE_CELLS)


def every_cell(request: PerturbGenes) -> PerturbGenes:
    """Return the question with each gene compared on every cell that holds it."""
    return replace(request, null_cells=ALL_HOLDING)


def best_of(levels: Sequence[PerturbGenes]) -> PerturbationEffects | None:
    """Return the answer on most cells that is there already; starts nothing."""
    if not levels:
        return None
    found = (stored(request) for request in (every_cell(levels[-1]), *reversed(levels)))
    return next((effects for effects in found if effects is not None), None)


def advance(chain: Chain) -> Job[Any] | None:
    """Ask the first question whose answer is not there; return the job that runs, None where none does.

    One that failed is passed over, as it says so in its own place; one that was stopped stops the chain.
    """
    for number, stage in enumerate(chain.stages):
        job = job_of(stage.request)
        if job is None:
            job = engine().submit(stage.request)
        if not job.finished or isinstance(job.error, Cancelled):
            return None if job.finished else job
        if number == 0 and (job.error is not None or _nothing_held(job.result())):
            return None
    extra = job_of(every_cell(chain.asked.request))
    return extra if extra is not None and not extra.finished else None


def _nothing_held(effects: PerturbationEffects) -> bool:
    """Whether no edit changes any cell, so that nothing can be compared."""
    return not (effects.effects["n_holding"] > 0).any()


def in_its_turn(request: Request[ResultT], place: str) -> ResultT | None:
    """Return an answer of the chain; say that its turn has not come, or how far it is, and return None."""
    if job_of(request) is None and stored(request) is None:
        st.caption("Comes by itself when the steps before it are done.")
        return None
    return answer(request, place=place)


def show_chain(chain: Chain, running: Job[Any] | None) -> None:
    """Show in two lines which answers are there and what is being computed; always of one height."""
    marks = []
    for stage in chain.stages:
        job = job_of(stage.request)
        if job is not None and job.finished:
            marks.append(f"{_mark(job)} {plain(stage.name)}")
        else:
            now = running is not None and job is running
            marks.append(f"**{plain(stage.name)}**" if now else plain(stage.name))
    st.caption(" · ".join(marks))
    if running is not None:
        _watch_chain(running)
        return
    with st.container(horizontal=True, vertical_alignment="center", key="chain-rest"):
        _rest(chain)


def _mark(job: Job[Any]) -> str:
    if job.error is None:
        return _DONE
    return _STOPPED if isinstance(job.error, Cancelled) else _FAILED


@st.fragment(run_every=_POLL_SECONDS)
def _watch_chain(job: Job[Any]) -> None:
    if job.finished:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key=f"waiting-chain-{job.id}"):
        st.button("Stop", key=f"stop-chain-{job.id}", on_click=job.cancel)
        st.caption(progress_line(job.progress), width="stretch")


def _rest(chain: Chain) -> None:
    """Offer what is left to be done: going on after a stop, or the comparison on every cell."""
    for stage in chain.stages:
        job = job_of(stage.request)
        if job is not None and isinstance(job.error, Cancelled):
            st.button("Go on", key="chain-on", on_click=engine().submit, args=(stage.request,))
            st.caption("Stopped. What was finished is kept.", width="stretch")
            return
    exact = stored(chain.levels[0])
    if exact is not None and _nothing_held(exact):
        st.caption("No cell holds it, so there is nothing to compare. Choose other cells or genes.", width="stretch")
        return
    asked = chain.asked.request
    full = every_cell(asked)
    done = job_of(full)
    if not asked.null_genes or stored(full) is not None:
        words = "on every cell that holds it" if asked.null_genes else "with no random genes, as asked"
        st.caption(f"All of it is here, each gene compared {words}.", width="stretch")
    elif done is not None and isinstance(done.error, ScfmError) and not isinstance(done.error, Cancelled):
        show_error(done.error)
    else:
        st.button("Compare on every cell that holds the gene", key="every-cell", on_click=_ask_every, args=(chain,))
        st.caption(cost(full), width="stretch")


def _ask_every(chain: Chain) -> None:
    for request in (chain.asked.beside, chain.asked.request):
        if request is not None:
            engine().submit(every_cell(request))
