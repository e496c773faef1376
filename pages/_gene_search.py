"""Lets genes be chosen by symbol, by another name or by Ensembl id; what is typed and is no gene is told."""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from pages._words import counted, plain
from scfm_core.dataset import Dataset
from scfm_core.gene_search import GeneSearch, MissingGene, gene_labels, labels_of_genes, names_in
from scfm_core.gene_search import search_genes as find_by_name

KNOWN_GENES = ("LYZ", "CD3D", "MS4A1", "NKG7", "PPBP", "ACTB", "Lyz2", "Cd3d", "Actb")
MOST_GENES = 25
_MOST_TOLD, _MOST_OFFERED = 20, 5
_HELP = "Type the first letters of a symbol. Another name (CD20) or an Ensembl id: type all of it and press Enter."


def search_gene(dataset: Dataset, key: str, label: str = "Gene") -> str | None:
    """Let one gene be searched for; returns its gene id, None while what was typed leads to no single gene.

    A field that is new on the page starts with the gene that was chosen last, on whatever page.
    """
    labels, field = gene_labels(dataset), gene_field(dataset, key)
    typed = st.session_state.get(field)
    search = find_by_name(dataset, [] if typed is None or typed in labels else [typed])
    if search.found:
        st.session_state[field] = labels_of_genes(dataset)[search.gene_ids[0]]
        _remember(field, st.session_state[field], search)
    options = [*labels, *(missing.name for missing in search.missing)]
    start = 0 if field in st.session_state else _first_place(dataset, options)
    chosen = st.selectbox(
        label, options, index=start, key=field, filter_mode="prefix", accept_new_options=True, persist_state="session",
        placeholder="Type a symbol", help=_HELP,
    )  # fmt: skip
    _tell(field, chosen, search.missing, partial(_put_one, field))
    gene_id = labels.get(str(chosen))
    if gene_id is not None:
        st.session_state[_last(dataset)] = gene_id
    return gene_id


def search_genes(
    dataset: Dataset, key: str, label: str = "Genes", *, hint: str = "", most: int = MOST_GENES, n_first: int = 1
) -> tuple[str, ...]:
    """Let several genes be searched for, typed or pasted; returns their gene ids, each once.

    Parameters
    ----------
    hint
        What stands before the words on how to search.
    most
        So many genes can be chosen.
    n_first
        With so many well-known genes a new field starts.
    """
    labels, field = gene_labels(dataset), genes_field(key)
    missing = _read_typed(dataset, field, most)
    start = [] if field in st.session_state else [name for name in KNOWN_GENES if name in labels][:n_first]
    chosen = st.multiselect(
        label, [*labels, *(each.name for each in missing)], default=start or None, max_selections=most, key=field,
        filter_mode="prefix", accept_new_options=True, persist_state="session", select_all=False, wrap=True,
        placeholder="Type a symbol", help=f"{hint} {_HELP}".strip(),
    )  # fmt: skip
    _tell(field, tuple(chosen), missing, partial(_swap_one, field))
    _offer_pasting(dataset, key, most)
    return tuple(labels[name] for name in chosen if name in labels)


def put_genes(dataset: Dataset, key: str, gene_ids: Sequence[str]) -> None:
    """Write genes into the field of `search_genes`, before the page is run again."""
    labels = labels_of_genes(dataset)
    st.session_state[genes_field(key)] = [labels[gene_id] for gene_id in gene_ids if gene_id in labels]


def put_gene(dataset: Dataset, key: str, gene_id: str) -> None:
    """Write a gene into the field of `search_gene`, before the page is run again."""
    st.session_state[gene_field(dataset, key)] = labels_of_genes(dataset)[gene_id]


def gene_field(dataset: Dataset, key: str) -> str:
    """Return the key of the field of `search_gene`."""
    return f"{key}:gene:{dataset.sha256[:10]}"


def genes_field(key: str) -> str:
    """Return the key of the field of `search_genes`."""
    return f"{key}:genes"


def _read_typed(dataset: Dataset, field: str, most: int) -> tuple[MissingGene, ...]:
    """Put today's names where others were typed, and return the names that lead to no gene, which stay in the field."""
    labels, names = gene_labels(dataset), labels_of_genes(dataset)
    typed = [str(each) for each in st.session_state.get(field, ())]
    if all(each in labels for each in typed):
        return ()
    search = find_by_name(dataset, [name for each in typed if each not in labels for name in names_in(each)])
    known = [each for each in typed if each in labels] + [names[gene_id] for gene_id in search.gene_ids]
    all_names = list(dict.fromkeys([*known, *(each.name for each in search.missing)]))
    st.session_state[field] = all_names[:most]
    if len(all_names) > most or search.found:
        _remember(field, tuple(all_names[:most]), search, left_out=all_names[most:])
    return tuple(each for each in search.missing if each.name in all_names[:most])


