"""Generates a data set in its own process, and prints a row of a table.

Config, options, examples, time, core-seconds; memory, processes, shards and bytes of all workers.

`python tests/speed/large.py quadrant_512 [BEAM_OPTIONS]`
"""

import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import psutil

COMMAND = pathlib.Path(sys.executable).with_name("not-so-clevr")


def main(config: str, options: str = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [COMMAND, "generate", config, "--data-dir", folder]
        start, peak, processes = time.monotonic(), 0, 0
        with subprocess.Popen(
            command + (["--beam-pipeline-options", options] if options else []),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            while process.poll() is None:
                memory = resident(process.pid)
                peak, processes = max(peak, sum(memory)), max(processes, len(memory))
                time.sleep(0.2)
            output = process.stdout.read()
        assert process.returncode == 0
        seconds = time.monotonic() - start
        words = output.split()
        examples = int(words[1]) + int(words[4])
        shards = list(pathlib.Path(folder).rglob("*tfrecord*"))
        size = sum(file.stat().st_size for file in shards)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cores, memory = usage.ru_utime + usage.ru_stime, peak / 2**20
    print(f"| {config} | {options} | {examples:,} | {seconds:.0f} s | {cores:.0f} s |", end=" ")
    print(f"{memory:,.0f} MiB | {processes} | {len(shards)} | {size / 1e6:.1f} MB |", flush=True)


def resident(pid: int) -> list[int]:
    """Returns the resident bytes of a process and its descendants above 50 MiB, so no shells."""
    found = []
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            found.append(process.memory_info().rss)
    except psutil.NoSuchProcess:
        pass
    return [size for size in found if size > 50 * 2**20]


if __name__ == "__main__":
    main(*sys.argv[1:])
