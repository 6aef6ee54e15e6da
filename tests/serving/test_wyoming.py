"""Home Assistant's protocol, by its library's client."""

import asyncio
import json
import socket
import struct
import time

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice

from tts import audio
from tts.core.errors import InputError
from tts.serving.settings import address
from tts.serving.wyoming import WyomingServer


def ask(served, *events, until):
    """What the server answers, up to the first event of the type `until`; None: up to the end of the connection."""

    async def run():
        answers = []
        async with AsyncTcpClient("127.0.0.1", served.wyoming_port) as client:
            for event in events:
                await client.write_event(event.event())
            while event := await asyncio.wait_for(client.read_event(), 20):
                answers.append(event)
                if until and until.is_type(event.type):
                    return answers
        if not until:
            return answers
        raise AssertionError(f"the connection ended after {[x.type for x in answers]}")

    return asyncio.run(run())


def samples(answers):
    return b"".join(AudioChunk.from_event(x).audio for x in answers if AudioChunk.is_type(x.type))


def test_describe(served, voice):
    (answer,) = ask(served, Describe(), until=Info)
    found = Info.from_event(answer)
    (program,) = found.tts
    assert program.supports_synthesize_streaming
    assert [speaker.name for speaker in program.voices[0].speakers] == voice.speakers
    assert found.asr[0].models[0].languages == ["en"]


def test_synthesize(served, voice):
    event = Synthesize("4 7 2", SynthesizeVoice(name="digits", speaker="jackson"))
    answers = ask(served, event, until=AudioStop)
    start = AudioStart.from_event(answers[0])
    assert (start.rate, start.width, start.channels) == (8000, 2, 1)
    assert len(answers) > 5
    assert samples(answers) == audio.pcm16(voice.speak("4 7 2", "jackson").samples)


def test_streaming_synthesize_says_sentences_when_they_end(served, voice):
    events = [SynthesizeStart(SynthesizeVoice(name="digits")), SynthesizeChunk("\n4 "), SynthesizeChunk("7. 2")]
    answers = ask(served, *events, until=AudioStop)
    assert samples(answers) == audio.pcm16(voice.speak("4 7.").samples)
    events += [SynthesizeChunk(" 3"), Synthesize("4 7. 2 3"), SynthesizeStop()]
    answers = ask(served, *events, until=SynthesizeStopped)
    said = [voice.speak(text).samples for text in ("4 7.", "2 3")]
    assert samples(answers) == audio.pcm16(np.concatenate(said))


