"""What acts on labels add up to: which columns stand, what is undone, what can be undone; knows no cells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from scfm_core.annotation_log import Act
from scfm_core.errors import RequestError

_UNDOING = ("undo", "redo")


@dataclass
class Draft:
    """A column as it comes about while acts are read.

    Attributes
    ----------
    acts
        What was done to it and stands, oldest first.
    """

    id: str
    name: str
    acts: list[Act] = field(default_factory=list)


def columns_of(acts: Iterable[Act]) -> list[Draft]:
    """Return the columns that are there after some acts, oldest first."""
    drafts: dict[str, Draft] = {}
    for act in standing(acts):
        if act.act == "column":
            drafts[act.id] = Draft(act.id, act.label, [act])
        elif act.act == "delete":
            drafts.pop(act.column, None)
        elif act.column in drafts:
            draft = drafts[act.column]
            draft.name = act.label if act.act == "rename" else draft.name
            draft.acts.append(act)
    return list(drafts.values())


def column_id(acts: Iterable[Act], name: str) -> str:
    """Return the id of the column of a name; raises `RequestError` where there is none."""
    drafts = columns_of(acts)
    for draft in drafts:
        if draft.name == name:
            return draft.id
    known = ", ".join(repr(draft.name) for draft in drafts) or "none"
    msg = f"There are no labels called {name!r}. Columns of labels: {known}."
    raise RequestError(msg, "unknown-column")


def standing(acts: Iterable[Act]) -> list[Act]:
    """Return the acts that are not undone, without the undoing itself."""
    stands: dict[str, bool] = {}
    done = []
    for act in acts:
        if act.act in _UNDOING:
            stands[act.of] = act.act == "redo"
        else:
            stands[act.id] = True
            done.append(act)
    return [act for act in done if stands[act.id]]


def undoable(acts: Sequence[Act], author: str) -> Act | None:
    """Return the last act of an author that stands."""
    mine = [act for act in standing(acts) if act.author == author]
    return mine[-1] if mine else None


def redoable(acts: Sequence[Act], author: str) -> Act | None:
    """Return the act that an author undid last, where the author did nothing else since."""
    waiting: list[str] = []
    for act in acts:
        if act.author != author:
            continue
        if act.act == "undo":
            waiting.append(act.of)
        elif act.act == "redo":
            waiting.remove(act.of)
        else:
            waiting.clear()
    return next((act for act in acts if waiting and act.id == waiting[-1]), None)


def told(acts: Sequence[Act]) -> list[tuple[Act, str, bool]]:
    """Return each act with the name of its column at that time and whether it stands; undoing holds what was undone."""
    by_id, stands = {act.id: act for act in acts}, {act.id for act in standing(acts)}
    names: dict[str, str] = {}
    rows = []
    for act in acts:
        about = replace(by_id[act.of], id=act.id, time=act.time, author=act.author, act=act.act) if act.of else act
        column = about.column or (act.of or act.id)
        if act.act in ("column", "rename"):
            names[column] = act.label
        rows.append((about, names.get(column, ""), act.id in stands or bool(act.of)))
    return rows
