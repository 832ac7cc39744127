"""Paragraphs that many docstrings share, each written once.

A line of a docstring that holds nothing but ``{name}`` becomes the paragraph of that name.
"""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_PLACE = re.compile(r"^( *)\{(\w+)\}$", re.MULTILINE)
#: Of a filled line.
WIDTH = 118

_OUTSIDE = "'reflect' (default), 'mirror', 'nearest', 'wrap', 'constant', or the grid- synonyms"

PARAGRAPHS = {
    # --- parameters ---
    "input": """\
input : array_like
    Any shape; bool, integers, float16/32/64 or complex. It is not changed. A Dask array gives a Dask array, a
    `fastmed.Volume` a `fastmed.Volume`.""",
    "real_input": """\
input : array_like
    Any shape; bool, integers, float16/32/64. It is not changed. A Dask array gives a Dask array, a
    `fastmed.Volume` a `fastmed.Volume`.""",
    "output": """\
output : array or dtype, optional
    Where the result goes (may be `input`), or its dtype. The default keeps the dtype of `input`.""",
    "weighted_output": """\
output : array or dtype, optional
    Where the result goes (may be `input`), or its dtype; complex where `input` or `weights` are.""",
    "signed_output": """\
output : array or dtype, optional
    Where the result goes (may be `input`), or its dtype. With an unsigned `input` and no `output`, negative
    values wrap around, as in SciPy; ask for a signed or float dtype instead.""",
    "mode": f"""\
mode : str, optional
    What stands outside: {_OUTSIDE}.""",
    "modes": f"""\
mode : str or sequence of str, optional
    What stands outside, for all axes or for each: {_OUTSIDE}.""",
    "mode_of_a_window": f"""\
mode : str or sequence of str, optional
    What stands outside: {_OUTSIDE}. A
    footprint that is not a full box takes one for all axes.""",
    "mode_of_a_rank": f"""\
mode : str, optional
    What stands outside: {_OUTSIDE}. Over a
    full box the first and the last rank take one for each axis, too: they are the minimum and the maximum.""",
    "mode_of_each_derivative": f"""\
mode : str or sequence of str, optional
    What stands outside: {_OUTSIDE}. Of a
    sequence, each belongs to the derivative along its axis and holds for all axes there, as in SciPy.""",
    "cval": """\
cval : scalar, optional
    The outside value of mode 'constant'.""",
    "axis": """\
axis : int, optional
    The axis that is filtered.""",
    "axis_of_derivative": """\
axis : int, optional
    Axis of the derivative.""",
    "axes": """\
axes : int or sequence of int, optional
    Filter only along these; sequence arguments then have this length.""",
    "axes_of_weights": """\
axes : int or sequence of int, optional
    Filter only along these. The axes of `weights` are theirs in the array's order, as in SciPy.""",
    "axes_of_sum": """\
axes : int or sequence of int, optional
    Sum only over these.""",
    "axes_of_gradient": """\
axes : int or sequence of int, optional
    Take the gradient only along these.""",
    "origin": """\
origin : int or sequence of int, optional
    Shift of the window in elements, one for all axes or one per axis; positive values move it toward index 0.""",
    "origin_on_line": """\
origin : int, optional
    Shift of the window in elements; positive values move it toward index 0.""",
    "size": """\
size : int or sequence of int, optional
    Width of a box window in elements. Either this or `footprint` is needed.""",
    "footprint": """\
footprint : array_like of bool, optional
    Shape of the window, with one axis per filtered axis; it takes precedence over `size`.""",
    "extra_arguments": """\
extra_arguments : tuple, optional
    Further arguments of `function`.""",
    "extra_keywords": """\
extra_keywords : dict, optional
    Further keyword arguments of `function`.""",
    "truncate": """\
truncate : float, optional
    The window ends this many standard deviations from its centre.""",
    "gaussian_options": """\
**kwargs : optional
    ``truncate`` and ``radius`` of :func:`gaussian_filter`.""",
    # --- mask, nan_policy, spacing ---
    "linear_mask": """\
mask : array_like of bool, optional
    Shape of `input` (integers 0 and 1 do, too; a Dask array or a `fastmed.Volume` of the same place). Only elements
    in it count: in every window the others take the mean of those that count, weighted by the absolute weights.
    For weights of one sign that is normalised convolution (Knutsson and Westin, CVPR 1993); a derivative of a
    constant stays 0. The border extends image and mask alike; the outside of mode 'constant' counts. The result is
    there at every element, in the mask or not, whose window holds one that counts with a weight other than 0; else
    it is NaN, or, for an integer `output`, the input's own value. Where all of the window counts, the result is the
    one without a mask; elsewhere it is computed in float64 and, for integers, cut toward zero once, whole numbers
    cleared of rounding errors up to 1e-9.""",
    "sum_mask": """\
mask : array_like of bool, optional
    As in :func:`gaussian_filter`, for each derivative by itself. Where one of them has no element that counts, the
    result is NaN, or, for an integer `output`, the input's own value.""",
    "generic_mask": """\
mask : array_like of bool, optional
    As in :func:`gaussian_filter`. It goes to the derivative as ``mask=``, which must take that keyword, as fastmed's
    functions do. Derivatives are then float64. Where one of them is NaN, an integer `output` has the input's value.""",
    "rank_mask": """\
mask : array_like of bool, optional
    Shape of `input` (integers 0 and 1 do, too; a Dask array or a `fastmed.Volume` of the same place). Only elements
    in it are put in order. The border extends image and mask alike; the outside of mode 'constant' counts. The
    result is there at every element, in the mask or not, whose window holds one that counts; else it is NaN, or, for
    an integer `output`, the input's own value.""",
    "nan_policy": """\
nan_policy : {'propagate', 'omit', 'raise'}, optional
    'propagate' (default): a NaN reaches every window that holds it. 'omit': a NaN counts as outside of `mask`.
    'raise': a NaN (in the mask) is a ValueError before any work; on Dask arrays, when its chunk is computed. A
    complex number is NaN if either part is.""",
    "real_nan_policy": """\
nan_policy : {'propagate', 'omit', 'raise'}, optional
    'propagate' (default): a NaN reaches every window that holds it. 'omit': a NaN counts as outside of `mask`.
    'raise': a NaN (in the mask) is a ValueError before any work; on Dask arrays, when its chunk is computed.""",
    "gaussian_spacing": """\
spacing : float, sequence of float or 'volume', optional
    Distance of neighbours in mm, one for all axes or one per axis of `input`; 'volume' takes it from the
    `fastmed.Volume`. With it `sigma` and `radius` are in mm (a radius becomes the nearest whole number of elements),
    and derivatives are per mm.""",
    "size_spacing": """\
spacing : float, sequence of float or 'volume', optional
    Distance of neighbours in mm, one for all axes or one per axis of `input`; 'volume' takes it from the
    `fastmed.Volume`. With it `size` is in mm and becomes the nearest odd number of elements, at least 1.""",
    "weights_spacing": """\
spacing : float, sequence of float or 'volume', optional
    Taken as by the other filters, but nothing changes: weights and origin are in elements.""",
    "derivative_spacing": """\
spacing : float, sequence of float or 'volume', optional
    Distance of neighbours in mm, one for all axes or one per axis of `input`; 'volume' takes it from the
    `fastmed.Volume`. With it the derivative is per mm (integers are computed in float64 and cut once).""",
    "generic_spacing": """\
spacing : float, sequence of float or 'volume', optional
    Distance of neighbours in mm, one for all axes or one per axis of `input`; 'volume' takes it from the
    `fastmed.Volume`. It goes to the derivative as ``spacing=``, which must take that keyword.""",
    # --- errors ---
    "keyword_errors": """\
A mask of another shape or place than `input`, or with other values than 0 and 1; an unknown nan_policy, a NaN with
'raise'; a spacing that is not positive or has another length.""",
}


def documented(function: F) -> F:
    """Put the shared paragraphs into the docstring of `function`, in their places."""
    if function.__doc__:  # none under python -OO
        function.__doc__ = _PLACE.sub(lambda place: _paragraph(*place.groups()), function.__doc__)
    return function


@functools.cache
def _paragraph(indent: str, name: str) -> str:
    """A head line stays as it is, the text is filled."""
    head, *text = PARAGRAPHS[name].splitlines()
    lines = [indent + head] if " : " in head else []
    before = indent + "    " if lines else indent
    text = text if lines else [head, *text]
    return "\n".join(lines + textwrap.wrap(
        " ".join(line.strip() for line in text), WIDTH, initial_indent=before, subsequent_indent=before,
        break_on_hyphens=False,
    ))
