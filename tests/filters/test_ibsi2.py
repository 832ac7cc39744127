"""The response maps of the Image Biomarker Standardisation Initiative (IBSI 2, phase 1), made with the public filters.

Source: Whybra et al. 2024, Radiology 310(2), doi 10.1148/radiol.231319; parameters as in the reference manual (arXiv
2006.05470), maps and phantoms in ../shared/data/ibsi, tolerances in its table: 1 % of the range of the map.

Conventions: arrays are (z, y, x), the manual's k1, k2, k3 are x, y, z; voxels are 2 mm wide, sigmas are given in mm.
The manual's boundaries are these modes: zero padding 'constant', nearest 'nearest', periodic 'wrap', mirror 'reflect'.
"""

from __future__ import annotations

import csv
import gzip
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest

import fastmed

VOXEL = 2.0  # mm
X, Y, Z = 2, 1, 0

#: Maps that these filters cannot make: the kernel is defined in the frequency domain, over the whole image, and has no
#: finite taps.
NOT_EXPRESSED = {
    "8.a.1": "Simoncelli wavelet: a band of radial frequencies, made by FFT",
    "8.a.2": "Simoncelli wavelet: a band of radial frequencies, made by FFT",
    "9.a": "Riesz transform: division by the radial frequency, made by FFT",
}


# --- the data --------------------------------------------------------------------------------------------------------
def nifti(path):
    """The voxels of a .nii.gz file as (z, y, x)."""
    raw = gzip.decompress(path.read_bytes())
    nx, ny, nz = np.frombuffer(raw, "<i2", 3, 42)
    dtype = {2: "u1", 16: "<f4"}[int(np.frombuffer(raw, "<i2", 1, 70)[0])]
    return np.frombuffer(raw, dtype, offset=int(np.frombuffer(raw, "<f4", 1, 108)[0])).reshape(nz, ny, nx)


@pytest.fixture(scope="module")
def ibsi(shared_data):
    folder = shared_data / "ibsi"
    if not folder.is_dir():
        pytest.skip(f"needs the IBSI data: no folder {folder}")
    return folder


@pytest.fixture(scope="module")
def rows(ibsi):
    """The table of the maps: test -> its row."""
    with (ibsi / "ibsi2_phase1_tests.csv").open(newline="") as table:
        return {row["test"]: row for row in csv.DictReader(table)}


# --- parts of filters ------------------------------------------------------------------------------------------------
def separable(image, *passes, mode):
    """Convolve along each (axis, taps) in turn."""
    for axis, taps in passes:
        image = fastmed.convolve1d(image, taps, axis, mode=mode)
    return image


def turned(image: np.ndarray, filtered: Callable[[np.ndarray], np.ndarray], axes: Sequence[int]) -> list[np.ndarray]:
    """The responses under all right-angled rotations of the filter: the image is turned instead, and the response back.

    24 over three axes, 4 over two.
    """
    responses = []
    for order in itertools.permutations(range(len(axes))):
        permutation = list(range(image.ndim))
        for axis, other in zip(axes, order, strict=True):
            permutation[axis] = axes[other]
        handed = round(np.linalg.det(np.eye(len(axes))[list(order)]))
        for signs in itertools.product((1, -1), repeat=len(axes)):
            if handed * np.prod(signs) < 0:  # a reflection
                continue
            flipped = [axis for axis, sign in zip(axes, signs, strict=True) if sign < 0]
            response = np.flip(filtered(np.flip(image.transpose(permutation), flipped)), flipped)
            responses.append(response.transpose(np.argsort(permutation)))
    return responses


LAWS = {  # Laws 1980, of unit length as in the manual
    "L5": np.array([1, 4, 6, 4, 1]) / np.sqrt(70),
    "E5": np.array([-1, -2, 0, 2, 1]) / np.sqrt(10),
    "S5": np.array([-1, 0, 2, 0, -1]) / np.sqrt(6),
    "W5": np.array([-1, 2, 0, -2, 1]) / np.sqrt(10),
    "R5": np.array([1, -4, 6, -4, 1]) / np.sqrt(70),
    "E3": np.array([-1, 0, 1]) / np.sqrt(2),
}


def laws(image, names, mode):
    """The kernels `names` along x, y (and z)."""
    return separable(image, *((axis, LAWS[n]) for axis, n in zip((X, Y, Z), names, strict=False)), mode=mode)


def laws_of_all_turns(image, names, mode):
    axes = (Z, Y, X)[-len(names):]
    return np.max(turned(image, lambda turn: laws(turn, names, mode), axes), axis=0)


def energy(response, mode, **arguments):
    """Mean absolute response at a Chebyshev distance of at most 7."""
    return fastmed.uniform_filter(np.abs(response), 15, mode=mode, **arguments)


ROOT3, ROOT7 = np.sqrt(3), np.sqrt(7)
LOW = {  # Daubechies 1992, Ten Lectures on Wavelets, chapters 6 (db2) and 8 (coif1), in closed form
    "haar": np.array([1, 1]) / np.sqrt(2),
    "db2": np.array([1 + ROOT3, 3 + ROOT3, 3 - ROOT3, 1 - ROOT3]) / (4 * np.sqrt(2)),
    "coif1": np.array([1 - ROOT7, 5 + ROOT7, 14 + 2 * ROOT7, 14 - 2 * ROOT7, 1 - ROOT7, ROOT7 - 3]) / (16 * np.sqrt(2)),
}


