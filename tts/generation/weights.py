"""The weights of a two-tier model as arrays, without torch: what a voice's file must hold, and how."""

from collections.abc import Iterator, Mapping

import numpy as np

from tts.core.errors import InputError
from tts.generation.family import unsupported
from tts.generation.rounding import WEIGHT_LIMIT, first_columns, integer_rows, weight_limit
from tts.models.config import TwoTierConfig, weight_shapes

SCALE = ".scale"
FIRST = "rnn.weight_ih_l0"
FIRST_PARTS = (f"{FIRST}.frame", f"{FIRST}.text", f"{FIRST}.rest")


def checked_weights(config: TwoTierConfig, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights as float32, by name: float32 arrays themselves, others converted; of float16 every value is exact.

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
        checked[name] = array = array.astype(np.float32, copy=False)
        # A NaN is the largest and the smallest number, too.
        if not np.isfinite([array.min(initial=0.0), array.max(initial=0.0)]).all():
            raise InputError(f"the weight {name!r} holds NaN or infinite values; train or fetch the model again")
    return checked


def stored_weights(config: TwoTierConfig, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As a voice's file holds them.

    Args:
        config: the model's.
        weights: as `checked_weights` gives them; those that `restored_weights` gave are stored without loss.

    Returns:
        Matrices that the native engine rounds as integers, int8 (int16: those on past samples), with `NAME.scale`,
        (outputs,) float32, beside them; `rnn.weight_ih_l0` in three parts, as it is rounded. All else as float16.
    """
    tensors = {}
    for name, array in weights.items():
        for part, matrix, limit in _parts(config, name, array):
            if limit is None:
                with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused by name
                    tensors[part] = matrix.astype(np.float16)
            else:
                tensors[part + SCALE], integers = integer_rows(matrix, limit)
                tensors[part] = integers.astype(np.int8 if limit == WEIGHT_LIMIT else np.int16)
    return tensors


def restored_weights(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of which `stored_weights` made these, rounded; not checked.

    Raises:
        InputError: a matrix and its scale do not fit.
    """
    weights = {}
    for name, array in tensors.items():
        scale = tensors.get(name + SCALE)
        if scale is not None:
            if (
                array.ndim != 2
                or scale.shape != array.shape[:1]
                or scale.dtype != np.float32
                or array.dtype.kind != "i"
            ):
                raise InputError(f"the weight {name!r} must be integers with a float32 scale for each row")
            array = np.multiply(scale[:, None], array, dtype=np.float32)  # no whole copy of the integers as float32
        if not (name.endswith(SCALE) and name.removesuffix(SCALE) in tensors):
            weights[name] = array
    if set(FIRST_PARTS) <= set(weights):
        parts = [weights.pop(part) for part in FIRST_PARTS]
        if len({len(part) for part in parts}) > 1 or any(part.ndim != 2 for part in parts):
            raise InputError(f"the parts of the weight {FIRST!r} do not fit together")
        weights[FIRST] = np.concatenate(parts, axis=1)
    return weights


def _parts(config: TwoTierConfig, name: str, array: np.ndarray) -> Iterator[tuple[str, np.ndarray, int | None]]:
    """What of a weight is rounded with one limit, by the name that it is stored under; None: it is not rounded."""
    if unsupported(config):
        yield name, array, None
    elif name == FIRST:
        yield from zip(FIRST_PARTS, first_columns(config, array), (WEIGHT_LIMIT, WEIGHT_LIMIT, None), strict=True)
    else:
        yield name, array, weight_limit(name, config)
