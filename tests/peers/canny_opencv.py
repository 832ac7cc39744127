"""canny_integer against OpenCV's Canny on random images, bit for bit: ``tests/peers/canny_opencv.py 20000 [seed]``.

Noise, smooth blobs, steps, plateaus and nearly flat images of 1xN to 60x60 and some larger ones, of one to four
channels, all apertures and both lengths; then derivatives over the whole range of int16 but -32768. It fails if any
differs.
"""

from __future__ import annotations

import sys

import numpy as np
import scipy.ndimage

import fastmed

CHANNELS = [1, 1, 1, 3, 2, 4]


def random_image(rng: np.random.Generator) -> np.ndarray:
    """Bytes of shape (rows, columns) or (rows, columns, channels)."""
    rows, columns = rng.choice([60, 60, 60, 300]), rng.choice([60, 60, 60, 3])
    channels = int(rng.choice(CHANNELS))
    shape = (int(rng.integers(1, rows + 1)), int(rng.integers(1, columns + 1)), channels)
    if rng.random() < 0.5:
        shape = (shape[1], shape[0], channels)
    kind = rng.integers(6)
    values = rng.integers(0, 256, shape).astype(float)
    if kind == 1:
        values = scipy.ndimage.gaussian_filter(values, (rng.uniform(1, 4), 2, 0))
        values = (values - values.min()) / max(np.ptp(values), 1e-9) * 255
    elif kind == 2:
        values = (values > 127) * 255.0
    elif kind == 3:
        values = np.broadcast_to(values[:, :1], shape)
    elif kind == 4:
        values = values.repeat(5, 0).repeat(4, 1)[: shape[0], : shape[1]]
    elif kind == 5:
        values = 100 + values % 8
    image = np.ascontiguousarray(values, np.uint8)
    return image[..., 0] if channels == 1 else image


def random_thresholds(rng: np.random.Generator) -> tuple[float, float]:
    first, second = (rng.random(2) - 0.05) * rng.choice([20, 300, 1500, 6000, 40000])
    return (float(first), float(second)) if rng.random() < 0.5 else (float(round(first)), float(round(second)))


def different(rng: np.random.Generator) -> list[str]:
    """What differs for one image and one pair of derivatives, in words."""
    import cv2

    image, thresholds = random_image(rng), random_thresholds(rng)
    aperture, squared = int(rng.choice([3, 5, 7])), bool(rng.integers(2))
    found = fastmed.canny_integer(image, *thresholds, aperture_size=aperture, l2_gradient=squared)
    wanted = cv2.Canny(image, *thresholds, apertureSize=aperture, L2gradient=squared)
    wrong = []
    if not np.array_equal(found, wanted):
        wrong.append(f"image {image.shape}, {thresholds}, aperture {aperture}, L2 {squared}")
    if image.ndim == 3 and image.shape[2] != 3:
        return wrong
    top = rng.choice([4, 300, 32767])
    dx, dy = rng.integers(-top, top, (2, *image.shape), endpoint=True).astype(np.int16)
    found = fastmed.canny_of_gradients(dx, dy, *thresholds, l2_gradient=squared)
    if not np.array_equal(found, cv2.Canny(dx, dy, *thresholds, L2gradient=squared)):
        wrong.append(f"derivatives {dx.shape} up to {top}, {thresholds}, L2 {squared}")
    return wrong


def main(count: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    wrong = [text for _ in range(count) for text in different(rng)]
    print("\n".join([*wrong[:20], f"{count} images of seed {seed}: {len(wrong)} differ"]))
    return len(wrong)


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    sys.exit(main(numbers[0] if numbers else 1000, numbers[1] if len(numbers) > 1 else 0) > 0)
