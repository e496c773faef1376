"""Writes a report card into one HTML file that opens from a mail: verdicts, scores, batches, maps, methods."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pandas as pd

from scfm_core.analyses.batch_structure import condition_caution
from scfm_core.analyses.compare_model_tables import metrics_by_candidate
from scfm_core.analyses.export_dataset import versions
from scfm_core.analyses.perturbation_phrases import short
from scfm_core.report.card import FAMILY_WORDS, Card, drawings_of_card
from scfm_core.report.document import document, facts, section
from scfm_core.report.figures import Album
from scfm_core.report.markup import Markup, tag
from scfm_core.report.tables import table_of
from scfm_core.report.written_methods import write_methods
from scfm_core.request import recipe

_SCORES = ("metric", "candidate", "score", "interval", "less PCA", "beside PCA")
REMINDER = (
    "A score asks how well an embedding agrees with labels that somebody gave. Intervals are over these cells: another "
    "sample may order the candidates otherwise."
)


def write_card(card: Card, *, album: Album | None = None) -> bytes:
    """Return one self-contained HTML file: no scripts, nothing from the network, figures inside."""
    album = album or Album()
    drawn = {one.name: album.draw(one) for one in drawings_of_card(card)}
    question, dataset = card.question, card.question.dataset
    title = f"Report card of {short(dataset.title)}"
    asked = f"Is an embedding better than PCA on these cells, by {short(card.labels)}"
    asked += f", and does it mix {short(card.batches)}?" if card.batches else "?"
    data = f"{short(dataset.title)}: {dataset.n_cells:,} cells, {dataset.n_genes:,} genes, {dataset.organism}."
    return document(
        title,
        tag("h1", title),
        tag("p", asked, class_="question"),
        tag("p", f"{data} {REMINDER}", class_="note"),
        _verdicts(card),
        *(_family(card, family, drawn) for family in question.families),
        _labels(card, drawn),
        _neighbours(card),
        _structure(card, drawn),
        section("Maps", drawn["maps"], anchor="maps") if "maps" in drawn else Markup(""),
        _seconds(card),
        _methods(card),
        _origin(card),
    )


def _verdicts(card: Card) -> Markup:
    parts: list[object] = []
    for family in card.question.families:
        said = card.comparison.recommendation
        said = said[said["family"] == family]
        verdicts = card.comparison.verdicts
        sentences = verdicts.loc[verdicts["family"] == family, "sentence"]
        parts.append(
            tag(
                "article", tag("h3", FAMILY_WORDS[family]),
                *(tag("p", one, class_="headline") for one in said["sentence"]),
                *(tag("p", one) for one in said["reason"]), tag("ul", *(tag("li", one) for one in sentences)),
                class_="card",
            )
        )  # fmt: skip
    caution = condition_caution(card.question.dataset, card.batches)
    parts += [tag("p", caution, class_="warning")] if caution else []
    for row in card.comparison.trap.to_dict("records"):
        doubted = row["verdict"] in ("yes", "likely")
        words = f"Do the labels come from a PCA of these cells? {row['verdict']}. {row['reason']} {row['consequence']}"
        parts.append(tag("p", words, class_="warning" if doubted else "note"))
    parts += [tag("p", f"{title} could not be scored: {why}", class_="warning") for title, why in card.failed]
    return section("In words", *parts, anchor="words")


def _family(card: Card, family: str, drawn: Mapping[str, Markup]) -> Markup:
    table = card.comparison.table[card.comparison.table["family"] == family]
    stem = family.replace("-", "_")
    parts: list[object] = [drawn[name] for name in drawn if name.endswith(f"-{stem}")]
    for about, what in (("biology", "Are cell types kept apart?"), ("batch", "Are batches mixed?")):
        raw = metrics_by_candidate(table, about)
        if raw.empty or not table.loc[table["about"] == about, "value"].notna().any():
            continue
        scaled = metrics_by_candidate(table, about, numbers="scaled")
        candidates = list(dict.fromkeys(table["title"]))
        meanings = [tag("li", f"{row['metric']}: {row['meaning']} {row['note']}") for row in raw.to_dict("records")]
        parts += [
            tag("h3", what), table_of(raw, ("metric", "good", *candidates)),
            tag("p", "Scaled: 0 is what random vectors score, 1 what PCA scores. Where random vectors beat PCA, the "
                "good end is below 1.", class_="note"),
            table_of(scaled, ("metric", "good", *candidates)), tag("ul", *meanings, class_="note"),
        ]  # fmt: skip
    parts += [tag("h3", "Less PCA, on the same resampled cells"), table_of(_told(table), _SCORES, most=200)]
    return section(FAMILY_WORDS[family], *parts, anchor=stem)


def _told(rows: pd.DataFrame) -> pd.DataFrame:
    differences = [
        f"{difference:+.3f} ({low:+.3f} to {high:+.3f})" if low == low else ""
        for difference, low, high in rows[["difference", "difference_low", "difference_high"]].itertuples(index=False)
    ]
    columns = {"title": "candidate", "metric": "key", "metric_title": "metric", "value": "score",
               "verdict": "beside PCA"}  # fmt: skip
    told: pd.DataFrame = rows.rename(columns=columns).assign(**{"less PCA": differences})
    return told[told["score"].notna()]


def _labels(card: Card, drawn: Mapping[str, Markup]) -> Markup:
    rows = card.comparison.transfer
    if rows.empty:
        return Markup("")
    text = (
        "Each cell was labelled by the vote of its nearest cells elsewhere; where these do not agree it is unknown. "
        "Rare labels stand first."
    )
    told = rows.sort_values(["rare", "n_cells"], ascending=[False, True], kind="stable").rename(
        columns={"title": "candidate", "recall": "get their own", "wrong": "get another"}
    )
    columns = ("label", "candidate", "n_reference", "get their own", "interval", "get another", "unknown", "precision")
    table = table_of(told, columns, most=120)
    return section("Which labels are told?", tag("p", text), drawn.get("labels", ""), table, anchor="labels")


def _neighbours(card: Card) -> Markup:
    rows = card.comparison.neighbours
    if rows.empty:
        return Markup("")
    text = (
        f"Of the {int(rows['n_neighbors'].iloc[0])} nearest cells of a cell in PCA, the share that are among its "
        "nearest in the other embedding, mean over cells. That two embeddings agree shows that neither is right."
    )
    told = rows.assign(mean=100 * rows["mean"], by_chance=100 * rows["by_chance"]).rename(
        columns={"title": "candidate", "mean": "neighbours kept (%)", "by_chance": "by chance (%)"}
    )
    table = table_of(told, ("candidate", "neighbours kept (%)", "by chance (%)", "n_cells"))
    return section("Does it keep the neighbours of PCA?", tag("p", text), table, anchor="neighbours")


def _structure(card: Card, drawn: Mapping[str, Markup]) -> Markup:
    if card.structure is None:
        return Markup("")
    told = card.structure.associations.rename(columns={"cramers_v": "Cramer's V", "in_words": "means"})
    pairs = table_of(told, ("first", "second", "n_cells", "Cramer's V", "means"))
    figures = [drawn[name] for name in ("variance", "composition") if name in drawn]
    heading = tag("h3", "Which columns tell each other?")
    return section("Batches in the data itself", *figures, heading, pairs, anchor="batches")


def _seconds(card: Card) -> Markup:
    if card.seconds.empty:
        return Markup("")
    columns = ("candidate", "embedding_seconds", "scoring_seconds")
    note = tag("p", "On this machine, the first time; stored answers take none.", class_="note")
    return section("How long it took", note, table_of(card.seconds, columns), anchor="seconds")


def _methods(card: Card) -> Markup:
    structure = [] if card.asked_structure is None else [card.asked_structure]
    methods = write_methods([card.question, *structure])
    cited = tag("ol", *(tag("li", str(one)) for one in methods.cited), class_="cited")
    return section("Methods", *(tag("p", one) for one in methods.paragraphs), tag("h3", "To cite"), cited,
                   anchor="methods")  # fmt: skip


def _origin(card: Card) -> Markup:
    question = card.question
    about = {
        "Dataset": question.dataset.title,
        "Hash of the data (sha256)": question.dataset.sha256,
        "Candidates": ", ".join(embedding.model.identity for embedding in question.candidates),
        "Identity of the request": question.identity,
        "Seed": question.seed,
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "Written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    asked = tag("pre", json.dumps(recipe(question), indent=1, sort_keys=True))
    return section("Where this comes from", facts(about), tag("h3", "The question, for a program"), asked,
                   anchor="origin")  # fmt: skip
