"""The official client, unchanged, against the server."""

import base64
import io
import json
import re
from pathlib import Path

import av
import numpy as np
import openai
import pytest

from tts import audio

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "serving.md"


@pytest.fixture(scope="module")
def client(served):
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def pcm(data):
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768


def decoded(data):
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        return container.format.name, container.streams.audio[0].rate, sum(frame.shape[-1] for frame in frames)


def test_speech_is_the_voice_s(client, voice):
    answer = client.audio.speech.create(
        model="digits", voice="jackson", input="4 7 2", response_format="wav", extra_body={"seed": 5}
    )
    found, rate = _wav(answer.content)
    assert rate == voice.sample_rate
    np.testing.assert_array_equal(found, pcm(audio.pcm16(voice.speak("4 7 2", "jackson", 5).samples)))


def _wav(data):
    assert data[:4] == b"RIFF"
    rate = int.from_bytes(data[24:28], "little")
    return pcm(data[44:]), rate


def test_pcm_is_what_clients_take_it_for(client, voice):
    answer = client.audio.speech.create(model="tts-1", voice="default", input="4 7 2", response_format="pcm")
    seconds = voice.speak("4 7 2").seconds
    assert len(answer.content) == pytest.approx(2 * 24000 * seconds, abs=4)
    own = client.audio.speech.create(
        model="tts-1",
        voice="default",
        input="4 7 2",
        response_format="pcm",
        instructions="cheerfully",  # which changes nothing
        extra_body={"sample_rate": 8000},
    )
    assert own.content == audio.pcm16(voice.speak("4 7 2").samples)


@pytest.mark.parametrize(
    ("response_format", "container", "rate"),
    [("mp3", "mp3", 24000), ("opus", "ogg", 48000), ("aac", "aac", 24000), ("flac", "flac", 8000)],
)
def test_formats(client, voice, response_format, container, rate):
    answer = client.audio.speech.create(model="tts-1", voice="default", input="4 7 2", response_format=response_format)
    name, found_rate, samples = decoded(answer.content)
    assert name == container
    assert found_rate == rate
    assert samples / found_rate == pytest.approx(voice.speak("4 7 2").seconds, abs=0.1)


def test_speed(client, voice):
    def seconds(speed):
        return len(
            client.audio.speech.create(
                model="tts-1", voice="default", input="4 7 2", response_format="pcm", speed=speed
            ).content
        )

    assert seconds(0.25) > 3.5 * seconds(1) > 3 * 3.5 * seconds(4)


def test_a_voice_may_be_an_object(client, voice):
    spoken = client.audio.speech.create(
        model="tts-1", voice={"id": "theo"}, input="4", response_format="pcm", extra_body={"sample_rate": 8000}
    )
    assert spoken.content == audio.pcm16(voice.speak("4", "theo").samples)
    with pytest.raises(openai.BadRequestError, match="has no speaker 'nobody'"):
        client.audio.speech.create(model="tts-1", voice={"id": "nobody"}, input="4")
    with pytest.raises(openai.BadRequestError, match="voice: Input should be a valid string"):
        client.audio.speech.create(model="tts-1", voice={"id": "theo", "name": "x"}, input="4")


def test_streaming_as_audio(client, voice):
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="default", input="1 2 3 4 5", response_format="wav", extra_body={"seed": 2}
    ) as answer:
        chunks = list(answer.iter_bytes(chunk_size=None))
    assert len(chunks) > 3
    assert len(chunks[0]) < 44 + 2 * 8000 * 0.2
    np.testing.assert_array_equal(_wav(b"".join(chunks))[0], pcm(audio.pcm16(voice.speak("1 2 3 4 5", seed=2).samples)))


