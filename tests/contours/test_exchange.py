"""Contours and meshes in files: written, read, the same."""

import json
import re

import numpy as np
import pytest

import fastmed
from fastmed.contours import Contours, Isolines

MASK = np.random.default_rng(0).random((30, 40)) < 0.6
AFFINE = [[0, 0, 0.5, 1], [0, 0.7, 0, 2], [3, 0, 0, 4], [0, 0, 0, 1]]
VOLUME = fastmed.Volume(np.stack([MASK, ~MASK]), AFFINE)
LABELS = np.random.default_rng(1).integers(0, 4, (12, 15)).repeat(2, 0)

CONTOURS = {
    **{mode: fastmed.trace_contours(MASK, mode) for mode in ("external", "list", "ccomp", "tree")},
    "stack": fastmed.trace_contours(np.stack([MASK, ~MASK]), "external"),
    "volume": fastmed.trace_contours(VOLUME, "external"),
    "labels": fastmed.trace_labels(LABELS, "tree"),
    "none": fastmed.trace_contours(np.zeros((3, 4))),
}


@pytest.mark.parametrize("name", CONTOURS)
@pytest.mark.parametrize("kind", ["geojson", "csv"])
def test_contours_come_back(tmp_path, kind, name):
    contours = CONTOURS[name]
    getattr(fastmed, f"write_{kind}")(tmp_path / "file", contours)
    found = getattr(fastmed, f"read_{kind}")(tmp_path / "file")
    assert isinstance(found, Contours)
    np.testing.assert_array_equal(found.points, contours.points, strict=True)
    np.testing.assert_array_equal(found.offsets, contours.offsets, strict=True)
    np.testing.assert_array_equal(found.slices, contours.slices, strict=True)
    np.testing.assert_array_equal(found.labels, contours.labels, strict=True)
    np.testing.assert_array_equal(found.hierarchy[:, 3], contours.hierarchy[:, 3])
    if name not in ("stack", "volume", "labels"):  # there links do not go from one mask to the next
        np.testing.assert_array_equal(found.hierarchy, contours.hierarchy, strict=True)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_lines_come_back(tmp_path):
    lines = fastmed.find_contours(np.random.default_rng(2).random((20, 30)), 0.5)
    fastmed.write_geojson(tmp_path / "lines.json", lines)
    found = fastmed.read_geojson(tmp_path / "lines.json")
    assert isinstance(found, Isolines)
    np.testing.assert_array_equal(found.points, lines.points, strict=True)
    np.testing.assert_array_equal(found.offsets, lines.offsets, strict=True)
    fastmed.write_csv(tmp_path / "lines.csv", lines)
    np.testing.assert_array_equal(fastmed.read_csv(tmp_path / "lines.csv").rowcol, lines.points)


def test_geojson_is_geojson(tmp_path):
    ring = np.pad(np.zeros((1, 2), bool), 1, constant_values=True)
    fastmed.write_geojson(tmp_path / "ring.json", fastmed.trace_contours(ring, "tree"))
    found = json.loads((tmp_path / "ring.json").read_text())
    assert found["type"] == "FeatureCollection"
    outline = found["features"][0]["geometry"]
    assert outline["type"] == "Polygon" and outline["coordinates"][0][0] == outline["coordinates"][0][-1]
    assert [f["properties"]["parent"] for f in found["features"]] == [-1, 0]


def test_rings_of_a_polygon_are_a_contour_and_its_holes(tmp_path):
    rings = [[[0, 0], [9, 0], [9, 9], [0, 0]], [[5, 2], [6, 2], [6, 3], [5, 2]], [[7, 2], [8, 2], [8, 3], [7, 2]]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": rings}, "properties": None}
    (tmp_path / "f.json").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    found = fastmed.read_geojson(tmp_path / "f.json")
    assert found.hierarchy.tolist() == [[-1, -1, 1, -1], [2, -1, -1, 0], [-1, 1, -1, 0]]


def surface():
    z, y, x = np.mgrid[:12, :13, :14]
    return fastmed.marching_cubes((z - 6.0) ** 2 + (y - 6) ** 2 + (x - 7) ** 2, 15.5, gradient_direction="ascent")


def test_stl(tmp_path):
    mesh = surface()
    fastmed.write_stl(tmp_path / "s.stl", mesh)
    data = (tmp_path / "s.stl").read_bytes()
    assert len(data) == 84 + 50 * len(mesh.faces) and np.frombuffer(data, "<u4", 1, 80)[0] == len(mesh.faces)
    faces = np.frombuffer(data, [("n", "<f4", 3), ("c", "<f4", (3, 3)), ("b", "<u2")], offset=84)
    np.testing.assert_array_equal(faces["c"], mesh.verts[mesh.faces])
    np.testing.assert_allclose(np.linalg.norm(faces["n"], axis=1), 1, rtol=1e-5)
    outside = np.einsum("ij,ij->i", faces["n"], faces["c"].mean(axis=1) - (6, 6, 7))
    assert (outside > 0).all() or (outside < 0).all()


def test_ply(tmp_path):
    mesh = surface()
    fastmed.write_ply(tmp_path / "s.ply", mesh)
    header, _, body = (tmp_path / "s.ply").read_bytes().partition(b"end_header\n")
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\n")
    n = int(re.search(rb"element vertex (\d+)", header)[1])
    vertices = np.frombuffer(body, "<f4", 7 * n).reshape(n, 7)
    np.testing.assert_array_equal(vertices, np.column_stack([mesh.verts, mesh.normals, mesh.values]))
    faces = np.frombuffer(body, [("n", "u1"), ("c", "<i4", 3)], offset=28 * n)
    assert (faces["n"] == 3).all()
    np.testing.assert_array_equal(faces["c"], mesh.faces)


def test_errors_say_what_is_wanted(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ValueError, match="FeatureCollection; found no features"):
        fastmed.read_geojson(tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"features": [{"geometry": {"type": "Point"}}]}')
    with pytest.raises(ValueError, match=r"must all be Polygons or all LineStrings, found .*Point"):
        fastmed.read_geojson(tmp_path / "b.json")
    (tmp_path / "c.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match=r"missing .'contour', 'parent'"):
        fastmed.read_csv(tmp_path / "c.csv")
    kept = tmp_path / "kept.json"
    kept.write_text("old")
    with pytest.raises(ValueError):
        fastmed.write_geojson(kept, [[1, 2, 3]])
    assert kept.read_text() == "old"
