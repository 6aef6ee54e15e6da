"""A voice: a trained model with all that it takes to say a text.

In: a voice folder, or a model in memory; texts. Out: audio, at once or in chunks.
Read `voice` first; `options` is how a text is spoken and `result` what comes out, `config` is what `config.json`
holds, `folder` reads and writes a voice's files, `store` finds voices by name; `engines` and `word_vectors` are parts
of a voice that are made when they are first used, `many` speaks many texts,
`batch` those that come one by one.
"""

from tts.voice.batch import Batch, Chunk
from tts.voice.config import MAX_UNIT_SECONDS, VoiceConfig
from tts.voice.folder import read_config
from tts.voice.options import EngineName, SpeakOptions
from tts.voice.result import Audio, AudioStream, CheckedText, Segment
from tts.voice.store import VOICES, installed_voices, load_voice
from tts.voice.voice import Voice

__all__ = [
    "MAX_UNIT_SECONDS",
    "VOICES",
    "Audio",
    "AudioStream",
    "Batch",
    "CheckedText",
    "Chunk",
    "EngineName",
    "Segment",
    "SpeakOptions",
    "Voice",
    "VoiceConfig",
    "installed_voices",
    "load_voice",
    "read_config",
]
