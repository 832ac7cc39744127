"""``mask=``, ``nan_policy=`` and ``spacing=`` of all filters.

A filter with these keywords is the filter without them (`plain`), on elements instead of millimetres, and on an image
in which elements that do not count have been filled in. Where a whole window counts, the plain result stands; where
it does not, the result is put right. So a result depends on its window only, in memory as on chunks, and a mask that
is True everywhere changes nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._engine.arrays import as_array, as_axes, as_axis, as_bytes, as_mode, as_number, as_output, per_axis
from .._engine.keywords import as_spacing, asked, valid_elements
from .._engine.operation import OPERATIONS
from ._window import cast_through_double

__all__ = ["Extended", "Linear", "asked", "finish", "modes_of", "reach_of_mask", "taken_apart", "wide"]

Arguments = dict[str, Any]
Halo = tuple[tuple[int, int], ...]

#: Elements that are corrected at a time, about.
TILE = 1 << 19


def taken_apart(given: Arguments) -> tuple[Arguments, tuple[Any, Any, Any]]:
    """The arguments of a call without the three keywords, those of its ``**kwargs`` among them; and the three."""
    arguments = dict(given)
    arguments.update(arguments.pop("kwargs", {}))
    return arguments, (arguments.pop("mask"), arguments.pop("nan_policy"), arguments.pop("spacing"))


def wide(dtype: np.dtype) -> np.dtype:
    """The dtype in which masked sums are made."""
    return np.dtype(np.complex128 if dtype.kind == "c" else np.float64)


def elements_of_size(size: Any, spacing: float) -> int:
    """The odd number of elements nearest to `size` mm, the larger of two; at least 1."""
    length = as_number(size, "size")
    if not (math.isfinite(length) and length >= 0):
        raise ValueError(f"size must be finite and not negative in mm, found {size!r}")
    return 2 * max(0, math.floor((length / spacing - 1) / 2 + 0.5)) + 1


def elements_of_radius(radius: Any, spacing: float) -> int:
    """The whole number of elements nearest to `radius` mm."""
    length = as_number(radius, "radius")
    if not (math.isfinite(length) and length >= 0):
        raise ValueError(f"radius must be finite and not negative in mm, found {radius!r}")
    return math.floor(length / spacing + 0.5)


LENGTHS: dict[str, Callable[[Any, float], Any]] = {
    "sigma": lambda sigma, spacing: as_number(sigma, "sigma") / spacing,
    "size": elements_of_size,
    "radius": elements_of_radius,
}


class Extended:
    """What the three keywords do with one operation.

    Calling it with the arguments of the operation, by name, gives the operation's result.

    Parameters
    ----------
    name : str
        Of the operation.
    halo : callable
        Its halo, from arguments in elements.
    """

    def __init__(self, name: str, halo: Callable[..., Halo]) -> None:
        self.name = name
        self.own_halo = halo

    #: Whether results are sums, which have rounding errors.
    sums = False

    # --- what operations differ in ---
    def axes_of_lengths(self, ndim: int, arguments: Arguments) -> tuple[int, ...]:
        """The axes along which lengths are given, in their order."""
        return as_axes(arguments.get("axes"), ndim)

    def per_mm(self, ndim: int, arguments: Arguments, spacing: list[float]) -> float:
        """What the result in elements is multiplied with to be one in millimetres."""
        return 1.0

    def filled(self, image: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """The image with something harmless where it does not count."""
        return np.where(valid, image, image.dtype.type(0))

    def whole_windows(self, valid: np.ndarray, arguments: Arguments) -> np.ndarray:
        """Where all of a window counts."""
        halo = self.own_halo(valid.ndim, **arguments)
        return reach_of_mask("minimum_filter", valid, halo, modes_of(valid.ndim, arguments))

    def divided(
        self, result: np.ndarray, valid: np.ndarray, whole: np.ndarray, image: np.ndarray, arguments: Arguments
    ) -> bool:
        """Whether a division has put the plain result right."""
        return False

    def correct(self, image: np.ndarray, valid: np.ndarray, arguments: Arguments) -> tuple[np.ndarray, np.ndarray]:
        """Results where some of a window does not count (elsewhere anything), and where any of it does."""
        raise NotImplementedError

    # --- what all have in common ---
    def in_elements(self, ndim: int, arguments: Arguments, spacing: list[float]) -> Arguments:
        """`arguments` with their lengths in elements."""
        changed = dict(arguments)
        for name, convert in LENGTHS.items():
            value = arguments.get(name)
            if value is None:
                continue
            if "axis" in arguments:
                changed[name] = convert(value, spacing[as_axis(arguments["axis"], ndim)])
            else:
                axes = self.axes_of_lengths(ndim, arguments)
                values = per_axis(value, len(axes), name)
                changed[name] = [
                    None if v is None else convert(v, spacing[a]) for a, v in zip(axes, values, strict=True)
                ]
        return changed

    def halo(self, ndim: int, spacing: Any = None, **arguments: Any) -> Halo:
        """The operation's halo, from arguments in elements or millimetres."""
        if spacing is not None:
            arguments = self.in_elements(ndim, arguments, as_spacing(spacing, ndim))
        return self.own_halo(ndim, **arguments)

    def plain(self, image: np.ndarray, arguments: Arguments, output: Any) -> np.ndarray:
        """The operation without the three keywords."""
        return OPERATIONS[self.name].function(image, **{**arguments, "output": output})

    def output_for(self, image: np.ndarray, arguments: Arguments) -> np.ndarray:
        """The array for the result."""
        weights = np.asarray(arguments.get("weights", 0.0))
        complex_result = image.dtype.kind == "c" or weights.dtype.kind == "c"
        return as_output(arguments["output"], image, complex_result=complex_result)

    def __call__(self, given: Arguments) -> np.ndarray:
        arguments, (mask, nan_policy, spacing) = taken_apart(given)
        image = as_array(arguments.pop("input"), complex_too=True)
        if "axis" in arguments:
            as_axis(arguments["axis"], image.ndim)  # it is refused even where nothing counts
        if arguments.get("footprint") is not None:
            arguments["size"] = None  # the caller has been warned
        scale = 1.0
        if spacing is not None:
            distances = as_spacing(spacing, image.ndim)
            arguments = self.in_elements(image.ndim, arguments, distances)
            scale = self.per_mm(image.ndim, arguments, distances)
        valid = valid_elements(image, mask, nan_policy)
        if valid is None and scale == 1.0:
            return self.plain(image, arguments, arguments["output"])
        output = self.output_for(image, arguments)
        halo, modes = self.own_halo(image.ndim, **arguments), modes_of(image.ndim, arguments)

        def compute(image, valid, result):
            self.compute(image, valid, scale, arguments, result)

        return in_tiles(compute, image, valid, output, halo, modes)

    def compute(
        self, image: np.ndarray, valid: np.ndarray | None, scale: float, arguments: Arguments, result: np.ndarray
    ) -> None:
        """The result where some elements do not count, or with derivatives per mm."""
        if valid is not None and not valid.any():
            # Nothing counts, unless the border does.
            halo, modes = self.own_halo(valid.ndim, **arguments), modes_of(valid.ndim, arguments)
            if not reach_of_mask("maximum_filter", valid, halo, modes).any():
                finish(result, image, image, valid, valid, sums=False)
                return
        source = image if valid is None else self.filled(image, valid)
        if scale == 1.0:
            self.plain(source, arguments, result)
        elif result.dtype.kind in "fc":
            self.plain(source, arguments, result)
            result *= scale
        else:
            cast_into(result, ..., snapped(self.plain(source, arguments, np.float64) * scale))
        if valid is None:
            return
        whole = self.whole_windows(valid, arguments)
        if not whole.all() and not self.divided(result, valid, whole, source, arguments):
            values, reached = self.correct(source, valid, arguments)
            finish(result, image, values if scale == 1.0 else values * scale, whole, reached, sums=self.sums)


