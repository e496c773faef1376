"""Single-cell foundation models behind one request -> result interface; no user interface here."""

__version__ = "0.1.0"
