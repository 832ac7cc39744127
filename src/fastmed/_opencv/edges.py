"""Canny in OpenCV's two call shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..edges import canny_integer, canny_of_gradients
from .arguments import into

_SHAPES = {
    "image": ("image", "threshold1", "threshold2", "edges", "apertureSize", "L2gradient"),
    "dx": ("dx", "dy", "threshold1", "threshold2", "edges", "L2gradient"),
}


def Canny(*args: Any, **kwargs: Any) -> np.ndarray:
    """Canny's edges: the same bits as OpenCV's.

    ``Canny(image, threshold1, threshold2[, edges[, apertureSize[, L2gradient]]])`` of uint8 images, or
    ``Canny(dx, dy, threshold1, threshold2[, edges[, L2gradient]])`` of derivatives in int16. See
    :func:`fastmed.canny_integer` and :func:`fastmed.canny_of_gradients`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmed import cv2
    >>> image = np.zeros((3, 6), np.uint8)
    >>> image[:, 3:] = 90
    >>> cv2.Canny(image, 100, 200)[0].tolist()
    [0, 0, 255, 0, 0, 0]
    """
    derivatives = "dx" in kwargs or "dy" in kwargs or (len(args) > 1 and np.ndim(args[1]) > 0)
    names = _SHAPES["dx" if derivatives else "image"]
    given = dict(zip(names, args, strict=False))
    unknown = [*(set(kwargs) - set(names)), *(set(given) & set(kwargs))]
    missing = [name for name in names[: names.index("edges")] if name not in given and name not in kwargs]
    if unknown or missing or len(args) > len(names):
        raise TypeError(f"Canny takes ({', '.join(names)}), found {len(args)} arguments and {sorted(kwargs)}")
    given.update(kwargs)
    edges, squared = given.pop("edges", None), bool(given.pop("L2gradient", False))
    if derivatives:
        return into(edges, canny_of_gradients(**given, l2_gradient=squared))
    aperture = given.pop("apertureSize", 3)
    return into(edges, canny_integer(**given, aperture_size=aperture, l2_gradient=squared))
