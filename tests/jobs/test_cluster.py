"""An archive run on a Dask cluster: the bytes of one process, through deaths of workers and of the scheduler."""

import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ct_archive import write_archive
from typer.testing import CliRunner

import fastmed
from fastmed._engine import cluster as engine_cluster
from fastmed.cli._app import app
from fastmed.errors import FastmedError
from fastmed.jobs import _run, extract

distributed = pytest.importorskip("distributed", reason="Dask's cluster")

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fastmed.__file__).parents[1])}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("archive"), n_series=6)


@pytest.fixture(scope="module")
def wanted(archive, tmp_path_factory):
    return tables(extract(archive, tmp_path_factory.mktemp("wanted")))


def tables(summary):
    return Path(summary.features).read_bytes(), Path(summary.failures).read_bytes()


@pytest.fixture
def client():
    """Two workers that are threads of this process: quick to make."""
    with distributed.Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as made:
        yield made


def test_on_a_cluster_the_bytes_are_the_same(archive, tmp_path, wanted, client):
    seen = []
    made = extract(archive, tmp_path / "out", client=client, progress=lambda *a: seen.append(a))
    assert tables(made) == wanted
    assert [s[:2] for s in seen[-6:]] == [(n, 6) for n in range(1, 7)]
    assert extract(archive, tmp_path / "out", client=client).n_reused == 6


def test_the_command_on_a_scheduler(archive, tmp_path, wanted, client):
    arguments = ["extract", archive, "-o", tmp_path / "out", "--scheduler", client.scheduler.address]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "features.parquet").read_bytes() == wanted[0]
    result = CliRunner().invoke(app, [*map(str, arguments), "--workers", "2"])
    assert result.exit_code == 2 and "give one of them" in " ".join(result.stderr.split())


def test_a_series_that_kills_its_workers_is_a_failure(monkeypatch):
    """Dask tells of the deaths; what was sent together is tried apart, and only the culprit is given up."""

    def each(client, function, items, *, shared, died):
        for item in items:
            deadly = any(number == 3 for number, _ in item[0])
            yield item, died(item) if deadly else [_run.Outcome(str(number)) for number, _ in item[0]]

    monkeypatch.setattr(engine_cluster, "each", each)
    execute = _run.on_cluster(None)
    batches = [([(1, b""), (2, b"")],), ([(3, b""), (4, b"")],)]
    found = _run.in_parts(
        execute, None, batches, split=lambda batch: [([one],) for one in batch],
        died=lambda item: [_run.Outcome(reason="died")],
    )  # fmt: skip
    outcomes = {number: outcome for (batch,), made in found for (number, _), outcome in zip(batch, made, strict=True)}
    assert {n: o.reason for n, o in outcomes.items()} == {1: "", 2: "", 3: "died", 4: ""}


def test_a_cluster_without_workers_ends_in_a_named_error(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(engine_cluster, "PATIENCE", 0.5)
    monkeypatch.setattr(engine_cluster, "_LOOK", 0.2)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as made,
        distributed.Client(made) as client,
        pytest.raises(FastmedError, match=r"no workers .* the same call goes on"),
    ):
        extract(archive, tmp_path / "out", client=client)


def test_the_scheduler_goes_away(archive, tmp_path, wanted):
    """Killed in the middle: a named error, what was there stays as it was, and the same call completes."""
    extract(archive, tmp_path / "out", tiles=16)
    before = (tmp_path / "out" / "features.parquet").read_bytes()
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file",
         str(tmp_path / "where")], env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with distributed.Client(scheduler_file=str(tmp_path / "where"), timeout=60) as client:
            # nobody works for it, so that the run surely waits when it dies
            threading.Timer(1.0, scheduler.kill).start()
            with pytest.raises(FastmedError, match="cluster went away"):
                extract(archive, tmp_path / "out", client=client)
    finally:
        scheduler.kill()
        scheduler.wait()
    assert (tmp_path / "out" / "features.parquet").read_bytes() == before
    assert tables(extract(archive, tmp_path / "out")) == wanted


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_workers_killed_at_random_moments(tmp_path):
    """Three of the 50 kills of tests/peers/kill_workers.py, which is run by hand."""
    script = Path(__file__).resolve().parents[1] / "peers" / "kill_workers.py"
    spec = importlib.util.spec_from_file_location("kill_workers", script)
    kill_workers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kill_workers)
    kill_workers.prepare(tmp_path, edge=64, series=4)
    assert kill_workers.run(tmp_path, workers=2, kills=3, seed=0, longest=0.3) >= 2
