"""Jobs: a whole archive -> a feature table; resumable, on any number of processes."""

from ._run import Summary, extract

__all__ = ["Summary", "extract"]
