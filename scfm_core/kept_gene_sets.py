"""Gene sets that people keep in a workspace, one small GMT file each; knows no dataset."""

import hashlib
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scfm_core.errors import RequestError
from scfm_core.gene_sets import GeneSet, read_gmt

_LONGEST_NAME = 80


@dataclass(frozen=True)
class KeptGeneSets:
    """The gene sets of a folder, by name; several processes may keep and drop at once."""

    folder: Path

    def read(self) -> dict[str, GeneSet]:
        """Return the sets, oldest first."""
        found: list[tuple[int, GeneSet]] = []
        for path in self.folder.glob("*.gmt"):
            with suppress(FileNotFoundError):  # another process dropped it just now
                found.append((path.stat().st_mtime_ns, read_gmt(path).sets[0]))
        return {one.name: one for _, one in sorted(found, key=lambda item: (item[0], item[1].name))}

    def keep(self, one: GeneSet) -> GeneSet:
        """Write a set; return it as it is read again: names on one line, each gene once.

        Raises
        ------
        RequestError
            If it has no name or no gene, or another set has the name (code "name-taken").
        """
        name = " ".join(one.name.split())
        genes = tuple(dict.fromkeys(gene for given in one.genes if (gene := given.split(",")[0].strip())))
        if not name or len(name) > _LONGEST_NAME:
            msg = f"A gene set needs a name of 1 to {_LONGEST_NAME} characters, found {len(name)}. Give it one."
            raise RequestError(msg, "bad-name")
        if not genes:
            msg = f"The gene set {name!r} holds no gene. Name some genes."
            raise RequestError(msg, "no-genes")
        known = self.read().get(name)
        if known is not None and set(known.genes) != set(genes):
            msg = f"There is a gene set {name!r} with other genes already. Choose another name, or delete it first."
            raise RequestError(msg, "name-taken")
        kept = GeneSet(name, " ".join(one.description.split()), genes)
        partial = self.folder / f".{uuid.uuid4().hex}"
        partial.write_text("\t".join([kept.name, kept.description, *kept.genes]) + "\n", encoding="utf-8")
        partial.replace(self._path(name))
        return kept

    def drop(self, name: str) -> None:
        """Delete a set; it does no harm where there is none."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.gmt"
