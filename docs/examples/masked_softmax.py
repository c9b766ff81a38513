"""CoordConv for classification, trained with a softmax over those pixels only that are ever right in training.

not-so-clevr train masked_softmax:build --task classification --config quadrant_32 --seeds 5
"""

import keras
import numpy as np

from not_so_clevr.benchmark import registry
from not_so_clevr.benchmark.recipe import Recipe, with_recipes
from not_so_clevr.dataset import splits


class LeaveOut(keras.layers.Layer):
    """Takes the logits of pixels out of the softmax, in training only."""

    def __init__(self, pixels):
        super().__init__()
        self.offset = np.where(pixels, -1e4, 0).astype("float32")

    def call(self, logits, training=False):
        return keras.ops.add(logits, self.offset) if training else logits


@with_recipes(
    source="docs/recipes.md", tuned={"classification": Recipe(epochs=20, batch_size=16, learning_rate=0.005, schedule="cosine")}
)
def build(task):
    """Returns the network for the quadrant split, with the lower right quadrant held out."""
    network = registry.find("coordconv").build(task)
    right = np.zeros((task.canvas_size, task.canvas_size), bool)
    radius = 4
    inside = slice(radius, task.canvas_size - radius)
    right[inside, inside] = ~splits.is_test("quadrant", canvas_size=task.canvas_size).reshape(
        [task.canvas_size - 2 * radius] * 2
    )
    return keras.Model(network.input, LeaveOut(~right.ravel())(network.output))
