"""One file per model family; each defines ``SPECS``, one card per checkpoint."""
