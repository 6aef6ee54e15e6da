"""Voice folders: saved, loaded, found by name, and every folder that is none refused."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers.voices import make_voice
from safetensors.numpy import load_file, save_file

from tts.core.errors import InputError
from tts.core.sampling import Sampling
from tts.generation.rounding import round_weights
from tts.voice import installed_voices, load_voice, store, word_vectors


@pytest.fixture
def folder(tmp_path):
    make_voice().save(tmp_path / "small", "# A card\n")
    return tmp_path / "small"


def test_save_and_load(folder, monkeypatch):
    monkeypatch.setattr(word_vectors, "TextEncoder", None)  # the vocabulary's words need none
    made, loaded = make_voice(), load_voice(folder)
    assert loaded.config == made.config
    assert loaded.speakers == ["ann", "bob"]
    assert loaded.name == "small"
    assert (folder / "README.md").read_text() == "# A card\n"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    np.testing.assert_array_equal(loaded.speak("472").codes, made.speak("472").codes)
    made.save(folder, "# Another\n")
    assert (folder / "README.md").read_text() == "# Another\n"


def test_matrices_are_stored_as_integers(folder):
    """What a folder gives back is what was made of the model: rounding is part of making a voice."""
    tensors, loaded = load_file(folder / "model.safetensors"), load_voice(folder)
    kinds = {name: array.dtype for name, array in tensors.items() if not name.endswith(".scale")}
    of_integers = {name for name, kind in kinds.items() if kind.kind == "i"}
    assert of_integers == {name.removesuffix(".scale") for name in tensors if name.endswith(".scale")}
    assert {"rnn.weight_hh_l0", "rnn.weight_ih_l0.frame", "rnn.weight_ih_l0.text", "upsample.weight"} < of_integers
    assert {kinds[name] for name in of_integers} == {np.dtype(np.int8), np.dtype(np.int16)}
    assert {kind for name, kind in kinds.items() if name not in of_integers} == {np.dtype("e"), np.dtype("f")}
    model, rounded = loaded.model().state_dict(), round_weights(loaded.config.model, make_voice()._weights)
    assert set(model) >= set(rounded)
    for name, array in rounded.items():
        np.testing.assert_array_equal(model[name].numpy(), array, err_msg=name)


def edit_config(folder, **changes):
    path = folder / "config.json"
    tree = json.loads(path.read_text())
    for key, value in changes.items():
        *parents, last = key.split("__")
        place = tree
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[last]
        else:
            place[last] = value
    path.write_text(json.dumps(tree))


def edit_weights(folder, **changes):
    path = folder / "model.safetensors"
    tensors = {name: array.copy() for name, array in load_file(path).items()}
    for name, value in changes.items():
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value
    save_file(tensors, path)


def rewrite_as_bfloat16(path):
    tensors = {name: torch.from_numpy(array).to(torch.bfloat16) for name, array in load_file(path).items()}
    safetensors.torch.save_file(tensors, path)


BROKEN = {
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors"),
    "config is a folder": (lambda f: ((f / "config.json").unlink(), (f / "config.json").mkdir()), "no config.json"),
    "config cut short": (lambda f: os.truncate(f / "config.json", 50), "not JSON"),
    "config empty": (lambda f: os.truncate(f / "config.json", 0), "not JSON"),
    "config not text": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), "not JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "no JSON object"),
    "config of another model": (lambda f: (f / "config.json").write_text('{"hidden_size": 4}'), "format_version"),
    "config deep": (lambda f: (f / "config.json").write_text("[" * 100_000), "not JSON"),
    "weights cut short": (lambda f: os.truncate(f / "model.safetensors", 5000), "not a whole safetensors"),
    "weights empty": (lambda f: os.truncate(f / "model.safetensors", 0), "not a whole safetensors"),
    "weights foreign": (lambda f: (f / "model.safetensors").write_bytes(b"RIFF" * 99), "not a whole safetensors"),
    "older format": (
        lambda f: edit_config(f, format_version=1),
        "format_version is 1, and this version reads 2; an older version wrote it: train or",
    ),
    "newer format": (
        lambda f: edit_config(f, format_version=3),
        "format_version is 3, and this version reads 2; a newer version wrote it: update",
    ),
    "no format": (lambda f: edit_config(f, format_version=None), "no format_version"),
    "unknown key": (lambda f: edit_config(f, color="red"), "unknown config key color"),
    "unknown model key": (lambda f: edit_config(f, model__widht=3), "unknown config key model.widht"),
    "missing key": (lambda f: edit_config(f, sample_rate=None), "sample_rate"),
    "wrong type": (lambda f: edit_config(f, sample_rate="fast"), "sample_rate"),
    "wrong model type": (lambda f: edit_config(f, model__cell="rnn"), "must be one of gru, lstm"),
    "training no object": (lambda f: edit_config(f, training=3), "training is 3"),
    "bad sampling": (lambda f: edit_config(f, sampling__temperature=-1.0), "temperature"),
    "no nuclei": (lambda f: edit_config(f, sampling__nucleus_temperature=0.5), "it needs nuclei"),
    "speakers do not fit": (lambda f: edit_config(f, speakers=["ann"], default_speaker="ann"), "2 different names"),
    "another width": (lambda f: edit_config(f, model__dim=17), "has shape"),
    "too many layers": (lambda f: edit_config(f, model__n_rnn=2), "missing|has shape"),
    "vocabulary does not fit": (lambda f: edit_config(f, vocabulary=["4"]), "word_vectors must have a row"),
    "no vectors": (lambda f: edit_weights(f, word_vectors=None), "word_vectors must have a row"),
    "a weight missing": (lambda f: edit_weights(f, h0=None), "'h0' is missing"),
    "a weight too many": (lambda f: edit_weights(f, h1=np.zeros(3, "f")), "no weight 'h1'"),
    "a weight of integers": (lambda f: edit_weights(f, h0=np.zeros((1, 16), np.int8)), "floating-point"),
    "temperature without end": (lambda f: edit_config(f, sampling__temperature=10**400), "temperature"),
    "NaN among the vectors": (
        lambda f: edit_weights(f, word_vectors=np.full((20, 8), np.nan, "f")),
        "vector of '0' is not 8 finite numbers",
    ),
    "a scale missing": (lambda f: edit_weights(f, **{"output.weight.scale": None}), "floating-point"),
    "a scale too many": (lambda f: edit_weights(f, **{"h9.scale": np.ones(3, "f")}), "no weight 'h9.scale'"),
    "a scale too short": (
        lambda f: edit_weights(f, **{"output.weight.scale": np.ones(3, "f")}),
        "a float32 scale for each row",
    ),
    "a scale of integers": (
        lambda f: edit_weights(f, **{"output.weight.scale": np.ones(256, np.int32)}),
        "a float32 scale for each row",
    ),
    "a scale of NaN": (
        lambda f: edit_weights(f, **{"output.weight.scale": np.full(256, np.nan, "f")}),
        "'output.weight' holds NaN",
    ),
    "a part too short": (
        lambda f: edit_weights(f, **{"rnn.weight_ih_l0.rest": np.zeros((3, 9), np.float16)}),
        "parts of the weight 'rnn.weight_ih_l0' do not fit",
    ),
    "a part missing": (lambda f: edit_weights(f, **{"rnn.weight_ih_l0.rest": None}), "'rnn.weight_ih_l0' is missing"),
    "bfloat16": (lambda f: rewrite_as_bfloat16(f / "model.safetensors"), "safetensors|floating-point"),
    "NaN": (lambda f: edit_weights(f, h0=np.full((1, 16), np.nan, "f")), "NaN or infinite"),
    "infinity": (lambda f: edit_weights(f, h0=np.full((1, 16), np.inf, np.float16)), "NaN or infinite"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_folders(folder, case):
    damage, message = BROKEN[case]
    damage(folder)
    with pytest.raises(InputError, match=message) as error:
        load_voice(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)
    assert "fetch the voice again" in str(error.value)


def test_names(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(store, "VOICES", tmp_path)
    assert list(installed_voices()) == ["small"]
    assert load_voice().name == load_voice("small").name == load_voice(str(folder)).name == "small"
    make_voice(name="the default").save(tmp_path / store.DEFAULT_VOICE, "")
    assert load_voice().name == "the default"
    with pytest.raises(InputError, match="no voice 'nobody'; give one of digits, small"):
        load_voice("nobody")
    for name in ("", "\0", "a" * 5000, "../none/such"):
        with pytest.raises(InputError, match="there is no voice"):
            load_voice(name)
    monkeypatch.setattr(store, "VOICES", tmp_path / "none")
    with pytest.raises(InputError, match="no voice ships"):
        load_voice()


def test_the_hub(folder, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    assert load_voice("someone/voice").name == "small"

    def unreachable(*_, **__):
        raise OSError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(InputError, match=r"someone/voice from the Hugging Face Hub failed \(no route to host\)"):
        load_voice("someone/voice")


def in_a_new_process(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.parametrize(
    "environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}]
)
def test_the_hub_out_of_reach(tmp_path, environment):
    code = """if True:
        import tts, tts.core.errors
        try:
            tts.load_voice("someone/voice")
        except tts.core.errors.InputError as error:
            print(error)
    """
    message = in_a_new_process(code, HF_HOME=str(tmp_path), **environment)
    assert len(message.splitlines()) == 1
    assert message.startswith("there is no voice folder someone/voice, and fetching the voice someone/voice from")
    assert message.endswith("check the name and the connection")


def test_speaking_takes_neither_torch_nor_transformers(folder):
    """They take longer to import than a sentence takes to say."""
    code = f"""if True:
        import sys, tts
        audio = tts.load_voice({str(folder)!r}).speak("4 7 two")
        audio.save({str(folder / "472.wav")!r})
        print(sorted({{"torch", "transformers", "torchaudio", "datasets", "matplotlib"}} & set(sys.modules)))
    """
    assert in_a_new_process(code) == "[]"


def test_saving_where_nothing_can_be_saved(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the voice"):
        make_voice().save(tmp_path / "file" / "voice", "")


def test_saving_that_fails_leaves_the_old_voice(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        make_voice(sampling=Sampling(0.5)).save(folder, "# New\n")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
