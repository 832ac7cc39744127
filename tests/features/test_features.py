"""extract_features as a whole: stable names, any image, nothing that is not a number without a reason."""

import math

import numpy as np
import pytest

import fastmed
from fastmed.features import extract_features, feature_names, otsu_threshold


def disc(radius, shape=(120, 120), spacing=(1.0, 1.0), value=100.0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    centre = [(n - 1) / 2 for n in shape]
    inside = ((y - centre[0]) * spacing[0]) ** 2 + ((x - centre[1]) * spacing[1]) ** 2 <= radius**2
    return value * inside


IMAGES = {
    "constant": np.full((3, 20, 20), 7.0),
    "zeros": np.zeros((3, 20, 20), np.int16),
    "one slice": np.random.default_rng(0).normal(size=(1, 30, 31)),
    "2-d": np.random.default_rng(0).integers(0, 255, (40, 30), np.uint8),
    "time": np.random.default_rng(0).normal(size=(2, 3, 16, 17)).astype(np.float32),
    "colour": np.random.default_rng(0).integers(0, 255, (4, 32, 33, 3), np.uint8),
    "one pixel": np.ones((1, 1, 1)),
    "one row": np.arange(9.0).reshape(1, 1, 9),
    "one column": np.arange(9.0).reshape(1, 9, 1),
    "2 x 2": np.arange(4.0).reshape(1, 2, 2),
    "empty": np.zeros((0, 5, 5)),
    "bool": disc(9, (30, 30)).astype(bool),
    "float16": disc(9, (30, 30)).astype(np.float16),
    "big-endian": disc(9, (30, 30)).astype(">i2"),
    "uint64": disc(9, (30, 30)).astype(np.uint64) << np.uint64(50),
    "NaN": np.full((2, 9, 9), np.nan),
    "some NaN": np.where(disc(20) > 0, 5.0, np.nan),
    "infinities": np.where(disc(20) > 0, np.inf, -np.inf),
    "huge": disc(9, (30, 30), value=1e300),
    "outlier": disc(9, (30, 30)) + 1e30 * np.eye(30),
}


@pytest.mark.parametrize("name", IMAGES)
def test_every_image_gives_every_name(name):
    image = IMAGES[name]
    before = image.copy()
    with np.errstate(all="raise", under="ignore"):
        features = extract_features(image)
    assert tuple(features) == feature_names()
    assert all(type(v) is float for v in features.values())
    np.testing.assert_array_equal(image, before)


def test_ordinary_images_have_every_value():
    noise = np.random.default_rng(1).normal(100, 10, size=(3, 64, 64)) + disc(20, (64, 64))
    assert all(map(math.isfinite, extract_features(noise).values()))


def test_values_that_are_not_finite_are_left_out():
    image = disc(20) + np.random.default_rng(0).normal(size=(120, 120))
    padded = np.pad(image, 8, constant_values=np.nan)
    plain, around = extract_features(image), extract_features(padded)
    for name in ("firstorder_mean", "firstorder_entropy", "contour_area_mean", "edge_density"):
        assert around[name] == pytest.approx(plain[name], rel=0.02), name


def padded_ct(value):
    """A patient in air, seen in a round field of view; outside of it the scanner's `value` for no data."""
    rng = np.random.default_rng(0)
    patient = np.stack([disc(25, value=1000.0), disc(30, value=1000.0)]) - 1000
    image = (patient + rng.normal(0, 10, patient.shape)).astype(np.int16)
    outside = np.stack([disc(50) == 0] * 2)
    return fastmed.Volume(np.where(outside, np.int16(value), image), np.eye(4)[:, [2, 1, 0, 3]], padding=outside)


def test_padding_is_left_out():
    volume = padded_ct(-2000)
    found, inside = extract_features(volume), volume.array[~volume.padding]
    assert found["firstorder_mean"] == pytest.approx(inside.mean(), rel=1e-12)
    assert found["firstorder_minimum"] == inside.min() > -1100
    assert extract_features(padded_ct(30000)) == found  # whatever stands there
    nan = np.where(volume.padding, np.nan, volume.array)
    assert found == pytest.approx(extract_features(nan), rel=1e-9)
    assert found["contour_borders_max"] == 1  # the field of view has no outline
    assert found["contour_area_mean"] == pytest.approx(np.pi * (24.5**2 + 29.5**2) / 2, rel=0.02)


def test_padding_in_a_mask_counts_to_its_shape_only():
    volume, mask = padded_ct(-2000), np.ones((2, 120, 120))
    found = extract_features(volume, mask)
    assert found["firstorder_minimum"] > -1100
    assert found["contour_foreground_area_mean"] == 120 * 120


def test_nothing_but_padding():
    volume = padded_ct(-2000)
    empty = fastmed.Volume(volume.array, volume.affine, padding=np.ones(volume.shape, bool))
    found = extract_features(empty)
    assert tuple(found) == feature_names()
    assert math.isnan(found["firstorder_mean"]) and math.isnan(found["contour_area_mean"])


def test_padding_of_a_real_ct(shared_data):
    series = [s for s in fastmed.scan(shared_data / "dicom").series if s.modality == "CT" and s.n_slices < 60]
    padded = [v for v in map(fastmed.archive.read_series, series) if v.padding is not None]
    if not padded:
        pytest.skip("no padded CT among the shared data")
    for volume in padded:
        found = extract_features(volume)
        assert found["firstorder_minimum"] == volume.array[~volume.padding].min()


def test_colour_is_the_mean_of_its_channels():
    image = np.random.default_rng(0).integers(0, 255, (2, 32, 33, 3), np.uint8)
    grey = image.mean(axis=-1, dtype=np.float32)
    assert extract_features(image) == extract_features(grey)
    volume = fastmed.Volume(image, np.diag([1.0, 1, 1, 1])[:, [2, 1, 0, 3]], meta={"axes": "tyxc"})
    assert extract_features(volume) == extract_features(grey)


def test_a_volume_brings_its_spacing():
    array = np.stack([disc(10, (60, 60))] * 2)
    affine = np.array([[0, 0, 0.25, 0], [0, 0.5, 0, 0], [3.0, 0, 0, 0], [0, 0, 0, 1]])
    found = extract_features(fastmed.Volume(array, affine))
    np.testing.assert_equal(found, extract_features(array, spacing=(3, 0.5, 0.25)))


def test_layout_and_dtype_do_not_matter():
    image = np.random.default_rng(0).integers(-500, 500, (3, 40, 41)).astype(np.int16)
    wanted = extract_features(image)
    for other in (np.asfortranarray(image), image.astype(">i2"), image[::-1][::-1], image.astype(np.int32)):
        assert extract_features(other) == wanted


def test_shapes_in_mm_do_not_depend_on_the_sampling():
    """The same disc of 20 mm radius on three grids: equal within the border's half pixel."""
    rows = []
    for spacing in [(0.5, 0.5), (0.5, 0.25), (0.25, 0.25)]:
        shape = tuple(int(60 / s) for s in spacing)
        rows.append(extract_features(disc(20, shape, spacing), spacing=spacing))
    for name, bound in {
        "contour_foreground_area_mean": 0.01, "contour_area_mean": 0.04, "contour_perimeter_mean": 0.06,
        "edge_gradient_max": 0.05, "firstorder_mean": 0.02,
    }.items():
        values = [r[name] for r in rows]
        assert max(values) / min(values) < 1 + bound, (name, values)


def test_a_mask_chooses_the_region():
    image = np.random.default_rng(0).normal(size=(2, 50, 50))
    mask = np.stack([disc(12, (50, 50)), np.zeros((50, 50))]) > 0
    features = extract_features(image, mask)
    assert features["firstorder_mean"] == pytest.approx(image[mask].mean())
    assert features["contour_foreground_area_mean"] == mask.sum()
    assert features["contour_borders_max"] == 1


def test_a_mask_keeps_its_shape_on_a_constant_image():
    mask = disc(12, (50, 50)) > 0
    assert extract_features(np.ones((50, 50)), mask)["contour_foreground_area_mean"] == mask.sum()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"volume": np.zeros(5)}, ValueError, "1 dimension"),
        ({"volume": np.zeros((2, 2, 2, 2, 2))}, ValueError, "5 dimension"),
        ({"volume": np.zeros((5, 5)), "mask": np.zeros((5, 4))}, ValueError, "mask has shape"),
        ({"volume": np.zeros((5, 5)), "spacing": (0, 1)}, ValueError, "spacing"),
        ({"volume": np.zeros((5, 5)), "spacing": 1.0}, ValueError, "spacing"),
        ({"volume": np.zeros((5, 5), complex)}, TypeError, "complex"),
        ({"volume": np.array([["a"]])}, TypeError, "dtype"),
        ({"volume": np.array([[None]])}, TypeError, "object"),
    ],
)
def test_refusals(arguments, error, message):
    with pytest.raises(error, match=message):
        extract_features(**arguments)


def test_otsu_separates_as_scikit_image_does():
    filters = pytest.importorskip("skimage.filters")
    rng = np.random.default_rng(0)
    for _ in range(20):
        low, high = rng.uniform(0.3, 2), rng.uniform(1, 8)
        a, b = rng.normal(0, 1, 500), rng.normal(high, low, rng.integers(50, 900))
        counts, edges = np.histogram(np.concatenate([a, b]), 256)
        centres = (edges[:-1] + edges[1:]) / 2
        wanted = filters.threshold_otsu(hist=(counts, centres))
        first = np.searchsorted(edges, wanted)  # theirs is the bin's centre; ours its edge, or a gap's middle
        gap = np.flatnonzero(counts[first:])[0]
        assert edges[first] - 1e-12 <= otsu_threshold(counts, edges) <= edges[first + gap] + 1e-12


def test_otsu_of_less_than_two_values():
    assert math.isnan(otsu_threshold(np.array([0, 5, 0]), np.arange(4.0)))
