"""URLs: what fsspec opens is scanned, read and indexed like files; what it does not is refused."""

from __future__ import annotations

import functools
import http.server
import sys
import threading
import zipfile

import numpy as np
import pytest
from make import NAME, PATIENT, Truth, ramp

from fastmed import errors
from fastmed.archive import Limits, read, scan
from fastmed.jobs import extract

fsspec = pytest.importorskip("fsspec", reason="URLs are opened by fsspec, of the extra archive")


@pytest.fixture
def folder(tmp_path):
    truth = Truth(ramp())
    truth.write(tmp_path / "root" / "a b")
    (tmp_path / "root" / "notes.txt").write_text("x" * 300)
    with zipfile.ZipFile(tmp_path / "root" / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        other = Truth(ramp(seed=1))
        for file in sorted(other.write(tmp_path / "other").iterdir()):
            archive.write(file, f"deep/{file.name}")
    return tmp_path / "root"


@pytest.fixture
def memory(folder):
    files = fsspec.filesystem("memory")
    files.put(str(folder), "/fastmed-test", recursive=True)
    yield "memory://fastmed-test"
    files.rm("/fastmed-test", recursive=True)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(folder):
    pytest.importorskip("aiohttp", reason="fsspec needs it for http://")
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{one.server_port}"
        one.shutdown()


def same(index, folder):
    """What a scan of the URL finds is what one of the folder finds."""
    expected = scan(folder)
    assert [s.key for s in index.series] == [s.key for s in expected.series] and len(index.series) == 2
    for one in expected.series:
        np.testing.assert_array_equal(index.read(one.key).array, expected.read(one.key).array)
    assert [(f.path, f.error) for f in index.failures] == [("notes.txt", errors.NoDicomError)]


def test_memory(memory, folder):
    same(scan(memory), folder)


def test_file(folder):
    same(scan(f"file://{folder}".replace(" ", "%20")), folder)


@pytest.mark.parametrize("end", ["", "/"])
def test_http(server, folder, end):
    """Python's own server gives no parts of files: they are read whole."""
    same(scan(server + end), folder)


@pytest.mark.parametrize("where", ["path", "memory", "http"])
def test_zip_chains(where, folder, request):
    outer = {"path": str(folder)}.get(where) or request.getfixturevalue({"memory": "memory", "http": "server"}[where])
    for root in (f"zip://::{outer}/c.zip", f"zip://deep::{outer}/c.zip", f"{outer}/c.zip"):
        index = scan(root)
        assert len(index.series) == 1 and not index.failures
        np.testing.assert_array_equal(read(root).array, ramp(seed=1))
    with pytest.raises(FileNotFoundError):
        scan(f"zip://nothing::{outer}/c.zip")


def test_one_file(memory, folder):
    name = next((folder / "a b").iterdir()).name
    assert read(f"{memory}/a b/{name}").shape == (1, 6, 5)


def test_a_cache_before_a_store(memory, folder, tmp_path):
    same(scan(f"simplecache::{memory}"), folder)


def test_extraction(memory, tmp_path):
    summary = extract(memory, tmp_path / "out")
    assert (summary.n_series, summary.n_failures) == (2, 1)
    again = extract(memory, tmp_path / "out")
    assert again.n_reused == 2


def test_an_index_file_holds_nothing_of_urls(memory, tmp_path):
    store = tmp_path / "index.sqlite"
    assert len(scan(memory, index=store).series) == len(scan(memory, index=store).series) == 2
    data = store.read_bytes()
    assert NAME.encode() not in data and PATIENT.encode() not in data


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("nonsense://x/y", errors.RemoteError, "'nonsense' is no protocol of fsspec"),
        ("memory://not-there", FileNotFoundError, "does not exist"),
        ("tar://x::memory://a.tar", errors.RemoteError, "only zip://"),
        ("zip://::/not/there.zip", FileNotFoundError, "does not exist"),
        ("http://127.0.0.1:9/", (errors.RemoteError, FileNotFoundError), "URL"),
    ],
)
def test_what_cannot_be_opened(url, error, words):
    with pytest.raises(error, match=words):
        scan(url)


def test_what_needs_a_package_that_is_not_there(monkeypatch):
    from fsspec.registry import known_implementations

    monkeypatch.setitem(known_implementations, "moon",
                        {"class": "no.such.Thing", "err": "Install moonfs"})  # fmt: skip
    with pytest.raises(errors.RemoteError, match="Install moonfs"):
        scan("moon://bucket")


@pytest.mark.parametrize(("protocol", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("gcs", "gcsfs")])
@pytest.mark.parametrize("how", ["{}://bucket/folder", "zip://::{}://bucket/a.zip", "simplecache::{}://bucket/a.dcm"])
def test_a_store_whose_package_is_not_there(monkeypatch, protocol, package, how):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol, raising=False)
    with pytest.raises(errors.RemoteError, match=f"{protocol}:// needs {package}.*pip install {package}"):
        scan(how.format(protocol))
    with pytest.raises(errors.RemoteError, match=f"pip install {package}"):
        read(how.format(protocol))


def test_a_store_that_fails_costs_the_series_not_a_slice(memory, monkeypatch):
    files = fsspec.filesystem("memory")
    original, bad = type(files)._open, []

    def fails(self, path, *arguments, **more):
        bad[:] = bad or [path] if path.endswith(".dcm") else bad
        if path in bad:
            raise OSError("CANARY")
        return original(self, path, *arguments, **more)

    monkeypatch.setattr(type(files), "_open", fails)
    with pytest.raises(errors.RemoteError, match="cannot be opened") as told:
        read(f"{memory}/a b")
    assert "CANARY" not in str(told.value)


def test_a_server_that_sends_too_much(server):
    with pytest.raises(errors.LimitExceeded, match="gives no parts"):
        read(f"{server}/a b", limits=Limits(max_inflated_bytes=500))
