"""Text-conditioned speech generation with a two-tier SampleRNN.

voice = tts.load_voice()
audio = voice.speak("4 7 2", seed=1)
audio.save("472.wav")
"""

from typing import TYPE_CHECKING, Any

from tts._version import __version__

if TYPE_CHECKING:
    from tts.voice import Audio, AudioStream, SpeakOptions, Voice, load_voice

__all__ = ["Audio", "AudioStream", "SpeakOptions", "Voice", "__version__", "load_voice"]


def __getattr__(name: str) -> Any:
    # Loaded when first used (PEP 562), so that `import tts` and `tts --help` stay instant.
    if name in __all__:
        from tts import voice

        return getattr(voice, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