def in_tiles(
    compute: Callable[[np.ndarray, np.ndarray | None, np.ndarray], None],
    image: np.ndarray, valid: np.ndarray | None, output: np.ndarray, halo: Halo, modes: list[Any] | None,
) -> np.ndarray:
    """Call ``compute(image, valid, result)`` on tiles with their halo, so that what stands between takes little memory.

    A tile is clipped at the array's own edges, where the border mode holds, and goes on at the other end in mode
    'wrap'. Without `modes` the array is one tile.
    """
    dtype = output.dtype.newbyteorder("=")
    if np.may_share_memory(image, output):
        image = image.copy()
    if valid is not None and np.may_share_memory(valid, output):
        valid = valid.copy()
    around = [max(h) for h in halo]  # as far on one side as on the other: a border mode looks inward
    wraps = [as_mode(mode) == as_mode("wrap") for mode in modes or []]
    for place in _tiles(image.shape, around) if modes is not None else [tuple(slice(0, n) for n in image.shape)]:
        part, its_valid, keep = image, valid, []
        for axis, (tile, n, far) in enumerate(zip(place, image.shape, around, strict=True)):
            first, last = tile.start - far, tile.stop + far
            if tile == slice(0, n):
                first, last = 0, n
            elif not wraps[axis]:
                first, last = max(first, 0), min(last, n)
            at = slice(first, last) if 0 <= first <= last <= n else np.arange(first, last) % n
            cut = (slice(None),) * axis + (at,)
            part = part[cut]
            its_valid = None if its_valid is None else its_valid[cut]
            keep.append(slice(tile.start - first, tile.stop - first))
        if its_valid is not None and its_valid.all():
            its_valid = None
        result = np.empty(part.shape, dtype)
        compute(part, its_valid, result)
        output[place] = result[tuple(keep)]
    return output


