"""TIFF, PNG, JPEG and video: the values that other readers give, or a typed refusal."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from fastmed import errors
from fastmed.archive import Limits, read

HERE = Limits(isolate=False)  # quicker; test_in_a_process_of_its_own runs the other way
Image = pytest.importorskip("PIL.Image", reason="pictures are read by Pillow, of the extra archive")


def noise(shape, dtype=np.uint8, seed=0):
    return (np.random.default_rng(seed).random(shape) * 250).astype(dtype)


# ------------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_grey_png(tmp_path, dtype):
    array = noise((7, 5)).astype(dtype) if dtype is not bool else noise((7, 5)) > 100
    Image.fromarray(array).save(tmp_path / "a.png")
    volume = read(tmp_path / "a.png", limits=HERE)
    np.testing.assert_array_equal(volume.array, array[None])
    assert (volume.axes, volume.spacing, volume.meta["geometry"], volume.dtype) == ("tyx", (1, 1, 1), "none", dtype)


def test_colour_palette_and_alpha(tmp_path):
    array = noise((7, 5, 3))
    image = Image.fromarray(array)
    for name, one in (("a", image), ("b", image.convert("RGBA")), ("c", image.quantize(64))):
        one.save(tmp_path / f"{name}.png")
        volume = read(tmp_path / f"{name}.png", limits=HERE)
        np.testing.assert_array_equal(volume.array[0], np.asarray(one.convert("RGB")))
        assert volume.axes == "tyxc"
    clear = image.convert("RGBA")
    clear.putpixel((0, 0), (1, 2, 3, 4))
    clear.save(tmp_path / "d.png")
    with pytest.raises(errors.UnsupportedImageError, match="transparent"):
        read(tmp_path / "d.png", limits=HERE)


def test_jpeg(tmp_path):
    Image.fromarray(noise((16, 16, 3))).save(tmp_path / "a.jpg")
    Image.fromarray(noise((16, 16))).save(tmp_path / "b.jpeg")
    for name in ("a.jpg", "b.jpeg"):
        expected = np.asarray(Image.open(tmp_path / name))
        np.testing.assert_array_equal(read(tmp_path / name, limits=HERE).array[0], expected)


def bomb(width, height):
    """A PNG of few bytes that claims many pixels."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("limits", [Limits(), Limits(max_frame_bytes=1 << 20), Limits(max_volume_bytes=1 << 20)])
def test_bombs(tmp_path, limits):
    (tmp_path / "a.png").write_bytes(bomb(40_000, 40_000))
    with pytest.raises(errors.LimitExceeded):
        read(tmp_path / "a.png", limits=limits)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".tiff", ".mp4"])
