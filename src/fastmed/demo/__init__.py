"""The demo: a synthetic archive from files to a model, and real images step by step; no network, nobody's
data."""

from ._pictures import borders, pictures
from ._race import steps
from ._synthetic import CLASSES, Case, make_case, write_archive, write_labels

__all__ = ["CLASSES", "Case", "borders", "make_case", "pictures", "steps", "write_archive", "write_labels"]
