"""What TFDS asks of a builder, for every named config."""

import pytest
import tensorflow_datasets as tfds

from not_so_clevr.config import CONFIGS
from not_so_clevr.not_so_clevr_dataset_builder import Builder

COUNTS = {
    "uniform": (2509, 627),
    "uniform_uber": (2368, 768),
    "quadrant_uber": (2407, 729),
    "uniform_32": (461, 115),
    "quadrant_32": (432, 144),
    "uniform_128": (11520, 2880),
    "quadrant_128": (10800, 3600),
    "uniform_256": (49203, 12301),
    "quadrant_256": (46128, 15376),
} | {f"quadrant{which}": (2352, 784) for which in ("", "_upper_left", "_upper_right", "_lower_left")}


def _test_case(name: str) -> type:
    """Returns a test case of its own for a config, since `SPLITS` holds for all configs of a case."""
    attributes = {
        "DATASET_CLASS": Builder,
        "BUILDER_CONFIG_NAMES_TO_TEST": [name],
        "SPLITS": dict(zip(("train", "test"), COUNTS[name], strict=True)),
        "EXAMPLE_DIR": ".",  # TFDS wants a folder of made-up downloads, even of a data set that downloads nothing.
        "__module__": __name__,
    }
    case = type(f"Test_{name}", (tfds.testing.DatasetBuilderTestCase,), attributes)
    return pytest.mark.large(case) if name.endswith("_256") else case


globals().update({f"Test_{config.name}": _test_case(config.name) for config in CONFIGS})