def test_streaming_as_events(client, voice):
    with client.audio.speech.with_streaming_response.create(
        model="tts-1",
        voice="default",
        input="4 7 2",
        response_format="pcm",
        stream_format="sse",
        extra_body={"sample_rate": 8000},
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    spoken = voice.speak("4 7 2")
    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == audio.pcm16(spoken.samples)
    assert done["type"] == "speech.audio.done"
    assert [word["word"] for word in done["timeline"]["words"]] == ["4", "7", "2"]
    assert done["timeline"]["words"][-1]["end"] == pytest.approx(spoken.seconds)


def test_models(client):
    assert {"digits", "tts-1", "whisper-1"} <= {model.id for model in client.models.list()}


def test_transcription(client, voice):
    wav = audio.to_bytes(voice.speak("4 7 2", seed=3).samples, voice.sample_rate)
    plain = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav))
    assert plain.text == "4 7 2"
    text = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav), response_format="text")
    assert text == "4 7 2\n"
    verbose = client.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", wav), response_format="verbose_json", language="en", temperature=0
    )
    assert verbose.text == "4 7 2"
    assert [word.word for word in verbose.words] == ["4", "7", "2"]
    assert verbose.words[0].start < verbose.words[0].end <= verbose.words[1].start
    assert all(0.5 < word.score <= 1 for word in verbose.words)
    assert float(verbose.duration) == pytest.approx(voice.speak("4 7 2", seed=3).seconds, abs=0.01)


def test_every_format_that_is_spoken_is_understood(client):
    for response_format in ("mp3", "opus", "aac", "flac", "wav"):
        spoken = client.audio.speech.create(
            model="tts-1", voice="default", input="9 0 3 5", response_format=response_format, extra_body={"seed": 2}
        ).content
        assert client.audio.transcriptions.create(model="whisper-1", file=("a", spoken)).text == "9 0 3 5"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input": "hello"}, "the voice cannot say 'hello'"),
        ({"input": ""}, "input: String should have at least 1 character"),
        ({"input": "4 " * 3000}, "at most 4096 characters"),
        ({"voice": "nobody"}, "has no speaker 'nobody'; it has george"),
        ({"response_format": "midi"}, "response_format: Input should be"),
        ({"speed": 5}, "speed: Input should be less than or equal to 4"),
        ({"speed": 0.2}, "speed: Input should be greater than or equal to 0.25"),
        ({"extra_body": {"seed": -1}}, "seed: Input should be greater than"),
        ({"extra_body": {"sed": 1}}, "sed: Extra inputs are not permitted"),
        ({"response_format": "opus", "extra_body": {"sample_rate": 44100}}, "opus has 8000, 12000"),
        ({"extra_body": {"read": "roman"}}, "read: Input should be"),
    ],
)
def test_mistakes_are_bad_requests(client, changes, words):
    with pytest.raises(openai.BadRequestError, match=words) as caught:
        client.audio.speech.create(**{"model": "tts-1", "voice": "default", "input": "4 7 2", **changes})
    assert caught.value.body["type"] == "invalid_request_error"


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="there is no model 'nobody'; there are digits") as caught:
        client.audio.speech.create(model="nobody", voice="default", input="4")
    assert caught.value.code == "model_not_found"


def test_a_recording_that_is_none(client):
    with pytest.raises(openai.BadRequestError, match="no audio"):
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"#EXTM3U\nhttp://127.0.0.1/x.wav\n"))


def test_the_example_of_the_documentation(served, tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"^```py\n(.*?)^```", DOCUMENTATION.read_text(), re.M | re.S)
    assert "http://127.0.0.1:8000" in example
    monkeypatch.chdir(tmp_path)
    exec(example.replace("http://127.0.0.1:8000", served.url), {})
    assert capsys.readouterr().out == "4 7 2\n"


def test_with_a_key(start):
    url = f"{start(key='secret').url}/v1"
    with pytest.raises(openai.AuthenticationError, match="key is missing or wrong"):
        openai.OpenAI(base_url=url, api_key="secre", max_retries=0).models.list()
    assert openai.OpenAI(base_url=url, api_key="secret").models.list().data
