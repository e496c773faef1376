"""What each question is, in words for a paper: one module per field, each with ``WORDINGS``, found by looking here."""
