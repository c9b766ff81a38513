"""Prints the results of the speed suite as tables of ratios: `python table.py speed.json`.

Takes the fastest round of each measurement: other load on the machine can only add to the time.
Rows of what was not measured are left out.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator

Values = dict[str, float]  # Of one measurement


class Missing(Exception):  # noqa: N818
    """A measurement that was not made."""


class Measured:
    """The measurements of a run of the suite, by name."""

    def __init__(self, benchmarks: list[dict]) -> None:
        runs = {run["name"].removeprefix("test_"): run for run in benchmarks}
        self._seconds = {name: run["stats"]["min"] for name, run in runs.items()}
        self._info = {name: run["extra_info"] for name, run in runs.items()}
        self.names = list(runs)

    def seconds(self, name: str) -> float:
        return self._get(self._seconds, name)

    def info(self, name: str) -> Values:
        return self._get(self._info, name)

    @staticmethod
    def _get(values: dict, name: str):
        if name not in values:
            raise Missing(name)
        return values[name]

    def ratio(self, what: str, name: str, against: str, other: str, goal: str) -> str:
        """Returns a row that compares the times of two measurements."""
        ours, theirs = self.seconds(name), self.seconds(other)
        ratio = max(ours, theirs) / min(ours, theirs)
        factor = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
        faster = "faster" if ours < theirs else "slower"
        cells = [what, _time(ours), against, _time(theirs), f"{factor} times {faster}", goal]
        return _row(*cells)


# A part of the output: its first lines, and functions that return a line each or raise Missing.
Lines = Iterator[Callable[[], str]]


def drawing(measured: Measured) -> Lines:
    numpy, keras = "draw 3136 canvases, NumPy", "draw 3136 canvases, `draw_on_device`"
    builder, both = "straightforward builder", "import[tensorflow_datasets, not_so_clevr]"
    imports, tfds = "`import tensorflow_datasets, not_so_clevr`", "`import tensorflow_datasets`"
    read = "read train of `quadrant` eight times, in batches of 32"
    for row in (
        (numpy, "draw_numpy", "literal recipe", "draw_literal", "≥ 100 times faster"),
        (keras, "draw_keras", "literal recipe", "draw_literal", "≥ 100 times faster"),
        (numpy, "draw_numpy", "`np.full` of the output", "fill", "≤ 10 times slower"),
        (keras, "draw_keras", "`np.full` of the output", "fill", "≤ 10 times slower"),
        (
            "encode 64 examples of 512x512",
            "encode[ours]",
            "TensorFlow's PNG, zlib",
            "encode[tensorflow]",
            "≥ 8 times faster",
        ),
        (
            "prepare `quadrant`",
            "prepare[ours]",
            builder,
            "prepare[straightforward]",
            "≥ 4 times faster",
        ),
        (read, "read[ours]", builder, "read[straightforward]", "not slower"),
        (imports, both, tfds, "import[tensorflow_datasets]", "≤ 0.15 s more"),
    ):
        yield lambda row=row: measured.ratio(*row)


def loading(measured: Measured) -> Lines:
    def arrays() -> str:
        return f'`load_arrays("quadrant")`: {_time(measured.seconds("load_arrays"))} (goal: under 0.2 s)'

    def reading() -> str:
        rate = measured.info("read[ours]")["examples"] / measured.seconds("read[ours]")
        return f"Reading: {rate:,.0f} examples/s"

    yield from (arrays, reading)


def preparing(measured: Measured) -> Lines:
    def row(size: int) -> str:
        name = f"prepare_size[{size}]"
        seconds, info = measured.seconds(name), measured.info(name)
        each = f"{seconds / info['pixels'] * 1e9:.1f}"
        pixels, disk = f"{info['pixels'] / 1e6:,.1f} M", f"{info['bytes'] / 1e6:.2f} MB"
        return _row(f"{size} x {size}", pixels, _time(seconds), each, disk)

    for size in (32, 64, 128, 256):
        yield lambda size=size: row(size)


def on_the_device(measured: Measured) -> Lines:
    def row(size: int) -> str:
        whats = ("convolved", "copied", "fill")
        seconds = [measured.seconds(f"device[{what}-{size}]") for what in whats]
        info = [measured.info(f"device[{what}-{size}]") for what in whats]
        rates = [f"{info[k]['canvases'] / seconds[k]:,.0f}" for k in (0, 1)]
        speed = [f"{info[k]['bytes'] / seconds[k] / 1e9:.1f}" for k in (1, 2)]
        return _row(f"{size} x {size}", *rates, *speed)

    for size in (64, 256, 1024):
        yield lambda size=size: row(size)


def training(measured: Measured) -> Lines:
    for shape in ("2 to 32, 1x1", "32 to 32, 1x1", "32 to 32, 3x3"):
        for what, words in (("predict", "forward"), ("train", "training step")):
            ours, plain = (f"layer[{what}-{kind}-{shape}]" for kind in ("ours", "concatenation"))
            layer = f"`CoordConv2D`, {shape}, {words}"
            row = layer, ours, "`AddCoords`, `Conv2D`", plain, "faster"
            yield lambda row=row: measured.ratio(*row)
    for task in ("classification", "regression"):
        ours, bare = f"harness[harness-{task}]", f"harness[fit-{task}]"
        row = f"{task}, 4 epochs, harness", ours, "`model.fit`", bare, "≤ 1.05 times slower"
        yield lambda row=row: measured.ratio(*row)


def memory(measured: Measured) -> Lines:
    def line() -> str:
        each = [measured.info(f"layer_memory[{kind}]") for kind in ("ours", "concatenation")]
        ours, other = (info["bytes"] / info["images"] / 2**20 for info in each)
        step = "Memory of a training step, 32 to 32, 3x3"
        return f"{step}: {ours:.2f} MiB an image, concatenated {other:.2f} MiB."

    yield line


def examples_per_second(measured: Measured) -> Lines:
    for task in ("classification", "rendering"):
        names = [f"examples_per_second[{task}-{build}]" for build in ("coordconv", "plain")]
        yield lambda task=task, names=names: _rates(measured, task, names)


def freed_memory(measured: Measured) -> Lines:
    yield lambda: _rates(measured, "classification", ["memory[kept]", "memory[returned]"])


def until_right(measured: Measured) -> Lines:
    def row(name: str) -> str:
        task, recipe, _ = name.partition("[")[2].split("-")
        info = measured.info(name)
        best = f"{100 * info['right']:.1f} %"
        return _row(task, recipe, f"{info['epochs']}", _time(measured.seconds(name)), best)

    for name in measured.names:
        if name.startswith("seconds_until_right["):
            yield lambda name=name: row(name)


# The columns of each part; none if its lines are no table.
PARTS: dict[Callable[[Measured], Lines], tuple[str, ...]] = {
    drawing: ("What", "Time", "Against", "Time", "Ratio", "Goal"),
    loading: (),
    preparing: ("Prepare", "Examples x pixels", "Time", "ns a pixel", "On disk"),
    on_the_device: (
        "Canvases/s",
        "Convolved",
        "Copied",
        "GB/s of the copies",
        "of `keras.ops.full`",
    ),
    training: ("Train on `quadrant`", "Time", "Against", "Time", "Ratio", "Goal"),
    memory: (),
    examples_per_second: ("Train", "Examples/s", "Written plainly", "Ratio"),
    freed_memory: ("Train", "Examples/s", "Where freed memory is returned", "Ratio"),
    until_right: ("Until every test example is right", "Recipe", "Epochs", "Time", "Right at best"),
}


def main(path: str) -> None:
    with open(path) as file:
        result = json.load(file)
    measured = Measured(result["benchmarks"])
    print(_machine(result["machine_info"], measured))

    for part, columns in PARTS.items():
        lines = []
        for line in part(measured):
            with contextlib.suppress(Missing):
                lines.append(line())
        if lines:
            head = [_row(*columns), "|" + "---|" * len(columns)] if columns else []
            print("", *head, *lines, sep="\n")


def _machine(machine: dict, measured: Measured) -> str:
    cpu = f"{machine['cpu']['count']} cores of {machine['cpu']['brand_raw']}"
    backend = ""
    with contextlib.suppress(Missing):
        backend = f", Keras on {measured.info('device[fill-64]')['backend']}"
    return f"{cpu}, Python {machine['python_version']}{backend}"


def _rates(measured: Measured, task: str, names: list[str]) -> str:
    ours, other = (measured.info(name)["examples_per_second"] for name in names)
    return _row(task, f"{ours:,.0f}", f"{other:,.0f}", f"{ours / other:.2f} times faster")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


if __name__ == "__main__":
    main(sys.argv[1])
