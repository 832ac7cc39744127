"""Real images of dependencies: shown, or said why not; never downloaded."""

import importlib.util
import socket

import numpy as np
import pytest

from fastmed.demo import _pictures, borders, pictures


@pytest.fixture(scope="module")
def shown():
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*args, **kwargs):
            raise AssertionError("the demo opened a connection")

        patch.setattr(socket, "create_connection", refuse)
        patch.setattr(socket.socket, "connect", refuse)
        return list(pictures())


def test_every_source_is_shown_or_says_why_not(shown):
    assert [p.title for p in shown] == [s.title for s in _pictures.SOURCES]
    assert all(p.panels or p.caption.startswith("Not shown: ") for p in shown)


def test_images_that_need_no_codec_are_always_there(shown):
    titles = {p.title for p in shown if p.panels}
    assert {"CT of a spine", "MR of an abdomen", "Doppler ultrasound"} <= titles


def test_the_steps_are_those_of_the_functions(shown):
    scipy_ndimage = pytest.importorskip("scipy.ndimage")
    panels = {p.title: p for p in next(s for s in shown if s.title == "CT of a spine").panels}
    middle = scipy_ndimage.median_filter(panels["as read"].image, 3)
    np.testing.assert_array_equal(panels["median 3 × 3"].image, middle)
    smooth = scipy_ndimage.gaussian_filter(middle, 1.0)
    np.testing.assert_allclose(panels["Gaussian, sigma 1"].image, smooth, atol=1e-6)
    assert panels["Canny"].image.dtype == bool and panels["Canny"].image.any()


def test_contours_lie_on_edges(shown):
    panels = {p.title: p for p in next(s for s in shown if s.title == "CT of a spine").panels}
    points = np.concatenate(list(panels["contours, traced"].outlines))
    assert panels["Canny"].image[points[:, 1], points[:, 0]].all()


def test_text_that_was_burned_in_is_cut_off(shown):
    image = next(s for s in shown if s.title == "Doppler ultrasound").panels[0].image
    assert image.shape == (95, 320)


def test_a_package_that_is_missing_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nibabel" else find(name))
    (picture,) = [p for p in pictures() if p.title.startswith("4-D MR")]
    assert picture.panels == () and "nibabel is not installed" in picture.caption


def test_flat_contours_are_split_at_their_offsets():
    class Flat:
        points = np.array([[0, 0], [1, 0], [5, 5]])
        offsets = np.array([0, 2, 3])

    assert [b.tolist() for b in borders(Flat)] == [[[0, 0], [1, 0]], [[5, 5]]]
