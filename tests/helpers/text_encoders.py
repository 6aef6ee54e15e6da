"""Text encoders for tests, and tiny models with MiniLM's tokenizer."""

import shutil
from pathlib import Path

import torch

from tts.text.encoder import TextEncoder, TextEncoderConfig
from tts.text.language_model import ModelFiles

NUMERALS = list("0123456789")
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEXTS = [["4", "7", "2"], ["seven"], ["4", "seven", "0", "0", "nine"], ["2", "7", "4"]]
MINILM_FOLDER = ModelFiles.find("minilm").folder


def encoder(tmp_path_or_none=None, **config) -> TextEncoder:
    return TextEncoder(TextEncoderConfig(**config), tmp_path_or_none, cache=tmp_path_or_none is not None)


def save_tiny(folder: Path, model: torch.nn.Module) -> Path:
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(MINILM_FOLDER / name, folder)
    return folder
