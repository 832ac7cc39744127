"""scipy.ndimage's names over fastmed's functions: ``from fastmed import ndimage as ndi``. No logic here."""

from .edges import sobel
from .filters import gaussian_filter, median_filter, uniform_filter

__all__ = ["gaussian_filter", "median_filter", "sobel", "uniform_filter"]
