"""Prints the results of the speed suite as tables of ratios: `python table.py speed.json`.

Takes the fastest round of each measurement: other load on the machine can only add to the time.
"""

import json
import sys


def main(path: str) -> None:
    with open(path) as file:
        result = json.load(file)
    runs = {run["name"].removeprefix("test_"): run for run in result["benchmarks"]}
    seconds = {name: run["stats"]["min"] for name, run in runs.items()}
    info = {name: run["extra_info"] for name, run in runs.items()}

    machine = result["machine_info"]
    backend = info["device[fill-64]"]["backend"]
    cpu = f"{machine['cpu']['count']} cores of {machine['cpu']['brand_raw']}"
    print(f"{cpu}, Python {machine['python_version']}, Keras on {backend}\n")
    print("| What | Time | Against | Time | Ratio | Goal |\n|---|---|---|---|---|---|")

    def row(what: str, name: str, against: str, other: str, goal: str) -> None:
        ratio = max(seconds[name], seconds[other]) / min(seconds[name], seconds[other])
        factor = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
        faster = "faster" if seconds[name] < seconds[other] else "slower"
        times = f"{_time(seconds[name])} | {against} | {_time(seconds[other])}"
        print(f"| {what} | {times} | {factor} times {faster} | {goal} |")

    def print_rates(task: str, ours: float, other: float) -> None:
        print(f"| {task} | {ours:,.0f} | {other:,.0f} | {ours / other:.2f} times faster |")

    numpy, keras = "draw 3136 canvases, NumPy", "draw 3136 canvases, `draw_on_device`"
    row(numpy, "draw_numpy", "literal recipe", "draw_literal", "≥ 100 times faster")
    row(keras, "draw_keras", "literal recipe", "draw_literal", "≥ 100 times faster")
    row(numpy, "draw_numpy", "`np.full` of the output", "fill", "≤ 10 times slower")
    row(keras, "draw_keras", "`np.full` of the output", "fill", "≤ 10 times slower")
    builder, prepare = "straightforward builder", "prepare `quadrant`"
    row(prepare, "prepare[ours]", builder, "prepare[straightforward]", "≥ 4 times faster")
    read = "read train of `quadrant` eight times, in batches of 32"
    row(read, "read[ours]", builder, "read[straightforward]", "not slower")
    both, alone = "import[tensorflow_datasets, not_so_clevr]", "import[tensorflow_datasets]"
    imports, tfds = "`import tensorflow_datasets, not_so_clevr`", "`import tensorflow_datasets`"
    row(imports, both, tfds, alone, "≤ 0.15 s more")
    print(f'\n`load_arrays("quadrant")`: {_time(seconds["load_arrays"])} (goal: under 0.2 s)')
    print(f"Reading: {info['read[ours]']['examples'] / seconds['read[ours]']:,.0f} examples/s\n")

    print("| Prepare | Examples x pixels | Time | ns a pixel | On disk |\n|---|---|---|---|---|")
    for size in (32, 64, 128, 256):
        name = f"prepare_size[{size}]"
        pixels, disk = info[name]["pixels"], info[name]["bytes"]
        each = f"{seconds[name] / pixels * 1e9:.1f}"
        print(f"| {size} x {size} | {pixels / 1e6:,.1f} M | {_time(seconds[name])}", end=" ")
        print(f"| {each} | {disk / 1e6:.2f} MB |")

    print("\n| Canvases/s | Convolved | Copied | GB/s of the copies | of `keras.ops.full` |")
    print("|---|---|---|---|---|")
    for size in (64, 256, 1024):
        names = [
            f"device[{what}-{size}]" for what in ("convolved_squares", "copied_squares", "fill")
        ]
        rates = [f"{info[name]['canvases'] / seconds[name]:,.0f}" for name in names[:2]]
        speed = [f"{info[name]['bytes'] / seconds[name] / 1e9:.1f}" for name in names[1:]]
        print(f"| {size} x {size} | {' | '.join(rates + speed)} |")

    print("\n| Train on `quadrant` | Time | Against | Time | Ratio | Goal |")
    print("|---|---|---|---|---|---|")
    for shape in ("2 to 32, 1x1", "32 to 32, 1x1", "32 to 32, 3x3"):
        for what, words in (("predict", "forward"), ("train", "training step")):
            names = [f"layer[{what}-{kind}-{shape}]" for kind in ("ours", "concatenation")]
            layer = f"`CoordConv2D`, {shape}, {words}"
            row(layer, names[0], "`AddCoords`, `Conv2D`", names[1], "faster")
    for task in ("classification", "regression"):
        ours, bare = f"harness[harness-{task}]", f"harness[fit-{task}]"
        row(f"{task}, 4 epochs, harness", ours, "`model.fit`", bare, "≤ 1.05 times slower")

    bytes_each = [info[f"layer_memory[{kind}]"] for kind in ("ours", "concatenation")]
    memory = [each["bytes"] / each["images"] / 2**20 for each in bytes_each]
    print(f"\nMemory of a training step, 32 to 32, 3x3: {memory[0]:.2f} MiB an image, ", end="")
    print(f"concatenated {memory[1]:.2f} MiB.\n")

    print("| Train | Examples/s | Written plainly | Ratio |\n|---|---|---|---|")
    for task in ("classification", "rendering"):
        rates = [
            info[f"examples_per_second[{task}-{build}]"]["examples_per_second"]
            for build in ("coordconv", "plain")
        ]
        print_rates(task, *rates)

    print("\n| Train | Examples/s | Where freed memory is returned | Ratio |\n|---|---|---|---|")
    rates = [info[f"memory[{memory}]"]["examples_per_second"] for memory in ("kept", "returned")]
    print_rates("classification", *rates)

    print("\n| Until every test example is right | Recipe | Epochs | Time | Right at best |")
    print("|---|---|---|---|---|")
    for name in (name for name in runs if name.startswith("seconds_until_right[")):
        task, recipe, _ = name.partition("[")[2].split("-")
        best = f"{100 * info[name]['right']:.1f} %"
        print(f"| {task} | {recipe} | {info[name]['epochs']} | {_time(seconds[name])} | {best} |")


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


if __name__ == "__main__":
    main(sys.argv[1])
