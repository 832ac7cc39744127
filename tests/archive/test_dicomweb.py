"""A DICOMweb server is scanned and read like a folder; what it gets wrong is an error, never a shorter volume."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from make import Truth, ramp

from fastmed import errors
from fastmed.archive import Limits, _dicomweb, read, scan
from fastmed.jobs import extract

pytest.importorskip("dicomweb_client", reason="DICOMweb needs the extra web")

from dicomweb_server import Server, answers, busy, slow

WHEEL = Path(pydicom.data.get_testdata_file("CT_small.dcm")).parent


def wheel_files():
    """Real files: two single slices, and whole series of MR."""
    series = WHEEL / "dicomdirtests" / "98892003"
    found = [p for p in sorted(series.rglob("*")) if p.is_file()]
    assert len(found) > 10
    return [WHEEL / "CT_small.dcm", WHEEL / "MR_small.dcm", *found]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(_dicomweb, "_WAIT", 0.01)
    _dicomweb._kept.clear()
    _dicomweb._local.__dict__.clear()


@pytest.fixture
def truth():
    return Truth(ramp())


@pytest.fixture
def server(truth, tmp_path):
    with Server(sorted(truth.write(tmp_path / "server").iterdir())) as one:
        yield one


def instance_path(server, number=0):
    return "/studies/{}/series/{}/instances/{}".format(*list(server.data)[number])


def test_real_files_come_as_from_a_folder(tmp_path):
    files = wheel_files()
    for n, file in enumerate(files):
        shutil.copy(file, tmp_path / f"{n}.dcm")
    expected = scan(tmp_path)
    with Server(files) as server:
        found = scan(server.url)
        assert [s.key for s in found.series] == [s.key for s in expected.series] and len(found.series) > 3
        for one in expected.series:
            np.testing.assert_array_equal(found.read(one.key).array, expected.read(one.key).array)
        assert sorted(f.reason for f in found.failures) == sorted(f.reason for f in expected.failures)
        assert {f.path.partition(" ")[0] for f in found.failures} <= {"series"}


def test_one_study_one_series_and_search_terms(server, truth):
    study, series, instance = next(iter(server.data))
    for below in (f"/studies/{study}", f"/studies/{study}/series/{series}", "?Modality=CT", "/"):
        np.testing.assert_array_equal(read(server.url + below).array, truth.values)
    assert read(f"{server.url}/studies/{study}/series/{series}/instances/{instance}").shape == (1, 6, 5)
    assert scan(server.url + "?Modality=MR").series == []


def test_small_pages_and_pages_that_ignore_what_is_asked(server, truth):
    server.page = 3
    assert read(server.url).shape == truth.stored.shape
    everything = json.dumps([{"00080018": {"vr": "UI", "Value": [i]}} for *_, i in server.data]).encode()
    server.faults[instance_path(server).rpartition("/")[0]] = answers(everything)
    assert read(server.url).shape == truth.stored.shape


def test_instances_are_retrieved_once(server):
    read(server.url)
    assert {n for path, n in server.asked.items() if "/instances/" in path} == {1}


def test_extraction_names_no_uid(server, tmp_path):
    server.faults[instance_path(server)] = answers(b"", status=404)
    other = Truth(ramp(seed=3))
    for file in sorted(other.write(tmp_path / "other").iterdir()):
        ds = pydicom.dcmread(file)
        server.data[ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID] = file.read_bytes(), "CT"
    summary = extract(server.url, tmp_path / "out")
    assert (summary.n_series, summary.n_failures) == (1, 8)
    for file in (tmp_path / "out").rglob("*"):
        if file.is_file():
            assert b"1.2.826" not in file.read_bytes()


def test_a_busy_server_is_asked_again(server, truth):
    server.faults[instance_path(server)] = busy(2)
    server.faults["/series"] = busy(2)
    assert read(server.url).shape == truth.stored.shape


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (busy(100), errors.RemoteError, "status 503"),
        (answers(b"", status=404), errors.RemoteError, "status 404"),
        (answers(b"<html>CANARY</html>", "text/html"), errors.RemoteError, "no DICOM file"),
        (answers(b"--m\r\n\r\nCANARY", "multipart/related; boundary=m"), errors.RemoteError, "cut off"),
        (answers(b"CANARY", "application/dicom", length=5000), errors.RemoteError, "cannot be understood"),
        (answers(b"CANARY" * 99, "application/dicom"), errors.NoDicomError, ""),
        (answers(b"", status=302, Location="http://127.0.0.1:1/"), errors.RemoteError, "TooManyRedirects"),
        (slow, errors.LimitExceeded, "larger than 600000 bytes|longer than"),
    ],
)
def test_an_instance_that_does_not_come_costs_the_series(server, fault, error, words, caplog):
    """Never a volume that lacks a slice, not even the last one."""
    caplog.set_level(logging.DEBUG)
    server.faults[instance_path(server, 7)] = fault
    limits = Limits(max_volume_bytes=600000, max_seconds=5)
    index = scan(server.url, limits=limits)
    if error is not errors.NoDicomError:  # as in a folder, what is no DICOM belongs to no series
        assert index.series == [] and {f.error for f in index.failures} == {error}
        with pytest.raises(error, match=words) as told:
            read(server.url, limits=limits)
        assert "CANARY" not in str(told.value)
    assert "1.2.826" not in repr(index.failures) + str([f.reason for f in index.failures]) + caplog.text


def test_an_instance_that_is_counted_but_not_listed(server):
    server.hidden = {next(iter(server.data))[2]}
    index = scan(server.url)
    assert index.series == [] and "counts more instances" in str([f.reason for f in index.failures])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"not JSON, CANARY", "cannot be understood"),
        (b"[1, 2]", "none of DICOM datasets"),
        (b'[{"0020000E": {"vr": "UI", "Value": ["../../CANARY"]}}]', "valid UID"),
        (b"[{}]", "valid UID"),
    ],
)
def test_lists_that_are_none(server, body, words):
    server.faults["/series"] = answers(body)
    with pytest.raises(errors.RemoteError, match=words) as told:
        scan(server.url)
    assert "CANARY" not in str(told.value)


def test_a_list_without_end(server):
    count = iter(range(10**9))

    def endless(handler):
        rows = [{"0020000D": {"Value": ["1"]}, "0020000E": {"Value": [f"1.{next(count)}"]}} for _ in range(30)]
        handler.answer(json.dumps(rows).encode(), "application/dicom+json")
        return True

    server.faults["/series"] = endless
    server.hidden = {i for *_, i in server.data}
    with pytest.raises(errors.LimitExceeded, match="max_members"):
        scan(server.url, limits=Limits(max_members=40))


def test_a_server_that_is_not_there():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    with pytest.raises(errors.RemoteError, match="cannot be understood or reached"):
        scan(f"dicomweb+http://127.0.0.1:{port}/dicom-web")


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "dicomweb_client", None)
    with pytest.raises(errors.RemoteError, match=r"fastmed\[web\]"):
        scan("dicomweb+http://127.0.0.1:1/dicom-web")


def test_a_password(truth, tmp_path):
    files = sorted(truth.write(tmp_path / "server").iterdir())
    with Server(files, password="Basic " + base64.b64encode(b"me:se/cret").decode()) as server:
        with pytest.raises(errors.RemoteError, match="status 401"):
            scan(server.url)
        url = server.url.replace("://", "://me:se%2Fcret@")
        index = scan(url)
        assert len(index.series) == 1
        assert "cret" not in repr(index) + repr(index.series)


# ------------------------------------------------------------------------------------------------------ Orthanc


@pytest.fixture
def orthanc(tmp_path):
    """Debian's server; FASTMED_ORTHANC names another program, FASTMED_ORTHANC_DICOMWEB its plugin."""
    program = os.environ.get("FASTMED_ORTHANC") or shutil.which("Orthanc")
    plugin = os.environ.get("FASTMED_ORTHANC_DICOMWEB", "/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    if program is None or not Path(plugin).exists():
        pytest.skip("needs Orthanc and its DICOMweb plugin (apt install orthanc orthanc-dicomweb)")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    settings = {
        "StorageDirectory": str(tmp_path / "db"), "IndexDirectory": str(tmp_path / "db"), "Plugins": [plugin],
        "HttpPort": port, "DicomServerEnabled": False, "AuthenticationEnabled": False, "RemoteAccessAllowed": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    process = subprocess.Popen([program, str(tmp_path / "orthanc.json")], stdout=subprocess.DEVNULL,
                               stderr=(tmp_path / "log").open("wb"))  # fmt: skip
    try:
        import requests

        address = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                requests.get(f"{address}/system", timeout=1).raise_for_status()
                break
            except requests.RequestException:
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def test_orthanc(orthanc, tmp_path):
    import requests

    folder = tmp_path / "files"
    folder.mkdir()
    for n, file in enumerate(wheel_files()):
        shutil.copy(file, folder / f"{n}.dcm")
        requests.post(f"{orthanc}/instances", data=file.read_bytes(), timeout=10).raise_for_status()
    expected = scan(folder)
    found = scan(orthanc.replace("http", "dicomweb+http", 1) + "/dicom-web")
    assert [s.key for s in found.series] == [s.key for s in expected.series] and len(found.series) > 3
    for one in expected.series:
        volume = expected.read(one.key)
        np.testing.assert_array_equal(found.read(one.key).array, volume.array)
        np.testing.assert_allclose(found.read(one.key).affine, volume.affine)
