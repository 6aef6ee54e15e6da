"""The weights of a two-tier model as arrays, without torch: what a voice's file must hold."""

from collections.abc import Mapping

import numpy as np

from tts.core.errors import InputError
from tts.models.config import TwoTierConfig, weight_shapes


def checked_weights(config: TwoTierConfig, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights as float32, by name; for a float16 array the values stay exactly what they were.

    Raises:
        InputError: a weight is missing, foreign, of another shape or type than the config says, or not finite.
    """
    shapes = weight_shapes(config)
    if missing := sorted(set(shapes) - set(weights)):
        raise InputError(f"the model's weight {missing[0]!r} is missing ({len(missing)} in all)")
    if foreign := sorted(set(weights) - set(shapes)):
        raise InputError(f"the model has no weight {foreign[0]!r} ({len(foreign)} foreign ones in all)")
    checked = {}
    for name, shape in shapes.items():
        array = np.asarray(weights[name])
        if array.shape != shape:
            raise InputError(f"the weight {name!r} has shape {list(array.shape)}; the config asks for {list(shape)}")
        if array.dtype.kind != "f":
            raise InputError(f"the weight {name!r} is {array.dtype}; it must be a floating-point array")
        checked[name] = array.astype(np.float32)
        if not np.isfinite(checked[name]).all():
            raise InputError(f"the weight {name!r} holds NaN or infinite values; train or fetch the model again")
    return checked


def round_to_bfloat16(array: np.ndarray) -> np.ndarray:
    """Finite float32 numbers to the nearest of 8 significant bits, ties to even; still float32."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def rounded_weights(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As float16, matrices of 8 significant bits, the native engine's fastest form (docs/LOG.md: what is lost)."""
    rounded = {}
    for name, array in weights.items():
        matrix = array.ndim > 1 and np.isfinite(array).all()
        with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused by name
            rounded[name] = (round_to_bfloat16(array) if matrix else array).astype(np.float16)
    return rounded
