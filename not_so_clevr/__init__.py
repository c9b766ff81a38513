"""Can a network turn a coordinate into a pixel, and a pixel into a coordinate?

Importing this package registers the data set with TFDS: at once if TFDS is imported already,
otherwise when it is. It imports none of TFDS, TensorFlow and Keras.
"""

from not_so_clevr.dataset import registration
from not_so_clevr.dataset.config import NotSoClevrConfig
from not_so_clevr.dataset.examples import load_arrays
from not_so_clevr.dataset.streaming import stream, stream_batches

__version__ = "0.1.0"
__all__ = ["NotSoClevrConfig", "load_arrays", "stream", "stream_batches"]

registration.register()
