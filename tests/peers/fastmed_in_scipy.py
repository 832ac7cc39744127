"""A pytest plugin: puts fastmed's functions in the place of scipy.ndimage's before SciPy's tests are imported."""

import scipy.ndimage
import scipy.ndimage._filters
from scipy._lib import _array_api

import fastmed.ndimage

#: SciPy's tests look up what a function can do with other array libraries by the function itself.
_capabilities = getattr(_array_api, "xp_capabilities_table", {})

for _name in fastmed.ndimage.__all__:
    _ours, _theirs = getattr(fastmed.ndimage, _name), getattr(scipy.ndimage, _name)
    if _theirs in _capabilities:
        _capabilities[_ours] = _capabilities[_theirs]
    setattr(scipy.ndimage, _name, _ours)
    if hasattr(scipy.ndimage._filters, _name):
        setattr(scipy.ndimage._filters, _name, _ours)


def pytest_report_header():
    return "fastmed in SciPy's place: " + ", ".join(fastmed.ndimage.__all__)
