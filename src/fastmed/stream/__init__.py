"""Volumes larger than memory: from a file, block by block through an operation, into a file.

`plan` says which blocks it would take, and why; `apply` runs, and goes on where an earlier run was stopped.
"""

from ._apply import Summary, apply, plan
from ._plan import Plan

__all__ = ["Plan", "Summary", "apply", "plan"]