def wavelet(image, family, bands, mode, level=1):
    """The undecimated wavelet of one level, with a band for x, y and z; below it, all lows. Zeros between the taps."""
    low = LOW[family][::-1]  # decomposition; a convolution turns it once more
    high = low[::-1] * (-1.0) ** np.arange(1, len(low) + 1)
    for step in range(level):
        names = bands if step + 1 == level else "LLL"
        taps = {"L": low, "H": high}
        apart = {name: np.kron(taps[name], [1.0] + [0.0] * (2**step - 1)) for name in names}
        image = separable(image, *zip((X, Y, Z), (apart[n] for n in names), strict=True), mode=mode)
    return image


def gabor_kernel(sigma, gamma, wavelength, theta):
    """A complex wave under a Gaussian, in the plane of the last two axes; lengths in mm, the angle clockwise."""
    radius = int(np.ceil(3 * sigma / VOXEL * max(1, 1 / gamma)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1] * VOXEL
    along, across = x * np.cos(theta) + y * np.sin(theta), y * np.cos(theta) - x * np.sin(theta)
    return np.exp(-(along**2 + (gamma * across) ** 2) / (2 * sigma**2) + 2j * np.pi * along / wavelength)


def gabor(image, axes, mode, **parameters):
    """Modulus of the response in every plane of `axes`."""
    return np.abs(fastmed.convolve(image, gabor_kernel(**parameters), mode=mode, axes=axes))


# --- the maps --------------------------------------------------------------------------------------------------------
PLANE = (Y, X)
MAPS = {
    "1.a.1": lambda a: fastmed.uniform_filter(a, 15, mode="constant"),
    "1.a.2": lambda a: fastmed.uniform_filter(a, 15, mode="nearest"),
    "1.a.3": lambda a: fastmed.uniform_filter(a, 15, mode="wrap"),
    "1.b.1": lambda a: fastmed.uniform_filter(a, 15, mode="constant", axes=PLANE),
    "2.a": lambda a: fastmed.gaussian_laplace(a, 3 / VOXEL, mode="constant", truncate=4),
    "2.c": lambda a: fastmed.gaussian_laplace(a, 5 / VOXEL, mode="reflect", truncate=4, axes=PLANE),
    "3.a.1": lambda a: laws(a, ("E5", "L5", "S5"), "constant"),
    "3.a.3": lambda a: energy(laws_of_all_turns(a, ("E5", "L5", "S5"), "constant"), "constant"),
    "3.b.1": lambda a: laws(a, ("E3", "W5", "R5"), "reflect"),
    "3.b.2": lambda a: laws_of_all_turns(a, ("E3", "W5", "R5"), "reflect"),
    "3.c.1": lambda a: laws(a, ("L5", "S5"), "reflect"),
    "3.c.3": lambda a: energy(laws_of_all_turns(a, ("L5", "S5"), "reflect"), "reflect", axes=PLANE),
    "4.a.1": lambda a: gabor(a, PLANE, "constant", sigma=10, gamma=0.5, wavelength=4, theta=np.pi / 3),
    "5.a.1": lambda a: wavelet(a, "db2", "LHL", "constant"),
    "6.a.1": lambda a: wavelet(a, "coif1", "HHL", "wrap"),
    "7.a.1": lambda a: np.mean(turned(a, lambda t: wavelet(t, "haar", "LLL", "reflect", level=2), (Z, Y, X)), axis=0),
}


def check(found, wanted, row):
    """The manual's criterion: every voxel within the tolerance."""
    difference = np.abs(found - wanted)
    assert difference.max() <= float(row["tolerance"]), f"{np.mean(difference > float(row['tolerance'])):.1%} beyond"


@pytest.mark.parametrize("name", MAPS)
def test_response_map(name, ibsi, rows):
    image = nifti(ibsi / "ibsi2_phantoms" / f"{rows[name]['phantom']}.nii.gz").astype(np.float64)
    wanted = nifti(ibsi / "ibsi2_response_maps" / f"{name.replace('.', '_')}-ValidCRM.nii.gz")
    check(MAPS[name](image), wanted, rows[name])


def test_response_map_of_the_gabor_filter_over_three_planes(ibsi, rows):
    """4.b.2, the mean over eight angles and three orientations of the plane, on every eighth voxel of each axis."""
    row = rows["4.b.2"]
    image = nifti(ibsi / "ibsi2_phantoms" / f"{row['phantom']}.nii.gz").astype(np.float64)
    wanted = nifti(ibsi / "ibsi2_response_maps" / "4_b_2-ValidCRM.nii.gz")
    chosen = np.arange(3, 64, 8)
    total = 0
    for across, turn in itertools.product(range(3), range(8)):
        axes = tuple(axis for axis in range(3) if axis != across)
        planes = image.take(chosen, across)
        theta = np.deg2rad(22.5 * turn)
        response = gabor(planes, axes, "reflect", sigma=20, gamma=2.5, wavelength=8, theta=theta)
        total += response.take(chosen, axes[0]).take(chosen, axes[1])
    check(total / 24, wanted[np.ix_(chosen, chosen, chosen)], row)


def test_every_map_is_made_or_its_reason_given(rows):
    assert {*MAPS, *NOT_EXPRESSED, "4.b.2"} == set(rows)


def test_maps_in_single_precision(ibsi, rows):
    """float32 input gives the same maps: its rounding is far below the tolerance."""
    for name in ("2.a", "3.a.1", "6.a.1"):
        image = nifti(ibsi / "ibsi2_phantoms" / f"{rows[name]['phantom']}.nii.gz").astype(np.float32)
        wanted = nifti(ibsi / "ibsi2_response_maps" / f"{name.replace('.', '_')}-ValidCRM.nii.gz")
        found = MAPS[name](image)
        assert found.dtype == np.float32
        check(found, wanted, rows[name])
