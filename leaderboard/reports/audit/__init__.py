"""The audit of a data set and one of its splits, in sentences, tables and figures.

audit.py  what is found: duplicates, implausible labels, leaks
files.py  the findings as tables and figures, for `--out`
"""

from leaderboard.reports.audit.audit import audit_dataset
from leaderboard.reports.audit.files import write_audit

__all__ = ["audit_dataset", "write_audit"]
