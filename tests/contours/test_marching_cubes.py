"""marching_cubes: scikit-image's vertices, faces, normals, values and order."""

import numpy as np
import pytest
import scipy.ndimage

import fastmed
from fastmed.contours import Mesh, marching_cubes

measure = pytest.importorskip("skimage.measure", reason="scikit-image, the reference of surfaces, is not installed")


def assert_equals_skimage(volume, level=None, **arguments):
    found = marching_cubes(volume, level, **arguments)
    wanted = measure.marching_cubes(volume, level, **arguments)
    for name, part, other in zip(("verts", "faces", "normals", "values"), found, wanted, strict=True):
        np.testing.assert_array_equal(part, other, err_msg=name, strict=True)


def volumes(seed, count, longest=18):
    """Noise, masks, few grey levels, smooth, NaN and infinities; sides from 2 on. A level with each."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        shape = tuple(rng.integers(2, longest, 3))
        yield [
            lambda s=shape: (rng.random(s), 0.5),
            lambda s=shape: (rng.random(s) < rng.random(), None),
            lambda s=shape: (rng.normal(size=s).astype(np.float32), 0.0),
            lambda s=shape: (rng.integers(-3, 4, s), rng.choice([-1, 0.0, 0.5])),
            lambda s=shape: (scipy.ndimage.gaussian_filter(rng.normal(size=s), 1), 0.0),
            lambda s=shape: (rng.integers(0, 4, s).astype(rng.choice(["B", "h", "f"])), None),
            lambda s=shape: (rng.choice([0, 1, 2, np.nan, np.inf], s, p=[0.4, 0.3, 0.2, 0.05, 0.05]), 0.5),
        ][i % 7]()


def agrees(volume, level, **arguments):
    try:
        wanted = measure.marching_cubes(volume, level, **arguments)
    except (ValueError, RuntimeError) as error:
        with pytest.raises(type(error)):
            marching_cubes(volume, level, **arguments)
        return 0
    for part, other in zip(marching_cubes(volume, level, **arguments), wanted, strict=True):
        np.testing.assert_array_equal(part, other, strict=True)
    return len(wanted[0])


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("method", ["lewiner", "lorensen"])
def test_equals_scikit_image_on_random_volumes(build, method):
    rng = np.random.default_rng(1)
    total = 0
    for i, (volume, level) in enumerate(volumes(0, 30 if build[0] == "numba" else 150)):  # the twin is slow
        total += agrees(
            volume, level, method=method, step_size=1 + i % 3 * (i % 4 == 0),
            gradient_direction=("descent", "ascent")[i % 2], allow_degenerate=i % 5 > 0,
            mask=rng.random(volume.shape) < 0.8 if i % 6 == 1 else None,
        )  # fmt: skip
    assert total > 4_000


def test_slabs_join_exactly(build):
    volume = scipy.ndimage.gaussian_filter(np.random.default_rng(2).normal(size=(61, 20, 24)), 1)
    assert_equals_skimage(volume, 0.01)
    holes = np.random.default_rng(3).random(volume.shape) < 0.9
    assert_equals_skimage(volume, 0.01, mask=holes)
    assert_equals_skimage(np.random.default_rng(4).random((41, 5, 70)), 0.5, step_size=2)


@pytest.mark.parametrize("dtype", ["?", "b", "B", "h", "H", "i", "I", "q", "Q", "e", "f", "d", ">i2", ">f8"])
def test_any_dtype(dtype):
    volume = np.random.default_rng(5).integers(0, 2 if dtype == "?" else 100, (9, 10, 11)).astype(dtype)
    assert_equals_skimage(volume)
    assert_equals_skimage(volume, 0.25)


def test_large_integers_are_read_as_float32():
    assert_equals_skimage(np.random.default_rng(6).integers(2**24, 2**24 + 5, (8, 8, 8)), 2.0**24 + 2)


def test_a_sphere_is_found_where_it_is():
    z, y, x = np.mgrid[:41, :41, :41] - 20
    mesh = marching_cubes(np.sqrt(z**2 + y**2 + x**2), 15.0, gradient_direction="ascent")
    assert abs(np.linalg.norm(mesh.verts - 20, axis=1) - 15).max() < 0.02
    edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 2).all(), "the surface is closed"
    assert len(mesh.verts) - len(edges) // 2 + len(mesh.faces) == 2, "Euler: one sphere"


def test_spacing_is_scikit_images():
    volume = np.random.default_rng(7).random((6, 7, 8))
    assert_equals_skimage(volume, 0.5, spacing=(2, 1, 0.5))
    assert_equals_skimage(volume, 0.5, spacing=(2, 1, 0.5), allow_degenerate=False)


def test_a_volume_gives_patient_mm():
    z, y, x = np.mgrid[:31, :31, :31] - 15
    ball = 10.0 - np.sqrt((2.0 * z) ** 2 + y**2 + (0.5 * x) ** 2)
    affine = np.array([[0, 0, 0.5, -10], [0, 1, 0, -20], [2, 0, 0, 30], [0, 0, 0, 1.0]])
    mesh = marching_cubes(fastmed.Volume(ball, affine), 4.0)
    centre = (affine @ [15, 15, 15, 1])[:3]
    out = mesh.verts - centre
    assert abs(np.linalg.norm(out, axis=1) - 6).max() < 0.1
    unit = out / np.linalg.norm(out, axis=1, keepdims=True)
    assert (abs((unit * mesh.normals).sum(axis=1)) > 0.97).all()
    a, b, c = (mesh.verts[mesh.faces[:, i]] for i in range(3))
    outward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a - centre)
    plain = marching_cubes(ball, 4.0)
    d, e, f = (plain.verts[plain.faces[:, i]] for i in range(3))
    before = np.einsum("ij,ij->i", np.cross(e - d, f - d), d - 15)
    assert (np.sign(outward[abs(outward) > 1e-6]) == np.sign(np.median(before))).all()
    with pytest.raises(ValueError, match="spacing must be left out for a Volume"):
        marching_cubes(fastmed.Volume(ball, affine), 4.0, spacing=(2, 1, 1))


def test_the_result_unpacks():
    mesh = marching_cubes(np.random.default_rng(8).random((4, 4, 4)), 0.5)
    verts, faces, normals, values = mesh
    assert isinstance(mesh, Mesh) and len(mesh) == 4 and mesh[0] is verts and mesh[:2] == (verts, faces)
    assert (verts.dtype, faces.dtype, normals.dtype, values.dtype) == (np.float32, np.int32, np.float32, np.float32)
    assert repr(mesh) == f"Mesh({len(verts)} vertices, {len(faces)} faces)"


def test_errors_say_what_is_wanted():
    volume = np.random.default_rng(9).random((4, 5, 6))
    for arguments, message in [
        ({"level": 7}, "level must lie within the volume's range"),
        ({"spacing": (1, 2)}, "three floats"),
        ({"gradient_direction": "up"}, "gradient_direction must be one of 'descent', 'ascent', found 'up'"),
        ({"method": "classic"}, "method must be one of"),
        ({"step_size": 0}, "step_size must be at least one, found 0"),
        ({"mask": np.ones((4, 5, 5), bool)}, "same shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            marching_cubes(volume, **arguments)
    with pytest.raises(ValueError, match="at least 2x2x2"):
        marching_cubes(volume[:1])
    with pytest.raises(RuntimeError, match="No surface found"):
        marching_cubes(np.ones((3, 3, 3)))
    with pytest.raises(TypeError, match="level must be a real number"):
        marching_cubes(volume, "half")
