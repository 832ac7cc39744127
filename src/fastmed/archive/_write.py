"""write: a volume -> NIfTI, NRRD, OME-Zarr or DICOM SEG, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .._engine.files import whole_or_nothing
from ..errors import GeometryError
from ..volume import Volume, require_volume

#: The file whose presence says that a Zarr is complete: sizes and SHA-256 of all others.
MANIFEST = "fastmed-complete.json"
_NIFTI_TYPES = {np.dtype(t) for t in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")}


def write(volume: Volume, path: Any, *, overwrite: bool = False, source: Any = None) -> str:
    """Write a volume.

    Parameters
    ----------
    volume : Volume
        With axes (z, y, x), or one more before them.
    path : path_like
        Its suffix says the format: ``.nii``, ``.nii.gz``, ``.nrrd``, or ``.zarr`` (OME-Zarr 0.5, in chunks);
        or ``.dcm``: a DICOM Segmentation of `source`, see `fastmed.archive.write_segmentation`.
    overwrite : bool, optional
        Replace what is there.
    source : Series or path_like, optional
        For ``.dcm``: the series on whose grid the labels, masks or fractions lie.

    Returns
    -------
    str
        The path.

    Raises
    ------
    TypeError
        If `volume` is a plain array, which does not say where its voxels lie.
    ValueError
        If the suffix, the axes or the dtype are none that can be written.
    GeometryError
        If the volume is sheared (gantry tilt) and the format cannot hold that: OME-Zarr.
    FileExistsError
        If `path` exists and `overwrite` is False.

    Notes
    -----
    Everything is written under a temporary name beside `path`, flushed to the disk and renamed: a kill or a full disk
    leaves what was there before. No text of the DICOM files gets into the result: only voxels, affine, modality and
    units. NIfTI and NRRD hold a shear in their affine; the qform of NIfTI is set only where there is none.

    Examples
    --------
    >>> import fastmed, pydicom.data, tempfile, os
    >>> volume = fastmed.read(pydicom.data.get_testdata_file("CT_small.dcm"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fastmed.read(fastmed.write(volume, os.path.join(folder, "ct.nii.gz"))).shape
    (1, 128, 128)
    """
    require_volume(volume)
    target = Path(os.fspath(path))
    if target.name.lower().endswith(".dcm"):
        if source is None:
            raise ValueError("path ends with .dcm: source= must name the series that the segmentation is of")
        from ._write_segmentation import write_segmentation

        return write_segmentation(volume, path, source=source, overwrite=overwrite)
    if source is not None:
        raise ValueError("source= is for DICOM Segmentations, whose path ends with .dcm")
    suffix = next((s for s in _WRITERS if target.name.lower().endswith(s)), None)
    if suffix is None:
        raise ValueError(f"path must end with one of {', '.join(_WRITERS)}, .dcm; found {target.suffix!r}")
    if volume.axes[-3:] != "zyx" or volume.ndim > 4:
        raise ValueError(f"volume must have the axes zyx, or one more before them; found {volume.axes!r}")
    if np.dtype(volume.dtype) != bool and np.dtype(volume.dtype) not in _NIFTI_TYPES:
        raise ValueError(f"volume must be of integers or floats of 32 or 64 bits, found {volume.dtype}")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; overwrite=True replaces it")
    if suffix == ".zarr" and volume.sheared:
        raise GeometryError("the axes are not perpendicular (gantry tilt?), and OME-Zarr cannot hold a shear: resample")
    with whole_or_nothing(target) as made:
        _WRITERS[suffix](volume, made)
    return str(target)


def _stored(volume: Volume) -> np.ndarray:
    array = np.asarray(volume.array)
    return array.view(np.uint8) if array.dtype == bool else array


def _write_nifti(volume: Volume, path: Path) -> None:
    volume.to_nibabel().to_filename(path)


def _write_nrrd(volume: Volume, path: Path) -> None:
    import nrrd

    array = _stored(volume)
    directions = volume.affine[:3, [2, 1, 0]].T
    header: dict[str, Any] = {"space": "left-posterior-superior", "space origin": volume.origin}
    if array.ndim == 4:
        directions = np.vstack([directions, np.full((1, 3), np.nan)])
    header["space directions"] = directions
    header["kinds"] = ["domain"] * 3 + ["list"] * (array.ndim - 3)
    header["encoding"] = "gzip"
    nrrd.write(str(path), array, header, index_order="C", compression_level=1)


def _write_zarr(volume: Volume, path: Path) -> None:
    import zarr

    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    array = _stored(volume)
    chunks = tuple([1] * (array.ndim - 3) + [min(n, 128) for n in array.shape[-3:]])
    stored = group.create_array(
        "0", shape=array.shape, chunks=chunks, dtype=array.dtype, dimension_names=list(volume.axes)
    )
    stored[...] = array
    group.attrs.update(_ome(volume))
    manifest = {}
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        with open(file, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        manifest[file.relative_to(path).as_posix()] = [file.stat().st_size, digest]
    (path / MANIFEST).write_text(json.dumps(manifest))


def _ome(volume: Volume) -> dict[str, Any]:
    extra = volume.ndim - 3
    axes = [{"name": name, "type": "time" if name == "t" else "channel"} for name in volume.axes[:extra]]
    axes += [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
    scale = {"type": "scale", "scale": [1.0] * extra + list(volume.spacing)}
    levels = [{"path": "0", "coordinateTransformations": [scale]}]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels, "name": "volume"}]}
    about = {"affine": volume.affine.tolist(), "modality": volume.modality, "units": volume.units, "axes": volume.axes,
             "dtype": str(volume.dtype)}  # fmt: skip
    return {"ome": ome, "fastmed": about}


_WRITERS: dict[str, Callable[[Volume, Path], None]] = {
    ".nii.gz": _write_nifti,
    ".nii": _write_nifti,
    ".nrrd": _write_nrrd,
    ".zarr": _write_zarr,
}
