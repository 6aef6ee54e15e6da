"""What both servers do for their clients: say texts, recognize digits, and count it."""

import asyncio
import time
from collections.abc import AsyncIterator

import numpy as np

from tts.recognition.digits import SpokenDigit
from tts.recognition.onnx_recognizer import OnnxRecognizer
from tts.serving.metrics import Metrics
from tts.serving.pool import Busy, Job, Pool
from tts.serving.settings import ServerSettings
from tts.serving.uploads import decoded
from tts.voice import CheckedText, Voice

RECOGNITIONS_AT_ONCE = 2


class Service:
    """A voice, a recognizer, and the threads that run them."""

    def __init__(self, settings: ServerSettings, voice: Voice, recognizer: OnnxRecognizer) -> None:
        """Start the threads; the first text finds everything laid out."""
        self.settings, self.voice, self.recognizer = settings, voice, recognizer
        voice.prepare(streams=2)
        self.pool = Pool(voice, settings.threads, settings.streams, settings.queue)
        self.metrics = Metrics(self.pool)
        self._recognitions = asyncio.Semaphore(RECOGNITIONS_AT_ONCE)
        self._recognizing = 0

    def begin(self, text: CheckedText, kind: str) -> "Speech":
        """Have a text said, cut where the settings cut. Raises Busy where there is no place."""
        speech = Speech(text.capped(self.settings.max_audio_seconds), self.metrics, kind)
        try:
            self.pool.submit(speech)
        except Busy:
            self.metrics.requests.labels(kind, "busy").inc()
            raise
        return speech

    async def recognize(self, data: bytes, kind: str) -> tuple[list[SpokenDigit], float]:
        """The digits of a recording in memory, of any confidence, and its seconds.

        Raises: InputError for what is no recording; Busy where too many wait for the same.
        """

        def work() -> tuple[list[SpokenDigit], float]:
            wave, rate = decoded(data, self.settings.max_upload_seconds)
            return self.recognizer.spoken([wave], rate)[0], len(wave) / rate

        if self._recognizing > self.settings.queue + RECOGNITIONS_AT_ONCE:
            self.metrics.requests.labels(kind, "busy").inc()
            raise Busy
        self._recognizing += 1
        outcome = "failed"
        try:
            async with self._recognitions:
                found, seconds = await asyncio.to_thread(work)
            outcome = "done"
            self.metrics.recognized.inc(seconds)
            return found, seconds
        finally:
            self._recognizing -= 1
            self.metrics.requests.labels(kind, outcome).inc()


class Speech(Job):
    """A text that is being said, counted."""

    def __init__(self, text: CheckedText, metrics: Metrics, kind: str) -> None:
        """Made by `Service.begin`."""
        super().__init__(text)
        self._metrics, self._kind = metrics, kind
        self._began = time.perf_counter()

    async def __aiter__(self) -> AsyncIterator[np.ndarray]:
        metrics, outcome, first = self._metrics, "stopped", True
        try:
            async for chunk in super().__aiter__():
                if first:
                    metrics.first_chunk.observe(time.perf_counter() - self._began)
                    first = False
                yield chunk
            outcome = "done"
            metrics.speech.observe(time.perf_counter() - self._began)
            metrics.audio.inc(self.audio.seconds)
        finally:
            self.cancel()
            metrics.requests.labels(self._kind, outcome).inc()
