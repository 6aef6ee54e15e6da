"""The recognizer as an ONNX file, for onnxruntime: built from the weights' files by the package onnx, without torch.

The graph is `RecognizerNet`, and puts out all its layers. ONNX's LSTM runs both directions, the backward one from each
utterance's own end. Weights are stored as float16, as they are in recognizer.safetensors, and computed with as float32.

Letters: B batch, N frames, M mel bands, D width, C classes.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from tts.core.files import atomic_write
from tts.recognition.config import CLASSES, ONNX_FILE, RecognizerConfig
from tts.recognition.loading import reading

OPSET, IR_VERSION = 17, 8
"""Of 2022: what every onnxruntime of today reads. The first with LayerNormalization."""
_GATES = (0, 3, 1, 2)
"""torch's input, forget, cell, output as ONNX's input, output, forget, cell."""


def export(folder: Path) -> None:
    """Write `ONNX_FILE` beside the weights in a folder. Raises InputError for a folder that holds no recognizer."""
    with reading(folder, "recognizer.json", "recognizer.safetensors"):
        config = RecognizerConfig(**json.loads((folder / "recognizer.json").read_text())["config"])
        data = onnx_bytes(config, load_file(folder / "recognizer.safetensors"))
    atomic_write(folder / ONNX_FILE, data)


def onnx_bytes(config: RecognizerConfig, weights: dict[str, np.ndarray]) -> bytes:
    """The model: from mels (B, frames, M) float32 and counts (B,) int64, see `FrontEnd`, to the layers' outputs
    layer_0, layer_1 …, each (B, N, its width), and logits (B, N, C)."""
    graph = _Graph(weights)
    frames = graph.node("Squeeze", graph.node("Shape", "mels", start=1, end=2), graph.integers(0))
    inside = graph.node(
        "Less",
        graph.node("Range", graph.integer(0), frames, graph.integer(1)),
        graph.node("Unsqueeze", "counts", graph.integers(1)),
    )
    mask = graph.node("Unsqueeze", graph.node("Cast", inside, to=TensorProto.FLOAT), graph.integers(1))
    x = graph.node("Transpose", "mels", perm=(0, 2, 1))
    x = graph.node("Mul", graph.convolution(x, "first", stride=1), mask)
    x = graph.node("Transpose", graph.convolution(x, "second", config.stride), perm=(0, 2, 1))
    x = graph.node(
        "LayerNormalization", x, graph.weight("norm.weight"), graph.weight("norm.bias"), axis=-1, epsilon=1e-5
    )
    outputs = [graph.named("layer_0", x)]
    before = graph.node("Div", graph.node("Sub", "counts", graph.integer(1)), graph.integer(config.stride))
    lengths = graph.node("Cast", graph.node("Add", before, graph.integer(1)), to=TensorProto.INT32)
    for k in range(config.layers):
        outputs.append(graph.named(f"layer_{k + 1}", graph.lstm(outputs[-1], f"lstm.{k}", lengths, config.width)))
    logits = graph.node("MatMul", outputs[-1], graph.constant(_half(weights["out.weight"].T)))
    outputs.append(graph.named("logits", graph.node("Add", logits, graph.weight("out.bias"))))
    widths = [config.channels] + [2 * config.width] * config.layers + [CLASSES]
    inputs = [
        helper.make_tensor_value_info("mels", TensorProto.FLOAT, ["B", "frames", config.mels]),
        helper.make_tensor_value_info("counts", TensorProto.INT64, ["B"]),
    ]
    given = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", "N", width])
        for name, width in zip(outputs, widths, strict=True)
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "recognizer", inputs, given, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="twotier-tts",
    )
    onnx.checker.check_model(model, full_check=True)
    whole: bytes = model.SerializeToString(deterministic=True)
    return whole


class _Graph:
    """Nodes and constants, named in their order."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._weights = weights

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output; the output's name."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def named(self, name: str, value: str) -> str:
        """A value under the name of an output of the graph."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        return name

    def constant(self, array: np.ndarray) -> str:
        """A constant; one of float16 as float32."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return self.node("Cast", name, to=TensorProto.FLOAT) if array.dtype == np.float16 else name

    def integer(self, value: int) -> str:
        """A scalar."""
        return self.constant(np.array(value, np.int64))

    def integers(self, *values: int) -> str:
        """A list."""
        return self.constant(np.array(values, np.int64))

    def weight(self, name: str) -> str:
        """One of the weights as it is."""
        return self.constant(_half(self._weights[name]))

    def convolution(self, x: str, name: str, stride: int) -> str:
        """A convolution of five frames and a ReLU: x (B, D, frames)."""
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.node("Relu", self.node("Conv", x, weight, bias, pads=(2, 2), strides=(stride,)))

    def lstm(self, x: str, name: str, lengths: str, width: int) -> str:
        """`BidirectionalLSTM`: x (B, N, D) -> (B, N, 2 x width)."""

        def both(kind: str) -> np.ndarray:
            halves = [self._weights[f"{name}.{half}.{kind}_l0"] for half in ("forwards", "backwards")]
            return np.stack([half.reshape(4, width, -1)[list(_GATES)].reshape(4 * width, -1) for half in halves])

        biases = np.concatenate([both("bias_ih"), both("bias_hh")], axis=1)[:, :, 0]
        constants = [self.constant(_half(array)) for array in (both("weight_ih"), both("weight_hh"), biases)]
        by_frame = self.node("Transpose", x, perm=(1, 0, 2))
        y = self.node("LSTM", by_frame, *constants, lengths, direction="bidirectional", hidden_size=width)
        return self.node("Reshape", self.node("Transpose", y, perm=(2, 0, 1, 3)), self.integers(0, 0, 2 * width))


def _half(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16)
