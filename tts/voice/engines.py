"""The engines of a voice, each made when it is first used."""

import threading
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

import numpy as np

from tts.core.errors import InputError
from tts.core.extras import require
from tts.generation.interface import Engine
from tts.generation.native.family import without_native
from tts.models.config import TwoTierConfig
from tts.voice.options import EngineName

if TYPE_CHECKING:
    from tts.models.two_tier import TwoTier

_FIRST_USE = threading.Lock()
"""Held while an engine is made. One for all voices, so that a voice can be pickled."""


class Engines:
    """The engines of one model. Thread-safe."""

    def __init__(self, config: TwoTierConfig, weights: Mapping[str, np.ndarray]) -> None:
        self._config, self._weights = config, weights
        self._made: dict[str, Engine] = {}

    def get(self, name: EngineName) -> Engine:
        """See `Voice.engine`."""
        if name not in get_args(EngineName):
            raise InputError(f"there is no engine {name!r}; choose one of {', '.join(get_args(EngineName))}")
        if name == "auto":
            warning = without_native(self._config)
            name = "torch" if warning else "native"
            if warning and name not in self._made:
                warnings.warn(warning, stacklevel=4)  # the caller of `Voice.speak`
        if name not in self._made:
            with _FIRST_USE:
                if name not in self._made:  # another thread may have been first
                    self._made[name] = new_engine(name, self._config, self._weights)
        return self._made[name]


def new_engine(name: EngineName, config: TwoTierConfig, weights: Mapping[str, np.ndarray]) -> Engine:
    """The engine "native" or "torch" for a model."""
    if name == "native":
        from tts.generation.native.engine import NativeEngine

        return NativeEngine(config, weights)
    model = torch_model(config, weights)
    from tts.generation.torch_engine import TorchEngine

    return TorchEngine(model)


def torch_model(config: TwoTierConfig, weights: Mapping[str, np.ndarray]) -> "TwoTier":
    """A new model with copies of the weights, float32, in evaluation mode. Raises InputError without torch."""
    require("train", "torch")
    import torch

    from tts.models.two_tier import TwoTier

    with torch.device("meta"):  # no initial weights are drawn: torch's global generator stays as it was
        model = TwoTier(config)
    model.load_state_dict({key: torch.tensor(array) for key, array in weights.items()}, assign=True)
    return model.eval()
