"""What can be done to a gene in a model's input, in words, and the choice of it; knows no question."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from scfm_core.model import ModelSpec
from scfm_core.tokens import Activate, Delete, GeneEdit, Inhibit, Overexpress, Scale

KindName = Literal["delete", "overexpress", "inhibit", "activate", "scale"]


@dataclass(frozen=True)
class Kind:
    """A kind of edit, in words.

    Attributes
    ----------
    title
        As the choice is called.
    doing
        As a title begins.
    in_ranks
        What it does to the input of a model that reads the order of genes.
    in_values
        What it does to the input of a model that reads how much of each gene there is.
    """

    title: str
    doing: str
    in_ranks: str
    in_values: str


KINDS: dict[str, Kind] = {
    "delete": Kind(
        "Delete", "Deleting",
        "The gene is taken out of the cell's list of genes; all behind it move up one rank. Done in cells that hold "
        "it.",
        "The gene's counts are set to zero in the cells that hold it.",
    ),
    "overexpress": Kind(
        "Overexpress", "Overexpressing",
        "The gene is put at the front of the cell's list, whether the cell holds it or not; the others move back.",
        "The gene gets the highest value that a cell of the dataset has, in every cell.",
    ),
    "inhibit": Kind(
        "Inhibit", "Inhibiting",
        "The gene moves back in the cell's list by quarters of its length. Done in cells that hold it.",
        "The gene's counts are halved for each quarter. Done in cells that hold it.",
    ),
    "activate": Kind(
        "Activate", "Activating",
        "The gene moves forward in the cell's list by quarters of its length. Done in cells that hold it.",
        "The gene's counts are doubled for each quarter. Done in cells that hold it.",
    ),
    "scale": Kind(
        "Scale", "Scaling", "", "The gene's counts are multiplied by the factor. Done in cells that hold it."
    ),
}  # fmt: skip


@dataclass(frozen=True)
class EditChoice:
    """What is done to each chosen gene."""

    kind: str
    quartiles: int = 1
    factor: float = 0.5

    @property
    def words(self) -> Kind:
        """How it is called."""
        return KINDS[self.kind]

    def edit(self, gene_id: str) -> GeneEdit:
        """Return the edit of a gene."""
        match self.kind:
            case "overexpress":
                return Overexpress(gene_id)
            case "inhibit":
                return Inhibit(gene_id, self.quartiles)
            case "activate":
                return Activate(gene_id, self.quartiles)
            case "scale":
                return Scale(gene_id, self.factor)
            case _:
                return Delete(gene_id)


def reads_values(model: ModelSpec) -> bool:
    """Whether a model reads how much of a gene there is, not the order of genes alone."""
    return "scale" in model.gene_edits


def choose_kind_name(model: ModelSpec, key: str, kinds: Sequence[str] = tuple(KINDS)) -> str:
    """Let the kind of edit be chosen, of what the model can do, and say what it means."""
    offered = [kind for kind in kinds if kind in model.gene_edits]
    kind = st.selectbox(
        "What is done", offered, format_func=lambda name: KINDS[name].title, key=f"{key}:kind:{len(offered)}",
        persist_state="session",
    )  # fmt: skip
    words = KINDS[kind]
    st.caption(words.in_values if reads_values(model) else words.in_ranks)
    return str(kind)


def choose_kind(model: ModelSpec, key: str) -> EditChoice:
    """Let be chosen what is done, and how strongly."""
    kind = choose_kind_name(model, key)
    if kind in ("inhibit", "activate"):
        quartiles = st.segmented_control(
            "By how many quarters", [1, 2, 3], default=1, required=True, key=f"{key}:quartiles",
            persist_state="session",
        )  # fmt: skip
        return EditChoice(kind, quartiles=int(quartiles))
    if kind == "scale":
        factor = st.slider(
            "Factor", 0.0, 2.0, 0.5, 0.1, key=f"{key}:factor", persist_state="session",
            help="0: the gene is gone. 1: nothing changes. 2: twice the counts.",
        )  # fmt: skip
        return EditChoice(kind, factor=float(factor))
    return EditChoice(kind)
