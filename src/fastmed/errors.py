"""Every error and warning that fastmed itself raises. Each says what was found and what is wanted.

Array functions raise what SciPy raises (``ValueError``, ``TypeError``, ``RuntimeError``); the classes here are for
what SciPy does not know: kernels that are not built, archives, tables and models. No message carries a patient
identifier: files are named by the path that the caller gave or by a hash.
"""

__all__ = [
    "BackendError",
    "DecodeError",
    "FastmedError",
    "FastmedWarning",
    "GeometryError",
    "LimitExceeded",
    "MissingSlices",
    "MixedGeometry",
    "NoDicomError",
    "NoGeometry",
    "NotCompiledWarning",
    "NotOfferedError",
    "OutputError",
    "RemoteError",
    "RepeatedPositions",
    "SeriesError",
    "TableError",
    "TruncatedPixels",
    "UnsupportedEncoding",
    "UnsupportedImageError",
]


class FastmedError(Exception):
    """Base of all errors that fastmed defines."""


class FastmedWarning(UserWarning):
    """Base of all warnings that fastmed gives."""


class NotCompiledWarning(FastmedWarning, RuntimeWarning):
    """A user's function could not be compiled and is called as plain Python; the text says why."""


class BackendError(FastmedError, RuntimeError):
    """A kernel build was asked for by name that is not there or that this processor cannot run."""


class NotOfferedError(FastmedError, NotImplementedError):
    """OpenCV takes such an argument, `fastmed.cv2` does not; the text says what it takes."""


class OutputError(FastmedError, OSError):
    """The output cannot be written (disk full, read-only...); what was there before is as it was."""


class SeriesError(FastmedError, ValueError):
    """A series of files cannot become one volume.

    Attributes
    ----------
    paths : tuple of str
        The files that it is about, where they are known. Messages hold short hashes of them: paths can hold names.
    """

    paths: tuple[str, ...] = ()


class NoDicomError(SeriesError):
    """There is no readable DICOM image where one was asked for."""


class GeometryError(SeriesError):
    """The slices of a series do not form one regular volume."""


class MissingSlices(GeometryError):
    """Slices are missing inside a series; the message says how many and where."""


class RepeatedPositions(GeometryError):
    """Several slices lie at one position and no tag tells which belong together."""


class MixedGeometry(GeometryError):
    """One series holds slices of several sizes, orientations, spacings or frames of reference."""


class NoGeometry(GeometryError):
    """Several slices, but no usable positions, orientations or pixel spacings to place them in space."""


class DecodeError(SeriesError):
    """Pixel data are truncated, corrupt, or need a decoder that is not installed."""


class TruncatedPixels(DecodeError):
    """A file ends before its pixel data do."""


class UnsupportedEncoding(DecodeError):
    """The transfer syntax is unknown, or its decoder is not installed."""


class LimitExceeded(DecodeError):
    """Reading would take more memory or time than `fastmed.archive.Limits` allows."""


class RemoteError(SeriesError):
    """A server or store does not answer, not as it should, or cannot be spoken to from here."""


class UnsupportedImageError(SeriesError):
    """The object holds no image that can be a volume (reports, structure sets, waveforms...)."""


class TableError(FastmedError, ValueError):
    """A feature table lacks a column, has too few groups or classes, or cannot be read."""
