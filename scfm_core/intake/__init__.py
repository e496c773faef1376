"""A stranger's file becomes a dataset: a guarded reader, the input doctor, and the demo data that come along."""

from scfm_core.intake.demo import DEMOS, Demo, open_demo
from scfm_core.intake.findings import Choices, Finding, Inspection, Remedy
from scfm_core.intake.guard import admit_file, inspect_file

__all__ = [
    "DEMOS",
    "Choices",
    "Demo",
    "Finding",
    "Inspection",
    "Remedy",
    "admit_file",
    "inspect_file",
    "open_demo",
]
