"""fastmed.plot: contours lie where the pixels are."""

import builtins

import numpy as np
import pytest

import fastmed

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

MASK = np.pad(np.ones((3, 4), bool), ((2, 5), (6, 1)))


@pytest.fixture
def ax():
    figure, axes = pyplot.subplots()
    yield axes
    pyplot.close(figure)


def drawn(ax):
    return [path.vertices.tolist() for path in ax.collections[0].get_paths()]


def test_contours_are_closed_and_xy(ax):
    assert fastmed.plot.contours(MASK, fastmed.trace_contours(MASK), ax=ax, vmin=0) is ax
    assert drawn(ax) == [[[6, 2], [6, 4], [9, 4], [9, 2], [6, 2]]]
    assert ax.images[0].get_array().shape == MASK.shape
    assert ax.images[0].get_cmap().name == "gray"


def test_lines_are_turned_to_xy(ax):
    lines = fastmed.find_contours(MASK, 0.5)
    fastmed.plot.contours(MASK, lines, ax=ax, cmap="viridis", colors="red")
    assert drawn(ax) == [line[:, ::-1].tolist() for line in lines]
    assert ax.images[0].get_cmap().name == "viridis"


def test_the_contours_of_a_slice(ax):
    stack = np.stack([MASK, ~MASK, MASK])
    fastmed.plot.contours(stack, fastmed.trace_contours(stack), slice=1, ax=ax)
    assert drawn(ax) == [[*c.tolist(), c[0].tolist()] for c in fastmed.trace_contours(~MASK)]


def test_labels_have_colours_of_their_own():
    labels = np.zeros((5, 9), np.int32)
    labels[1:3, 1:3], labels[1:4, 5:8] = 3, 7
    ax = fastmed.plot.contours(labels, fastmed.trace_labels(labels))
    assert len({tuple(c) for c in ax.collections[0].get_colors()}) == 2
    pyplot.close(ax.figure)


def test_errors_say_what_is_wanted(monkeypatch):
    with pytest.raises(ValueError, match=r"image must have 2 axes .* found shape \(2, 3, 4\)"):
        fastmed.plot.contours(np.zeros((2, 3, 4)), [])
    with pytest.raises(ValueError, match="3 coordinates"):
        volume = fastmed.Volume(MASK[None], np.eye(4))
        fastmed.plot.contours(MASK, fastmed.trace_contours(volume))
    real = builtins.__import__

    def no_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_matplotlib)
    with pytest.raises(ImportError, match=r"fastmed\[plot\]"):
        fastmed.plot.contours(MASK, [])
