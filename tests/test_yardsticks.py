"""The scripts that measure speed run; what they measure is not looked at."""

import math

from speed import cost, scaling, test_training


def test_every_measurement_of_scaling_can_be_made(tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "SECONDS", 0.0)
    found = {}
    for name, measure in scaling.MEASUREMENTS.items():
        measured = measure(16, str(tmp_path))
        assert {f"{name}_seconds", f"{name}_bytes"} <= set(measured)
        found |= measured
    assert found["examples"] == (16 - 9 + 1) ** 2
    assert all(math.isfinite(value) and value >= 0 for value in found.values())


def test_the_cost_of_an_example_can_be_measured(capsys):
    cost.main("quadrant_20_square3")
    assert capsys.readouterr().out.startswith(f"| quadrant_20_square3 | {18 * 18} | ")


def test_the_bare_fit_that_the_harness_is_measured_against_runs():
    train, test = test_training.fit("coordconv", "regression", {"epochs": 1})
    assert all(map(math.isfinite, (train, test)))
