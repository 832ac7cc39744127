"""Archives: a folder of DICOM files -> an index of series -> volumes.

`scan` finds the series and says of every other file why it is not in one; `read_series` reads one of them;
`read` does both for a folder that holds one series. The right volume or a typed refusal, never a guess.
"""

from ._limits import Limits
from ._read import read, read_series
from ._scan import Failure, Index, scan
from ._series import Series

__all__ = ["Failure", "Index", "Limits", "Series", "read", "read_series", "scan"]
