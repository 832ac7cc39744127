"""Iso-surfaces: where a volume crosses a level, as triangles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_integer, as_number, native
from .._engine.operation import Operation, kernel, operation
from ._isolines import checked_mask
from ._lewiner import tables

if TYPE_CHECKING:
    from ..volume import Volume


class NoSurfaceError(RuntimeError, ValueError):
    """The volume does not cross the level (scikit-image raises RuntimeError here)."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface of triangles. It unpacks like scikit-image's tuple: ``verts, faces, normals, values = mesh``.

    Attributes
    ----------
    verts : ndarray of float32 or float64, shape (n, 3)
        Vertices (z, y, x) as array indices times `spacing`; of a `Volume`: patient (x, y, z) in mm.
    faces : ndarray of int32, shape (m, 3)
        Three vertices of each triangle.
    normals : ndarray of float32, shape (n, 3)
        Unit vectors along the gradient at each vertex, in the axes of `verts`.
    values : ndarray of float32, shape (n,)
        How far the volume's values range in the cubes around each vertex.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> volume = np.zeros((3, 3, 3))
    >>> volume[1, 1, 1] = 1
    >>> verts, faces, *_ = fastmed.marching_cubes(volume, 0.5)
    >>> verts.shape, faces.shape
    ((6, 3), (8, 3))
    """

    verts: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    values: np.ndarray

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.verts, self.faces, self.normals, self.values))

    def __getitem__(self, index: Any) -> Any:
        return tuple(self)[index]

    def __len__(self) -> int:
        return 4

    def __repr__(self) -> str:
        return f"Mesh({len(self.verts)} vertices, {len(self.faces)} faces)"


def _placed(volume: Volume, arguments: dict[str, Any]) -> Callable[[Mesh], Mesh]:
    """Vertices and normals in the patient; faces keep their side where the array's axes are a mirror image of it."""
    if not np.array_equal(arguments["spacing"], (1, 1, 1)):
        raise ValueError(f"spacing must be left out for a Volume, which has its own; found {arguments['spacing']!r}")
    affine = volume.affine
    across = np.linalg.inv(affine[:3, :3])

    def place(mesh: Mesh) -> Mesh:
        normals = mesh.normals @ across
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        np.divide(normals, lengths, out=normals, where=lengths > 0)
        faces = mesh.faces if np.linalg.det(affine[:3, :3]) > 0 else mesh.faces[:, ::-1]
        verts = mesh.verts @ affine[:3, :3].T + affine[:3, 3]
        return replace(mesh, verts=verts, faces=faces, normals=normals.astype(np.float32))

    return place


def _in_memory(op: Operation, arguments: dict[str, Any]) -> Any:
    """A Dask volume: computed first."""
    volume = arguments["volume"]
    _check_shape(volume.shape)
    as_array(np.empty((0, 0, 0), volume.dtype), "volume")
    return op.function(**{**arguments, "volume": volume.compute()})


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 3:
        raise ValueError(f"volume must have 3 axes (z, y, x), found {len(shape)}, of shape {shape}")
    if min(shape) < 2:
        raise ValueError(f"volume must be at least 2x2x2, found shape {shape}")


def _checked_level(volume: np.ndarray, level: Any) -> float:
    low, high = np.float32(volume.min()), np.float32(volume.max())
    if level is None:
        if np.isnan(low + high):
            raise NoSurfaceError("level must be given where the volume has NaN: No surface found at the middle value")
        return float(np.float32(0.5) * (low + high))
    value = float(as_number(level, "level"))
    if value < low or value > high:
        raise ValueError(f"level must lie within the volume's range, {low} to {high} "
                         f"(Surface level must be within volume data range), found {value}")
    return value


def _one_of(value: Any, name: str, choices: tuple[str, ...]) -> Any:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, found {value!r}")
    return value


