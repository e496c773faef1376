"""Where the files lie that come with the application: in a checkout beside the package, in a wheel inside it."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def root() -> Path:
    """Return the folder that holds ``app.py``, ``pages/`` and ``assets/``."""
    shipped = _PACKAGE / "shipped"
    return shipped if shipped.is_dir() else _PACKAGE.parent


def asset(name: str) -> Path:
    """Return the path of a file or folder under ``assets/``."""
    return root() / "assets" / name
