"""Everything that ``scfm perturb --readout matched`` asks around its question, one after another, until Ctrl-C."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.cli.asking import ask
from scfm_core.engine import Engine
from scfm_core.errors import Cancelled, ScfmError
from scfm_core.registry import find_model
from scfm_core.request import Request, ResultT

if TYPE_CHECKING:
    from scfm_core.analyses.enrich_genes import Enrichment
    from scfm_core.analyses.perturb_genes import PerturbGenes
    from scfm_core.gene_sets import GeneSets
    from scfm_core.report import Findings

BASELINE = "pca"
MOST_HITS = 100
HIT_P = 0.05


@dataclass
class Asking:
    """Asks one question after another, and holds what is answered by now.

    A question around the answer that cannot be answered becomes a remark; Ctrl-C ends it with what there is.
    """

    engine: Engine
    question: "PerturbGenes"
    options: Mapping[str, Any]
    sets: "GeneSets | None" = None
    answers: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    stopped: bool = False

    def all(self) -> "Findings":
        """Return everything that was found.

        Raises
        ------
        KeyboardInterrupt
            If it was stopped before the question itself was answered.
        """
        from scfm_core.analyses.perturb_genes import require_held

        effects = ask(self.engine, self.question)
        require_held(effects)
        self.answers["effects"] = effects
        try:
            for name, request in self._around():
                self._ask(name, request)
            self._enrich()
        except (KeyboardInterrupt, Cancelled):
            self.stopped = True
            self.remarks.append("It was stopped before everything was asked; what was finished is here.")
        return self._findings()

    def _findings(self) -> "Findings":
        from scfm_core.report import Findings

        return Findings(question=self.question, remarks=tuple(self.remarks), **self.answers)

    def _around(self) -> list[tuple[str, Callable[[], Request[Any]]]]:
        """Return what is asked around the question, the cheapest and most telling first."""
        from scfm_core.analyses.compare_groups import CompareGroups
        from scfm_core.analyses.explain_by_baselines import ExplainByBaselines
        from scfm_core.analyses.follow_genes import FollowGenes
        from scfm_core.analyses.run_controls import RunControls

        question, options = self.question, self.options
        model, compared = question.baseline.model, question.null_genes > 0
        found: list[tuple[str, Callable[[], Request[Any]]]] = []
        if not options["no_baseline"] and not model.is_baseline:
            found.append(("baseline", partial(_under_baseline, question)))
        if not options["no_controls"] and compared:
            found += [("controls", partial(RunControls, question)), ("comparison", partial(CompareGroups, question))]
        if options["pairs"]:
            found.append(("pairs", partial(pairs_question, question)))
        if model.has_gene_vectors:
            found.append(("followers", partial(FollowGenes, question)))
        if not options["no_baseline"] and not model.is_baseline and compared:
            found.append(("explanation", partial(ExplainByBaselines, question)))
        return found

    def _ask(self, name: str, request: Callable[[], Request[ResultT]]) -> None:
        try:
            self.answers[name] = ask(self.engine, request())
        except Cancelled:
            raise
        except ScfmError as error:
            self.remarks.append(f"No {_NAMES[name]}: {error}")

    def _enrich(self) -> None:
        from scfm_core.analyses.enrich_genes import EnrichGenes

        followers = self.answers.get("followers")
        if self.sets is None:
            return
        if followers is None or followers.table.empty:
            self.remarks.append("No gene sets: there are no genes that follow, among which to look for them.")
            return
        found: dict[tuple[str, str], Enrichment] = {}
        tested = dict(list(followers.tested.groupby(["edit", "group"], sort=False)))
        for (edit, group), rows in followers.table.groupby(["edit", "group"], sort=False):
            hits = rows.loc[rows["p_empirical"] <= HIT_P, "symbol"].head(MOST_HITS)
            universe = tested[edit, group]["symbol"]
            try:
                found[str(edit), str(group)] = ask(self.engine, EnrichGenes(tuple(hits), tuple(universe), self.sets))
            except Cancelled:
                raise
            except ScfmError as error:
                self.remarks.append(f"No gene sets of {edit} in {group}: {error}")
        self.answers["enrichment"] = found


_NAMES = {
    "baseline": "baseline",
    "controls": "controls",
    "comparison": "comparison with other groups",
    "pairs": "pairs",
    "followers": "genes that follow",
    "explanation": "share that baselines explain",
}


def _under_baseline(question: "PerturbGenes") -> "PerturbGenes":
    return replace(question, baseline=EmbedCells(question.baseline.dataset, find_model(BASELINE)))


def pairs_question(question: "PerturbGenes") -> Request[Any]:
    """Return the question about all pairs of the edits of a question.

    Raises
    ------
    RequestError
        If there are too few or too many of them for pairs.
    """
    from scfm_core.analyses.perturb_pairs import PerturbPairs

    genes = tuple(dict.fromkeys(single for edit in question.edits for single in edit))
    return PerturbPairs(
        question.baseline, genes, cells=question.cells, group_by=question.group_by, seed=question.seed
    )
