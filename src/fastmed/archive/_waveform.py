"""Waveforms and encapsulated audio -> arrays with a sampling rate."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from ..errors import DecodeError, LimitExceeded, TruncatedPixels, UnsupportedImageError
from ._limits import DEFAULT, Limits
from ._parse import header_only
from ._source import guarded, open_source, quiet

_KINDS = {
    ("SB", 8): "i1", ("UB", 8): "u1", ("MB", 8): "u1", ("AB", 8): "u1", ("SS", 16): "i2", ("US", 16): "u2",
    ("SL", 32): "i4", ("UL", 32): "u4", ("SV", 64): "i8", ("UV", 64): "u8",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Waveform:
    """One group of channels that were sampled together.

    Attributes
    ----------
    array : (samples, channels) array
        float64 in `units` where the channels have a sensitivity, else the stored integers; audio that is companded by
        mu-law or A-law is expanded to int16.
    rate : float
        Samples per second.
    units : tuple of str
        Code of each channel's unit, as 'mV'; empty where it has none.
    """

    array: np.ndarray = field(repr=False)
    rate: float
    units: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples and channels."""
        return self.array.shape


def read_waveforms(path: Any, *, limits: Limits = DEFAULT) -> list[Waveform]:
    """Read ECGs, other waveforms, and voice recordings.

    Parameters
    ----------
    path : path_like
        The file.
    limits : Limits, optional
        What it may ask for.

    Returns
    -------
    list of Waveform
        One for each multiplex group.

    Raises
    ------
    UnsupportedImageError
        If the object holds no waveform.
    TruncatedPixels, DecodeError, LimitExceeded
        If it is broken, or too large.

    Examples
    --------
    >>> import pydicom.data
    >>> from fastmed.archive import read_waveforms
    >>> first, second = read_waveforms(pydicom.data.get_testdata_file("waveform_ecg.dcm"))
    >>> first.shape, first.rate, first.units[0]
    ((10000, 12), 1000.0, 'uV')
    """
    place = os.fspath(path)
    with quiet(), open_source(place, limits) as file, guarded():
        size = file.seek(0, os.SEEK_END)
        if size > limits.max_header_bytes:
            raise LimitExceeded(f"an object of {size} bytes; at most {limits.max_header_bytes} are read")
        file.seek(0)
        _, _, dataset = header_only(file, limits, every=True)
        groups = dataset.get("WaveformSequence")
        if not groups:
            raise UnsupportedImageError("the object holds no waveform")
        order = "<" if dataset.original_encoding[1] is not False else ">"
        return [_group(group, order) for group in groups]


def _group(group: Dataset, order: str) -> Waveform:
    channels, samples = int(group.NumberOfWaveformChannels), int(group.NumberOfWaveformSamples)
    meaning, bits = str(group.WaveformSampleInterpretation), int(group.WaveformBitsAllocated)
    rate = float(group.SamplingFrequency)
    if (meaning, bits) not in _KINDS or min(channels, samples) < 1 or not rate > 0:
        raise DecodeError("samples, channels, rate or encoding of the waveform are senseless")
    data = bytes(group.WaveformData)
    kind = np.dtype(order + _KINDS[meaning, bits])
    wanted = channels * samples * kind.itemsize
    if len(data) < wanted:
        raise TruncatedPixels(f"the waveform is truncated: {len(data)} bytes, {wanted} wanted")
    array = np.frombuffer(data[:wanted], kind).reshape(samples, channels).astype(kind.newbyteorder("="))
    if meaning in ("MB", "AB"):
        array = (_mu_law() if meaning == "MB" else _a_law())[array]
    about = list(group.get("ChannelDefinitionSequence") or [])
    if len(about) != channels:
        raise DecodeError(f"the waveform has {channels} channels, but definitions of {len(about)}")
    units = tuple(_unit(channel) for channel in about)
    if any("ChannelSensitivity" in channel for channel in about):
        array = np.stack([_scaled(array[:, n], channel) for n, channel in enumerate(about)], axis=1)
    return Waveform(array, rate, units)


def _unit(channel: Dataset) -> str:
    codes = channel.get("ChannelSensitivityUnitsSequence")
    return str(codes[0].get("CodeValue", ""))[:16] if codes else ""


def _scaled(samples: np.ndarray, channel: Dataset) -> np.ndarray:
    scale = float(channel.get("ChannelSensitivity", 1)) * float(channel.get("ChannelSensitivityCorrectionFactor", 1))
    return samples * scale + float(channel.get("ChannelBaseline", 0))


def _mu_law() -> np.ndarray:
    """ITU-T G.711: what each byte stands for."""
    code = ~np.arange(256, dtype=np.int64) & 0xFF
    size = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
    return np.where(code & 0x80, -size, size).astype(np.int16)


def _a_law() -> np.ndarray:
    """ITU-T G.711: what each byte stands for."""
    code = np.arange(256, dtype=np.int64) ^ 0x55
    exponent, size = code >> 4 & 7, ((code & 15) << 4) + 8
    size = np.where(exponent > 0, (size + 0x100) << np.maximum(exponent - 1, 0), size)
    return np.where(code & 0x80, size, -size).astype(np.int16)
