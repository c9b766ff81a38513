"""The devices of Keras' backend and TensorFlow, and which of them draws."""

from __future__ import annotations

import contextlib

from not_so_clevr.checks import UserError, did_you_mean

DEVICES = ("auto", "cpu", "gpu")


def keras_gpu() -> str | None:
    """Returns the name of the first GPU of Keras' backend, or None."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        return None if device.platform == "cpu" else str(device.device_kind)
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else None

    import tensorflow as tf

    if not (gpus := tf.config.get_visible_devices("GPU")):
        return None
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))


def tensorflow_device(device: str | None = None) -> str:
    """Returns the short name of a TensorFlow device, e.g. "GPU:0", given any of its names.

    None and "auto" are the first GPU, or the CPU without one. Raises UserError if there is no such
    device.
    """
    import tensorflow as tf

    names = [each.name.removeprefix("/device:") for each in tf.config.list_logical_devices()]
    if device in (None, "auto"):
        return next((name for name in names if name.startswith("GPU")), "CPU:0")
    wanted = str(device).upper().rpartition("DEVICE:")[2].removeprefix("/")
    if (wanted if ":" in wanted else f"{wanted}:0") not in names:
        raise UserError(
            f"device={device!r} is unknown to TensorFlow; expected one of {', '.join(names)}."
        )
    return wanted


def check_device(device: str | None) -> str:
    """Returns "auto", "cpu" or "gpu"; None means "auto". Raises UserError for any other value."""
    device = "auto" if device is None else device
    if device not in DEVICES:
        hint = did_you_mean(device, DEVICES)
        raise UserError(
            f"device={device!r} is unknown{hint}; expected one of {', '.join(DEVICES)}."
        )
    return device


def drawer(device: str) -> str:
    """Returns what draws the canvases of a new data set: "keras", "tensorflow" or "numpy".

    `device` is "cpu", "gpu" or "auto", the GPU if Keras' backend or TensorFlow has one. Raises
    UserError if it is "gpu" and there is none.
    """
    if device == "cpu":
        return "numpy"

    with contextlib.suppress(ImportError):  # The backend may not be installed.
        if keras_gpu():
            leave_gpus()
            return "keras"

    import tensorflow as tf

    if tf.config.get_visible_devices("GPU"):
        return "tensorflow"
    if device == "gpu":
        raise UserError(
            "device='gpu' needs a GPU, and neither Keras' backend nor TensorFlow has one; "
            "use device='cpu' or device='auto'."
        )
    return "numpy"


def leave_gpus() -> None:
    """Keeps TensorFlow off the GPUs unless it is Keras' backend: it would take all their memory."""
    import keras

    if keras.backend.backend() == "tensorflow":
        return
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # TensorFlow is already in use.
        tf.config.set_visible_devices([], "GPU")
