"""scipy.ndimage's names over fastmed's functions: ``from fastmed import ndimage as ndi``. No logic here."""

import scipy.ndimage as _scipy

from . import edges as _edges
from . import filters as _filters
from . import segment as _segment

_found = {name: getattr(stage, name) for stage in (_edges, _filters, _segment) for name in stage.__all__}
__all__ = sorted(name for name in _found if hasattr(_scipy, name))

globals().update({name: _found[name] for name in __all__})