@operation(chunked=_in_memory, ndim=3, placed=_placed)
def marching_cubes(
    volume: Any,
    level: float | None = None,
    *,
    spacing: Any = (1.0, 1.0, 1.0),
    gradient_direction: str = "descent",
    step_size: int = 1,
    allow_degenerate: bool = True,
    method: str = "lewiner",
    mask: Any = None,
) -> Mesh:
    """Find the surface on which a volume has a given value.

    Marching cubes as Lewiner and others made them topologically correct [1]_, or as Lorensen and Cline published them
    [2]_. Vertices, faces, normals, values and their order are those of scikit-image's ``marching_cubes``.

    Parameters
    ----------
    volume : array_like, shape (z, y, x)
        At least 2 x 2 x 2; bool, integers or floats, read as float32. It is not changed. A Dask array is computed
        first. Of a `Volume` the result is in the patient: vertices (x, y, z) in mm.
    level : float, optional
        The value looked for. Default: halfway between the smallest and the largest.
    spacing : three floats, optional
        Distance of voxels along (z, y, x). Not for a `Volume`.
    gradient_direction : {'descent', 'ascent'}, optional
        Whether what is inside is higher than what is outside, or lower: on which side faces run counter-clockwise.
    step_size : int, optional
        Take every so many voxels along each axis.
    allow_degenerate : bool, optional
        Whether triangles without area may stay.
    method : {'lewiner', 'lorensen'}, optional
    mask : array_like of bool, shape (z, y, x), optional
        Only cubes whose last corner (the largest index along each axis) is True are looked at.

    Returns
    -------
    Mesh
        Vertices (z, y, x), faces, normals, values; it unpacks in this order.

    Raises
    ------
    ValueError
        Wrong number of axes, smaller than 2 x 2 x 2, a level outside the range of values, unknown choices.
    TypeError
        A dtype that is not bool, integer or float; a mask that is not bool.
    RuntimeError
        The surface is empty.

    References
    ----------
    .. [1] T. Lewiner, H. Lopes, A. W. Vieira, G. Tavares, "Efficient implementation of marching cubes' cases with
       topological guarantees", Journal of Graphics Tools 8(2) (2003) 1-15.
    .. [2] W. E. Lorensen and H. E. Cline, "Marching cubes: a high resolution 3D surface construction algorithm",
       Computer Graphics 21 (1987) 163-169.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> z, y, x = np.mgrid[:21, :21, :21]
    >>> mesh = fastmed.marching_cubes(np.sqrt((z - 10) ** 2 + (y - 10) ** 2 + (x - 10) ** 2), 8)
    >>> bool(np.allclose(np.linalg.norm(mesh.verts - 10, axis=1), 8, atol=0.05))
    True
    """
    _one_of(method, "method", ("lewiner", "lorensen"))
    descent = _one_of(gradient_direction, "gradient_direction", ("descent", "ascent")) == "descent"
    array = as_array(volume, "volume")
    _check_shape(array.shape)
    if np.ndim(spacing) != 1 or len(spacing) != 3:
        raise ValueError(f"spacing must consist of three floats (z, y, x), found {spacing!r}")
    step = as_integer(step_size, "step_size")
    if step < 1:
        raise ValueError(f"step_size must be at least one, found {step}")
    shown = checked_mask(mask, array.shape)
    value = _checked_level(array, level)

    steps = (slice(None, None, step),) * 3
    array = native(array)[steps]
    flat, begins = tables()
    budget = threads.budget(array.size, 2)
    found = kernel("marching_cubes", __name__)(
        array, shown[steps], flat, begins, value, step, method == "lorensen", descent, budget
    )
    if not len(found[0]):
        raise NoSurfaceError(f"No surface found at the given iso value, {value}")
    verts, faces, normals = (part.reshape(-1, 3) for part in found[:3])
    mesh = Mesh(verts, faces, normals, found[3])
    if not np.array_equal(spacing, (1, 1, 1)):
        mesh = replace(mesh, verts=mesh.verts * np.asarray(spacing, np.float64))
    return mesh if allow_degenerate else _without_degenerate(mesh)


def _without_degenerate(mesh: Mesh) -> Mesh:
    """Triangles of which two corners coincide are left out, and these corners become one vertex."""
    verts, faces = mesh.verts.astype(np.float32), mesh.faces
    pairs = ((0, 1), (0, 2), (1, 2))
    same = np.stack([(verts[faces[:, i]] == verts[faces[:, j]]).all(axis=1) for i, j in pairs], axis=1)
    joined = np.arange(len(verts))
    for face, pair in np.argwhere(same).tolist():
        a, b = (faces[face, corner] for corner in pairs[pair])
        joined[a] = joined[b] = min(joined[a], joined[b])
    kept = joined == np.arange(len(verts))
    number = np.cumsum(kept) - 1
    return Mesh(verts[kept], number[joined[faces[~same.any(axis=1)]]], mesh.normals[kept], mesh.values[kept])
