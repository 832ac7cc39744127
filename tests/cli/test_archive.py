"""index, info, convert and view."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import fastmed
from fastmed.cli._app import app
from fastmed.cli._archive import three_planes

sys.path.insert(0, str(Path(__file__).parents[1] / "archive"))

from make import NAME, PATIENT, Truth, ramp


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def archive(tmp_path):
    root = tmp_path / "root"
    Truth(ramp()).write(root / "a")
    broken = Truth(ramp(seed=1))
    del broken.datasets[3]
    broken.write(root / "b")
    (root / "notes.txt").write_text("x" * 300)
    return root


def test_index(archive, tmp_path):
    result = run("index", archive, "--json", "--index", tmp_path / "index.sqlite")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    (series,) = document["series"]
    assert (series["n_slices"], series["rows"], series["columns"], series["modality"]) == (8, 6, 5, "CT")
    assert len(document["failures"]) == 8 and NAME not in result.output and PATIENT not in result.output
    again = run("index", archive, "--index", tmp_path / "index.sqlite", "--on-fault", "keep")
    assert len(again.stdout.splitlines()) == 2 and "MissingSlices" in again.stdout
    assert run("index", archive, "--on-fault", "guess").exit_code == 2


def test_info(archive):
    facts = json.loads(run("info", archive / "a", "--json").stdout)
    assert facts["shape"] == [8, 6, 5] and facts["spacing"] == pytest.approx([2, 0.5, 0.75])
    assert "modality" in run("info", archive / "a").stdout
    result = run("info", archive / "b")
    assert result.exit_code == 2 and "1 slice missing" in result.output
    both = run("info", archive, "--on-fault", "keep")
    assert both.exit_code == 2 and "--series must name one of the 2" in both.output


@pytest.mark.parametrize(("to", "suffix", "needs"), [("nifti", ".nii.gz", "nibabel"), ("nrrd", ".nrrd", "nrrd"),
                                                     ("zarr", ".zarr", "zarr")])  # fmt: skip
def test_convert(archive, tmp_path, to, suffix, needs):
    pytest.importorskip(needs)
    result = run("convert", archive, tmp_path / "out", "--to", to, "--json")
    document = json.loads(result.stdout)
    (path,) = document["written"]
    assert path.endswith(suffix) and len(document["failures"]) == 8
    np.testing.assert_array_equal(fastmed.read(path).array, fastmed.read(archive / "a").array)
    assert run("convert", archive, tmp_path / "out", "--to", to).exit_code == 0
    assert run("convert", archive, tmp_path / "out", "--to", "jpeg").exit_code == 2


def test_view(archive, tmp_path):
    result = run("view", archive / "a", "-o", tmp_path / "v.png", "--window", 400, "--level", 40)
    assert result.exit_code == 0, result.output
    data = (tmp_path / "v.png").read_bytes()
    assert data[:4] == b"\x89PNG"
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == (8 + 8 + 6, 32)  # 5 x 0.75 mm and 6 x 0.5 mm across, 8 x 2 mm high, at 0.5 mm
    assert run("view", archive / "a", "-o", tmp_path / "v.png", "--window", 400).exit_code == 2


def test_the_planes_show_what_is_there():
    array = np.zeros((4, 6, 8), np.float32)
    array[3, 3, 4] = 100  # in the highest slice
    image = three_planes(fastmed.Volume(array, np.eye(4)[:, [2, 1, 0, 3]]), 100, 50)
    assert image.shape == (6, 8 + 8 + 6)
    assert image[0, 8 + 4] == 255 and image[0, 16 + 3] == 255  # the head is at the top of both upright planes
    assert image[:6, :8].max() == 0  # the middle slice is another one


@pytest.fixture
def metaimage(tmp_path):
    sitk = pytest.importorskip("SimpleITK", reason="it writes the MetaImage that is read here")
    sitk.WriteImage(sitk.GetImageFromArray(ramp()), str(tmp_path / "a.mha"))
    return tmp_path / "a.mha"


def test_other_formats(metaimage, tmp_path):
    assert json.loads(run("info", metaimage, "--json").stdout)["shape"] == [8, 6, 5]
    assert run("view", metaimage, "-o", tmp_path / "v.png").exit_code == 0
    pytest.importorskip("nibabel")
    (path,) = json.loads(run("convert", metaimage, tmp_path / "out", "--json").stdout)["written"]
    np.testing.assert_array_equal(fastmed.read(path).array, ramp())
    assert run("info", tmp_path / "v.png").exit_code == 0
    sequence = run("convert", tmp_path / "v.png", tmp_path / "out")
    assert sequence.exit_code == 2 and "no volume" in sequence.output
    metaimage.write_bytes(metaimage.read_bytes()[:-9])
    broken = run("info", metaimage)
    assert broken.exit_code == 2 and "truncated" in broken.output


def test_urls(archive, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    files.put(str(archive), "/cli-test", recursive=True)
    try:
        assert len(json.loads(run("index", "memory://cli-test", "--json").stdout)["series"]) == 1
        result = run("extract", "memory://cli-test", "-o", tmp_path / "features", "--workers", 1, "--json")
        assert result.exit_code == 0 and json.loads(result.stdout)["n_series"] == 1, result.output
    finally:
        files.rm("/cli-test", recursive=True)
    wrong = run("index", "nonsense://x")
    assert wrong.exit_code == 2 and "no protocol" in wrong.output


def test_deidentify(archive, tmp_path):
    pytest.importorskip("dicognito", reason="of the extra deidentify")
    out = tmp_path / "out"
    result = run("deidentify", archive, out, "--json", "--failures", tmp_path / "failures.csv")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["written"], document["kept"], document["failures"]) == (15, 0, 1)
    assert (tmp_path / "failures.csv").read_text().splitlines()[1].startswith("notes.txt,")
    assert (tmp_path / "out.key").stat().st_mode & 0o777 == 0o600
    again = run("deidentify", archive, out)
    assert "15 from an earlier run" in again.output
    for file in out.rglob("*.dcm"):
        assert NAME.encode() not in file.read_bytes() and PATIENT.encode() not in file.read_bytes()
    (tmp_path / "short").write_bytes(b"x")
    assert run("deidentify", archive, out, "--key", tmp_path / "short").exit_code == 2
    inside = run("deidentify", archive, archive / "out")
    assert inside.exit_code == 2 and "inside the archive" in inside.output
