"""CoordConv for classification; in training, its softmax is only over the centres of that split.

not-so-clevr train masked_softmax:build --task classification --config quadrant_32 --seeds 5
"""

import keras
import numpy as np

from not_so_clevr import NotSoClevrConfig
from not_so_clevr.benchmark import registry
from not_so_clevr.benchmark.recipe import Recipe, with_recipes


class LeaveOut(keras.layers.Layer):
    """Removes the logits of some pixels from the softmax, in training only."""

    def __init__(self, pixels):
        super().__init__()
        self.offset = np.where(pixels, -1e4, 0).astype("float32")

    def call(self, logits, training=False):
        return keras.ops.add(logits, self.offset) if training else logits


_RECIPE = Recipe(epochs=20, batch_size=16, learning_rate=0.005, schedule="cosine")


@with_recipes(source="docs/recipes.md", tuned={"classification": _RECIPE})
def build(task):
    """Returns the network for the quadrant split, with the lower right quadrant held out."""
    network = registry.find("coordconv").build(task)
    config = NotSoClevrConfig(split="quadrant", canvas_size=task.canvas_size)
    unseen = np.ones((task.canvas_size, task.canvas_size), bool)
    unseen[tuple(config.split_centres()["train"].T)] = False
    return keras.Model(network.input, LeaveOut(unseen.ravel())(network.output))
