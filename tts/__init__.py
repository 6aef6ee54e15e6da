"""Text-conditioned speech generation with a two-tier SampleRNN."""

from tts._version import __version__

__all__ = ["__version__"]
