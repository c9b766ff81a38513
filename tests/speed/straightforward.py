"""The yardstick: a straightforward builder, with the literal recipe and one array at a time."""

import keras
import literal
import numpy as np
import tensorflow_datasets as tfds

from not_so_clevr.dataset.config import NotSoClevrConfig


class Straightforward(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(64, 64, 1)),
                    "one_hot": tfds.features.Tensor(shape=(4096,), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(num_classes=4096),
                    "coordinates": tfds.features.Tensor(shape=(2,), dtype=np.int64),
                }
            ),
            supervised_keys=("coordinates", "one_hot"),
        )

    def _split_generators(self, dl_manager):
        return {
            split: self._generate_examples(c)
            for split, c in NotSoClevrConfig(split="quadrant").split_centres().items()
        }

    def _generate_examples(self, centres):
        one_hots = literal.one_hots(64, 9)
        images = keras.ops.convert_to_numpy(literal.canvases(64, 9))
        for centre in centres:
            i, j = centre
            n = (i - 4) * 56 + (j - 4)
            yield (
                int(n),
                {
                    "image": (images[n] * 255).astype(np.uint8),
                    "one_hot": one_hots[n].astype(np.uint8).reshape(-1),
                    "label": int(i * 64 + j),
                    "coordinates": centre,
                },
            )
