"""OpenCV's names and call shapes over fastmed's functions: ``from fastmed import cv2``. No logic here.

What is here gives OpenCV's results; each function says how equal they are (the same bits, or a tolerance).
Arguments that OpenCV takes and that are not offered raise :class:`fastmed.errors.NotOfferedError`.

Not offered, because results would differ: ``blur`` and ``boxFilter`` of integers but for most boxes of uint8,
``GaussianBlur`` of integers and fractional kernels with integer results (OpenCV rounds them in its own fixed
point); thresholds that are found (``THRESH_OTSU``, ``THRESH_TRIANGLE``); ``fillPoly`` and ``drawContours`` (OpenCV
draws slanted sides by its own line rule; ``fastmed.fill_contours`` restores traced masks exactly); moments and
bounding boxes of images; ``BORDER_WRAP``, ``RETR_FLOODFILL``, ``CHAIN_CODE`` and ``CHAIN_LINK_RUNS``.
"""

from ._opencv.components import connectedComponents as connectedComponents
from ._opencv.components import connectedComponentsWithStats as connectedComponentsWithStats
from ._opencv.constants import BORDER_CONSTANT as BORDER_CONSTANT
from ._opencv.constants import BORDER_DEFAULT as BORDER_DEFAULT
from ._opencv.constants import BORDER_ISOLATED as BORDER_ISOLATED
from ._opencv.constants import BORDER_REFLECT as BORDER_REFLECT
from ._opencv.constants import BORDER_REFLECT101 as BORDER_REFLECT101
from ._opencv.constants import BORDER_REFLECT_101 as BORDER_REFLECT_101
from ._opencv.constants import BORDER_REPLICATE as BORDER_REPLICATE
from ._opencv.constants import CC_STAT_AREA as CC_STAT_AREA
from ._opencv.constants import CC_STAT_HEIGHT as CC_STAT_HEIGHT
from ._opencv.constants import CC_STAT_LEFT as CC_STAT_LEFT
from ._opencv.constants import CC_STAT_TOP as CC_STAT_TOP
from ._opencv.constants import CC_STAT_WIDTH as CC_STAT_WIDTH
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
from ._opencv.constants import THRESH_BINARY as THRESH_BINARY
from ._opencv.constants import THRESH_BINARY_INV as THRESH_BINARY_INV
from ._opencv.constants import THRESH_TOZERO as THRESH_TOZERO
from ._opencv.constants import THRESH_TOZERO_INV as THRESH_TOZERO_INV
from ._opencv.constants import THRESH_TRUNC as THRESH_TRUNC
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
from ._opencv.levels import dilate as dilate
from ._opencv.levels import erode as erode
from ._opencv.levels import threshold as threshold
from ._opencv.rectangles import boxPoints as boxPoints
from ._opencv.rectangles import minAreaRect as minAreaRect

__all__ = [name for name in dir() if not name.startswith("_")]
