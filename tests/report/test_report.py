"""The report: one file that stands alone, shows what it is given, and trusts no text in it."""

import base64
import html.parser
import re
import stat

import numpy as np
import pytest

from fastmed.report import Content, Outcome, Panel, Picture, Step, duration, write_report

HOSTILE = "<script>alert('x')</script>\"'&{{ 7*7 }}"


class Tags(html.parser.HTMLParser):
    """Names, attributes and text of a page."""

    def __init__(self, page):
        super().__init__()
        self.names, self.attributes, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


def _outcome(text="smooth", **changes):
    points = [(0.0, 1.0, text, False), (2.0, -1.0, "other", True)]
    values = {
        "label": text,
        "group": "patient",
        "score": 0.8,
        "low": 0.7,
        "high": 0.9,
        "chance": 0.5,
        "rows": 2,
        "groups": 2,
        "classes": [text, "other"],
        "confusion": [[3, 1], [0, 4]],
        "components": points,
        "explained": (0.5, 0.2),
    }
    return Outcome(**{**values, **changes})


def _full(text):
    image = np.arange(12.0).reshape(3, 4)
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]])
    return Content(
        title=text,
        synthetic=True,
        facts={text: text},
        outcome=_outcome(text, notes=[text]),
        pictures=[Picture(text, text, [Panel(text, image, [square])]), Picture(text, text)],
        slices=[Picture(text, text, [Panel(text, image > 4)], aspect=2.0, marked=True)],
        columns=[text, "b"],
        rows=[[text, 1.5], ["x", float("nan")]],
        shape=(2, 2),
        failures=[(text, text)],
        name_files=True,
        notes=[text],
        steps=[Step(text, text, 0.001, {text: 0.1}, text)],
    )


def _page(tmp_path, content):
    return write_report(tmp_path / "r.html", content).read_text(encoding="utf-8")


def test_hostile_text_stays_text(tmp_path):
    page = Tags(_page(tmp_path, _full(HOSTILE)))
    assert "script" not in page.names
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert sum(HOSTILE in text for text in page.text) >= 12
    assert not any("49" in text for text in page.text)


def test_the_file_stands_alone(tmp_path):
    page = Tags(_page(tmp_path, _full("a")))
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "action")]
    assert links and all(value.startswith("data:image/png;base64,") for value in links)
    assert not {"link", "iframe", "script", "object"} & set(page.names)


def test_synthetic_is_said_only_where_it_is_so(tmp_path):
    content = _full("a")
    assert _page(tmp_path, content).lower().count("synthetic") >= 4
    content.synthetic = False
    assert "synthetic" not in _page(tmp_path, content).lower()


def test_a_report_may_be_nearly_empty(tmp_path):
    text = " ".join(Tags(_page(tmp_path, Content("Nothing"))).text)
    assert "Nothing" in text and "not in the table" not in text


def test_an_archive_without_failures_says_so(tmp_path):
    assert "None: every file" in _page(tmp_path, Content("t", columns=["a"], rows=[[1]], shape=(1, 1)))


def test_file_names_are_counted_instead_of_shown(tmp_path):
    failures = [("Doe_John/1.dcm", "cut short"), ("Doe_John/2.dcm", "cut short"), ("x", "no image")]
    page = _page(tmp_path, Content("t", failures=failures))
    assert "Doe" not in page
    assert re.search(r"<td[^>]*>2</td><td>cut short</td>", page)
    assert "Doe_John/1.dcm" in _page(tmp_path, Content("t", failures=failures, name_files=True))


def test_numbers_of_the_model_are_shown(tmp_path):
    page = _page(tmp_path, Content("t", outcome=_outcome()))
    for text in ("80.0 %", "70.0 % – 90.0 %", "50.0 %", "75.0 %"):
        assert text in page
    assert page.count('class="missed"') == 2  # one wrong point and the legend


def test_contours_are_drawn_through_the_centres_of_their_pixels(tmp_path):
    page = _page(tmp_path, _full("a"))
    assert 'd="M0.5 0.5l2 0 0 2 -2 0z"' in page


def test_a_failed_write_leaves_the_old_report(tmp_path):
    write_report(tmp_path / "r.html", Content("old"))
    with pytest.raises(ValueError, match="2-D"):
        write_report(
            tmp_path / "r.html", Content("new", slices=[Picture("a", "b", [Panel("p", np.zeros((0, 0)))])])
        )
    assert "old" in (tmp_path / "r.html").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_the_report_is_readable_like_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    write_report(tmp_path / "r.html", Content("t"))
    assert stat.S_IMODE((tmp_path / "r.html").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "plain").stat().st_mode
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.00085, "850 µs"), (0.0123, "12.3 ms"), (4.5, "4.5 s"), (125.2, "2 min 05 s")]
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_pictures_survive_the_way_through_the_page(tmp_path):
    cv2 = pytest.importorskip("cv2")
    image = np.random.default_rng(0).integers(0, 256, (17, 33)).astype(float)
    page = _page(tmp_path, Content("t", slices=[Picture("a", "b", [Panel("p", image, window=(0, 255))])]))
    encoded = re.search(r"base64,([^\"]+)", page).group(1)
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded, image)