@pytest.mark.parametrize("isolate", [False, True])
def test_rubbish(tmp_path, suffix, isolate):
    if suffix == ".mp4":
        pytest.importorskip("av", reason="video needs the extra video")
    for data in (b"", b"CANARY" * 99):
        (tmp_path / f"a{suffix}").write_bytes(data)
        with pytest.raises(errors.DecodeError) as told:
            read(tmp_path / f"a{suffix}", limits=Limits(isolate=isolate))
        assert "CANARY" not in str(told.value) and type(told.value) is errors.DecodeError


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_cut_off_pictures(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise((64, 64))).save(path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(errors.DecodeError):
        read(path, limits=HERE)


def test_a_bmp_called_png(tmp_path):
    Image.fromarray(noise((4, 4))).save(tmp_path / "a.bmp")
    (tmp_path / "a.bmp").rename(tmp_path / "a.png")
    with pytest.raises(errors.DecodeError):
        read(tmp_path / "a.png", limits=HERE)


# ---------------------------------------------------------------------------------------------------------- TIFF


@pytest.fixture
def tifffile():
    return pytest.importorskip("tifffile", reason="TIFF is read by tifffile, of the extra archive")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64, ">u2"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_a_stack(tmp_path, tifffile, dtype, compression):
    if compression == "lzw":
        pytest.importorskip("imagecodecs", reason="LZW needs imagecodecs")
    array = noise((6, 7, 5), dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, compression=compression, photometric="minisblack")
    volume = read(tmp_path / "a.tif", limits=HERE)
    np.testing.assert_array_equal(volume.array, array)
    assert volume.axes == "zyx" and volume.meta["geometry"] == "none" and volume.dtype == array.dtype.newbyteorder("=")


def test_the_scales_of_imagej_and_ome(tmp_path, tifffile):
    array = noise((6, 7, 5), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, resolution=(2, 4), metadata={"spacing": 3.0, "unit": "mm",
                                                                                          "axes": "ZYX"})  # fmt: skip
    volume = read(tmp_path / "a.tif", limits=HERE)
    assert volume.spacing == (3, 0.25, 0.5) and volume.meta["geometry"] == "pixel spacing"
    np.testing.assert_array_equal(volume.array, array)
    about = {"axes": "ZYX", "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5,
             "PhysicalSizeYUnit": "mm", "PhysicalSizeZ": 2.0, "PhysicalSizeZUnit": "mm"}  # fmt: skip
    tifffile.imwrite(tmp_path / "b.ome.tif", array, metadata=about)
    assert read(tmp_path / "b.ome.tif", limits=HERE).spacing == (2, 0.5, 0.25)


def test_times_and_colour(tmp_path, tifffile):
    four = noise((3, 4, 7, 5), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", four, imagej=True, metadata={"axes": "TZYX"})
    volume = read(tmp_path / "a.tif", limits=HERE)
    np.testing.assert_array_equal(volume.array, four)
    assert volume.axes == "tzyx"
    colour = noise((7, 5, 3))
    tifffile.imwrite(tmp_path / "b.tif", colour, photometric="rgb")
    assert read(tmp_path / "b.tif", limits=HERE).shape == (1, 7, 5, 3)
    tifffile.imwrite(tmp_path / "c.tif", noise((2, 4, 7, 5)), imagej=True, metadata={"axes": "ZCYX"})
    with pytest.raises(errors.UnsupportedImageError, match="axes ZCYX"):
        read(tmp_path / "c.tif", limits=HERE)


def test_faulty_tiff(tmp_path, tifffile):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for shape in ((7, 5), (8, 5)):
            file.write(noise(shape), photometric="minisblack")
    with pytest.raises(errors.UnsupportedImageError, match="several sizes"):
        read(path, limits=HERE)
    tifffile.imwrite(path, noise((6, 70, 50)), photometric="minisblack")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(errors.DecodeError):
        read(path, limits=HERE)
    tifffile.imwrite(path, noise((9, 7, 5)), photometric="minisblack")
    with pytest.raises(errors.LimitExceeded, match="max_frames"):
        read(path, limits=Limits(isolate=False, max_frames=8))


# --------------------------------------------------------------------------------------------------------- video


def video(path, frames, codec="ffv1", pix_fmt="gray"):
    av = pytest.importorskip("av", reason="video is read by PyAV, of the extra video")
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        for frame in frames:
            kind = "gray" if frame.ndim == 2 else "rgb24"
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format=kind)):
                file.mux(packet)
        for packet in stream.encode(None):
            file.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mov"])
def test_video(tmp_path, suffix):
    frames = noise((9, 32, 48))
    codec = "png" if suffix == ".mov" else "ffv1"
    volume = read(video(tmp_path / f"a{suffix}", frames, codec), limits=HERE)
    np.testing.assert_array_equal(volume.array, frames)
    assert volume.axes == "tyx" and volume.meta["frame_rate"] == 25 and volume.meta["geometry"] == "none"


def test_video_in_colour(tmp_path):
    frames = noise((5, 32, 48, 3))
    volume = read(video(tmp_path / "a.mkv", frames, pix_fmt="bgr0"), limits=HERE)
    np.testing.assert_array_equal(volume.array, frames)
    assert volume.axes == "tyxc"


def test_cut_off_video(tmp_path):
    path = video(tmp_path / "a.avi", noise((20, 32, 48)))
    path.write_bytes(path.read_bytes()[:-12_000])
    with pytest.raises(errors.DecodeError):
        read(path, limits=HERE)


def test_a_video_that_grows(tmp_path):
    path = video(tmp_path / "a.mkv", np.zeros((200, 480, 640), np.uint8))
    assert read(path, limits=HERE).shape == (200, 480, 640)
    with pytest.raises(errors.LimitExceeded, match="claims"):
        read(path, limits=Limits(isolate=False, free_bytes=1 << 20, max_expansion=100))
    with pytest.raises(errors.LimitExceeded, match="at most"):
        read(path, limits=Limits(isolate=False, max_volume_bytes=1 << 20))


# ------------------------------------------------------------------------------------------------------ isolation


def test_in_a_process_of_its_own(tmp_path):
    tifffile = pytest.importorskip("tifffile", reason="TIFF is read by tifffile, of the extra archive")
    tifffile.imwrite(tmp_path / "a.tif", noise((6, 70, 50), np.uint16), compression="zlib", photometric="minisblack")
    Image.fromarray(noise((7, 5))).save(tmp_path / "a.png")
    for name in ("a.tif", "a.png"):
        np.testing.assert_array_equal(read(tmp_path / name).array, read(tmp_path / name, limits=HERE).array)


def test_limits_of_the_process(tmp_path):
    Image.fromarray(noise((4000, 4000))).save(tmp_path / "a.png", compress_level=0)
    with pytest.raises((errors.LimitExceeded, errors.DecodeError)):
        read(tmp_path / "a.png", limits=Limits(max_decoder_bytes=1 << 24))
    with pytest.raises(errors.LimitExceeded, match="max_seconds"):
        read(tmp_path / "a.png", limits=Limits(max_seconds=0.001))
