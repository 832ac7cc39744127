"""Foreign decoders run in other processes; what they do there costs an error at most."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
from make import Truth, ramp

from fastmed import errors
from fastmed.archive import Limits, _isolate, read

pytest.importorskip("jpeg_ls")


@pytest.fixture
def series(tmp_path):
    truth = Truth(ramp((6, 16, 12)))
    for ds in truth.datasets:
        ds.compress("1.2.840.10008.1.2.4.80", generate_instance_uid=False)
    return truth.write(tmp_path / "series"), truth


def test_both_ways_agree(series):
    folder, truth = series
    for isolate in (True, False):
        np.testing.assert_array_equal(read(folder, limits=Limits(isolate=isolate)).array, truth.stored)


def test_a_process_serves_many_files(series):
    folder, truth = series
    read(folder)
    kept = {worker.process.pid for worker in _isolate._idle}
    np.testing.assert_array_equal(read(folder).array, truth.stored)
    assert kept & {worker.process.pid for worker in _isolate._idle}


def test_a_dead_process_is_replaced(series):
    folder, truth = series
    read(folder)
    for worker in _isolate._idle:
        os.kill(worker.process.pid, signal.SIGKILL)
        worker.process.wait()
    np.testing.assert_array_equal(read(folder).array, truth.stored)


def request(**changes):
    return _isolate.request_for("1.2.840.10008.1.2.4.80", None, colour=False, palette=False, lut=False) | changes


def test_death_while_decoding_is_an_error(series):
    folder, _ = series
    data = next(folder.iterdir()).read_bytes()
    worker = _isolate._Worker(3 << 30)
    list(worker.frames(data, request(), Limits()))
    os.kill(worker.process.pid, signal.SIGSTOP)

    def kill():
        time.sleep(0.3)
        os.kill(worker.process.pid, signal.SIGKILL)

    threading.Thread(target=kill).start()
    with pytest.raises(errors.DecodeError, match="died"):
        list(worker.frames(data, request(), Limits()))
    worker.kill()


def test_a_hang_is_an_error(series):
    folder, _ = series
    data = next(folder.iterdir()).read_bytes()
    worker = _isolate._Worker(3 << 30)
    os.kill(worker.process.pid, signal.SIGSTOP)
    with pytest.raises(errors.LimitExceeded, match="max_seconds"):
        list(worker.frames(data, request(), Limits(max_seconds=0.2)))
    worker.kill()


def test_too_little_memory_is_an_error(series):
    folder, _ = series
    with pytest.raises(errors.DecodeError):
        read(folder, limits=Limits(max_decoder_bytes=20 << 20))


@pytest.mark.parametrize(
    "head",
    [b'{"dtype": "|O8", "shape": [2, 2]}', b'{"dtype": "<i2", "shape": [2]}', b'{"dtype": "<i2", "shape": [-1, 4]}',
     b'{"dtype": "<i2", "shape": [900000, 900000]}', b"x" * 9000, b'{"error": "x y CANARY"}'],
)  # fmt: skip
def test_answers_are_not_believed(head):
    """A worker that a file has taken over can answer anything."""
    worker = _isolate._Worker(3 << 30)
    worker.ready[:] = head + b"\n" * (len(head) < 4096)
    with pytest.raises(errors.DecodeError) as caught:
        list(worker.frames(b"", request(), Limits()))
    assert "CANARY" not in str(caught.value)
    worker.kill()


def test_codestream_of_another_size(series):
    folder, _ = series
    file = next(folder.iterdir())
    data = bytearray(file.read_bytes())
    at = data.index(b"\xff\xf7")  # SOF55: length, precision, rows
    data[at + 5 : at + 7] = b"\xff\xff"
    file.write_bytes(data)
    with pytest.raises(errors.DecodeError, match="65535 x 12 pixels of 1 samples, the header says 16 x 12"):
        read(file)


def test_a_process_that_reports_an_error_serves_again(series):
    folder, truth = series
    read(folder)
    kept = {worker.process.pid for worker in _isolate._idle}
    with pytest.raises(errors.DecodeError, match="failed"):
        list(_isolate.decode(b"no image" * 50, request(), Limits()))
    assert {worker.process.pid for worker in _isolate._idle} == kept
    np.testing.assert_array_equal(read(folder).array, truth.stored)
