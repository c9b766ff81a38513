"""Options of our `tf.data` pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a dataset that `tf.data` does not tune while it runs, so that its iterators end at once.

    The thread that tunes an iterator sleeps twice as long each time, up to a minute. At its end the iterator wakes that thread
    and waits for it; and the call may be lost (TensorFlow 2.21 sets the flag to stop after it), on one core as a rule.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
