"""Measures the cost of an example, and prints that of the whole data set, as a row of a table.

`python tests/speed/cost.py quadrant_1024` draws, encodes and serialises three chunks from across
the train split in this process, and counts CPU time.
"""

import sys
import time

from tensorflow_datasets.core import example_serializer

from not_so_clevr.dataset import drawing
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder, _examples

_OVERHEAD = 16  # Bytes of a TFRecord


def main(config: str) -> None:
    builder = Builder(config=config)
    encode = builder.info.features.encode_example
    features = builder.info.features.get_serialized_info()
    serialize = example_serializer.ExampleSerializer(features).serialize_example
    centres = builder.builder_config.split_centres()
    splits = {split: len(of_split) for split, of_split in centres.items()}
    chunk = drawing.chunk_length(builder.builder_config.canvas_size)

    def sizes(start: int) -> list[int]:
        return [
            len(serialize(encode(example)))
            for _, example in _examples(config, "train", start, drawer="numpy", on_progress=None)
        ]

    sizes(0)  # Imports and caches
    start = time.process_time()
    found = [size for where in (1, 3, 5) for size in sizes(where * splits["train"] // 6)]
    each = (time.process_time() - start) / len(found)
    size, examples = sum(found) / len(found) + _OVERHEAD, sum(splits.values())
    total = {split: count * size for split, count in splits.items()}
    hours, disk = examples * each / 3600, sum(total.values()) / 1e9
    print(
        f"| {config} | {examples:,} | {each * 1e3:.1f} ms | {hours:,.2f} | {size:,.0f} |", end=" "
    )
    print(f"{disk:,.2f} GB | {chunk} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
