"""Can a network turn a coordinate into a pixel, and a pixel into a coordinate?

Importing this package registers the data set with TFDS, and imports neither TensorFlow nor Keras.
"""

from not_so_clevr.dataset import not_so_clevr_dataset_builder  # noqa: F401  Registers the data set.
from not_so_clevr.dataset.config import NotSoClevrConfig
from not_so_clevr.dataset.examples import load_arrays
from not_so_clevr.dataset.streaming import stream, stream_batches

__version__ = "0.1.0"
__all__ = ["NotSoClevrConfig", "load_arrays", "stream", "stream_batches"]