def _remember(field: str, value: object, search: GeneSearch, *, left_out: Sequence[str] = ()) -> None:
    """Keep what is to be said for as long as the field stands as it is now."""
    lines = [f"{plain(gene.name)} is {plain(gene.symbol)}." for gene in search.found if gene.renamed]
    if left_out:
        names = plain(", ".join(left_out[:_MOST_TOLD]), longest=400)
        lines.append(f"No room for {counted(len(left_out), 'name')} more: {names}.")
    st.session_state[f"{field}:said"] = (value, " ".join(lines))


def _tell(field: str, value: object, missing: Sequence[MissingGene], put: Callable[[str, str], None]) -> None:
    """Say which gene another name means and which names lead to none, with buttons for the closest."""
    about, words = st.session_state.get(f"{field}:said", (None, ""))
    if words and about == value:
        st.caption(words)
    for each in missing[:_MOST_TOLD]:
        st.caption(f":material/search_off: {plain(each.words, longest=300)}")
        if each.offered and len(missing) <= _MOST_OFFERED:
            with st.container(horizontal=True, gap="small"):
                for symbol in each.offered[:_MOST_OFFERED]:
                    st.button(
                        plain(symbol), key=f"{field}:{each.name}:{symbol}", type="tertiary", on_click=put,
                        args=(each.name, symbol),
                    )  # fmt: skip
    if len(missing) > _MOST_TOLD:
        st.caption(f"And {counted(len(missing) - _MOST_TOLD, 'name')} more that lead to no gene here.")


def _put_one(field: str, name: str, symbol: str) -> None:
    """Write a symbol where a name stands that leads to no gene; the next run reads it."""
    if st.session_state.get(field) == name:
        st.session_state[field] = symbol


def _swap_one(field: str, name: str, symbol: str) -> None:
    st.session_state[field] = [symbol if each == name else each for each in st.session_state.get(field, ())]


def _offer_pasting(dataset: Dataset, key: str, most: int) -> None:
    with st.popover("Paste a list", width="stretch"):
        text = st.text_area(
            "Symbols or Ensembl ids", key=f"{key}:pasted", placeholder="CD79A, LYZ, NKG7",
            help="Between them a space, a comma or a new line.",
        )  # fmt: skip
        search = find_by_name(dataset, names_in(text))
        tell_missing(search)
        found = search.gene_ids
        if len(found) > most:
            st.caption(f"The list holds {counted(len(found), 'gene')}; the first {most} are taken.")
        st.button(
            f"Take {counted(min(len(found), most), 'gene')}", key=f"{key}:take", disabled=not found,
            on_click=put_genes, args=(dataset, key, found[:most]),
        )  # fmt: skip


def tell_missing(search: GeneSearch) -> None:
    """Name what leads to no gene of the dataset, and say which genes other names mean."""
    renamed = [f"{gene.name} is {gene.symbol}" for gene in search.found if gene.renamed]
    if renamed:
        more = f", and {len(renamed) - _MOST_TOLD} more" if len(renamed) > _MOST_TOLD else ""
        st.caption(f"{plain(', '.join(renamed[:_MOST_TOLD]), longest=600)}{more}.")
    for each in [each for each in search.missing if each.several][:_MOST_TOLD]:
        st.caption(plain(each.words, longest=300))
    names = [each.name for each in search.missing if not each.several]
    if names:
        more = f" and {counted(len(names) - _MOST_TOLD, 'name')} more" if len(names) > _MOST_TOLD else ""
        st.caption(f"Not in this dataset: {plain(', '.join(names[:_MOST_TOLD]), longest=400)}{more}.")


def _first_place(dataset: Dataset, options: Sequence[str]) -> int:
    last = labels_of_genes(dataset).get(st.session_state.get(_last(dataset), ""))
    names = [*([last] if last else []), *KNOWN_GENES]
    return next((options.index(name) for name in names if name in options), 0)


def _last(dataset: Dataset) -> str:
    return f"gene-chosen-last:{dataset.sha256[:10]}"
