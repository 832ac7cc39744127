"""What depends on all of a volume, masks and policies: block by block as in memory; sources and sinks in every pair."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_apply import AFFINE, BLOCK, SHAPE, SOURCES, as_zarr, in_memory, picture
from typer.testing import CliRunner

import fastmed
from fastmed import stream
from fastmed.cli._app import app

QUANTILES = {"use_quantiles": True, "low_threshold": 0.6, "high_threshold": 0.9}


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize(
    "name, options",
    [("rescale_intensity", {}), ("rescale_intensity", {"in_range": (2, 90), "out_range": "uint8"}),
     ("rescale_intensity", {"in_range": "dtype", "out_range": "image"}), ("threshold_otsu", {"nbins": 40}),
     ("canny", QUANTILES)],
)  # fmt: skip
def test_all_blocks_count(name, options, dtype, tmp_path):
    image = (picture() // 128).astype(dtype)
    wanted = in_memory(name, image, **options)
    stream.apply(name, image, tmp_path / "out.npy", block=BLOCK, threads=2, **options)
    found = np.load(tmp_path / "out.npy")
    assert found.dtype == wanted.dtype and np.array_equal(found, wanted) and wanted.any()


@pytest.mark.parametrize("fill", [0, 900])
@pytest.mark.parametrize("name, options", [("rescale_intensity", {"out_range": (0, 1)}), ("canny", QUANTILES)])
def test_absent_chunks_count_too(name, options, fill, tmp_path):
    zarr = pytest.importorskip("zarr", reason="Zarr is an extra")
    array = zarr.create_array(str(tmp_path / "in.zarr"), shape=(150, 140, 160), chunks=(32,) * 3, dtype="int16",
                              fill_value=fill)  # fmt: skip
    array[32:96, 64:96, 70:130] = picture(shape=(64, 32, 60))
    wanted = in_memory(name, array[...], **options)
    stream.apply(name, tmp_path / "in.zarr", tmp_path / "out.zarr", block=(150, 140, 160), **options)
    assert np.array_equal(np.asarray(fastmed.read(tmp_path / "out.zarr")), wanted)


def test_what_was_measured_is_kept_when_a_run_is_stopped(tmp_path):
    image, seen = picture(), []

    def stop(phase, done, total):
        if phase == "write" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream.apply("rescale_intensity", image, tmp_path / "out.npy", block=BLOCK, out_range="uint8", progress=stop)
    stream.apply("rescale_intensity", image, tmp_path / "out.npy", block=BLOCK, out_range="uint8",
                 progress=lambda *told: seen.append(told[0]))  # fmt: skip
    assert set(seen) == {"write"}
    assert np.array_equal(np.load(tmp_path / "out.npy"), fastmed.rescale_intensity(image, out_range="uint8"))


def test_other_quantiles_begin_anew(tmp_path):
    image = picture()

    def stop(phase, done, total):
        if phase == "write" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream.apply("canny", image, tmp_path / "out.npy", block=BLOCK, progress=stop, **QUANTILES)
    other = {**QUANTILES, "high_threshold": 0.8}
    assert stream.apply("canny", image, tmp_path / "out.npy", block=BLOCK, **other).n_reused == 0
    assert np.array_equal(np.load(tmp_path / "out.npy"), fastmed.canny(image, **other))


def test_on_a_cluster(tmp_path):
    from distributed import Client

    place, image = as_zarr(picture(), tmp_path / "in.zarr"), picture()
    with Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as client:
        for name in ("canny", "threshold_otsu", "rescale_intensity"):
            options = {"canny": QUANTILES, "rescale_intensity": {"out_range": (0, 1)}}.get(name, {})
            stream.apply(name, place, tmp_path / "out.npy", client=client, overwrite=True, **options)
            assert np.array_equal(np.load(tmp_path / "out.npy"), in_memory(name, image, **options))


# --- masks, policies, modes ---------------------------------------------------------------------------------


def ball():
    return sum((np.arange(n).reshape([-1 if a == k else 1 for a in range(3)]) - n / 2) ** 2
               for k, n in enumerate(SHAPE)) < 18**2  # fmt: skip


@pytest.mark.parametrize(
    "name, options",
    [("gaussian_filter", {"sigma": 1.5}), ("median_filter", {"size": 3}), ("uniform_filter", {"size": (3, 4, 5)}),
     ("canny", {"low_threshold": 2000, "high_threshold": 9000}), ("canny", QUANTILES), ("sobel_edges", {})],
)  # fmt: skip
def test_masks(name, options, tmp_path):
    image, mask = picture(), ball()
    wanted = getattr(fastmed, name)(image, mask=mask, **options)
    np.save(tmp_path / "mask.npy", mask)
    stream.apply(name, as_zarr(image, tmp_path / "in.zarr"), tmp_path / "out.npy", block=BLOCK, threads=2,
                 mask=tmp_path / "mask.npy", **options)  # fmt: skip
    found = np.load(tmp_path / "out.npy")
    near = np.abs(found.astype(float) - wanted).max() <= 1e-12 * 30000
    assert near if wanted.dtype.kind == "f" else np.array_equal(found, wanted)


def test_a_mask_lies_where_its_volume_does(tmp_path):
    moved = AFFINE + np.pad([[5.0]], ((0, 3), (3, 0)))
    with pytest.raises(ValueError, match="mm apart"):
        stream.apply("median", fastmed.Volume(picture(), AFFINE), tmp_path / "out.npy", size=3,
                     mask=fastmed.Volume(ball(), moved))  # fmt: skip


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant"])
@pytest.mark.parametrize("name, options", [("gaussian_filter", {"sigma": 1.0}), ("median_filter", {"size": 3})])
def test_nan_left_out_in_every_mode(name, options, mode, tmp_path):
    image = picture("float32")
    image[::7, ::5, ::3] = np.nan
    options = {**options, "mode": mode, "nan_policy": "omit"}
    wanted = getattr(fastmed, name)(image, **options)
    stream.apply(name, image, tmp_path / "out.npy", block=BLOCK, **options)
    assert np.abs(np.load(tmp_path / "out.npy") - wanted).max() <= 1e-6 * 30000 and not np.isnan(wanted).any()


def test_nan_refused(tmp_path):
    image = picture("float32")
    image[20, 30, 40] = np.nan
    with pytest.raises(ValueError, match="1 NaN, and nan_policy is 'raise'"):
        stream.apply("gaussian", image, tmp_path / "out.npy", block=BLOCK, sigma=1, nan_policy="raise")
    assert not (tmp_path / "out.npy").exists()


def test_the_command_takes_a_mask_a_policy_and_mm(tmp_path):
    image, mask = picture("float32"), ball()
    np.save(tmp_path / "in.npy", image)
    np.save(tmp_path / "mask.npy", mask)
    files = ["filter", tmp_path / "in.npy", tmp_path / "out.npy", "--mask", tmp_path / "mask.npy"]
    words = ["--op", "gaussian", "--sigma", "2mm", "--voxel", "2,1,0.5", "--nan-policy", "omit", "--mode", "wrap"]
    result = CliRunner().invoke(app, [*map(str, files), *words, "--json"])
    assert result.exit_code == 0, result.output
    wanted = fastmed.gaussian_filter(image, (1, 2, 4), mask=mask, nan_policy="omit", mode="wrap")
    assert json.loads(result.stdout)["shape"] == list(SHAPE)
    found = np.load(tmp_path / "out.npy")  # NaN where no voxel of the mask is near
    assert np.array_equal(np.isnan(found), np.isnan(wanted)) and np.nanmax(np.abs(found - wanted)) <= 1e-6 * 30000


# --- every source into every sink ---------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".zarr", ".nii", ".npy", ".raw"])
@pytest.mark.parametrize("source", [*SOURCES, "dicom"])
def test_every_source_into_every_sink(source, suffix, tmp_path):
    if source == "dicom":
        from make import Truth, ramp

        Truth(ramp()).write(tmp_path / "series")
        place, options, image = tmp_path / "series", {}, fastmed.read(tmp_path / "series").array
    else:
        (make, options), image = SOURCES[source], picture()
        place = make(image, tmp_path)
    out = tmp_path / f"out{suffix}"
    stream.apply("median", place, out, block=tuple(-(-n // 2) for n in image.shape), size=3, **options)
    wanted = fastmed.median_filter(image, 3)
    found = (np.load(out) if suffix == ".npy" else np.fromfile(out, wanted.dtype).reshape(wanted.shape)
             if suffix == ".raw" else np.asarray(fastmed.read(out)))  # fmt: skip
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("packed", ["none", "zstd", "gzip", "blosc", "big", "crc", "delta"])
def test_zarr_whatever_its_codecs(packed, version, tmp_path):
    zarr = pytest.importorskip("zarr", reason="Zarr is an extra")
    import numcodecs
    from zarr import codecs

    image, dtype = picture(), ">i2" if packed == "big" and version == 2 else "int16"
    if version == 2:
        kinds = {"none": None, "zstd": numcodecs.Zstd(1), "gzip": numcodecs.GZip(1), "blosc": numcodecs.Blosc(),
                 "big": numcodecs.Zstd(1), "crc": numcodecs.LZ4(), "delta": numcodecs.Zstd(1)}  # fmt: skip
        more = {"compressors": kinds[packed]}
        more |= {"filters": [numcodecs.Delta("<i2")]} if packed == "delta" else {}
    else:
        kinds = {"none": (), "zstd": codecs.ZstdCodec(), "gzip": codecs.GzipCodec(), "blosc": codecs.BloscCodec(),
                 "big": codecs.ZstdCodec(), "crc": [codecs.ZstdCodec(), codecs.Crc32cCodec()], "delta": ()}  # fmt: skip
        more = {"compressors": kinds[packed]}
        more |= {"serializer": codecs.BytesCodec(endian="big")} if packed == "big" else {}
        more |= {"filters": [codecs.TransposeCodec(order=(2, 0, 1))]} if packed == "delta" else {}
    array = zarr.create_array(str(tmp_path / "in.zarr"), shape=SHAPE, chunks=(10, 16, 20), dtype=dtype,
                              zarr_format=version, **more)  # fmt: skip
    array[...] = image
    stream.apply("median", tmp_path / "in.zarr", tmp_path / "out.npy", block=BLOCK, size=3)
    assert np.array_equal(np.load(tmp_path / "out.npy"), fastmed.median_filter(image, 3))


@pytest.mark.parametrize("packed", ["none", "zstd", "gzip", "blosc"])
@pytest.mark.parametrize("harm", ["cut", "empty", "longer", "flipped head"])
def test_harmed_chunks_are_named(packed, harm, tmp_path):
    zarr = pytest.importorskip("zarr", reason="Zarr is an extra")
    from zarr import codecs

    kinds = {"none": (), "zstd": codecs.ZstdCodec(), "gzip": codecs.GzipCodec(), "blosc": codecs.BloscCodec()}
    array = zarr.create_array(str(tmp_path / "in.zarr"), shape=SHAPE, chunks=(10, 16, 20), dtype="int16",
                              compressors=kinds[packed])  # fmt: skip
    array[...] = picture()
    chunk = tmp_path / "in.zarr" / "c" / "1" / "0" / "2"
    whole = chunk.read_bytes()
    harmed = {"cut": whole[: len(whole) // 2], "empty": b"", "longer": whole + b"more",
              "flipped head": bytes(255 - b for b in whole[:16]) + whole[16:]}[harm]  # fmt: skip
    chunk.write_bytes(harmed)
    if (packed, harm) in [("none", "flipped head"), ("zstd", "longer"), ("gzip", "longer")]:
        pytest.skip("is whole to its codec")
    with pytest.raises(fastmed.errors.DecodeError, match=r"chunk \(1, 0, 2\) of the input cannot be read"):
        stream.apply("median", tmp_path / "in.zarr", tmp_path / "out.npy", block=BLOCK, size=3)
