"""Counts the elements that reach the end of a small Beam pipeline, in each local runner mode.

python tests/speed/lost_elements.py [MODE...]
"""

import os
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

CHUNKS, CHUNK = 744, 256  # As of `quadrant_512`


def draw(start: int):
    for number in range(start, start + CHUNK):
        for _ in range(100):
            content = os.urandom(740)
        yield number, content


def count(mode: str) -> None:
    options = PipelineOptions([f"--direct_running_mode={mode}", "--direct_num_workers=2"])
    with beam.Pipeline(
        "apache_beam.runners.portability.fn_api_runner.FnApiRunner", options
    ) as pipeline:
        starts = pipeline | beam.Create(range(0, CHUNKS * CHUNK, CHUNK)) | beam.Reshuffle()
        elements = starts | beam.FlatMap(draw)
        number = beam.pvalue.AsSingleton(elements | beam.combiners.Count.Globally())
        grouped = (
            elements
            | beam.Map(lambda element, number: (element[0] % 2, element), number)
            | beam.GroupByKey()
        )
        total = grouped | beam.Map(lambda group: len(list(group[1]))) | beam.CombineGlobally(sum)
        _ = total | beam.Map(
            lambda arrived: print(f"{mode}: {arrived:,} of {CHUNKS * CHUNK:,} elements", flush=True)
        )


if __name__ == "__main__":
    for mode in sys.argv[1:] or ("in_memory", "multi_processing", "multi_threading"):
        count(mode)
