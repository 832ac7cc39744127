"""Options of the benchmarks, and the one table at the end: ``pytest benchmarks/filters``."""

from __future__ import annotations

from importlib import metadata

import pytest

from race import Settings
from tables import rows_of, text_table

LIBRARIES = ("numpy", "scipy", "scikit-image", "opencv-python-headless", "SimpleITK", "dask", "dask-image", "fastmed")


def pytest_addoption(parser):
    group = parser.getgroup("race")
    group.addoption("--race-rounds", type=int, default=10, help="rounds per workload; at least 3 are run. Default: 10")
    group.addoption("--race-seconds", type=float, default=30.0,
                    help="after 3 rounds, begin no round that would end later than this. Default: 30")
    group.addoption("--race-small", action="store_true", help="small arrays: shows that it runs, not how fast")
    group.addoption("--race-full", action="store_true", help="whole volumes where a peer takes minutes for them")
    group.addoption("--race-json", metavar="PATH",
                    help="where the JSON goes, in pytest-benchmark's format. Default: .benchmarks/race.json; "
                         "nowhere with --race-small")


def pytest_configure(config):
    # Before pytest-benchmark reads them: the project skips benchmarks by default, which is meant for its tests; our
    # table stands for pytest-benchmark's tables (--benchmark-verbose shows those too).
    option = config.option
    option.benchmark_skip = False
    option.benchmark_quiet = True
    if option.race_rounds < 1:
        raise pytest.UsageError(f"--race-rounds must be at least 1, found {option.race_rounds}")
    if option.benchmark_json is None and (option.race_json or not option.race_small):
        path = option.race_json or str(config.rootpath / ".benchmarks" / "race.json")
        config.invocation_params.dir.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
        option.benchmark_json = str(config.invocation_params.dir / path)


@pytest.fixture(scope="session")
def race_settings(pytestconfig):
    """The options as the race takes them."""
    option = pytestconfig.option
    return Settings(option.race_rounds, option.race_seconds, option.race_small, option.race_full)


def pytest_benchmark_update_machine_info(config, machine_info):
    """The versions that raced; not the machine's name."""
    machine_info["node"] = ""
    machine_info["libraries"] = {}
    for name in LIBRARIES:
        try:
            machine_info["libraries"][name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    rows = rows_of([b.as_dict(include_data=False) for b in session.benchmarks]) if session else []
    if not rows:
        return
    terminalreporter.section("race: ms per call, and times fastmed's time")
    for line in text_table(rows):
        terminalreporter.write_line(line)
    if config.option.benchmark_json:
        terminalreporter.write_line(f"JSON: {config.option.benchmark_json}")
