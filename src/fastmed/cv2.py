"""OpenCV's names and call shapes over fastmed's functions: ``from fastmed import cv2``. No logic here.

What is here gives OpenCV's results; each function says how equal they are (the same bits, or a tolerance).
Arguments that OpenCV takes and that are not offered raise :class:`fastmed.errors.NotOfferedError`.

Not offered, because results would differ: ``blur``, ``boxFilter`` and ``GaussianBlur`` of integers, and fractional
kernels with integer results (OpenCV rounds them in its own fixed point); ``minAreaRect`` (several rectangles can be
equally small); ``fillPoly`` and ``drawContours`` (OpenCV draws slanted sides by its own line rule;
``fastmed.fill_contours`` restores traced masks exactly); moments and bounding boxes of images; ``BORDER_WRAP``,
``RETR_FLOODFILL``, ``CHAIN_CODE`` and ``CHAIN_LINK_RUNS``.
"""

from ._opencv import constants as _constants
from ._opencv.constants import *
from ._opencv.contours import HuMoments as HuMoments
from ._opencv.contours import approxPolyDP as approxPolyDP
from ._opencv.contours import arcLength as arcLength
from ._opencv.contours import boundingRect as boundingRect
from ._opencv.contours import contourArea as contourArea
from ._opencv.contours import convexHull as convexHull
from ._opencv.contours import findContours as findContours
from ._opencv.contours import moments as moments
from ._opencv.contours import pointPolygonTest as pointPolygonTest
from ._opencv.edges import Canny as Canny
from ._opencv.filters import GaussianBlur as GaussianBlur
from ._opencv.filters import Laplacian as Laplacian
from ._opencv.filters import Scharr as Scharr
from ._opencv.filters import Sobel as Sobel
from ._opencv.filters import blur as blur
from ._opencv.filters import boxFilter as boxFilter
from ._opencv.filters import filter2D as filter2D
from ._opencv.filters import medianBlur as medianBlur
from ._opencv.filters import sepFilter2D as sepFilter2D

__all__ = [name for name in dir() if not name.startswith("_")]
