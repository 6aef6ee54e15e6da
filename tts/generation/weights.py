"""The names and shapes of a two-tier model's weights, without torch: what a voice's file must hold."""

from collections.abc import Mapping

import numpy as np

from tts.errors import InputError
from tts.models.config import TwoTierConfig


def weight_shapes(config: TwoTierConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every weight by its name in `TwoTier(config).state_dict()` (a test holds the two together)."""
    c = config
    gates = {"gru": 3, "lstm": 4}[c.cell] * c.dim
    shapes: dict[str, tuple[int, ...]] = {
        "word.weight": (c.text_dim, c.word_dim),
        "word.bias": (c.text_dim,),
        "end": (c.text_dim,),
        "speaker.weight": (c.n_speakers, c.speaker_dim),
        "h0": (c.n_rnn, c.dim),
        "advance.weight": (1, c.plan_dim if c.timing == "planned" else c.dim),
        "advance.bias": (1,),
        "upsample.weight": (c.frame_size * (c.upsample_rank or c.sample_dim), c.dim),
        "upsample.bias": (c.frame_size * (c.upsample_rank or c.sample_dim),),
        "output.weight": (c.q_levels, c.sample_dim),
        "output.bias": (c.q_levels,),
    }
    if c.timing == "planned":
        shapes["plan_text.weight"] = (c.plan_dim, c.told_dim)
        shapes["plan_text.bias"] = (c.plan_dim,)
        shapes["plan_clock.weight"] = (c.plan_dim, c.clock_dim)
    if c.upsample_rank:
        shapes["widen.weight"] = (c.sample_dim, c.upsample_rank)
    if c.cell == "lstm":
        shapes["c0"] = (c.n_rnn, c.dim)
    for k in range(c.n_rnn):
        shapes[f"rnn.weight_ih_l{k}"] = (gates, c.input_dim if k == 0 else c.dim)
        shapes[f"rnn.weight_hh_l{k}"] = (gates, c.dim)
        shapes[f"rnn.bias_ih_l{k}"] = shapes[f"rnn.bias_hh_l{k}"] = (gates,)
    if c.history == "real":
        shapes["last_level.weight"] = (c.q_levels, c.sample_dim)
        shapes["hear.weight"] = (c.sample_dim, c.hist_size)
    else:
        shapes["levels.weight"] = (c.q_levels, c.embedding_dim)
        shapes["hear.weight"] = (c.sample_dim, c.hist_size * c.embedding_dim)
    for k in range(c.sample_layers - 1):
        shapes[f"hidden.{k}.weight"] = (c.sample_dim, c.sample_dim)
        shapes[f"hidden.{k}.bias"] = (c.sample_dim,)
    return shapes


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
