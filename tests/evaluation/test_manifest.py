"""Manifests of audio files: what is read, what is refused."""

import numpy as np
import pytest
import soundfile

from tts.core.errors import InputError
from tts.evaluation.manifest import read_manifest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no rows"),
        ("path,text\n", "no rows"),
        ("file,text\na.wav,4\n", "row 1: has no path"),
        ("path,text\na.wav,\n", "row 1: has no text"),
        ("path,text\na.wav,4\nb.flac,hello\n", "row 2: says 'hello', and the recognizer knows digits only"),
        ("path,text\nmissing.wav,4\n", "no audio file at"),
        ("path,text\nempty.wav,4\n", "is empty"),
        ("path,text\nnotes.wav,4\n", "not readable as audio"),
        ("path,text\nsilent.wav,4\n", "no samples"),
    ],
)
def test_bad_manifests(files, tmp_path, content, message):
    (files / "empty.wav").touch()
    (files / "notes.wav").write_text("no audio")
    soundfile.write(files / "silent.wav", np.zeros(0), 8000)
    manifest = tmp_path / "m.csv"
    manifest.write_text(content)
    with pytest.raises(InputError, match=message):
        read_manifest(manifest, files)


def test_bad_json_lines(files, tmp_path):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("[1]\n")
    with pytest.raises(InputError, match="row 1: is no JSON object"):
        read_manifest(manifest, files)
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path / "absent.csv", files)
    with pytest.raises(InputError, match="no such folder"):
        read_manifest(manifest, tmp_path / "absent")
