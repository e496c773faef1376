"""Makes the table of cell types under ``assets/cell_types`` from the wheel of cellxgene-ontology-guide.

Run it as ``python -m scfm_core.intake.build_cell_types WHEEL OUT``; the application never does.
"""

import gzip
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

_FOLDER = "cellxgene_ontology_guide/data"


def build(wheel: Path, out: Path) -> str:
    """Write ``cell_ontology.csv.gz`` into the folder ``out`` and return the release that it was made from.

    Columns: ``id`` ("CL:0000236"), ``label``, ``synonyms`` and ``parents`` (ids; both joined by "|"). Terms that the
    ontology has withdrawn are left out. The newest release in the wheel is taken.
    """
    with zipfile.ZipFile(wheel) as archive:
        newest = max(name for name in archive.namelist() if name.startswith(f"{_FOLDER}/CL-ontology-"))
        terms = _read(archive.read(newest))
    kept = {name: term for name, term in terms.items() if name.startswith("CL:") and not term["deprecated"]}
    rows = [(name, term["label"], _synonyms(term), _parents(term, set(kept))) for name, term in sorted(kept.items())]
    text = pd.DataFrame(rows, columns=["id", "label", "synonyms", "parents"]).to_csv(index=False)
    out.mkdir(parents=True, exist_ok=True)
    # no date in the gzip header, so that equal input gives equal bytes
    (out / "cell_ontology.csv.gz").write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    return Path(newest).name.removeprefix("CL-ontology-").removesuffix(".json.zst")


def _read(packed: bytes) -> dict[str, dict[str, Any]]:
    import pyarrow  # it reads Zstandard, and is here for the tables

    with pyarrow.input_stream(io.BytesIO(packed), compression="zstd") as stream:
        terms: dict[str, dict[str, Any]] = json.loads(stream.read())
    return terms


def _synonyms(term: dict[str, Any]) -> str:
    words = dict.fromkeys(word.replace("|", "/") for word in term.get("synonyms", []) if word != term["label"])
    return "|".join(sorted(words, key=str.casefold))


def _parents(term: dict[str, Any], known: set[str]) -> str:
    return "|".join(sorted(name for name, steps in term["ancestors"].items() if steps == 1 and name in known))


if __name__ == "__main__":
    sys.stdout.write(build(Path(sys.argv[1]), Path(sys.argv[2])) + "\n")
