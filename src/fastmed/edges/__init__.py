"""Edges: array -> gradients and edge masks. One line per operation."""

from ._canny import canny as canny
from ._canny_integer import canny_integer as canny_integer
from ._canny_integer import canny_of_gradients as canny_of_gradients
from ._gradients import farid as farid
from ._gradients import gradient_magnitude as gradient_magnitude
from ._gradients import prewitt_edges as prewitt_edges
from ._gradients import roberts as roberts
from ._gradients import roberts_neg_diag as roberts_neg_diag
from ._gradients import roberts_pos_diag as roberts_pos_diag
from ._gradients import scharr as scharr
from ._gradients import sobel_edges as sobel_edges
from ._hysteresis import apply_hysteresis_threshold as apply_hysteresis_threshold
from ._prewitt import prewitt as prewitt
from ._sobel import sobel as sobel

__all__ = [name for name in dir() if not name.startswith("_")]
