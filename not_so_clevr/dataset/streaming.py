"""Streaming: batches drawn on the fly, for `tf.data` and for Keras on any backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import integer, one_of
from not_so_clevr.dataset import devices, drawing
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config
from not_so_clevr.dataset.examples import Drawn
from not_so_clevr.dataset.pipelines import untuned

if TYPE_CHECKING:
    import tensorflow as tf

    from not_so_clevr.dataset.batches import Batches
    from not_so_clevr.dataset.tasks import Task


def stream(
    config: str | NotSoClevrConfig = "uniform",
    split: str = "train",
    batch_size: int = 32,
    seed: int | None = 0,
    *,
    task: str | Task | None = None,
    epochs: int | None = None,
    device: str | None = None,
) -> tf.data.Dataset:
    """Returns batches of the examples that `tfds.load` yields, drawn on the fly.

    Each epoch has every example once, in an order that follows from `seed` and the epoch. Its last
    batch may be smaller. An iterator is saved and restored like any of `tf.data`, with
    `tf.train.Checkpoint(iterator=iterator)`: its step, and the few batches drawn ahead.

    Args:
        config: a config or its name, of any size.
        split: "train" or "test".
        batch_size: B, examples in a batch.
        seed: seed of the order, 0 to 2^32 - 1; if None, every epoch is in row-major order.
        task: the name of one of the six `tasks`, for (x, y) as described there. If None,
            examples as from `tfds.load`: `image` uint8 `[B, H, W, 1]`, `one_hot` uint8
            `[B, H * W]`, `label` int64 `[B]`, `coordinates` int64 `[B, 2]`.
        epochs: number of epochs; endless if None.
        device: what draws, e.g. "CPU" or "GPU:1". If None or "auto", the first GPU, or the CPU
            without one.

    Raises:
        UserError: if an argument is not allowed.
    """
    config, centres, batch_size, seed, epochs = _checked(config, split, batch_size, seed, epochs)
    view = None if task is None else _task(task, config)
    import tensorflow as tf

    device = devices.tensorflow_device(device)
    count, steps = len(centres), -(-len(centres) // batch_size)
    all_centres = tf.constant(centres.astype(np.int16))  # Pixels go up to 4095.
    way = drawing.convolved if device.startswith("GPU") else drawing.copied

    def draw(step: Any) -> Any:
        first = step % steps * batch_size
        chosen = tf.range(first, tf.minimum(first + batch_size, count))
        if seed is not None:
            key = tf.stack([tf.cast(seed, tf.int64), step // steps])
            chosen = tf.random.experimental.index_shuffle(chosen, key, count - 1)

        with tf.device(device):
            coordinates = tf.cast(tf.gather(all_centres, chosen), tf.int64)
            examples = _examples(coordinates, way, config)
            return examples if view is None else view.xy(examples)

    dataset = tf.data.Dataset
    numbers = dataset.counter() if epochs is None else dataset.range(steps * epochs)
    batches = numbers.map(draw, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return untuned(batches.prefetch(2))


def stream_batches(
    config: str | NotSoClevrConfig = "uniform",
    split: str = "train",
    batch_size: int = 32,
    seed: int | None = 0,
    *,
    task: str | Task,
    epochs: int | None = None,
    first_step: int = 0,
) -> Batches:
    """Returns such batches for Keras on any backend, without TensorFlow: a `PyDataset`.

    Draws on the GPU if Keras' backend has one, else with NumPy. The order follows from `seed` and
    the step, but differs from that of `stream`. For `Model.fit(shuffle=False)`, with any
    `steps_per_epoch` if endless. Arguments as for `stream`, and `first_step` is the step to start
    from, to resume training.

    Returns:
        Batches of (x, y) as in `tasks`, float32.

    Raises:
        UserError: if an argument is not allowed.
    """
    config, centres, batch_size, seed, epochs = _checked(config, split, batch_size, seed, epochs)
    first_step = integer("first_step", first_step, 0, 2**32 - 1)
    view = _task(task, config)
    from not_so_clevr.dataset.batches import Batches, Examples

    examples = Examples(Drawn(centres, config, on_device=devices.keras_gpu() is not None), view)
    return Batches(examples, batch_size, seed, epochs=epochs, first_step=first_step)


def _checked(
    config: str | NotSoClevrConfig,
    split: str,
    batch_size: int,
    seed: int | None,
    epochs: int | None,
) -> tuple[NotSoClevrConfig, npt.NDArray[np.int64], int, int | None, int | None]:
    """Returns the arguments with a config for its name and centres `[n, 2]` for the split."""
    config = as_config(config)
    batch_size = integer("batch_size", batch_size, 1, 2**31 - 1)
    seed = None if seed is None else integer("seed", seed, 0, 2**32 - 1)
    epochs = None if epochs is None else integer("epochs", epochs, 1, 2**31 - 1)

    centres = config.split_centres()
    return config, centres[one_of("split", split, centres)], batch_size, seed, epochs


def _task(task: str | Task, config: NotSoClevrConfig) -> Task:
    from not_so_clevr.dataset.tasks import as_task

    return as_task(task, config.canvas_size)


def _examples(coordinates: Any, way: Any, config: NotSoClevrConfig) -> dict[str, Any]:
    """Returns the examples at centres `[B, 2]`, drawn with TensorFlow on any backend of Keras."""
    import tensorflow as tf

    rows, columns = coordinates[:, 0], coordinates[:, 1]
    height, width = size = config.height, config.width
    label = rows * width + columns
    return {
        "image": way(tf.experimental.numpy, rows, columns, size, config.shape),
        "one_hot": tf.one_hot(label, height * width, dtype=tf.uint8),
        "label": label,
        "coordinates": coordinates,
    }
