"""scikit-image's names over fastmed's functions: ``from fastmed import skimage as ski``. No logic here.

``sobel`` and ``prewitt`` are scikit-image's (edge magnitude, scaled integers); SciPy's are those of `fastmed.ndimage`.
"""

from .edges import apply_hysteresis_threshold as apply_hysteresis_threshold
from .edges import canny as canny
from .edges import farid as farid
from .edges import prewitt_edges as prewitt
from .edges import roberts as roberts
from .edges import roberts_neg_diag as roberts_neg_diag
from .edges import roberts_pos_diag as roberts_pos_diag
from .edges import scharr as scharr
from .edges import sobel_edges as sobel
from .enhance import rescale_intensity as rescale_intensity
from .segment import intensity_histogram as histogram
from .segment import label_regions as label
from .segment import threshold_otsu as threshold_otsu

__all__ = [
    "apply_hysteresis_threshold",
    "canny",
    "farid",
    "histogram",
    "label",
    "prewitt",
    "rescale_intensity",
    "roberts",
    "roberts_neg_diag",
    "roberts_pos_diag",
    "scharr",
    "sobel",
    "threshold_otsu",
]
