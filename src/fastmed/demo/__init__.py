"""The demo: a synthetic archive from files to a model, and real images step by step; no network, nobody's data."""

from ._synthetic import CLASSES, Case, make_case, write_archive, write_labels

__all__ = ["CLASSES", "Case", "make_case", "write_archive", "write_labels"]
