"""Learning: feature table -> model and its evaluation, group by group."""

from ._evaluation import Evaluation
from ._model import Model, load_model, save_model
from ._table import feature_columns, read_table
from ._train import pipeline, train

__all__ = [
    "Evaluation",
    "Model",
    "feature_columns",
    "load_model",
    "pipeline",
    "read_table",
    "save_model",
    "train",
]
