"""scipy.ndimage's names over fastmed's functions: ``from fastmed import ndimage as ndi``. No logic here."""

import scipy.ndimage as _scipy

from . import edges as _edges
from . import filters as _filters

__all__ = sorted(n for n in (*_edges.__all__, *_filters.__all__) if hasattr(_scipy, n))

globals().update({name: getattr(_edges if name in _edges.__all__ else _filters, name) for name in __all__})
