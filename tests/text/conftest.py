"""A small text encoder."""

from pathlib import Path

import pytest
import transformers
from helpers.text_encoders import save_tiny


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