def _tiles(shape: tuple[int, ...], halo: list[int]) -> Iterator[tuple[slice, ...]]:
    """The array in pieces of about TILE elements, though not so thin that their halo is most of the work."""
    lengths = list(shape)
    while math.prod(lengths) > TILE:
        able = [axis for axis, n in enumerate(lengths) if n >= 2 * max(8, 4 * halo[axis])]
        able = [axis for axis in able if axis < len(shape) - 1] or able  # lines stay whole as long as they can
        if not able:
            break
        axis = max(able, key=lambda a: lengths[a])
        lengths[axis] = -(-lengths[axis] // 2)
    pieces = ([slice(i, min(i + k, n)) for i in range(0, n, k)] for n, k in zip(shape, lengths, strict=True))
    return itertools.product(*pieces) if 0 not in shape else iter([tuple(slice(0, n) for n in shape)])


def finish(
    result: np.ndarray, image: np.ndarray, values: np.ndarray, whole: np.ndarray, reached: np.ndarray, *, sums: bool
) -> np.ndarray:
    """Put `values` where no whole window counts, and what stands for "nothing counts" where nothing is reached."""
    partly = reached & ~whole
    if result.dtype.kind in "fc":
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(result, values, casting="unsafe", where=partly)
        np.copyto(result, complex(np.nan, np.nan) if result.dtype.kind == "c" else np.nan, where=~(reached | whole))
        return result
    chosen = values[partly]
    cast_into(result, partly, snapped(chosen) if sums else chosen)
    nothing = ~(reached | whole)
    cast_into(result, nothing, image[nothing].real)
    return result


def snapped(sums: np.ndarray) -> np.ndarray:
    """Rounding errors removed from sums that should be whole numbers, so that a cut does not make 2 of 2.9999999."""
    near = np.rint(sums)
    return np.where(np.abs(sums - near) <= 1e-9 * np.maximum(1.0, np.abs(near)), near, sums)


def cast_into(result: np.ndarray, where: Any, values: np.ndarray) -> None:
    """``result[where] = values`` for an integer result, cast as SciPy does."""
    target = as_bytes(result)
    if target.dtype == values.dtype:
        target[where] = values
        return
    cast = np.empty(values.shape, target.dtype)
    cast_through_double(np.asarray(values), cast)
    target[where] = cast


def modes_of(ndim: int, arguments: Arguments) -> list[Any]:
    """The border mode of every axis of the array."""
    axes = as_axes(arguments.get("axes"), ndim)
    given = dict(zip(axes, per_axis(arguments.get("mode", "reflect"), len(axes)), strict=True))
    return [given.get(axis, "reflect") for axis in range(ndim)]


def reach_of_mask(name: str, valid: np.ndarray, halo: Any, modes: list[Any]) -> np.ndarray:
    """minimum_filter or maximum_filter of a mask over the box that a halo makes; the outside counts."""
    sizes = [before + after + 1 for before, after in halo]
    origins = [before - size // 2 for size, (before, _) in zip(sizes, halo, strict=True)]
    return OPERATIONS[name].function(valid, size=sizes, mode=modes, cval=1, origin=origins)


class Linear(Extended):
    """A sum of neighbours with weights.

    Elements that do not count are given the mean of those that do, weighted by the absolute weights. Of the plain
    filter F, and the filter M with absolute weights whose sum is 1, that makes for an image x (0 where it does not
    count) and a mask m the result ``F(x) + F(1 - m) M(x) / M(m)``; where all weights have one sign, and the sum s,
    ``s M(x) / M(m)``.

    Parameters
    ----------
    name, halo
        As of :class:`Extended`.
    mean : callable
        ``mean(image, arguments, cval, dtype)``: M(image), in dtype.
    total : callable
        ``total(arguments)``: the sum of weights that have one sign, else None.
    per_mm : callable, optional
        As of :class:`Extended`.
    single : callable
        ``single(ndim, arguments)``: whether weights of one sign are so large that float32 holds the sum of any of them.
    """

    sums = True

    def __init__(
        self, name: str, halo: Callable[..., Halo],
        mean: Callable[[np.ndarray, Arguments, Any, np.dtype], np.ndarray],
        total: Callable[[Arguments], float | None] = lambda _: None,
        per_mm: Callable[[int, Arguments, list[float]], float] | None = None,
        single: Callable[[int, Arguments], bool] = lambda ndim, arguments: False,
    ) -> None:
        super().__init__(name, halo)
        self.mean, self.total, self.single = mean, total, single
        self._per_mm = per_mm

    def per_mm(self, ndim: int, arguments: Arguments, spacing: list[float]) -> float:
        return 1.0 if self._per_mm is None else self._per_mm(ndim, arguments, spacing)

    def divided(
        self, result: np.ndarray, valid: np.ndarray, whole: np.ndarray, image: np.ndarray, arguments: Arguments
    ) -> bool:
        """Floats under weights of one sign: ``s M(x)`` stands in the result already.

        A quotient of such sums is off by roundings of the largest element, however little of a window counts.
        """
        dtype = result.dtype
        if dtype != image.dtype or self.total(arguments) is None:
            return False
        if dtype != np.float64 and not (dtype == np.float32 and self.single(image.ndim, arguments)):
            return False
        weight = self.mean(valid.astype(dtype), arguments, 1.0, dtype)
        np.copyto(weight, 1, where=whole)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            np.divide(result, weight, out=result)
        return True

    def correct(self, image: np.ndarray, valid: np.ndarray, arguments: Arguments) -> tuple[np.ndarray, np.ndarray]:
        dtype, total = wide(image.dtype), self.total(arguments)
        if image.dtype.kind in "fc":  # sums of float32 are in float32 otherwise
            image = image.astype(dtype)
        weight = self.mean(valid, arguments, 1.0, np.dtype(np.float64))
        reached = weight > 0
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            values = self.mean(image, arguments, arguments["cval"], dtype)
            values /= weight
            if total is not None:
                values *= total
                return values, reached
            values = values * self._wide_plain(~valid, {**arguments, "cval": 0.0})
            values += self._wide_plain(image, arguments)
        return values, reached

    def _wide_plain(self, image: np.ndarray, arguments: Arguments) -> np.ndarray:
        weights = np.asarray(arguments.get("weights", 0.0))
        dtype = np.complex128 if "c" in (image.dtype.kind, weights.dtype.kind) else np.float64
        return self.plain(image, arguments, dtype)
