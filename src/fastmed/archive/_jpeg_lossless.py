"""JPEG lossless for pydicom, by imagecodecs: the commonest compression of clinical archives has no other decoder for
pydicom whose licence allows use everywhere (pylibjpeg-libjpeg is GPL, gdcm ends the process on corrupt files)."""

from __future__ import annotations

import importlib.util

import numpy as np
from pydicom.pixels.decoders import JPEGLosslessDecoder, JPEGLosslessSV1Decoder
from pydicom.pixels.decoders.base import DecodeRunner

DECODER_DEPENDENCIES = {decoder.UID: ("imagecodecs",) for decoder in (JPEGLosslessDecoder, JPEGLosslessSV1Decoder)}
LABEL = "fastmed"


def is_available(uid: str) -> bool:
    """Whether imagecodecs is installed with its lossless JPEG codec."""
    if importlib.util.find_spec("imagecodecs") is None:
        return False
    import imagecodecs

    return bool(imagecodecs.LJPEG.available)


def decode_frame(source: bytes, runner: DecodeRunner) -> bytearray:
    """One frame's pixels, as pydicom asks its plugins for them.

    Raises
    ------
    ValueError
        If the frame has another size than the header says.
    """
    import imagecodecs

    frame = np.ascontiguousarray(imagecodecs.ljpeg_decode(source))
    wanted = (runner.rows, runner.columns, *([runner.samples_per_pixel] if runner.samples_per_pixel > 1 else []))
    if frame.shape != wanted:
        raise ValueError(f"the frame has the shape {frame.shape}, the header says {wanted}")
    runner.set_option("bits_allocated", 8 * frame.itemsize)
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    return bytearray(frame.astype(frame.dtype.newbyteorder("<"), copy=False).tobytes())


def register() -> None:
    """Offer it to pydicom, once."""
    for decoder in (JPEGLosslessDecoder, JPEGLosslessSV1Decoder):
        if LABEL not in (*decoder.available_plugins, *(p.split()[0] for p in decoder.missing_dependencies)):
            decoder.add_plugin(LABEL, (__name__, "decode_frame"))
