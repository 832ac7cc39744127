"""Kills, full disks, broken chunks, little memory: a named error, what was there stays, and the rerun completes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from typer.testing import CliRunner

import fastmed
from fastmed import stream
from fastmed.cli._app import app
from fastmed.errors import DecodeError, OutputError

zarr = pytest.importorskip("zarr", reason="Zarr is an extra")

SHAPE = (96, 96, 96)
CANNY = ["--op", "canny", "--low-threshold", "2000", "--high-threshold", "9000"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fastmed.__file__).parents[1])}


@pytest.fixture(scope="module")
def image():
    smooth = scipy.ndimage.gaussian_filter(np.random.default_rng(0).random(SHAPE), 1.5)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 30000).astype(np.int16)


@pytest.fixture
def place(image, tmp_path):
    array = zarr.create_array(str(tmp_path / "in.zarr"), shape=SHAPE, chunks=(32, 32, 32), dtype="int16")
    array[...] = image
    return tmp_path / "in.zarr"


def digest(folder):
    found = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        found.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return found.hexdigest()


def child(code, *arguments):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=ENVIRONMENT,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


SLOWLY = """
import sys, time
from fastmed import stream
from fastmed.stream import _job
write = _job.Job._write
def slow(self, number, result):
    time.sleep(0.02)
    return write(self, number, result)
