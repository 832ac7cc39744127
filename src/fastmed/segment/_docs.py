"""What the docstrings of the statistics per label share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_SHARED = """Names, defaults and results are those of :func:`scipy.ndimage.NAME`.

    Parameters
    ----------
    input : array_like
        The values: bool, integers or floats.
    labels : array_like, optional
        Of the same shape, or one that broadcasts to it. None: all values are one group.
    index : int or sequence of int, optional
        The labels asked for. None: all above 0 together.

    Raises
    ------
    ValueError
        Shapes that do not fit; no value for an extreme.

    Notes
    -----
    Sums are added in float64: those of integers are exact below 2**53, those of floats within n 2**-53 of the sum of
    the absolute values, and the same for any number of threads. Dask arrays give Dask arrays; partial tables of chunks
    are merged, which moves sums of floats within that bound and nothing else."""


def documented(function: F) -> F:
    """Put the shared text into a docstring; the function itself stays."""
    if function.__doc__:  # not under python -OO
        function.__doc__ = function.__doc__.replace("{shared}", _SHARED.replace("NAME", function.__name__))
    return function
