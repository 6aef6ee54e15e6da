"""Fixtures of the evaluation's tests: a miniature corpus, a recognizer of random weights, material, a dataset."""

import argparse

import numpy as np
import pytest
import soundfile
import torch
from helpers.miniature_fsdd import write_corpus

from tts.cli import data as data_cli
from tts.evaluation.test_sets import SPLITS_OF, from_source
from tts.recognition.model import Recognizer, RecognizerConfig, RecognizerNet


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("fsdd"))


@pytest.fixture(scope="session")
def recognizer():
    torch.manual_seed(1)
    return Recognizer(RecognizerNet(RecognizerConfig(channels=16, width=8)), {})


@pytest.fixture(scope="session")
def material(corpus):
    return from_source(corpus, SPLITS_OF["digit"], 5, 3, ["theo", "nobody"], 8000)


@pytest.fixture(scope="session")
def dataset(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "sequences"
    parser = argparse.ArgumentParser()
    data_cli.add_arguments(parser)
    flags = ["build", "sequences", "--source", str(corpus), "--speakers", "theo", "--count", "30", "--eval-count", "12"]
    data_cli.build(parser.parse_args([*flags, "--out", str(out)]))
    return out


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "wav"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.wav", "b.flac"):
        soundfile.write(folder / name, rng.normal(0, 0.1, 4000), 16000)
    return folder
