"""The race: results compared before times, the best time of each counts."""

import numpy as np

from fastmed.demo import _race


def test_every_step_agrees_with_its_peers():
    _patience, _race.PATIENCE = _race.PATIENCE, 0.0
    try:
        found = {step.name: step for step in _race.steps()}
    finally:
        _race.PATIENCE = _patience
    for name in ("Gaussian, sigma 1.5", "mean 5 × 5 × 5"):
        assert float(found[name].agreement.split()[1]) <= 1e-6
    assert found["median 3 × 3 × 3"].agreement == found["Sobel"].agreement == "equal"
    assert found["Canny, sigma 2"].agreement in ("equal", "no peer installed")
    assert found["trace contours"].agreement.startswith(("equal, ", "no peer installed"))
    assert all(step.seconds > 0 for step in found.values())


def test_a_difference_is_told():
    theirs = np.array([0.0, 10.0])
    assert _race.same(theirs, theirs) == "equal"
    assert _race.same(theirs + np.array([0, 0.1]), theirs) == "within 1e-02 of the range"
    assert _race.same(theirs[:1], theirs).startswith("shapes differ")


def test_all_take_turns_and_results_come_first():
    order = []
    calls = {name: lambda name=name: order.append(name) or np.zeros(1) for name in ("ours", "theirs")}
    step = _race.race("s", "w", calls, lambda a, b: order.append("compared") or "equal")
    assert order[:3] == ["ours", "theirs", "compared"]
    assert order[3:7] == ["ours", "theirs"] * 2
    assert set(step.peers) == {"theirs"} and step.agreement == "equal"


def test_the_workload_is_always_the_same():
    np.testing.assert_array_equal(_race.workload(), _race.workload())
    assert _race.workload().dtype == np.int16