def test_a_client_that_leaves_stops_the_work(served):
    event = Synthesize("1 2 3 4 5 6 7 8 9 0 " * 40)
    ask(served, event, until=AudioChunk)  # and leaves
    deadline = time.monotonic() + 10
    while served.service.pool.active:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_client_that_leaves_before_the_first_answer_stops_the_work(served):
    event = {"type": "synthesize", "data": {"text": "1 2 3 4 5 6 7 8 9 0 " * 40}}
    with socket.create_connection(("127.0.0.1", served.wyoming_port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by a reset
        connection.sendall(json.dumps(event).encode() + b"\n")
    time.sleep(0.5)  # so that the text has been submitted
    deadline = time.monotonic() + 2
    while served.service.pool.active:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_text_that_still_streams_is_finished_before_the_end(served):
    async def run():
        server = WyomingServer(served.service, "tcp://127.0.0.1:0")
        port = await server.start()
        async with AsyncTcpClient("127.0.0.1", port) as client, asyncio.timeout(20):
            await client.write_event(SynthesizeStart().event())
            await client.write_event(SynthesizeChunk("4. 7").event())
            while not AudioStop.is_type((await client.read_event()).type):
                pass
            closing = asyncio.create_task(server.close(20))
            await asyncio.sleep(0.1)
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", port)
            await client.write_event(SynthesizeStop().event())
            kinds = []
            while event := await client.read_event():
                kinds.append(event.type)
            await closing
        return kinds

    kinds = asyncio.run(run())
    assert kinds[0] == "audio-start" and kinds[-2:] == ["audio-stop", "synthesize-stopped"]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_transcribe(served, voice, rate):
    wave = audio.resample(voice.speak("4 7 2", seed=3).samples, 8000, rate)
    chunks = [AudioChunk(rate, 2, 1, audio.pcm16(wave[begin : begin + 1000])) for begin in range(0, len(wave), 1000)]
    answers = ask(served, Transcribe(), AudioStart(rate, 2, 1), *chunks, AudioStop(), until=Transcript)
    assert Transcript.from_event(answers[-1]).text == "4 7 2"


def test_an_empty_recording(served):
    answers = ask(served, AudioStart(16000, 2, 1), AudioStop(), until=Transcript)
    assert Transcript.from_event(answers[-1]).text == ""


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([Synthesize("hello")], "cannot say 'hello'"),
        ([Synthesize(" ")], "no words to say"),
        ([Synthesize("4", SynthesizeVoice(name="digits", speaker="nobody"))], "no speaker 'nobody'"),
        ([Synthesize("4", SynthesizeVoice(name="nobody"))], "no voice 'nobody'"),
        ([SynthesizeStart(SynthesizeVoice(name="nobody")), SynthesizeChunk("4. 7")], "no voice 'nobody'"),
        ([Synthesize("4 " * 3000)], "at most 4096"),
        ([SynthesizeStart(), SynthesizeChunk("4 " * 3000)], "more than 4096 characters"),
        ([AudioStart(16000, 4, 1), AudioStop()], "send 16 bits"),
    ],
)
def test_a_mistake_is_answered_and_ends_the_connection(served, events, words):
    """Home Assistant passes over the error, and waits for the end."""
    (answer,) = ask(served, *events, Describe(), until=None)
    assert words in Error.from_event(answer).text


def test_a_text_without_a_place_is_answered_and_ends_the_connection(small, monkeypatch):
    monkeypatch.setattr(small.service.pool, "_capacity", -1)
    (answer,) = ask(small, Synthesize("4"), until=None)
    assert Error.from_event(answer).code == "busy"


def test_what_was_on_its_way_when_the_error_came_does_not_lose_it(small):
    """The connection of a client that still sends is not reset."""
    chunks = [AudioChunk(16000, 2, 1, bytes(40_000))] * 200
    (answer,) = ask(small, AudioStart(16000, 2, 1), *chunks, AudioStop(), until=None)
    assert "too long" in Error.from_event(answer).text


@pytest.mark.parametrize(
    "data",
    [
        b"not json\n",
        b"[]\n",
        b"{}\n",
        b'{"type": "synthesize"}\n',
        b'{"type": "synthesize", "data": {"text": 4}}\n',
        b'{"type": "synthesize", "data": 4}\n',
        b'{"type": "x", "payload_length": 100000000000}\n',
        b'{"type": "x", "data_length": "many"}\n',
        b'{"type": "audio-start", "data": {"rate": "x"}}\n',
        b"[" * 50_000 + b"\n",
        b'{"type": "x", "data_length": 100000}\n' + b"[" * 100_000,
        b"x" * 1_000_000,
    ],
    ids=lambda data: data[:40],
)
def test_what_is_not_of_the_protocol_harms_nobody(served, caplog, data):
    async def send():
        reader, writer = await asyncio.open_connection("127.0.0.1", served.wyoming_port)
        writer.write(data)
        try:
            writer.write_eof()
            return await asyncio.wait_for(reader.read(), 10)
        except OSError:  # the server has closed the connection
            return b""

    assert len(asyncio.run(send())) < 1000
    ask(served, Describe(), until=Info)
    assert not caplog.records  # no traceback


@pytest.mark.parametrize("uri", ["", "http://127.0.0.1:1", "tcp://127.0.0.1", "tcp://:1", "tcp://a:b", "tcp://a:1/b"])
def test_addresses_that_are_none(uri):
    with pytest.raises(InputError, match="write tcp://HOST:PORT"):
        address(uri)
