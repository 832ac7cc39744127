"""Kinds of trouble in single files: how elements and pixels are written down."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from make import Truth, ramp, set_pixels
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from truth_kinds import Expect, each, kind, no_rle, repixel

from fastmed import errors


def edited(change: Callable[[bytes], bytes], only: int | None = None) -> Callable[[Path], None]:
    """What changes the bytes of the files, or of one of them."""

    def post(folder: Path) -> None:
        files = sorted(folder.iterdir())
        for file in files if only is None else [files[only]]:
            file.write_bytes(change(file.read_bytes()))

    return post


def meta_end(data: bytes) -> int:
    return 144 + struct.unpack("<I", data[140:144])[0]


def plain_explicit(t: Truth) -> bool:
    return t.syntax in (ExplicitVRLittleEndian, RLELossless)


# ------------------------------------------------------------------------------------------------- the meta group


@kind
def meta_group_missing(t):
    if t.syntax in (DeflatedExplicitVRLittleEndian, RLELossless):
        return Expect(errors.SeriesError, post=edited(lambda data: data[:132] + data[meta_end(data) :]))
    return edited(lambda data: data[:132] + data[meta_end(data) :])


@kind
def neither_preamble_nor_meta_group(t):
    if t.syntax in (DeflatedExplicitVRLittleEndian, RLELossless):
        return Expect(errors.SeriesError, post=edited(lambda data: data[meta_end(data) :]))
    return edited(lambda data: data[meta_end(data) :])


@kind
def meta_group_without_its_length(t):
    if t.syntax == DeflatedExplicitVRLittleEndian:
        return None
    return edited(lambda data: data[:132] + data[144:])


@kind
def meta_group_of_a_wrong_length(t):
    if t.syntax == DeflatedExplicitVRLittleEndian:
        return None
    return edited(lambda data: data[:140] + struct.pack("<I", meta_end(data) - 144 + 40) + data[144:])


def _other_syntax(data: bytes, uid: bytes) -> bytes:
    """The file with another transfer syntax in its meta group, of which nothing else knows."""
    at = data.index(b"\x02\x00\x10\x00UI")
    old = struct.unpack("<H", data[at + 6 : at + 8])[0]
    uid += b"\0" * (len(uid) % 2)
    length = struct.unpack("<I", data[140:144])[0] - old + len(uid)
    return (data[:140] + struct.pack("<I", length) + data[144 : at + 6] + struct.pack("<H", len(uid)) + uid
            + data[at + 8 + old :])  # fmt: skip


@kind
def explicit_that_calls_itself_implicit(t):
    if t.syntax == ExplicitVRLittleEndian:
        return edited(lambda data: _other_syntax(data, b"1.2.840.10008.1.2"))
    return None


@kind
def implicit_that_calls_itself_explicit(t):
    if t.syntax == ImplicitVRLittleEndian:
        return edited(lambda data: _other_syntax(data, b"1.2.840.10008.1.2.1"))
    return None


@kind
def big_that_calls_itself_little(t):
    if t.syntax == ExplicitVRBigEndian:
        return Expect(errors.SeriesError, post=edited(lambda data: _other_syntax(data, b"1.2.840.10008.1.2.1")))
    return None


@kind
def little_that_calls_itself_big(t):
    if t.syntax == ExplicitVRLittleEndian:
        return Expect(errors.SeriesError, post=edited(lambda data: _other_syntax(data, b"1.2.840.10008.1.2.2")))
    return None


@kind
def raw_that_calls_itself_rle(t):
    if t.syntax == ExplicitVRLittleEndian:
        return Expect(errors.SeriesError, post=edited(lambda data: _other_syntax(data, b"1.2.840.10008.1.2.5")))
    return None


@kind
def rle_that_calls_itself_raw(t):
    if t.syntax == RLELossless:
        return Expect(errors.SeriesError, post=edited(lambda data: _other_syntax(data, b"1.2.840.10008.1.2.1")))
    return None


@kind
def raw_that_calls_itself_deflated(t):
    if t.syntax == ExplicitVRLittleEndian:
        return Expect(errors.SeriesError, post=edited(lambda data: _other_syntax(data, b"1.2.840.10008.1.2.1.99")))
    return None


@kind
def transfer_syntax_unknown(t):
    if plain_explicit(t):
        return Expect(errors.SeriesError, post=edited(lambda data: _other_syntax(data, b"1.2.3.4.5")))
    return None


@kind
def transfer_syntax_with_spaces(t):
    return edited(lambda data: _other_syntax(data, str(t.syntax).encode() + b"  "))


@kind
def zlib_around_the_deflated(t):
    if t.syntax != DeflatedExplicitVRLittleEndian:
        return None

    def wrap(data: bytes) -> bytes:
        end = meta_end(data)
        return data[:end] + zlib.compress(zlib.decompress(data[end:], -zlib.MAX_WBITS))

    return Expect(errors.SeriesError, post=edited(wrap))


# ---------------------------------------------------------------------------------------------------- elements


@kind
def group_lengths(t):
    for ds in t.datasets:
        for group in (0x0008, 0x0010, 0x0020, 0x0028):
            ds.add_new(group << 16, "UL", 1234)  # a lie: nobody may use it


@kind
def private_sequences(t):
    for ds in t.datasets:
        inner = Dataset()
        inner.ImagePositionPatient, inner.PixelSpacing = [1, 2, 3], [9, 9]
        block = ds.private_block(0x0019, "MAKER", create=True)
        block.add_new(0x10, "SQ", Sequence([inner, Dataset(), inner]))
        block.add_new(0x11, "LO", "text")
        ds[0x00191010].is_undefined_length = True


@kind
def empty_sequences_and_items(t):
    for ds in t.datasets:
        ds.ReferencedImageSequence, ds.ReferencedStudySequence = Sequence([]), Sequence([Dataset(), Dataset()])
        ds["ReferencedImageSequence"].is_undefined_length = True


@kind
def private_elements_of_unknown_type(t):
    for ds in t.datasets:
        ds.private_block(0x0029, "MAKER", create=True).add_new(0x10, "UN", bytes(range(256)) * 3)


@kind
def numbers_of_unknown_type(t):
    if t.syntax == ImplicitVRLittleEndian:
        return
    for ds in t.datasets:
        for name in ("PixelSpacing", "ImagePositionPatient", "RescaleSlope"):
            values = ds[name].value
            text = "\\".join(map(str, values if name != "RescaleSlope" else [values])).encode()
            ds.add_new(ds[name].tag, "UN", text + b" " * (len(text) % 2))


@kind
def rows_as_a_number_of_4_bytes(t):
    if plain_explicit(t):
        each(t, Rows=6)
        for ds in t.datasets:
            ds["Rows"].VR = "UL"


@kind
def overlays_in_planes_of_their_own(t):
    for ds in t.datasets:
        ds.add_new(0x60000010, "US", 6)
        ds.add_new(0x60000011, "US", 5)
        ds.add_new(0x60000050, "SS", [1, 1])
        ds.add_new(0x60000100, "US", 1)
        ds.add_new(0x60000102, "US", 0)
        ds.add_new(0x60003000, "OW", bytes(4))


@kind
def overlay_in_the_unused_bits(t):
    t.stored = ramp(t.stored.shape, np.uint16)
    repixel(t, t.stored | ((np.arange(30).reshape(6, 5) % 2) << 15).astype(np.uint16), bits=12)
    for ds in t.datasets:
        ds.add_new(0x60000100, "US", 16)
        ds.add_new(0x60000102, "US", 15)


@kind
def windows(t):
    for k, ds in enumerate(t.datasets):
        ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = [40 + k, 300], [80, 1500], "SIGMOID"


@kind
def voi_lookup_table(t):
    for ds in t.datasets:
        lut = Dataset()
        lut.LUTDescriptor, lut.LUTData = [4, 0, 16], [0, 9, 99, 999]
        lut["LUTDescriptor"].VR = "US"
        lut["LUTData"].VR = "US"
        ds.VOILUTSequence = Sequence([lut])


@kind
def inverse_presentation(t):
    each(t, PresentationLUTShape="INVERSE")


@kind
def names_in_many_character_sets(t):
    names = [(["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"), ("ISO_IR 192", "Ψαρράς^Ünal"), ("GB18030", "王^小东"),
             ("ISO_IR 144", "Люкceмбypг"), ("no such set", "abc")]  # fmt: skip
    for k, ds in enumerate(t.datasets):
        ds.SpecificCharacterSet, ds.PatientName = names[k % 4]
    del t.datasets[5].SpecificCharacterSet
    t.datasets[5].PatientName = "abc"
    return edited(lambda data: data.replace(b"GB18030", b"XX18030"))


@kind
def plus_signs_and_bare_points(t):
    for ds in t.datasets:
        ds["RescaleSlope"]._value, ds["RescaleIntercept"]._value = "+1.", "+.0E+01"


@kind
def slope_with_an_underscore(t):
    t.datasets[2]["RescaleSlope"]._value = "1_0"
    return errors.DecodeError


@kind
def slope_of_two_values(t):
    t.datasets[2]["RescaleSlope"]._value = "1\\2"
    return errors.DecodeError


@kind
def slope_empty(t):
    for ds in t.datasets:
        ds["RescaleSlope"]._value, ds["RescaleIntercept"]._value = "", " "


@kind
def decimal_commas_in_a_position(t):
    t.datasets[2]["ImagePositionPatient"]._value = "1,5\\2,5\\3,5"
    return errors.GeometryError


@kind
def decimal_commas_in_all_spacings(t):
    for ds in t.datasets:
        ds["PixelSpacing"]._value = "0,5\\0,75"
    return errors.NoGeometry


@kind
def position_of_two_values(t):
    t.datasets[2]["ImagePositionPatient"]._value = "1\\2"
    return errors.GeometryError


@kind
def spacing_of_one_value(t):
    for ds in t.datasets:
        ds["PixelSpacing"]._value = "0.5"
    return errors.NoGeometry


@kind
def spacing_negative(t):
    for ds in t.datasets:
        ds["PixelSpacing"]._value = "-0.5\\0.75"
    return errors.NoGeometry


@kind
def decimals_of_more_than_16_characters(t):
    for ds in t.datasets:
        ds["PixelSpacing"]._value = "\\".join(f"{s:.20f}" for s in t.spacing[1:])


@kind
def uids_padded_in_other_ways(t):
    for ds in t.datasets[::2]:
        for name in ("SeriesInstanceUID", "FrameOfReferenceUID", "StudyInstanceUID"):
            ds[name]._value = f"{ds[name].value} "


# ------------------------------------------------------------------------------------------------------ pixels


@kind
def samples_per_pixel_and_photometric_missing(t):
    for ds in t.datasets:
        del ds.SamplesPerPixel, ds.PhotometricInterpretation


@kind
def high_bit_missing(t):
    for ds in t.datasets:
        del ds.HighBit


@kind
def signedness_missing(t):
    del t.datasets[1].PixelRepresentation
    return errors.DecodeError


@kind
def bits_stored_missing(t):
    del t.datasets[1].BitsStored
    return errors.DecodeError


@kind
def bits_allocated_missing(t):
    del t.datasets[1].BitsAllocated
    return errors.DecodeError


@kind
def rows_missing(t):
    del t.datasets[1].Rows
    return errors.SeriesError


@kind
def one_frame_that_is_counted(t):
    each(t, NumberOfFrames="1")


@kind
def number_of_frames_empty(t):
    for ds in t.datasets:
        ds.add_new("NumberOfFrames", "IS", "")


@kind
def two_frames_in_a_slice(t):
    no_rle(t)
    for ds in t.datasets:
        ds.NumberOfFrames, ds.PixelData = 2, ds.PixelData * 2
    return errors.NoGeometry


@kind
def bits_stored_differ(t):
    t.stored = ramp(t.stored.shape, np.uint16) & 0xFFF
    repixel(t, t.stored)
    for ds in t.datasets[::2]:
        ds.BitsStored, ds.HighBit = 12, 11


@kind
def eight_bits_in_words(t):
    """OW: in big-endian files the two bytes of a word change places."""
    t.stored = ramp((8, 6, 4), np.uint8)
    repixel(t, t.stored)
    if t.syntax == RLELossless:
        return
    for ds in t.datasets:
        if t.syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds["PixelData"].VR = "OW"


@kind
def sixteen_bits_as_bytes(t):
    if t.syntax in (RLELossless, ExplicitVRBigEndian):
        return
    for ds in t.datasets:
        ds["PixelData"].VR = "OB"


@kind
def pixels_of_unknown_type(t):
    if t.syntax == RLELossless:
        return
    for ds in t.datasets:
        ds["PixelData"].VR = "UN"


@kind
def reserved_bytes_not_zero(t):
    """Behind the type of pixel data stand two bytes without meaning."""
    if t.syntax != ExplicitVRLittleEndian:
        return None
    return edited(lambda data: data.replace(b"\xe0\x7f\x10\x00OW\0\0", b"\xe0\x7f\x10\x00OW\0\x20"))


@kind
def pixels_of_odd_length(t):
    if t.syntax in (RLELossless, DeflatedExplicitVRLittleEndian):
        return None
    t.stored = ramp((8, 5, 5), np.uint8)
    repixel(t, t.stored)
    order = ">" if t.syntax == ExplicitVRBigEndian else "<"

    def shorten(data: bytes) -> bytes:
        at = len(data) - 30  # the length of the last element
        assert data[at : at + 4] == struct.pack(f"{order}I", 26)
        return data[:at] + struct.pack(f"{order}I", 25) + data[at + 4 : -1]

    return edited(shorten)


@kind
def rubbish_after_the_dataset(t):
    if t.syntax == DeflatedExplicitVRLittleEndian:
        return edited(lambda data: data + bytes(64))
    return edited(lambda data: data + bytes(range(256)) * 3)


@kind
def padding_signed_as_unsigned(t):
    t.stored[:, 0] = -2000
    repixel(t, t.stored)
    for ds in t.datasets:
        ds.add_new("PixelPaddingValue", "US", 63536)
    return Expect(padding=t.stored == -2000)


@kind
def padding_of_mixed_signs(t):
    t.stored[:, 0] = 1999
    repixel(t, t.stored)
    t.datasets[3].file_meta.TransferSyntaxUID = t.syntax
    set_pixels(t.datasets[3], np.abs(t.stored[3]).astype(np.uint16))
    t.stored[3] = np.abs(t.stored[3])
    for ds in t.datasets:
        ds.add_new("PixelPaddingValue", "SS", 1999)
    return Expect(padding=t.stored == 1999)


@kind
def padding_and_rescale(t):
    t.stored[:, :, 0] = -500
    repixel(t, t.stored)
    each(t, RescaleSlope="2", RescaleIntercept="-24")
    for ds in t.datasets:
        ds.add_new("PixelPaddingValue", "SS", -510)
        ds.add_new("PixelPaddingRangeLimit", "SS", -500)
    return Expect(values=t.stored * 2.0 - 24, padding=(t.stored <= -500) & (t.stored >= -510))


@kind
def padding_that_differs(t):
    for k, ds in enumerate(t.datasets):
        t.stored[k, 0] = -600 - k
        ds.add_new("PixelPaddingValue", "SS", -600 - k)
    repixel(t, t.stored)
    return Expect(padding=np.broadcast_to((np.arange(6) == 0)[:, None], t.stored.shape))


@kind
def modality_lookup_table(t):
    t.stored = ramp(t.stored.shape, np.uint16) % 256
    repixel(t, t.stored)
    table = (np.arange(256) * 7 + 3).astype(int)
    for ds in t.datasets:
        del ds.RescaleSlope, ds.RescaleIntercept
        lut = Dataset()
        lut.LUTDescriptor, lut.ModalityLUTType, lut.LUTData = [256, 0, 16], "HU", table.tolist()
        lut["LUTDescriptor"].VR = "US"
        lut["LUTData"].VR = "US"
        ds.ModalityLUTSequence = Sequence([lut])
    return table[t.stored].astype(float)


# --------------------------------------------------------------------------------------------------------- RLE


def _refilled(t: Truth, fill: Callable[[Dataset, bytes], None]) -> None:
    """Put the RLE frame of each slice into pixel data of another form."""
    for ds in t.datasets:
        frame = next(generate_frames(ds.PixelData, number_of_frames=1))
        fill(ds, frame)
        ds["PixelData"].is_undefined_length = True


@kind
def rle_without_an_offset_table(t):
    if t.syntax == RLELossless:
        _refilled(t, lambda ds, frame: setattr(ds, "PixelData", encapsulate([frame], has_bot=False)))


@kind
def rle_with_an_extended_offset_table(t):
    def fill(ds: Dataset, frame: bytes) -> None:
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended([frame])

    if t.syntax == RLELossless:
        _refilled(t, fill)


@kind
def rle_in_two_fragments(t):
    if t.syntax == RLELossless:
        _refilled(t, lambda ds, frame: setattr(ds, "PixelData", encapsulate([frame], fragments_per_frame=2)))


@kind
def rle_with_an_offset_table_that_lies(t):
    def fill(ds: Dataset, frame: bytes) -> None:
        data = encapsulate([frame], has_bot=True)
        ds.PixelData = data[:8] + struct.pack("<I", 77777) + data[12:]

    if t.syntax == RLELossless:
        _refilled(t, fill)


@kind
def rle_without_an_end(t):
    if t.syntax != RLELossless:
        return None
    return edited(lambda data: data[:-8] if data[-8:-4] == b"\xfe\xff\xdd\xe0" else data)


@kind
def rle_of_too_few_segments(t):
    if t.syntax != RLELossless:
        return None
    _refilled(t, lambda ds, frame: setattr(ds, "PixelData", encapsulate([struct.pack("<I", 1) + frame[4:]])))
    return errors.DecodeError


@kind
def one_slice_in_each_encoding(t):
    syntaxes = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian,
                RLELossless)  # fmt: skip
    new = []
    for k in range(len(t.datasets)):
        other = Truth(t.stored, t.orientation, uid=t.uid, syntax=syntaxes[k % 5])
        new.append(other.datasets[k])
    t.datasets = new
