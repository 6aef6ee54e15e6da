"""Text-conditioned speech generation with a two-tier SampleRNN.

voice = tts.load_voice()
audio = voice.speak("4 7 2", seed=1)
audio.save("472.wav")
"""

from typing import TYPE_CHECKING, Any

from tts._version import __version__

if TYPE_CHECKING:
    from tts.voice import Audio, AudioStream, Voice, load_voice

__all__ = ["Audio", "AudioStream", "Voice", "__version__", "load_voice"]


def __getattr__(name: str) -> Any:
    # Loaded when first used (PEP 562), so that `import tts` and `tts --help` stay instant.
    if name in ("Audio", "AudioStream", "Voice", "load_voice"):
        from tts.voice import voice

        return getattr(voice, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
