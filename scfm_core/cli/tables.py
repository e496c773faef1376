"""The formats of the tables that the commands write, and what stands in them beside the rows."""

from scfm_core.report.provenance import provenance
from scfm_core.tables_out import write_table

SUFFIXES = (".csv", ".xlsx", ".parquet")

__all__ = ["SUFFIXES", "provenance", "write_table"]
