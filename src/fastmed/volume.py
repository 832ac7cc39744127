"""Volume: voxels, where they lie in the patient, and what is known of them. One convention inside fastmed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ._engine.operation import is_dask
from .errors import GeometryError

if TYPE_CHECKING:
    import nibabel
    import SimpleITK
    import xarray

__all__ = ["Volume"]

# Direction columns further from perpendicular than this are a shear (ITK's own orthonormality tolerance is
# 1e-4).
_ORTHOGONAL = 1e-4
# LPS, which is DICOM's, to RAS, which is NIfTI's, and back.
_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume of voxels with its place in space.

    Parameters
    ----------
    array : array
        NumPy or Dask array, axes (z, y, x): slice, row, column. Other axes are named in ``meta['axes']``:
        'tzyx' for series of volumes, 'tyx' and 'tyxc' for image sequences and colour, which have no slice axis
        (their affine's first column is then one unit along the image normal).
    affine : (4, 4) array_like of float
        Takes the homogeneous array index (k, j, i) = (z, y, x) to the patient position (x, y, z) in mm, in
        DICOM's axes: x to the patient's left, y to the back, z to the head (LPS). A shear (gantry tilt) is
        kept.
    modality : str, optional
        'CT', 'MR', 'PT'... as DICOM writes it.
    units : str, optional
        Of the values: 'HU', 'BQML'...; empty where unknown.
    meta : dict, optional
        Facts about the acquisition; never anything that identifies a patient.
    padding : array of bool, optional
        Of the same shape: True where the voxel stands for no data (outside the field of view). What works on
        values leaves these voxels out.

    Raises
    ------
    ValueError
        If the affine is not 4 x 4, finite and invertible, or the array has less than 3 or more than 5 axes.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> volume = fastmed.Volume(np.zeros((3, 4, 5), np.int16), np.array(
    ...     [[0, 0, 0.5, -10], [0, 0.5, 0, -20], [2, 0, 0, 30], [0, 0, 0, 1]]), modality="CT", units="HU")
    >>> volume.spacing
    (2.0, 0.5, 0.5)
    >>> volume
    Volume(3 x 4 x 5, int16, spacing (2, 0.5, 0.5) mm, CT, HU)
    """

    array: Any
    affine: np.ndarray
    modality: str = field(default="", kw_only=True)
    units: str = field(default="", kw_only=True)
    meta: dict[str, Any] = field(default_factory=dict, kw_only=True)
    padding: Any = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        array = self.array if is_dask(self.array) else np.asarray(self.array)
        if not 3 <= array.ndim <= 5:
            raise ValueError(
                f"array must have 3 to 5 axes, (z, y, x) or as meta['axes'] says; found shape {array.shape}"
            )
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4):
            raise ValueError(f"affine must be 4 x 4, found shape {affine.shape}")
        if not np.isfinite(affine).all() or not (affine[3] == (0, 0, 0, 1)).all():
            raise ValueError("affine must be finite and have the last row (0, 0, 0, 1)")
        if np.linalg.matrix_rank(affine[:3, :3]) < 3:
            raise ValueError("affine must be invertible: two of its axes are parallel or have no length")
        if self.padding is not None and tuple(np.shape(self.padding)) != tuple(array.shape):
            raise ValueError(f"padding must have the array's shape {array.shape}, found {np.shape(self.padding)}")
        affine.flags.writeable = False
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype:
        """Of the array."""
        return self.array.dtype

    @property
    def ndim(self) -> int:
        """Number of axes of the array."""
        return self.array.ndim

    @property
    def axes(self) -> str:
        """Names of the array's axes: 'zyx', 'tzyx', 'tyx' or 'tyxc' (t: time, echo... as ``meta['split_by']`` says)."""
        return str(self.meta.get("axes", {3: "zyx", 4: "tzyx", 5: "tzyxc"}[self.ndim]))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbours along (z, y, x), each along its own, perhaps sheared, axis."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def origin(self) -> np.ndarray:
        """Patient position (x, y, z) in mm of the centre of voxel 0."""
        return self.affine[:3, 3].copy()

    @property
    def direction(self) -> np.ndarray:
        """3 x 3; its columns are the unit vectors, in patient axes, of the array axes (z, y, x)."""
        return self.affine[:3, :3] / np.asarray(self.spacing)

    @property
    def sheared(self) -> bool:
        """Whether the axes are not perpendicular (gantry tilt)."""
        direction = self.direction
        return bool(np.abs(direction.T @ direction - np.eye(3)).max() > _ORTHOGONAL)

    def with_array(self, array: Any) -> Volume:
        """The same geometry and facts with other voxels of the same shape.

        Raises
        ------
        ValueError
            If the shape differs.
        """
        if tuple(np.shape(array)) != self.shape:
            raise ValueError(f"array must keep the shape {self.shape}, found {tuple(np.shape(array))}")
        return Volume(
            array, self.affine, modality=self.modality, units=self.units, meta=dict(self.meta), padding=self.padding
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = np.asarray(self.array)
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError(f"a copy is needed to give {array.dtype} as {np.dtype(dtype)}")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        spacing = ", ".join(f"{s:.6g}" for s in self.spacing)
        facts = [size, str(self.dtype), f"spacing ({spacing}) mm", self.modality, self.units]
        return f"Volume({', '.join(f for f in facts if f)})"

    def to_sitk(self) -> SimpleITK.Image:
        """The same image for SimpleITK; the voxels are copied.

        Raises
        ------
        GeometryError
            If the axes are not perpendicular (gantry tilt): ITK images cannot hold a shear.
        ValueError
            If the array is not (z, y, x).
        """
        import SimpleITK

        if self.ndim != 3:
            raise ValueError(f"only (z, y, x) volumes go to SimpleITK, found shape {self.shape}")
        direction = self.direction
        if self.sheared:
            raise GeometryError(
                "the axes are not perpendicular (gantry tilt?), and ITK images cannot hold a shear: resample"
            )
        image = SimpleITK.GetImageFromArray(np.ascontiguousarray(self))
        image.SetOrigin(self.origin.tolist())
        image.SetSpacing(self.spacing[::-1])
        image.SetDirection(direction[:, ::-1].ravel().tolist())
        return image

    def to_nibabel(self) -> nibabel.Nifti1Image:
        """The same image for nibabel, axes (x, y, z) and RAS; it shares the voxels.

        The qform, which cannot hold a shear, is set only where there is none; bool becomes uint8.

        Raises
        ------
        ValueError
            If the axes are not (z, y, x), or one more before them.
        """
        import nibabel

        if self.axes[-3:] != "zyx" or self.ndim > 4:
            raise ValueError(f"only the axes zyx, or one more before them, go to NIfTI; found {self.axes!r}")
        array = np.asarray(self.array)
        array = (array.view(np.uint8) if array.dtype == bool else array).transpose(range(self.ndim - 1, -1, -1))
        affine = _FLIP @ self.affine[:, [2, 1, 0, 3]]
        image = nibabel.Nifti1Image(array, affine, dtype=array.dtype)
        image.header.set_xyzt_units("mm")
        image.set_sform(affine, code=1)
        image.set_qform(None if self.sheared else affine, code=0 if self.sheared else 1)
        return image

    @classmethod
    def from_nibabel(cls, image: nibabel.Nifti1Image, *, modality: str = "", units: str = "") -> Volume:
        """A 3-D or 4-D nibabel image as a Volume; it shares the voxels where they are in memory.

        Raises
        ------
        ValueError
            If the image has other axes.
        """
        array = np.asanyarray(image.dataobj)
        if not 3 <= array.ndim <= 4:
            raise ValueError(f"image must have 3 or 4 axes, found shape {array.shape}")
        affine = (_FLIP @ image.affine)[:, [2, 1, 0, 3]]
        return cls(array.transpose(range(array.ndim - 1, -1, -1)), affine, modality=modality, units=units)

    def to_xarray(self) -> xarray.DataArray:
        """The same voxels with named axes; z, y and x hold mm along each axis from voxel 0. Attributes: affine..."""
        import xarray

        places = {name: np.arange(self.shape[self.axes.index(name)]) * size
                  for name, size in zip("zyx", self.spacing, strict=True) if name in self.axes}  # fmt: skip
        attrs = {"affine": self.affine, "modality": self.modality, "units": self.units}
        attrs["geometry"] = str(self.meta.get("geometry", "patient"))
        return xarray.DataArray(self.array, dims=list(self.axes), coords=places, attrs=attrs)

    @classmethod
    def from_xarray(cls, array: xarray.DataArray, *, modality: str = "", units: str = "") -> Volume:
        """A DataArray with the dimensions y and x, and z or others of one letter, as a Volume; it shares the voxels.

        The place in the patient is that of ``attrs['affine']``, moved and scaled to the coordinates (mm along each
        axis, as `to_xarray` gives them): parts and every nth of what `to_xarray` gave stay where they are. Without that
        attribute the coordinates are the patient's z, y and x in mm, without coordinates voxels are 1 mm.

        Raises
        ------
        ValueError
            If there are other dimensions.
        GeometryError
            If coordinates are not evenly spaced.
        """
        dims = [str(name) for name in array.dims]
        if not {"y", "x"} <= set(dims) or any(len(name) != 1 for name in dims):
            raise ValueError(f"array must have the dimensions y and x, and others of one letter; found {dims}")
        last = [name for name in "zyxc" if name in dims]
        order = [name for name in dims if name not in last] + last
        base = np.array(array.attrs.get("affine", np.eye(4)[:, [2, 1, 0, 3]]), dtype=np.float64)
        affine = base.copy()
        for column, name in enumerate("zyx"):
            if name in array.coords and array.coords[name].ndim == 1:
                start, step = _regular(np.asarray(array.coords[name], np.float64), name)
                size = np.linalg.norm(base[:3, column])
                affine[:3, 3] += base[:3, column] * (start / size)
                affine[:3, column] *= 1.0 if step is None else step / size
        meta = {"axes": "".join(order), "geometry": str(array.attrs.get("geometry", "patient"))}
        about = {name: str(array.attrs.get(name, "")) for name in ("modality", "units")}
        return cls(array.transpose(*order).data, affine, modality=modality or about["modality"],
                   units=units or about["units"], meta=meta)  # fmt: skip

    @classmethod
    def from_sitk(
        cls, image: SimpleITK.Image, *, modality: str = "", units: str = "", copy: bool = True
    ) -> Volume:
        """A 3-D SimpleITK image as a Volume; the voxels are copied, or with ``copy=False`` shared and read-only.

        They stay as they are when the image is changed. (There is no way to share in the other direction: SimpleITK
        copies what it is given.)

        Raises
        ------
        ValueError
            If the image is not 3-D with one value per voxel.
        """
        import SimpleITK

        if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
            raise ValueError(
                f"image must be 3-D with one value per voxel, found {image.GetDimension()}-D with "
                f"{image.GetNumberOfComponentsPerPixel()}"
            )
        affine = np.eye(4)
        axes = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
        affine[:3, :3] = axes[:, ::-1]
        affine[:3, 3] = image.GetOrigin()
        array = SimpleITK.GetArrayFromImage(image) if copy else np.asarray(_Shared(image))
        return cls(array, affine, modality=modality, units=units)


def require_volume(volume: object) -> None:
    """Raise TypeError for a plain array, where the place of voxels matters."""
    if not isinstance(volume, Volume):
        found = type(volume).__name__
        raise TypeError(f"volume must be a Volume, found {found}: fastmed.Volume(array, affine) says where voxels lie")


class _Shared:
    """The voxels of a SimpleITK image for NumPy, which keeps this alive: SimpleITK's own view outlives its image."""

    def __init__(self, image: SimpleITK.Image) -> None:
        import SimpleITK

        self.__array_interface__ = SimpleITK.GetArrayViewFromImage(image).__array_interface__
        # Another image of the same voxels: whoever changes the first one changes a copy from now on.
        self.image = SimpleITK.Image(image)


def _regular(places: np.ndarray, name: str) -> tuple[float, float | None]:
    """The first coordinate and the distance of the next; None where there is no next."""
    if not len(places) or not np.isfinite(places).all():
        raise GeometryError(f"the coordinates {name} must be finite numbers, at least one")
    if len(places) == 1:
        return float(places[0]), None
    step = float(places[-1] - places[0]) / (len(places) - 1)
    if not step or np.abs(places - places[0] - step * np.arange(len(places))).max() > 1e-3 * abs(step):
        raise GeometryError(f"the coordinates {name} are not evenly spaced")
    return float(places[0]), step
