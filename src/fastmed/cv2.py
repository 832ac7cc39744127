"""OpenCV's names and call shapes over fastmed's functions: ``from fastmed import cv2``. No logic here.

What is here gives OpenCV's results; each function says how equal they are (the same bits, or a tolerance).
Arguments that OpenCV takes and that are not offered raise :class:`fastmed.errors.NotOfferedError`.

Not offered, because results would differ: ``blur``, ``boxFilter`` and ``GaussianBlur`` of integers, and fractional
kernels with integer results (OpenCV rounds them in its own fixed point); ``minAreaRect`` (several rectangles can be
equally small); ``fillPoly`` and ``drawContours`` (OpenCV draws slanted sides by its own line rule;
``fastmed.fill_contours`` restores traced masks exactly); moments and bounding boxes of images; ``BORDER_WRAP``,
``RETR_FLOODFILL``, ``CHAIN_CODE`` and ``CHAIN_LINK_RUNS``.
"""

from ._opencv.constants import BORDER_CONSTANT as BORDER_CONSTANT
from ._opencv.constants import BORDER_DEFAULT as BORDER_DEFAULT
from ._opencv.constants import BORDER_ISOLATED as BORDER_ISOLATED
from ._opencv.constants import BORDER_REFLECT as BORDER_REFLECT
from ._opencv.constants import BORDER_REFLECT101 as BORDER_REFLECT101
from ._opencv.constants import BORDER_REFLECT_101 as BORDER_REFLECT_101
from ._opencv.constants import BORDER_REPLICATE as BORDER_REPLICATE
from ._opencv.constants import CHAIN_APPROX_NONE as CHAIN_APPROX_NONE
from ._opencv.constants import CHAIN_APPROX_SIMPLE as CHAIN_APPROX_SIMPLE
from ._opencv.constants import CHAIN_APPROX_TC89_KCOS as CHAIN_APPROX_TC89_KCOS
from ._opencv.constants import CHAIN_APPROX_TC89_L1 as CHAIN_APPROX_TC89_L1
from ._opencv.constants import CV_8S as CV_8S
from ._opencv.constants import CV_8U as CV_8U
from ._opencv.constants import CV_16S as CV_16S
from ._opencv.constants import CV_16U as CV_16U
from ._opencv.constants import CV_32F as CV_32F
from ._opencv.constants import CV_32S as CV_32S
from ._opencv.constants import CV_64F as CV_64F
from ._opencv.constants import RETR_CCOMP as RETR_CCOMP
from ._opencv.constants import RETR_EXTERNAL as RETR_EXTERNAL
from ._opencv.constants import RETR_LIST as RETR_LIST
from ._opencv.constants import RETR_TREE as RETR_TREE
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
