"""What was found out about a question, for a reader: cards, tables and figures in one HTML file, and methods text."""

from scfm_core.report.figures import Album
from scfm_core.report.findings import Findings
from scfm_core.report.methods import methods_text
from scfm_core.report.write_report import write_report

__all__ = ["Album", "Findings", "methods_text", "write_report"]