_job.Job._write = slow
print("ready", flush=True)
stream.apply("canny", sys.argv[1], sys.argv[2], block=(32, 32, 32), threads=2, low_threshold=2000, high_threshold=9000)
"""


def test_a_run_killed_again_and_again_ends_with_the_same_bytes(place, image, tmp_path):
    options = {"low_threshold": 2000, "high_threshold": 9000, "block": (32, 32, 32)}
    stream.apply("canny", place, tmp_path / "whole.zarr", **options)
    out, seed = tmp_path / "out.zarr", random.randrange(1 << 30)
    moments = random.Random(seed)
    for _ in range(3):
        process = child(SLOWLY, place, out)
        assert process.stdout.readline() == "ready\n"
        time.sleep(moments.uniform(0.02, 0.6))
        process.kill()
        process.communicate()
    done = out.exists()
    if not done:
        stream.apply("canny", place, out, **options)
    assert digest(out) == digest(tmp_path / "whole.zarr"), f"seed {seed}"
    assert not list(tmp_path.glob(".*"))
    wanted = fastmed.canny(image, low_threshold=2000, high_threshold=9000)
    assert (np.asarray(fastmed.read(out)) == wanted).all()


def test_only_what_is_missing_is_done_again(place, tmp_path, monkeypatch):
    out, seen = tmp_path / "out.zarr", []

    def stop(phase, done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream.apply("median", place, out, size=3, block=(32, 32, 32), progress=stop)
    assert not out.exists()
    (work,) = tmp_path.glob(".out.zarr.fastmed-work")
    lines = [json.loads(x) for x in (work / "done.log").read_text().split("\n") if x]
    broken = work / "made.zarr" / next(iter(lines[0][2]))
    broken.write_bytes(broken.read_bytes()[:-9])  # as a power cut may leave it
    broken.with_name("0.half.partial").write_bytes(b"as a kill leaves it")
    done = stream.apply("median", place, out, size=3, block=(32, 32, 32), progress=lambda *s: seen.append(s))
    assert done.n_blocks == 27 and done.n_reused == len(lines) - 1 >= 13
    assert seen[0][1] == done.n_reused * 32**3
    wanted = fastmed.median_filter(zarr.open_array(str(place))[...], 3)
    assert (np.asarray(fastmed.read(out)) == wanted).all()
    assert not list(out.rglob("*.partial"))


def test_other_settings_begin_anew(place, tmp_path):
    def stop(phase, done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream.apply("median", place, tmp_path / "out.npy", size=3, block=(32, 32, 32), progress=stop)
    assert stream.apply("median", place, tmp_path / "out.npy", size=5, block=(32, 32, 32)).n_reused == 0
    wanted = fastmed.median_filter(zarr.open_array(str(place))[...], 5)
    assert (np.load(tmp_path / "out.npy") == wanted).all()


@pytest.mark.parametrize("suffix", [".npy", ".zarr"])
def test_a_full_disk_is_named_and_the_rerun_completes(suffix, place, image, tmp_path):
    out = tmp_path / f"out{suffix}"
    stream.apply("gaussian", image, out, sigma=1)
    before = digest(out) if out.is_dir() else out.read_bytes()
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "from fastmed.cli import main; main()"
    )
    arguments = ["filter", place, out, "--op", "median", "--size", "3", "--overwrite"]
    process = child(code, *arguments)
    _, said = process.communicate()
    assert process.returncode == 2, said
    assert f"out{suffix} cannot be written: {os.strerror(errno.EFBIG)}" in " ".join(said.split())
    assert (digest(out) if out.is_dir() else out.read_bytes()) == before
    assert CliRunner().invoke(app, list(map(str, arguments))).exit_code == 0
    found = np.load(out) if suffix == ".npy" else np.asarray(fastmed.read(out))
    assert (found == fastmed.median_filter(image, 3)).all()


def test_an_unreadable_chunk_is_named_and_its_repair_completes(place, image, tmp_path):
    chunk = place / "c" / "1" / "0" / "2"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DecodeError, match=r"chunk \(1, 0, 2\) of the input cannot be read"):
        stream.apply("median", place, tmp_path / "out.zarr", size=3, block=(32, 32, 32), threads=2)
    assert not (tmp_path / "out.zarr").exists()
    chunk.write_bytes(whole)
    stream.apply("median", place, tmp_path / "out.zarr", size=3, block=(32, 32, 32), threads=2)
    assert (np.asarray(fastmed.read(tmp_path / "out.zarr")) == fastmed.median_filter(image, 3)).all()


def test_a_place_that_cannot_be_written_is_named(place, tmp_path):
    (tmp_path / ".out.npy.fastmed-work").write_bytes(b"")  # a file where the folder of the run would be
    with pytest.raises(OutputError, match="cannot be written: File exists"):
        stream.apply("median", place, tmp_path / "out.npy", size=3)
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="flock is POSIX")
def test_two_runs_into_one_output_are_refused(place, tmp_path):
    def again(phase, done, total):
        with pytest.raises(OutputError, match="another run"):
            stream.apply("median", place, tmp_path / "out.npy", size=3)
        told.append(done)

    told: list[int] = []
    stream.apply("median", place, tmp_path / "out.npy", size=3, progress=again)
    assert told and (tmp_path / "out.npy").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="measures with /proc")
def test_memory_stays_within_what_was_given(tmp_path):
    array = zarr.create_array(str(tmp_path / "in.zarr"), shape=(192, 1024, 1024), chunks=(64, 128, 128), dtype="int16")
    array[:64, :128, :128] = 1000  # 0.4 GB, of which most is absent
    array[128:192, 512:640, 256:384] = 3000
    limit, code = 700_000_000, (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (700_000_000,) * 2)\n"
        "from fastmed import stream\n"
        "stream.apply('gaussian', sys.argv[1], sys.argv[2], sigma=2, memory='700MB', threads=2)\n"
        "print(next(int(x.split()[1]) << 10 for x in open('/proc/self/status') if x.startswith('VmHWM')))"
    )  # fmt: skip
    process = child(code, tmp_path / "in.zarr", tmp_path / "out.zarr")
    peak, said = process.communicate()
    assert process.returncode == 0, said
    assert int(peak) <= 0.85 * limit
    made = zarr.open_array(str(tmp_path / "out.zarr" / "0"), mode="r")
    part = fastmed.gaussian_filter(array[90:180, 480:680, 220:420], 2)
    assert (made[100:170, 490:670, 230:410] == part[10:-10, 10:-10, 10:-10]).all() and part.max() > 2000


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_ctrl_c_is_answered_and_keeps_what_is_done(place, tmp_path):
    code = SLOWLY.split("print(")[0].replace("0.02", "3")
    code += "from fastmed.cli import main\nprint('ready', flush=True)\nmain()"
    process = child(code, "filter", place, tmp_path / "out.zarr", *CANNY, "--threads", "1", "--memory", "420MB")
    assert process.stdout.readline() == "ready\n"
    log, end = tmp_path / ".out.zarr.fastmed-work" / "done.log", time.monotonic() + 60
    while not log.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "what was finished is kept" in said
    assert log.exists() and not (tmp_path / "out.zarr").exists()


# --- the command --------------------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(app, ["filter", *map(str, arguments)])


def test_filter_in_mm(place, image, tmp_path):
    result = run(place, tmp_path / "out.npy", "--op", "gaussian", "--sigma", "2mm", "--voxel", "2,0.5,1", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["shape"] == list(SHAPE)
    assert (np.load(tmp_path / "out.npy") == fastmed.gaussian_filter(image, (1, 4, 2))).all()


def test_options_are_those_of_the_operation(place, image, tmp_path):
    result = run(place, tmp_path / "out.npy", "--op=median", "--size", "3,1,5", "--mode=wrap", "--threads", "1")
    assert result.exit_code == 0, result.output
    assert (np.load(tmp_path / "out.npy") == fastmed.median_filter(image, (3, 1, 5), mode="wrap")).all()


def test_a_plan_runs_nothing(place, tmp_path):
    result = run(place, tmp_path / "out.zarr", "--op", "canny", "--plan", "--memory", "1GB")
    assert result.exit_code == 0 and "blocks" in result.stdout and "of 1,000 MB" in result.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.zarr"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--op", "blur"], "op must be one of"),
        (["--op", "gaussian", "--sigma"], "--sigma needs a value"),
        (["--op", "gaussian", "--sigma", "2", "extra"], "an option of the operation is wanted"),
        (["--op", "gaussian", "--sigma", "2mm"], "knows its spacing"),
        (["--op", "gaussian", "--sigma", "1", "--truncate", "3mm"], "takes no unit"),
        (["--op", "median", "--size", "3", "--memory", "2parsec"], "memory must be a size"),
        (["--op", "median", "--size", "3", "--workers", "2", "--scheduler", "tcp://x"], "give one of them"),
    ],
)
def test_wrong_usage_is_one_line(arguments, words, place, tmp_path):
    result = run(place, tmp_path / "out.npy", *arguments)
    assert result.exit_code == 2 and words in " ".join(result.stderr.split())
    assert not (tmp_path / "out.npy").exists()


def test_on_a_cluster_the_bytes_are_the_same(place, tmp_path):
    from distributed import Client

    options = {"low_threshold": 2000, "high_threshold": 9000, "block": (32, 32, 64)}
    stream.apply("canny", place, tmp_path / "here.zarr", **options)
    with Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as client:
        stream.apply("canny", place, tmp_path / "there.zarr", client=client, **options)
    assert digest(tmp_path / "here.zarr") == digest(tmp_path / "there.zarr")
