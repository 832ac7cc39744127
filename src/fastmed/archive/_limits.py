"""How much a file may ask for. Every declared size is compared with these before anything is allocated."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ..errors import LimitExceeded


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return 1 << 34


@dataclass(frozen=True)
class Limits:
    """What reading may cost at most; what asks for more is refused with `fastmed.errors.LimitExceeded`.

    Parameters
    ----------
    max_volume_bytes : int
        Of one volume; by default the memory of the machine.
    max_frame_bytes : int
        Of one decoded frame.
    max_frames : int
        In one file.
    free_bytes : int
        Expansion ratios count only beyond so many bytes.
    max_expansion : float
        Bytes of decoded frames to compressed bytes. (RLE cannot exceed 64; blank slices reach about 1000 with JPEG-LS.)
    max_inflation : float
        Bytes of an inflated dataset, zip member, or compressed volume of another format to its deflated bytes. (Such
        volumes of up to 256 MiB may be all zeros.)
    max_inflated_bytes : int
        Of one inflated dataset or zip member.
    max_header_bytes : int
        Before the pixel data.
    max_depth : int
        Of nested sequences.
    max_members : int
        Of one zip file.
    max_seconds : float
        For one file in a decoder that is not ours.
    max_decoder_bytes : int
        Memory of a process that runs such a decoder.
    isolate : bool
        Whether such decoders run in processes of their own (on POSIX systems; elsewhere never). False is quicker for
        a few small files that are trusted.

    Examples
    --------
    >>> from fastmed.archive import Limits
    >>> Limits(max_frames=100).max_frames
    100
    """

    max_volume_bytes: int = field(default_factory=_memory)
    max_frame_bytes: int = 1 << 31
    max_frames: int = 1 << 20
    free_bytes: int = 1 << 25
    max_expansion: float = 2000
    max_inflation: float = 100
    max_inflated_bytes: int = 1 << 30
    max_header_bytes: int = 1 << 28
    max_depth: int = 32
    max_members: int = 1 << 20
    max_seconds: float = 60
    max_decoder_bytes: int = 3 << 30
    isolate: bool = True

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name == "isolate":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise ValueError(f"{name} must be a number above 0, found {value!r}")

    def check_expansion(self, wanted: int, present: int, ratio: float, what: str) -> None:
        """Refuse what claims to grow too much.

        Raises
        ------
        LimitExceeded
            If `present` bytes may not become `wanted`.
        """
        if wanted > self.free_bytes and wanted > ratio * present:
            raise LimitExceeded(
                f"{what} claims {wanted} bytes for {present} compressed; at most {ratio:g} times are read"
            )

    def inflated(self, deflated: int) -> int:
        """How many bytes so many deflated ones may become."""
        return int(min(self.max_inflated_bytes, max(self.free_bytes, self.max_inflation * deflated)))


#: What counts unless something else is asked for.
DEFAULT = Limits()
