"""The precision to train in: tried out with a small LSTM before any data is read."""

import platform
from dataclasses import dataclass
from typing import Literal

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch import nn

from tts.core.errors import InputError

Asked = Literal["auto", "fp32", "bf16"]
"""The values of `train.precision`."""
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Bf16:
    """What a device can do in bfloat16."""

    works: bool
    """An LSTM runs forwards and backwards under autocast."""
    native: bool
    """In the device's own instructions, not emulated: it is faster than fp32."""
    reason: str
    """A clause, e.g. "this processor has no bf16 instructions"."""


def resolve(asked: Asked, device: torch.device, stored: str | None = None) -> tuple[Precision, str]:
    """The precision to train in on `device`, and one line with the reason; "" where there is nothing to report.

    Args: asked, the config's `train.precision`; stored, that of the checkpoint of a resumed run.

    Raises InputError: bf16, asked for or stored, does not work on this device.
    """
    if asked == "fp32":  # no need to try
        return "fp32", ""
    precision, reason = choose(asked, probe(device), stored)
    return precision, f"precision: {precision} ({reason})" if reason else ""


def choose(asked: Asked, bf16: Bf16, stored: str | None = None) -> tuple[Precision, str]:
    """As `resolve`, for what the device can do in bfloat16; the reason alone."""
    if asked == "fp32":
        return "fp32", ""
    if asked == "bf16":
        if not bf16.works:
            raise InputError(
                f"train.precision is bf16, but {bf16.reason}; give train.precision=fp32, or auto for what there is"
            )
        return "bf16", "" if bf16.native else f"as train.precision says, but slow: {bf16.reason}"
    if stored == "fp32":
        return "fp32", "as the run began"
    if stored == "bf16":
        if not bf16.works:
            raise InputError(
                f"the run was trained in bf16, but {bf16.reason}; give train.precision=fp32 to resume it in fp32"
            )
        return "bf16", "as the run began" if bf16.native else f"as the run began, but slow: {bf16.reason}"
    return ("bf16" if bf16.works and bf16.native else "fp32"), bf16.reason


def probe(device: torch.device) -> Bf16:
    """Try a small LSTM in bfloat16 on `device`, and find out whether the device has instructions for it."""
    name = "this processor" if device.type == "cpu" else f"the device {device}"
    try:
        with torch.random.fork_rng(devices=[]):  # leaves the global generator as it was
            lstm = nn.LSTM(8, 8, batch_first=True).to(device)
        with torch.enable_grad(), torch.autocast(device.type, torch.bfloat16):
            states, _ = lstm(torch.ones(2, 3, 8, device=device))
        states.float().sum().backward()
    except (RuntimeError, NotImplementedError):  # oneDNN has no bf16 LSTM for AVX2
        return Bf16(False, False, f"{name} cannot train an LSTM in bf16")
    if not _is_native(device):
        return Bf16(True, False, f"{name} has no bf16 instructions and emulates them")
    return Bf16(True, True, f"{name} has bf16 instructions")


def accelerate_state() -> PartialState:
    """This process's device and rank, as accelerate chooses them; an Accelerator made later has the same."""
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))


def _is_native(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False  # not known
    # oneDNN respects ONEDNN_MAX_CPU_ISA, but counts emulation by plain AVX-512 as support.
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if platform.machine().lower() in ("x86_64", "amd64"):
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return True
