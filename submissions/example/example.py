"""Marginals: the row and the column of a pixel, each read from its own profile of the image."""

import keras
from keras import layers

from not_so_clevr.benchmark import Recipe, with_recipes

_RECIPE = Recipe(epochs=20, learning_rate=0.03, schedule="cosine")


@with_recipes(source="an example", default={"regression": _RECIPE, "localisation": _RECIPE})
def build(task):
    """Returns two dense layers, one on the sum over columns and one on the sum over rows.

    A held-out quadrant has no new row and no new column, so it should be right there; on `border`,
    where whole rows and columns are held out, it should not.
    """
    inputs = keras.Input(task.input_shape)
    rows = layers.Flatten()(keras.ops.sum(inputs, axis=2))
    columns = layers.Flatten()(keras.ops.sum(inputs, axis=1))
    outputs = [layers.Dense(1)(profile) for profile in (rows, columns)]
    return keras.Model(inputs, layers.Concatenate()(outputs))
