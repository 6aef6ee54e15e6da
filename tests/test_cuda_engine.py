"""The CUDA engine: its logic in Triton's interpreter, its kernels through the compiler, and the samples on a GPU."""

import dataclasses
import importlib.util
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_generation import VARIANTS, arrays, assert_same, make_model, make_requests

from tts.errors import InputError
from tts.generation import cuda
from tts.generation.cuda import CudaEngine
from tts.generation.cuda_layout import HIGHEST_ORDER, lay_out
from tts.generation.reference import ReferenceEngine
from tts.generation.request import Request, timing_threshold
from tts.generation.weights import checked_weights
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier
from tts.voice import load_voice

requires_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


def halved(model):
    """With weights that float16 holds; not its tables of waves and clocks, as `model.half()` would have it."""
    for weight in model.parameters():
        weight.data = weight.data.half().float()
    return model


@requires_triton
def test_the_logic_in_the_interpreter():
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "--tb=short", "-p", "no:cacheprovider"]
    file = Path(__file__).with_name("interpreted_cuda.py")
    done = subprocess.run([*command, str(file)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


class _Recorder:
    """Stands for a kernel; keeps what it is launched with."""

    def __init__(self, kernel, launches):
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid):
        def launch(*tensors, num_warps, num_stages, **constants):
            self.launches.append((self.kernel, grid, tensors, constants, num_warps, num_stages))

        return launch


def launches_of(config, weights, monkeypatch):
    """The launches of the first frame, by kernel and constants; nothing runs."""
    kernels = pytest.importorskip("tts.generation.cuda_kernels")
    launches = []
    for name in ("find_predictor", "frame_step", "linear", "sample_frame"):
        monkeypatch.setattr(kernels, name, _Recorder(getattr(kernels, name), launches))
    monkeypatch.setattr(cuda, "_check_device", lambda device: None)
    engine = CudaEngine(config, weights, device="cpu", block_frames=2)
    block = cuda._Block(config, engine._layout, engine._arrays, engine._device, 16, 2)
    block._predict(0)
    block._frame_tier(0)
    block._upsample(0)
    block._sample_tier(0)
    assert all(min(grid) >= 1 for _, grid, *_ in launches)
    return launches


TYPES = {
    torch.float16: "*fp16",
    torch.float32: "*fp32",
    torch.float64: "*fp64",
    torch.int16: "*i16",
    torch.int32: "*i32",
    torch.int64: "*i64",
}


def compiled(launch):
    """For Hopper (sm_90), as triton would at the launch; needs no GPU."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler.compiler import ASTSource

    kernel, _, arguments, constants, num_warps, num_stages = launch
    assert len(arguments) + len(constants) == len(kernel.arg_names)
    signature, attributes = dict.fromkeys(kernel.arg_names, "constexpr"), {}
    for i, (name, argument) in enumerate(zip(kernel.arg_names, arguments, strict=False)):
        signature[name] = TYPES[argument.dtype] if isinstance(argument, torch.Tensor) else "i32"
        if name != "row":
            attributes[(i,)] = [["tt.divisibility", 16]]
    source = ASTSource(
        kernel, signature, {(kernel.arg_names.index(name),): value for name, value in constants.items()}, attributes
    )
    return triton.compile(
        source, target=GPUTarget("cuda", 90, 32), options={"num_warps": num_warps, "num_stages": num_stages}
    )


@pytest.fixture
def compiler(monkeypatch, tmp_path):
    """The folder of ptxas and cuobjdump; a compiler that begins with nothing in its cache."""
    triton = pytest.importorskip("triton")
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    # Not the product's: triton's wheels for x86 Linux bring both, a triton built from source may take the system's.
    for tool in ("ptxas", "cuobjdump"):
        if not (tools / tool).is_file():
            pytest.skip(f"this triton ships no {tool}")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "triton"))
    return tools


def stack_bytes(kernel, tools, tmp_path):
    """What ptxas spilled out of the registers, per thread."""
    binary = tmp_path / "kernel.cubin"
    binary.write_bytes(kernel.asm["cubin"])
    report = subprocess.run(
        [tools / "cuobjdump", "--dump-resource-usage", binary], capture_output=True, text=True, check=True
    )
    return int(re.search(r"STACK:(\d+)", report.stdout)[1])


@pytest.mark.parametrize(("timing", "lpc_order"), [("heard", 0), ("planned", 0), ("planned", 20)])
def test_the_shipped_voice_s_kernels_compile_for_hopper(timing, lpc_order, compiler, tmp_path, monkeypatch):
    """On tensor cores, without spills, in half of a multiprocessor's shared memory (228 KB)."""
    config = dataclasses.replace(load_voice("digits").config.model, timing=timing, lpc_order=lpc_order)
    launches = launches_of(config, arrays(halved(TwoTier(config))), monkeypatch)
    kernels = {"frame_step", "linear", "sample_frame"} | ({"find_predictor"} if lpc_order else set())
    assert {launch[0].__name__ for launch in launches} == kernels
    for launch in launches:
        multiplies = launch[0].__name__ != "find_predictor"
        assert launch[3].get("HALF", False) == multiplies
        kernel = compiled(launch)
        assert kernel.metadata.shared <= 113 * 1024
        assert stack_bytes(kernel, compiler, tmp_path) == 0
        assert ("mma.sync" in kernel.asm["ptx"]) == multiplies


@pytest.mark.parametrize(
    "linear_prediction",
    [
        {"lpc_order": 0},
        {"lpc_order": 1, "lpc_window": 70, "quantization": "linear"},
        {"lpc_order": HIGHEST_ORDER, "lpc_window": 300},
    ],
    ids=lambda options: str(options["lpc_order"]),
)
def test_other_shapes_compile_for_hopper(linear_prediction, compiler, monkeypatch):
    options = {"cell": "gru", "n_rnn": 2, "history": "embedding", "upsample_rank": 5, "q_levels": 46}
    model = make_model(**options, **linear_prediction)
    launches = launches_of(model.config, arrays(model), monkeypatch)
    assert len(launches) == (6 if model.config.lpc_order else 5)
    for launch in launches:
        kernel = compiled(launch)
        if launch[0].__name__ == "sample_frame":
            # Where all of a sum is one chunk no inner loop is left. The loop over samples must not be taken for one:
            # fetched ahead, a sample would not hear the one before it.
            assert "async_copy" not in kernel.asm["ttgir"]


def test_the_widest_that_is_done(monkeypatch):
    """Tiles and chunks keep to what tl.arange and tl.dot allow, and to the shared memory of a program."""
    for width in (1, 63, 64, 65, 200, 1024):
        for scale in (1.0, 1.0 + 2**-20):  # float16, float32
            config = TwoTierConfig(
                dim=8, frame_size=2, sample_dim=width, q_levels=2 * width + 2 if width < 500 else 1024
            )
            torch.manual_seed(0)
            model = halved(TwoTier(config))
            weights = {name: array * np.float32(scale) for name, array in arrays(model).items()}
            layout = lay_out(config, checked_weights(config, weights))
            assert layout.half == (scale == 1.0)
            assert layout.chunk in (16, 32, 64)
            assert layout.SP % layout.chunk == layout.DP % layout.chunk == 0
            row = max(layout.SP, layout.QP) * (2 if layout.half else 4) + 64
            assert layout.stages * layout.chunk * row <= 220 * 1024
            for padded in (layout.SP, layout.QP):
                assert padded & (padded - 1) == 0
                assert padded >= 64


@pytest.mark.parametrize("options", [{"sample_dim": 1025}, {"q_levels": 1026}, {"lpc_order": 257}])
def test_too_wide(options):
    config = TwoTierConfig(dim=4, frame_size=1, **options)
    with pytest.raises(InputError, match=r"at most (1024|256).*engine='cpu'"):
        lay_out(config, arrays(TwoTier(config)))


def test_float16_only_where_it_is_exact_and_cannot_overflow():
    model = halved(make_model(sample_layers=3))
    config, weights = model.config, arrays(model)
    assert lay_out(config, weights).half
    assert not lay_out(config, {**weights, "hear.weight": weights["hear.weight"] * np.float32(1 + 2**-20)}).half
    loud = {**weights, "hidden.0.weight": weights["hidden.0.weight"] * np.float32(2**12)}
    assert not lay_out(config, loud).half
    assert not lay_out(config, {**weights, "h0": weights["h0"] + np.float32(1e5)}).half
    model = halved(make_model(lpc_order=4))
    config, weights = model.config, arrays(model)
    predicted = weights["predicted"]
    assert lay_out(config, weights).arrays["predicted"].dtype == np.float16
    finer = lay_out(config, {**weights, "predicted": predicted * np.float32(1 + 2**-20)})
    assert not finer.half
    assert finer.arrays["predicted"].dtype == np.float32
    assert not lay_out(config, {**weights, "predicted": predicted * np.float32(2**14)}).half


def test_thresholds():
    u = np.array([[0.0, 0.3, 1 - 2**-24], [0.5, 0.9, 2**-24]], np.float32)
    spreads = np.array([[1.0], [0.4]])
    expected = [[timing_threshold(x, spread) for x in row] for row, (spread,) in zip(u, spreads, strict=True)]
    np.testing.assert_allclose(cuda._thresholds(u, spreads), expected, rtol=1e-14)


def test_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not cuda.is_available()
    model = make_model()
    reason = "triton is not installed" if importlib.util.find_spec("triton") is None else "torch finds no CUDA device"
    assert reason in cuda.why_not()
    with pytest.raises(InputError, match=rf"{reason}.*; use engine='cpu'"):
        CudaEngine(model.config, arrays(model))
    with pytest.raises(InputError, match="needs a CUDA device, not the CPU; use engine='cpu'"):
        CudaEngine(model.config, arrays(model), device="cpu")


def test_old_gpus_and_missing_triton(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla P100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 0))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert "Tesla P100 is too old" in cuda.why_not()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "triton is not installed" in cuda.why_not()


