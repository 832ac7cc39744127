"""Contours and meshes in files: GeoJSON, CSV, STL, PLY."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from .._engine.files import atomically
from ._isolines import Isolines
from ._marching_cubes import Mesh
from ._polygons import flat
from ._trace import Contours


def write_whole(path: Any, data: bytes) -> None:
    """Write a file that is there whole or not at all."""
    with atomically(path) as file:
        file.write(data)


def links_of(parents: np.ndarray) -> np.ndarray:
    """OpenCV's links (next, previous, first child, parent) from the parents alone."""
    links = np.full((len(parents), 4), -1, np.int32)
    links[:, 3] = parents
    last: dict[int, int] = {}
    for i, parent in enumerate(parents.tolist()):
        if parent in last:
            links[last[parent], 0], links[i, 1] = i, last[parent]
        elif parent >= 0:
            links[parent, 2] = i
        last[parent] = i
    return links


def as_contours(contours: Any) -> Contours:
    """Any contours as `Contours`: of others than these, no hierarchy."""
    if isinstance(contours, Contours):
        return contours
    points, offsets = flat(contours)
    return Contours(points, offsets, np.full((len(offsets) - 1, 4), -1, np.int32))


def collected(parts: list[Any], parents: list[int], slices: list[Any], labels: list[Any]) -> Contours:
    """Contours from what a file says of each; slices and labels only where all have one."""
    arrays = [np.asarray(part) for part in parts]
    offsets = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
    points = np.concatenate(arrays) if arrays else np.zeros((0, 2), np.int32)
    if points.dtype.kind in "iu":
        points = points.astype(np.int32)
    known = [np.array(v if len(v) and None not in v else [], np.int32) for v in (slices, labels)]
    return Contours(points, offsets, links_of(np.array(parents, np.int32)), *known)


def _facts(contours: Contours, i: int) -> dict[str, int]:
    facts = {"parent": int(contours.hierarchy[i, 3])}
    if len(contours.slices):
        facts["slice"] = int(contours.slices[i])
    if len(contours.labels):
        facts["label"] = int(contours.labels[i])
    return facts


def write_geojson(path: Any, contours: Any) -> None:
    """Write contours as GeoJSON (RFC 7946): one feature each.

    Parameters
    ----------
    path : path-like
        Replaced if there; never left half-written.
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)
        `Isolines` become LineStrings (column, row), others Polygons of one closed ring (x, y), with `parent`, `slice`
        and `label` as properties. Coordinates are pixels or mm, whatever the contours have.
    """
    if isinstance(contours, Isolines):
        shapes: list[tuple[str, Any, dict[str, int]]]
        shapes = [("LineString", line[:, ::-1].tolist(), {}) for line in contours]
    else:
        all_ = as_contours(contours)
        shapes = [("Polygon", [[*c.tolist(), c[0].tolist()]], _facts(all_, i)) for i, c in enumerate(all_)]
    features = [
        {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": facts}
        for kind, coordinates, facts in shapes
    ]
    write_whole(path, json.dumps({"type": "FeatureCollection", "features": features}).encode())


def read_geojson(path: Any) -> Contours | Isolines:
    """Read contours from GeoJSON.

    Parameters
    ----------
    path : path-like
        A FeatureCollection of Polygons, or of LineStrings. Each ring of a Polygon becomes a contour, the second and
        later ones as children of the first.

    Returns
    -------
    Contours or Isolines
        What `write_geojson` was given.

    Raises
    ------
    ValueError
        If the file is no such collection.
    """
    found = json.loads(Path(path).read_bytes())
    features = found.get("features") if isinstance(found, dict) else None
    if not isinstance(features, list):
        raise ValueError("the file must hold a GeoJSON FeatureCollection; found no features")
    kinds = {(f.get("geometry") or {}).get("type") for f in features}
    if kinds == {"LineString"}:
        lines = [np.asarray(f["geometry"]["coordinates"], np.float64)[:, ::-1] for f in features]
        return Isolines(np.concatenate(lines), np.cumsum([0, *map(len, lines)], dtype=np.int64))
    if not kinds <= {"Polygon"}:
        raise ValueError(f"the features must all be Polygons or all LineStrings, found {sorted(map(str, kinds))}")
    parts: list[Any] = []
    parents: list[int] = []
    slices: list[Any] = []
    labels: list[Any] = []
    for feature in features:
        facts = feature.get("properties") or {}
        for k, ring in enumerate(feature["geometry"]["coordinates"]):
            parents.append(len(parents) - k if k else facts.get("parent", -1))
            parts.append(ring[:-1] if len(ring) > 1 and ring[0] == ring[-1] else ring)
            slices.append(facts.get("slice"))
            labels.append(facts.get("label"))
    return collected(parts, parents, slices, labels)


def write_csv(path: Any, contours: Any) -> None:
    """Write the points of contours as CSV: contour, parent, slice, label, x, y and, in the patient, z.

    Parameters
    ----------
    path : path-like
        Replaced if there; never left half-written.
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)
        Of `Isolines`, x is the column and y the row.
    """
    if isinstance(contours, Isolines):
        contours = [line[:, ::-1] for line in contours]
    all_ = as_contours(contours)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["contour", "parent", "slice", "label", *"xyz"[: all_.points.shape[1]]])
    for i, contour in enumerate(all_):
        facts = _facts(all_, i)
        row = [i, facts["parent"], facts.get("slice", ""), facts.get("label", "")]
        writer.writerows([*row, *point] for point in contour.tolist())
    write_whole(path, text.getvalue().encode())


