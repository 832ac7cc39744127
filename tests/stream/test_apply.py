"""A volume through an operation, block by block: the values are those in memory, whatever it comes from and goes to."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage

import fastmed
from fastmed import stream
from fastmed._engine.operation import OPERATIONS
from fastmed.errors import DecodeError, GeometryError, UnsupportedImageError
from fastmed.stream._steps import named, operations

sys.path.insert(0, str(Path(__file__).parents[1] / "archive"))

SHAPE = (37, 44, 51)
BLOCK = (11, 16, 20)


def picture(dtype="int16", seed=0, shape=SHAPE):
    smooth = scipy.ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.5)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 30000).astype(dtype)


#: Options that let an operation run on three axes; those that are not here need a caller's function or a plane.
OPTIONS = {
    "gaussian_filter": {"sigma": 1.5}, "gaussian_filter1d": {"sigma": 1.5, "axis": 0},
    "gaussian_laplace": {"sigma": 1.0}, "gaussian_gradient_magnitude": {"sigma": 1.0}, "laplace": {},
    "uniform_filter": {"size": (2, 3, 4)}, "uniform_filter1d": {"size": 4}, "median_filter": {"size": 3},
    "rank_filter": {"rank": 3, "size": 3}, "percentile_filter": {"percentile": 20, "size": 3},
    "minimum_filter": {"size": 3}, "minimum_filter1d": {"size": 3}, "maximum_filter": {"size": (3, 1, 5)},
    "maximum_filter1d": {"size": 5}, "correlate": {"weights": np.ones((3, 2, 3)) / 18},
    "convolve": {"weights": np.arange(18.0).reshape(3, 2, 3) / 100}, "correlate1d": {"weights": [0.2, 0.5, 0.3]},
    "convolve1d": {"weights": [0.2, 0.5, 0.3], "origin": 1}, "sobel": {}, "prewitt": {"axis": 1}, "scharr": {},
    "farid": {}, "sobel_edges": {}, "prewitt_edges": {"axis": 0}, "gradient_magnitude": {"operator": "gaussian"},
    "canny": {"low_threshold": 2000, "high_threshold": 9000},
    "apply_hysteresis_threshold": {"low": 15000, "high": 24000}, "rescale_intensity": {"out_range": (0, 1)},
    "threshold_otsu": {},
}  # fmt: skip
ELSEWHERE = {"generic_filter", "generic_filter1d", "vectorized_filter"}
ELSEWHERE |= {"roberts", "roberts_pos_diag", "roberts_neg_diag"}


def in_memory(name, image, **options):
    result = getattr(fastmed, name)(image, **options)
    return image > result if name == "threshold_otsu" else result


def test_every_operation_is_tried():
    assert set(operations()) == set(OPTIONS) | ELSEWHERE


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_operation_is_that_in_memory(name, dtype, tmp_path):
    image = picture(dtype)
    wanted = in_memory(name, image, **OPTIONS[name])
    done = stream.apply(name, image, tmp_path / "out.npy", block=BLOCK, threads=2, **OPTIONS[name])
    found = np.load(tmp_path / "out.npy")
    assert done.n_blocks == 4 * 3 * 3 and found.dtype == wanted.dtype
    if wanted.dtype.kind == "f":
        assert np.abs(found - wanted).max() <= (1e-12 if wanted.dtype == float else 1e-6) * max(np.ptp(image), 1)
    else:
        assert (found == wanted).all() and wanted.any()


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant"])
@pytest.mark.parametrize("block", [(3, 44, 5), (37, 2, 51), (37, 44, 51)])
def test_modes_and_blocks_smaller_than_the_halo(mode, block, tmp_path):
    image = picture()
    stream.apply("gaussian", image, tmp_path / "out.npy", block=block, sigma=2, mode=mode, cval=7)
    assert (np.load(tmp_path / "out.npy") == fastmed.gaussian_filter(image, 2, mode=mode, cval=7)).all()


def test_edges_hang_together_over_any_number_of_blocks(tmp_path):
    image = np.zeros((9, 40, 40))
    for row in range(2, 38, 4):  # one snake through all blocks, strong at its end
        image[4, row, 2:38] = 1
        image[4, row : row + 5, 37 if row % 8 == 2 else 2] = 1
    image[4, 2, 2] = 2
    wanted = fastmed.apply_hysteresis_threshold(image, 0.5, 1.5)
    stream.apply("apply_hysteresis_threshold", image, tmp_path / "out.npy", block=(5, 6, 7), low=0.5, high=1.5)
    assert (np.load(tmp_path / "out.npy") == wanted).all() and wanted.sum() > 300


@pytest.mark.parametrize("seed", range(5))
def test_noise_hangs_together_as_in_memory(seed, tmp_path):
    rng = np.random.default_rng(seed)
    image, block = rng.random((12, 17, 23)), tuple(rng.integers(1, 12, 3))
    stream.apply("apply_hysteresis_threshold", image, tmp_path / "out.npy", block=block, low=0.72, high=0.995)
    assert (np.load(tmp_path / "out.npy") == fastmed.apply_hysteresis_threshold(image, 0.72, 0.995)).all()


# --- sources and sinks --------------------------------------------------------------------------------------

AFFINE = np.array([[0, 0, 0.5, -10], [0, 0.75, 0, -20], [2.0, 0, 0, 30], [0, 0, 0, 1]])


def as_zarr(image, path, **more):
    zarr = pytest.importorskip("zarr", reason="Zarr is an extra")
    array = zarr.create_array(str(path), shape=image.shape, chunks=(10, 16, 20), dtype=image.dtype, **more)
    array[...] = image
    return path


def as_hdf5(image, path):
    h5py = pytest.importorskip("h5py", reason="HDF5 is an extra")
    with h5py.File(path, "w") as file:
        file.create_dataset("scan/data", data=image, chunks=(8, 9, 10), compression="gzip")
        file["about"] = np.arange(3)
    return path


def as_nifti(image, path, slope=None):
    import nibabel

    made = fastmed.Volume(image, AFFINE).to_nibabel()
    if slope:
        made.header.set_slope_inter(slope, 3)
    nibabel.save(made, path)
    return path


def as_raw(image, path):
    image.astype(">i2").tofile(path)
    return path


def as_dicom(image, path):
    from make import Truth

    Truth(image).write(path)
    return path


SOURCES = {
    "v3": (lambda image, folder: as_zarr(image, folder / "a.zarr"), {}),
    "v2": (lambda image, folder: as_zarr(image, folder / "a.zarr", zarr_format=2), {}),
    "shards": (lambda image, folder: as_zarr(image, folder / "a.zarr", shards=(20, 32, 40)), {}),
    "ours": (lambda image, folder: fastmed.write(fastmed.Volume(image, AFFINE), folder / "a.zarr"), {}),
    "hdf5": (lambda image, folder: as_hdf5(image, folder / "a.h5"), {"key": "/scan/data"}),
    "nifti": (lambda image, folder: as_nifti(image, folder / "a.nii"), {}),
    "nifti gz": (lambda image, folder: as_nifti(image, folder / "a.nii.gz"), {}),
    "raw": (lambda image, folder: as_raw(image, folder / "a.raw"), {"shape": SHAPE, "dtype": ">i2"}),
    "npy": (lambda image, folder: np.save(folder / "a.npy", image) or folder / "a.npy", {}),
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_sources(source, tmp_path):
    make, options = SOURCES[source]
    image = picture()
    place = make(image, tmp_path)
    stream.apply("median", place, tmp_path / "out.npy", block=BLOCK, size=3, **options)
    assert (np.load(tmp_path / "out.npy") == fastmed.median_filter(image, 3)).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([Path(place).name, "out.npy"])


def test_a_dask_array(tmp_path):
    import dask.array as da

    image = picture()
    stream.apply("median", da.from_array(image, chunks=(9, 20, 51)), tmp_path / "out.npy", block=BLOCK, size=3)
    assert (np.load(tmp_path / "out.npy") == fastmed.median_filter(image, 3)).all()


def test_a_dicom_series_slice_by_slice(tmp_path):
    from make import Truth, ramp

    Truth(ramp()).write(tmp_path / "series")
    volume = fastmed.read(tmp_path / "series")
    stream.apply("gaussian", tmp_path / "series", tmp_path / "out.nii", block=(3, 5, 7), sigma=1, output="float32")
    made = fastmed.read(tmp_path / "out.nii")
    assert np.abs(made.array - fastmed.gaussian_filter(volume.array, 1, output="float32")).max() < 1e-3
    assert np.allclose(made.affine, volume.affine, atol=1e-4)


def test_scaled_nifti_comes_as_float32(tmp_path):
    image = picture()
    as_nifti(image, tmp_path / "a.nii", slope=0.5)
    volume = fastmed.read(tmp_path / "a.nii")
    stream.apply("median", tmp_path / "a.nii", tmp_path / "out.npy", block=BLOCK, size=3)
    assert np.load(tmp_path / "out.npy").dtype == np.float32 == volume.dtype
    assert (np.load(tmp_path / "out.npy") == fastmed.median_filter(volume.array, 3)).all()


@pytest.mark.parametrize("suffix", [".zarr", ".nii", ".npy", ".raw"])
@pytest.mark.parametrize("op", ["canny", "gaussian"])
def test_sinks_keep_place_and_facts(op, suffix, tmp_path):
    volume = fastmed.Volume(picture(), AFFINE, modality="CT", units="HU")
    fastmed.write(volume, tmp_path / "in.zarr")
    options = {"canny": OPTIONS["canny"], "gaussian": {"sigma": 2}}[op]
    wanted = getattr(fastmed, named(op).name)(volume.array, **options)
    out = tmp_path / f"out{suffix}"
    stream.apply(op, tmp_path / "in.zarr", out, block=BLOCK, **options)
    if suffix in (".npy", ".raw"):
        found = np.load(out) if suffix == ".npy" else np.fromfile(out, wanted.dtype).reshape(SHAPE)
    else:
        made = fastmed.read(out)
        assert np.allclose(made.affine, AFFINE) and (suffix == ".nii" or (made.modality, made.units) == ("CT", "HU"))
        found = made.array
    assert (found == wanted).all() and wanted.any()


def test_absent_chunks_are_the_fill_value(tmp_path):
    zarr = pytest.importorskip("zarr", reason="Zarr is an extra")
    for fill in (0, 900):
        array = zarr.create_array(str(tmp_path / f"{fill}.zarr"), shape=(60, 60, 60), chunks=(10,) * 3, dtype="int16",
                                  fill_value=fill)  # fmt: skip
        array[10:20, 10:20, 10:20] = picture(shape=(10, 10, 10))
        for op, options in (("gaussian", {"sigma": 1, "mode": "constant"}), ("canny", OPTIONS["canny"])):
            wanted = getattr(fastmed, named(op).name)(array[...], **options)
            options = {**options, "block": (10, 10, 10), "overwrite": True}
            stream.apply(op, tmp_path / f"{fill}.zarr", tmp_path / "out.npy", **options)
            assert (np.load(tmp_path / "out.npy") == wanted).all() and wanted.any()


def test_spacing_in_mm_is_that_of_the_source(tmp_path):
    volume = fastmed.Volume(picture("float32"), AFFINE)
    fastmed.write(volume, tmp_path / "in.zarr")
    stream.apply("gaussian", tmp_path / "in.zarr", tmp_path / "out.npy", block=BLOCK, sigma=2.0, spacing_mm=True)
    wanted = fastmed.gaussian_filter(volume.array, (1.0, 2 / 0.75, 4.0))
    assert np.abs(np.load(tmp_path / "out.npy") - wanted).max() < 1e-6 * 30000


# --- refusals: before any work, by name ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "op, options, error, words",
    [
        ("blur", {}, ValueError, "op must be one of .*found 'blur'"),
        ("gaussian", {}, TypeError, "sigma"),
        ("gaussian", {"sigma": 1, "widht": 2}, TypeError, "widht.*options: sigma"),
        ("gaussian", {"sigma": 1, "mode": "refelct"}, RuntimeError, "refelct"),
        ("gaussian", {"sigma": 1, "mask": np.ones((1, 2, 3), bool)}, ValueError, "mask must have the shape"),
        ("gaussian", {"sigma": 1, "mask": np.ones(SHAPE)}, TypeError, "mask must be of bool"),
        ("roberts", {"mask": np.ones(SHAPE, bool)}, ValueError, "must have 2 axes|2 axes"),
        ("rescale_intensity", {"mask": np.ones(SHAPE, bool)}, ValueError, "rescale_intensity takes no mask"),
        ("rescale_intensity", {"in_range": "all"}, ValueError, "in_range must be"),
        ("threshold_otsu", {"hist": [1, 2]}, ValueError, "hist must be None"),
        ("canny", {"use_quantiles": True, "low_threshold": 2}, ValueError, "low_threshold must be a quantile"),
        ("canny", {"mode": "wrap"}, ValueError, "mode must not be 'wrap'"),
        ("gaussian_laplace", {"sigma": 1, "mode": ["reflect", "wrap", "wrap"]}, ValueError, "mode must be one"),
        ("median", {"size": 3, "memory": "1MB"}, ValueError, "memory must be at least .* MB"),
        ("median", {"size": 3, "memory": "lots"}, ValueError, "memory must be a size.*'lots'"),
        ("median", {"size": 3, "block": (0, 1, 2)}, ValueError, "block must have 3 sizes"),
        ("median", {"size": 3, "spacing_mm": True}, ValueError, "spacing"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(op, options, error, words, tmp_path):
    with pytest.raises(error, match=words):
        stream.apply(op, picture(), tmp_path / "out.npy", **options)
    assert not (tmp_path / "out.npy").exists()


def test_places_that_cannot_be(tmp_path):
    image = picture()
    place = as_zarr(image, tmp_path / "a.zarr")
    for out in (place, place / "x.npy"):
        with pytest.raises(ValueError, match="must not be the input"):
            stream.apply("median", place, out, size=3, overwrite=True)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        stream.apply("median", tmp_path / "b.zarr", tmp_path / "out.npy", size=3)
    with pytest.raises(ValueError, match=r"must end with one of .zarr.*'out.tif'"):
        stream.apply("median", place, tmp_path / "out.tif", size=3)
    (tmp_path / "out.npy").write_bytes(b"before")
    with pytest.raises(FileExistsError, match="overwrite"):
        stream.apply("median", place, tmp_path / "out.npy", size=3)
    assert (tmp_path / "out.npy").read_bytes() == b"before"
    assert (np.asarray(__import__("zarr").open_array(str(place))[...]) == image).all()


def test_sources_that_cannot_be_read(tmp_path):
    as_raw(picture(), tmp_path / "a.raw")
    with pytest.raises(ValueError, match="shape= and dtype="):
        stream.plan("median", tmp_path / "a.raw", "out.npy", size=3)
    with pytest.raises(DecodeError, match="truncated"):
        stream.plan("median", tmp_path / "a.raw", "out.npy", size=3, shape=(40, 44, 51), dtype="i2")
    np.save(tmp_path / "f.npy", np.asfortranarray(picture()))
    with pytest.raises(UnsupportedImageError, match="Fortran"):
        stream.plan("median", tmp_path / "f.npy", "out.npy", size=3)
    sheared = AFFINE + np.pad([[0.0, 0.3, 0]], ((0, 3), (0, 1)))
    with pytest.raises(GeometryError, match="shear"):
        stream.plan("median", fastmed.Volume(picture(), sheared), "out.zarr", size=3)
    fastmed.write(fastmed.Volume(picture(), AFFINE), tmp_path / "ours.zarr")
    (tmp_path / "ours.zarr" / "fastmed-complete.json").unlink()
    with pytest.raises(DecodeError, match="completion mark"):
        stream.plan("median", tmp_path / "ours.zarr", "out.npy", size=3)


# --- plans --------------------------------------------------------------------------------------------------


def test_a_plan_fits_its_memory_and_covers_the_volume(tmp_path):
    sizes = []
    for memory, threads in itertools.product(("600MB", "2GB", "8GB"), (1, 2, 16)):
        chosen = stream.plan("gaussian", np.broadcast_to(np.int16(0), (600, 700, 800)), tmp_path / "out.zarr",
                             sigma=3, memory=memory, threads=threads)  # fmt: skip
        assert chosen.peak_bytes <= 0.75 * chosen.memory
        assert chosen.workers * chosen.threads <= threads
        boxes = [chosen.box(n) for n in chosen.order()]
        assert sorted(chosen.order()) == list(range(chosen.n_blocks))
        assert sum(np.prod([b - a for a, b in box]) for box in boxes) == 600 * 700 * 800
        assert all(a % c == 0 for box in boxes for (a, _), c in zip(box, chosen.chunks, strict=True))
        assert "MB" in chosen.explain() and f"{chosen.n_blocks:,}" in chosen.explain()
        sizes.append(chosen.block)
    assert np.prod(sizes[0]) < np.prod(sizes[-3])


def test_the_list_of_operations_is_the_engines():
    assert set(operations()) <= {*OPERATIONS, "threshold_otsu"}
    assert named("gaussian").name == "gaussian_filter" and named("sobel").name == "sobel"


def test_the_output_is_right_however_few_the_processors(tmp_path):
    image = picture()
    stream.apply("median", image, tmp_path / "a.npy", block=BLOCK, threads=1, size=3)
    stream.apply("median", image, tmp_path / "b.npy", block=(37, 9, 51), threads=5, size=3)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    assert os.listdir(tmp_path) and (np.load(tmp_path / "a.npy") == fastmed.median_filter(image, 3)).all()
