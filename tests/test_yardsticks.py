"""The scripts that measure speed run; what they measure is not looked at."""

import json
import math

import pytest
from speed import cost, scaling, table, test_training

TASKS = ["classification", "regression", "rendering"]
BUILDS = ["coordconv", "plain"]
MACHINE = {"cpu": {"count": 2, "brand_raw": "Some CPU"}, "python_version": "3.12.1"}


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_bare_fit_that_the_harness_is_measured_against_runs():
    train, test = test_training.fit("coordconv", "regression", {"epochs": 1})
    assert all(map(math.isfinite, (train, test)))


def measurements():
    """Every measurement of the suite as pytest-benchmark writes it, with made-up times."""
    of_devices = [
        f"device[{what}-{size}]"
        for what in ("convolved", "copied", "fill")
        for size in (64, 256, 1024)
    ]
    of_layers = [
        f"layer[{what}-{kind}-{shape}]"
        for what in ("predict", "train")
        for kind in ("ours", "concatenation")
        for shape in ("2 to 32, 1x1", "32 to 32, 1x1", "32 to 32, 3x3")
    ]
    names = [
        *("fill", "draw_numpy", "draw_keras", "draw_literal", "load_arrays"),
        *(f"{what}[{who}]" for what in ("prepare", "read") for who in ("ours", "straightforward")),
        *("import[tensorflow_datasets, not_so_clevr]", "import[tensorflow_datasets]"),
        *(f"prepare_size[{size}]" for size in (32, 64, 128, 256)),
        *of_devices,
        *of_layers,
        *(f"layer_memory[{kind}]" for kind in ("ours", "concatenation")),
        *(f"harness[{how}-{task}]" for how in ("harness", "fit") for task in TASKS[:2]),
        *(f"examples_per_second[{task}-{build}]" for task in TASKS[::2] for build in BUILDS),
        *("memory[kept]", "memory[returned]", "seconds_until_right[classification-tuned-None]"),
        *("encode[ours]", "encode[tensorflow]"),
    ]
    info = {"backend": "jax", "canvases": 8, "bytes": 10**9, "pixels": 10**6, "examples": 800}
    info |= {"images": 1, "examples_per_second": 2000, "epochs": 5, "right": 0.5}
    return [
        {"name": f"test_{name}", "stats": {"min": 0.25 * 2 ** (k % 3)}, "extra_info": info}
        for k, name in enumerate(names)
    ]


def printed(benchmarks, folder, capsys):
    file = folder / "speed.json"
    file.write_text(json.dumps({"machine_info": MACHINE, "benchmarks": benchmarks}))
    table.main(file)
    return capsys.readouterr().out


def test_the_tables_of_speed_have_a_row_for_each_measurement(tmp_path, capsys):
    text = printed(measurements(), tmp_path, capsys)
    assert text.startswith("2 cores of Some CPU, Python 3.12.1, Keras on jax\n\n| What | Time |")
    tables, rows = 7, 8 + 4 + 3 + 8 + 2 + 1 + 1
    assert text.count("\n| ") == tables + rows
    row = (
        "| draw 3136 canvases, NumPy | 500 ms | literal recipe | 250 ms | 2.00 times slower | ≥ 100"
    )
    assert row in text
    assert "| 64 x 64 | 1.0 M | 250 ms | 250.0 | 1000.00 MB |" in text
    assert "| classification | tuned | 5 | " in text


@pytest.mark.parametrize("which", range(0, 50, 7))
def test_the_tables_show_what_was_measured_of_a_part(which, tmp_path, capsys):
    every = measurements()
    part = every[which : which + 2]
    lines = printed(part, tmp_path, capsys).splitlines()
    assert lines[0].startswith("2 cores of Some CPU, Python 3.12.1")
    whole = printed(every, tmp_path, capsys)
    assert all(line in whole for line in lines[1:])
    assert len(lines) < len(whole.splitlines())


def test_nothing_measured_is_no_error(tmp_path, capsys):
    assert printed([], tmp_path, capsys) == "2 cores of Some CPU, Python 3.12.1\n"
