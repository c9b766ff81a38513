"""Options of `tf.data` pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a dataset without autotuning, so that its iterators end at once.

    The autotuning thread of an iterator sleeps up to a minute. An iterator that ends wakes the
    thread and waits for it, but the wake-up can get lost, usually on one core: TensorFlow 2.21
    notifies the thread before it sets the flag to stop.

    Give `prefetch` a number: one that tunes its own buffer goes on doing so, and doubles it each
    time that the reader pauses and then catches up, without a bound. `num_parallel_calls` may be
    AUTOTUNE, which is then the number of cores, up to 16.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
