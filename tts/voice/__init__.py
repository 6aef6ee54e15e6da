"""A voice: a trained model with all that it takes to say a text.

In: a voice folder, or a model in memory; texts. Out: audio, at once or in chunks.
Read `voice` first; `config` is what `config.json` holds, `store` loads and saves folders, `result` is what was said.
"""

from tts.voice.voice import (
    MOST_WORD_SECONDS,
    VOICES,
    Audio,
    AudioStream,
    EngineName,
    Voice,
    VoiceConfig,
    installed_voices,
    load_voice,
    read_config,
)

__all__ = [
    "MOST_WORD_SECONDS",
    "VOICES",
    "Audio",
    "AudioStream",
    "EngineName",
    "Voice",
    "VoiceConfig",
    "installed_voices",
    "load_voice",
    "read_config",
]
