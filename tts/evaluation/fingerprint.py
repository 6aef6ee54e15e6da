"""SHA-256 of what decides the results of an evaluation: weights, recordings, files."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from tts.core import config as configs
from tts.evaluation.manifest import FileRow
from tts.evaluation.test_sets import Material
from tts.voice import Voice


def model_fingerprint(model: Any) -> str:
    """SHA-256 of a torch module's weights."""
    content = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        content.update(name.encode())
        content.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return content.hexdigest()


def voice_fingerprint(voice: Voice) -> str:
    """SHA-256 of a voice's weights and description."""
    description = json.dumps(configs.to_dict(voice.config), sort_keys=True)
    return hashlib.sha256((model_fingerprint(voice.model()) + description).encode()).hexdigest()


def material_fingerprint(material: Material) -> str:
    """SHA-256 of texts, speakers and recordings."""
    content = hashlib.sha256(json.dumps([vars(material.limits), material.sample_rate]).encode())
    for name, items in {**material.splits, "reference": material.reference}.items():
        content.update(f"{name} {len(items)}\n".encode())
        for item in items:
            content.update(f"{item.text}\0{item.speaker}\0{item.boundaries}\0".encode())
            content.update(np.ascontiguousarray(item.audio).tobytes())
    return content.hexdigest()


def files_fingerprint(rows: Iterable[FileRow]) -> str:
    """SHA-256 of the rows of a manifest and the content of their files."""
    content = hashlib.sha256()
    for row in rows:
        content.update(f"{row.path}\0{row.text}\0{row.speaker}\0".encode(errors="surrogatepass"))
        content.update(row.path.read_bytes())
    return content.hexdigest()
