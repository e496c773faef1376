"""The folder in which datasets, answers and weights live; knows nothing of what is in them."""

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path


@dataclass(frozen=True)
class Workspace:
    """One root folder and its sub-folders, made on first use."""

    root: Path

    @classmethod
    def from_environment(cls) -> "Workspace":
        """Return the folder named by ``SCFM_WORKSPACE``, or the user's data folder."""
        named = os.environ.get("SCFM_WORKSPACE")
        return cls(Path(named).expanduser().resolve() if named else user_data_path("scfm-explorer"))

    def folder(self, name: str) -> Path:
        """Return the sub-folder ``name`` (``datasets``, ``answers``, ``weights``, ``downloads``, ``uploads``, ...)."""
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path
