"""Archives: a folder of DICOM files -> an index of series -> volumes.

`scan` finds the series and says of every other file why it is not in one; `read_series` reads one of them;
`read` does both for a folder that holds one series. The right volume or a typed refusal, never a guess.
"""

from ._deidentify import Deidentified, deidentify
from ._limits import Limits
from ._read import read, read_series
from ._scan import Failure, Index, scan
from ._segmentation import read_segmentation
from ._series import Series
from ._structures import read_structures
from ._suv import read_suv
from ._waveform import Waveform, read_waveforms
from ._write import write
from ._write_segmentation import write_segmentation

__all__ = [
    "Deidentified",
    "Failure",
    "Index",
    "Limits",
    "Series",
    "Waveform",
    "deidentify",
    "read",
    "read_segmentation",
    "read_series",
    "read_structures",
    "read_suv",
    "read_waveforms",
    "scan",
    "write",
    "write_segmentation",
]
