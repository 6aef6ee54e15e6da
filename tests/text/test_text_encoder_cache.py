"""The text encoder's cache: it replaces the model, and is never trusted where it is not whole."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
from helpers.text_encoders import TEXTS, encoder

import tts.text.encoder
from tts.text.encoder import TextEncoder, TextEncoderConfig


@pytest.fixture
def no_model(monkeypatch):
    def refuse(*_):
        raise AssertionError("the model was loaded")

    return lambda: monkeypatch.setattr(tts.text.encoder, "LanguageModel", refuse)


@pytest.mark.parametrize("context", ["word", "text"])
def test_the_cache_replaces_the_model(context, tmp_path, tiny_bert, no_model):
    config = {"encoder": str(tiny_bert), "layer": 2, "context": context}
    first = encoder(tmp_path, **config).encode(TEXTS)
    no_model()
    for before, after in zip(first, encoder(tmp_path, **config).encode(TEXTS), strict=True):
        np.testing.assert_array_equal(before, after)


def test_cached_vectors_need_neither_torch_nor_transformers(tmp_path):
    encoder(tmp_path).encode([["4"]])
    check = (
        "import sys; from pathlib import Path; from tts.text.encoder import TextEncoder, TextEncoderConfig; "
        f"TextEncoder(TextEncoderConfig(), Path({str(tmp_path)!r})).encode([['4']]); "
        "sys.exit(bool({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, None], ids=["empty", "foreign", "one bit"])
def test_a_damaged_cache_file_is_made_anew(damage, tmp_path, tiny_bert):
    config = {"encoder": str(tiny_bert), "layer": 2}
    (expected,) = encoder(tmp_path, **config).encode([["4"]])
    (file,) = (path for path in tmp_path.glob("word-vectors/*/*") if path.is_file())
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if damage is None else damage)
    np.testing.assert_array_equal(encoder(tmp_path, **config).encode([["4"]])[0], expected)
    assert file.read_bytes() == content


def test_the_cache_tells_models_layers_and_contexts_apart(tmp_path, tiny_bert):
    name = str(tiny_bert)
    config = TextEncoderConfig(encoder=name, layer=2)
    others = [replace(config, layer=1), replace(config, context="text")]
    results = [TextEncoder(each, tmp_path).encode([["4", "7"]])[0] for each in [config, *others]]
    weights = safetensors.torch.load_file(tiny_bert / "model.safetensors")
    weights = {key: value + 0.5 for key, value in weights.items()}
    safetensors.torch.save_file(weights, tiny_bert / "model.safetensors", {"format": "pt"})
    results.append(TextEncoder(config, tmp_path).encode([["4", "7"]])[0])
    for i in range(4):
        for j in range(i):
            assert np.abs(results[i] - results[j]).max() > 1e-3, (i, j)
    # One folder each, that of the changed weights among them: none takes another's place.
    assert len(list((tmp_path / "word-vectors").iterdir())) == 4


def test_without_a_writable_cache_it_works_all_the_same(tmp_path, tiny_bert):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert encoder(blocked, encoder=str(tiny_bert), layer=2).encode([["4"]])[0].shape == (1, 16)
    assert blocked.read_text() == "in the way"


def test_where_the_cache_is(tmp_path, tiny_bert, monkeypatch):
    config = TextEncoderConfig(encoder=str(tiny_bert), layer=1)
    monkeypatch.delenv("TWOTIER_TTS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    TextEncoder(config, cache=False).encode([["4"]])
    assert not (tmp_path / "xdg").exists()
    TextEncoder(config).encode([["4"]])
    assert (tmp_path / "xdg" / "twotier-tts" / "word-vectors").is_dir()
    monkeypatch.setenv("TWOTIER_TTS_CACHE", str(tmp_path / "own"))
    TextEncoder(config).encode([["4"]])
    assert (tmp_path / "own" / "word-vectors").is_dir()
