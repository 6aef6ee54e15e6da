"""Home Assistant's protocol, by the library `wyoming`: describe, synthesize, streaming synthesize, transcribe.

The protocol has no key: whoever reaches the address may use it.
"""

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from typing import Any

import wyoming.asr as asr
import wyoming.info as info
import wyoming.tts as tts_events
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.server import AsyncEventHandler

from tts import audio
from tts._version import __version__
from tts.core.errors import InputError
from tts.recognition.digits import SpokenDigit
from tts.serving.heads import bound_writes
from tts.serving.pool import Busy
from tts.serving.schemas import MAX_INPUT
from tts.serving.service import Service
from tts.serving.settings import address

MAX_EVENT_BYTES = 1 << 20
"""Of one part of an event; clients send chunks of a few kilobytes."""
_SENTENCE_END = re.compile(r"(?<=[.!?;\n])\s+|\n")
_PROJECT = info.Attribution(name="twotier-tts", url="https://arxiv.org/abs/1612.07837")


class WyomingServer:
    """Listens, and gives each connection a handler."""

    def __init__(self, service: Service, uri: str) -> None:
        """Raises InputError for no such URI."""
        self._service = service
        self.host, self.port = address(uri)
        self._handlers: dict[asyncio.Task[None], _Handler] = {}

    async def start(self) -> int:
        """Listen; returns the port. Raises InputError for an address that cannot be opened."""
        host, port = self.host, self.port
        try:
            self._server = await asyncio.start_server(self._connected, host, port)
        except OSError as error:
            raise InputError(
                f"cannot serve on tcp://{host}:{port}: {error.strerror or error}; choose another"
            ) from error
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def close(self, seconds: float) -> None:
        """Take no more connections, finish what runs within so many seconds, and close all."""
        self._server.close()
        for handler in self._handlers.values():
            handler.end()
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=seconds)
        for task in self._handlers:
            task.cancel()

    async def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        bound_writes(writer.transport)
        handler = _Handler(self._service, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._handlers[task] = handler
        try:
            await handler.run()
        except (OSError, EOFError, AttributeError, KeyError, RecursionError, TypeError, ValueError):
            writer.close()  # it left, or what it sent is not of the protocol
        finally:
            del self._handlers[task]


class _Bounded:
    """A reader that refuses large events, which the library would read whole."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self.readline, self.feed_eof = reader.readline, reader.feed_eof

    async def readexactly(self, count: int) -> bytes:
        """Raises ValueError, which ends the connection."""
        if not isinstance(count, int) or count > MAX_EVENT_BYTES:
            raise ValueError(f"an event has {count} bytes; at most {MAX_EVENT_BYTES} are read")
        return await self._reader.readexactly(count)


class _Handler(AsyncEventHandler):
    """One connection."""

    def __init__(self, service: Service, reader: StreamReader, writer: StreamWriter) -> None:
        super().__init__(_Bounded(reader), writer)  # type: ignore[arg-type]
        self._service = service
        self._text: str | None = None
        """What a streaming client has sent and we have not said; None: nobody streams."""
        self._streamed_voice: tts_events.SynthesizeVoice | None = None
        self._format: AudioStart | None = None
        self._recording = bytearray()
        self._busy = self._ending = self._refused = False

    @property
    def _idle(self) -> bool:
        """Whether nothing is being said, and no text or recording has arrived in part."""
        return not self._busy and self._text is None and self._format is None

    def end(self) -> None:
        """Close the connection, after what is at hand."""
        self._ending = True
        if self._idle:
            self.reader.feed_eof()

    async def handle_event(self, event: Event) -> bool:
        """Answer an event; False ends the connection."""
        if self._refused:  # what was on its way
            return not self._ending
        self._busy = True
        try:
            async with asyncio.timeout(self._service.settings.max_request_seconds):
                await self._answer(event)
        except InputError as error:
            await self._refuse(str(error), "invalid-request")
        except Busy:
            await self._refuse("no place for another text; try again", "busy")
        finally:
            self._busy = False
        return not (self._ending and self._idle)

    async def _refuse(self, text: str, code: str) -> None:
        """Answer with an error, and nothing after it: Home Assistant passes over errors, and waits for audio, a
        transcript or the end of the connection."""
        await self.write_event(Error(text=text, code=code).event())
        self._text, self._format, self._refused = None, None, True
        self.writer.write_eof()

    async def _answer(self, event: Event) -> None:
        kind = event.type
        if info.Describe.is_type(kind):
            await self.write_event(self._info().event())
        elif tts_events.Synthesize.is_type(kind):
            whole = tts_events.Synthesize.from_event(event)
            if self._text is None:  # else for servers that do not stream
                await self._say(whole.text, whole.voice)
        elif tts_events.SynthesizeStart.is_type(kind):
            self._text, self._streamed_voice = "", tts_events.SynthesizeStart.from_event(event).voice
        elif tts_events.SynthesizeChunk.is_type(kind) and self._text is not None:
            self._text += tts_events.SynthesizeChunk.from_event(event).text
            *sentences, self._text = _SENTENCE_END.split(self._text)
            for sentence in filter(str.strip, sentences):
                await self._say(sentence, self._streamed_voice)
            if len(self._text) > MAX_INPUT:
                raise InputError(f"the text has more than {MAX_INPUT} characters without an end; write sentences")
        elif tts_events.SynthesizeStop.is_type(kind):
            rest, self._text = self._text, None
            if rest and rest.strip():
                await self._say(rest, self._streamed_voice)
            await self.write_event(tts_events.SynthesizeStopped().event())
        elif AudioStart.is_type(kind):
            self._format = AudioStart.from_event(event)
            self._recording.clear()
        elif AudioChunk.is_type(kind) and self._format is not None:
            self._recording += AudioChunk.from_event(event).audio
            if len(self._recording) > self._service.settings.max_upload_bytes:
                self._format = None
                raise InputError("the recording is too long; send a part of it")
        elif AudioStop.is_type(kind) and self._format is not None:
            await self._transcribe()

    async def _say(self, text: str, voice: tts_events.SynthesizeVoice | None) -> None:
        """One text as audio, while it is made."""
        if len(text) > MAX_INPUT:
            raise InputError(f"the text has {len(text)} characters; at most {MAX_INPUT} are said at once")
        own = self._service.voice
        if voice and voice.name not in (None, own.name):
            raise InputError(f"there is no voice {voice.name!r}; choose {own.name!r}, the one that is served")
        checked = await asyncio.to_thread(own.checked, text, voice.speaker if voice else None)
        said = self._service.begin(checked, "wyoming-synthesize")
        form = {"rate": own.sample_rate, "width": 2, "channels": 1}
        try:
            await self.write_event(AudioStart(**form).event())
            async for chunk in said:
                await self.write_event(AudioChunk(audio=audio.pcm16(chunk), **form).event())
        finally:
            said.cancel()
        await self.write_event(AudioStop().event())

    async def _transcribe(self) -> None:
        """What was recorded as a transcript."""
        form, self._format = self._format, None
        assert form is not None
        if form.width != 2 or not 1 <= form.channels <= 8 or not audio.RATES[0] <= form.rate <= audio.RATES[1]:
            raise InputError(
                f"the recording has {form.channels} channels of {8 * form.width} bits at {form.rate} Hz; send 16 bits"
            )
        samples = bytes(self._recording[: len(self._recording) // (2 * form.channels) * 2 * form.channels])
        self._recording.clear()
        found: list[SpokenDigit] = []
        if samples:
            wav = audio.wav_header(form.rate, len(samples), form.channels) + samples
            found, _ = await self._service.recognize(wav, "wyoming-transcribe")
        least = self._service.recognizer.threshold
        text = " ".join(str(one.digit) for one in found if one.confidence >= least)
        await self.write_event(asr.Transcript(text=text).event())

    def _info(self) -> info.Info:
        voice = self._service.voice
        common: dict[str, Any] = {"attribution": _PROJECT, "installed": True, "version": __version__}
        spoken = info.TtsVoice(
            name=voice.name,
            description=f"{voice.name}, a voice of {len(voice.vocabulary)} words",
            languages=[voice.config.language],
            speakers=[info.TtsVoiceSpeaker(name=name) for name in voice.speakers],
            **common,
        )
        program = info.TtsProgram(
            name="twotier-tts",
            description="a two-tier SampleRNN",
            voices=[spoken],
            supports_synthesize_streaming=True,
            **common,
        )
        model = info.AsrModel(name="digits", description="English digits", languages=["en"], **common)
        recognizer = info.AsrProgram(name="twotier-tts", description="recognizes digits", models=[model], **common)
        return info.Info(tts=[program], asr=[recognizer])
