"""``mask=``, ``nan_policy=`` and ``spacing=``: what they may be, and which elements of an image count."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import as_number
from .operation import is_dask

NAN_POLICIES = ("propagate", "omit", "raise")

#: Two grids are the same place when no voxel differs by more than this share of the smallest spacing.
SAME_PLACE = 0.01


def asked(mask: Any, nan_policy: Any, spacing: Any) -> bool:
    """Whether any of the three keywords has another value than its default."""
    return mask is not None or nan_policy != "propagate" or spacing is not None


def check_policy(nan_policy: Any) -> None:
    if not isinstance(nan_policy, str) or nan_policy not in NAN_POLICIES:
        wanted = ", ".join(map(repr, NAN_POLICIES))
        raise ValueError(f"nan_policy must be one of {wanted}, found {nan_policy!r}")


def as_spacing(spacing: Any, ndim: int) -> list[float]:
    """Millimetres between neighbours, for each axis of the array."""
    if isinstance(spacing, str):
        if spacing == "volume":
            raise ValueError("spacing='volume' needs a fastmed.Volume as input; give the numbers for an array")
        raise ValueError(f"spacing must be 'volume' or numbers in mm, found {spacing!r}")
    values = [spacing] * ndim if np.ndim(spacing) == 0 else list(spacing)
    if len(values) != ndim:
        raise ValueError(f"spacing must have one number per axis: found {len(values)}, wanted {ndim}")
    numbers = [as_number(value, "spacing") for value in values]
    if not all(math.isfinite(s) and s > 0 for s in numbers):
        raise ValueError(f"spacing must be positive and finite, found {spacing!r}")
    return numbers


def as_mask(mask: Any, shape: tuple[int, ...]) -> Any:
    """`mask` as an array of bool of this shape; a Dask array stays one, and its values are looked at later."""
    if not is_dask(mask):
        mask = np.asarray(mask)
    if tuple(mask.shape) != tuple(shape):
        raise ValueError(f"mask must have the shape of input: found {tuple(mask.shape)}, wanted {tuple(shape)}")
    if mask.dtype.kind not in "biu":
        raise TypeError(f"mask must be of bool, or integers 0 and 1, found dtype {mask.dtype}")
    if mask.dtype == bool:
        return mask
    return mask.map_blocks(_as_bool, dtype=bool) if is_dask(mask) else _as_bool(mask)


def as_truth(mask: Any, shape: tuple[int, ...], error: type[Exception] = ValueError) -> Any:
    """The mask of a function that is scikit-image's: of any numbers, of which all but 0 count."""
    if not is_dask(mask):
        mask = np.asarray(mask)
    if tuple(mask.shape) != tuple(shape):
        raise error(f"mask must have the shape of image: found {tuple(mask.shape)}, wanted {tuple(shape)}")
    return mask.astype(bool, copy=False)


def _as_bool(mask: np.ndarray) -> np.ndarray:
    if mask.size and not (mask.min() >= 0 and mask.max() <= 1):
        found = f"{mask.min()} to {mask.max()}"
        raise ValueError(f"mask must hold 0 and 1 only, found {found}; of labels choose one: mask == label")
    return mask.astype(bool)


def valid_elements(image: np.ndarray, mask: Any, nan_policy: str) -> np.ndarray | None:
    """The elements that count; None where all do.

    Raises
    ------
    ValueError
        With the policy 'raise', where one that counts is NaN.
    """
    check_policy(nan_policy)
    valid = None if mask is None else as_mask(mask, image.shape)
    if nan_policy != "propagate" and image.dtype.kind in "fc":
        missing = np.isnan(image)
        if nan_policy == "omit":
            valid = ~missing if valid is None else valid & ~missing
        else:
            count = int(np.count_nonzero(missing if valid is None else missing & valid))
            if count:
                raise ValueError(f"input holds {count} NaN, and nan_policy is 'raise'; 'omit' leaves them out")
    return None if valid is None or valid.all() else np.ascontiguousarray(valid).reshape(image.shape)


def of_volume(volume: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """`arguments` of a call on a Volume, with the mask as an array and the spacing in numbers."""
    arguments = dict(arguments)
    if isinstance(arguments.get("spacing"), str) and arguments["spacing"] == "volume":
        axes = volume.meta.get("axes", "zyx")
        if volume.ndim != 3 or axes != "zyx":
            raise ValueError(
                f"spacing='volume' needs the axes (z, y, x), found the shape {volume.shape} and axes {axes!r}; "
                "give one number per axis"
            )
        arguments["spacing"] = volume.spacing
    mask: Any = arguments.get("mask")
    if hasattr(mask, "with_array"):
        if mask.shape != volume.shape:
            raise ValueError(f"mask must have the shape of input: found {mask.shape}, wanted {volume.shape}")
        check_same_place(mask, volume)
        arguments["mask"] = mask.array
    return arguments


def check_same_place(mask: Any, volume: Any) -> None:
    """No voxel of the mask lies off that of the volume."""
    difference = np.abs(mask.affine - volume.affine)[:3]
    far = np.array([*(max(n - 1, 0) for n in volume.shape[-3:]), 1])
    off = float((difference @ far).max())
    if off > SAME_PLACE * min(volume.spacing):
        raise ValueError(
            f"mask must lie where input does: their affines put voxels up to {off:.3g} mm apart; resample the mask"
        )