def read_csv(path: Any) -> Contours:
    """Read contours that `write_csv` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Contours
        With integer points where all numbers are whole.

    Raises
    ------
    ValueError
        If columns are missing.
    """
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
        columns = list(rows[0]) if rows else ["contour", "parent", "slice", "label", "x", "y"]
    missing = [name for name in ("contour", "parent", "slice", "label", "x", "y") if name not in columns]
    if missing:
        raise ValueError(f"the file must have the columns contour, parent, slice, label, x, y; missing {missing}")
    axes = [a for a in "xyz" if a in columns]
    kind = float if any("." in row[a] or "e" in row[a] for row in rows for a in axes) else int
    groups = [list(group) for _, group in itertools.groupby(rows, key=lambda row: row["contour"])]
    return collected(
        [[[kind(row[a]) for a in axes] for row in group] for group in groups],
        [int(group[0]["parent"]) for group in groups],
        [int(group[0]["slice"]) if group[0]["slice"] else None for group in groups],
        [int(group[0]["label"]) if group[0]["label"] else None for group in groups],
    )


def write_stl(path: Any, mesh: Mesh) -> None:
    """Write a surface as binary STL, with the normal of each face by the right-hand rule.

    Parameters
    ----------
    path : path-like
        Replaced if there; never left half-written.
    mesh : Mesh
        Of `marching_cubes`; of a `Volume` its vertices are (x, y, z) in mm, else as the array's axes (z, y, x).
    """
    corners = mesh.verts[mesh.faces].astype(np.float32)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    np.divide(normals, lengths, out=normals, where=lengths > 0)
    faces = np.zeros(len(corners), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("bytes", "<u2")])
    faces["normal"], faces["corners"] = normals, corners
    write_whole(path, b"fastmed".ljust(80) + np.uint32(len(faces)).astype("<u4").tobytes() + faces.tobytes())


def write_ply(path: Any, mesh: Mesh) -> None:
    """Write a surface as binary PLY: vertices with their normals and values, and faces.

    Parameters
    ----------
    path : path-like
        Replaced if there; never left half-written.
    mesh : Mesh
        Of `marching_cubes`; of a `Volume` its vertices are (x, y, z) in mm, else as the array's axes (z, y, x).
    """
    names = ("x", "y", "z", "nx", "ny", "nz", "value")
    vertices = np.column_stack([mesh.verts, mesh.normals, mesh.values]).astype("<f4")
    faces = np.zeros(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    header = [
        "ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}",
        *(f"property float {name}" for name in names),
        f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", "",
    ]  # fmt: skip
    write_whole(path, "\n".join(header).encode("ascii") + vertices.tobytes() + faces.tobytes())