@pytest.mark.requires_cuda
@pytest.mark.skipif(not cuda.is_available(), reason=f"needs a GPU: {cuda.why_not()}")
class TestOnTheGpu:
    """The same samples as the reference's, and the same for any number of streams."""

    # Each shape is compiled anew, some ten seconds: not every combination.
    @pytest.mark.parametrize(
        ("options", "half"),
        zip(VARIANTS[:16:5] + VARIANTS[16:], itertools.cycle([False, True]), strict=False),
        ids=lambda x: "-".join(map(str, x.values())) if isinstance(x, dict) else str(x),
    )
    def test_engines_agree(self, options, half):
        model = make_model(**options)
        model = halved(model) if half else model
        requests = make_requests(model)
        made = CudaEngine(model.config, arrays(model)).generate(requests)
        assert_same(model, requests, made, ReferenceEngine(model).generate(requests))

    def test_the_shipped_voice_beside_many(self):
        from tts.generation.cpu import CpuEngine

        voice = load_voice("digits")
        model = voice.model()
        vectors = voice.word_vectors(["4", "7", "2"])
        requests = [Request(vectors, seed % 2, seed, 300, 27) for seed in range(100)]
        engine = CudaEngine(model.config, arrays(model))
        made = list(engine.generate_each(iter(requests), streams=40))
        for alone in (0, 57, 99):
            np.testing.assert_array_equal(engine.generate([requests[alone]])[0].levels, made[alone].levels)
            np.testing.assert_array_equal(np.concatenate(list(engine.stream(requests[alone]))), made[alone].levels)
        theirs = CpuEngine(model.config, arrays(model)).generate(requests)
        same = sum(np.array_equal(a.levels, b.levels) for a, b in zip(made, theirs, strict=True))
        assert same >= 80  # 10^6 draws, each a tie about once in 10^7 to 10^6
