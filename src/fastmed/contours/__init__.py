"""Contours: mask -> borders, iso-lines and iso-surfaces as flat arrays; polygons and what is measured of them."""

from ._dominant import dominant_points
from ._exchange import read_csv, read_geojson, write_csv, write_geojson, write_ply, write_stl
from ._fill import fill_contours
from ._isolines import Isolines, find_contours
from ._marching_cubes import Mesh, marching_cubes
from ._polygons import (
    arc_lengths,
    areas,
    bounding_rects,
    contains_points,
    contour_distances,
    convex_hulls,
    hu_moments,
    min_area_rects,
    polygon_moments,
    simplify_contours,
    solidities,
)
from ._rtstruct import contours_to_volume, read_rtstruct, write_rtstruct
from ._trace import Contours, trace_contours
from ._trace_labels import trace_labels

__all__ = [
    "Contours",
    "Isolines",
    "Mesh",
    "arc_lengths",
    "areas",
    "bounding_rects",
    "contains_points",
    "contour_distances",
    "contours_to_volume",
    "convex_hulls",
    "dominant_points",
    "fill_contours",
    "find_contours",
    "hu_moments",
    "marching_cubes",
    "min_area_rects",
    "polygon_moments",
    "read_csv",
    "read_geojson",
    "read_rtstruct",
    "simplify_contours",
    "solidities",
    "trace_contours",
    "trace_labels",
    "write_csv",
    "write_geojson",
    "write_ply",
    "write_rtstruct",
    "write_stl",
]
