"""What requests and answers hold. OpenAI's fields have their names and meanings; the others are ours."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tts.serving.encoding import ResponseFormat
from tts.text.reading import ReadMode
from tts.voice.options import FASTEST, SLOWEST

MAX_INPUT = 4096
MAX_SEED = 2**53 - 1
"""What JavaScript, and others who take every number of JSON for a float, still write exactly."""
SPEECH_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
TRANSCRIPTION_MODELS = ("digits-recognizer", "whisper-1")
"""Names that clients send are taken as well as our own; they all mean the one voice, the one recognizer."""

TranscriptionFormat = Literal["json", "text", "verbose_json"]
Name = Annotated[str, Field(min_length=1, max_length=200)]


def _voice_name(value: Any) -> Any:
    """A custom voice of OpenAI's API is an object with its name."""
    return value["id"] if isinstance(value, dict) and value.keys() == {"id"} else value


class SpeechRequest(BaseModel):
    """A text to be said."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Name = Field(description="the voice's name, or one of " + ", ".join(SPEECH_MODELS))
    input: str = Field(
        min_length=1,
        max_length=MAX_INPUT,
        description='what the voice can say: of a voice of digits "4 7 2", "472" or "four seven two"',
        examples=["4 7 2"],
    )
    voice: Annotated[Name, BeforeValidator(_voice_name)] = Field(
        "default", description='"default", or a speaker of GET /v1/audio/voices'
    )
    response_format: ResponseFormat = "mp3"
    speed: float = Field(1.0, ge=SLOWEST, le=FASTEST, allow_inf_nan=False)
    stream_format: Literal["audio", "sse"] = Field("audio", description="the bytes of a file, or server-sent events")
    instructions: str | None = Field(None, max_length=MAX_INPUT, description="accepted and ignored")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="the same seed gives the same samples")
    temperature: float | None = Field(None, ge=0.01, le=100, allow_inf_nan=False)
    duration_spread: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    read: ReadMode | None = Field(None, description="how numbers are read; default: digits in a voice of digits")
    sample_rate: int | None = Field(
        None, strict=True, description="of the answer; default: the voice's own in wav and flac, else 24000"
    )


class ErrorDetail(BaseModel):
    """What was wrong, and how to fix it."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorAnswer(BaseModel):
    """Every error."""

    error: ErrorDetail


class Model(BaseModel):
    """A name that requests may have as `model`."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "twotier-tts"


class Models(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]


class VoiceName(BaseModel):
    """A name that requests may have as `voice`."""

    id: str
    name: str


class Limits(BaseModel):
    """Least and most of what a request may hold."""

    input_characters: int = MAX_INPUT
    speed: tuple[float, float] = (SLOWEST, FASTEST)
    temperature: tuple[float, float] = (0.01, 100)
    duration_spread: tuple[float, float] = (0, 1)
    seed: tuple[int, int] = (0, MAX_SEED)
    audio_seconds: float
    upload_bytes: int
    upload_seconds: float


class Voices(BaseModel):
    """What the voice is and says, and what a request may ask of it."""

    voices: list[VoiceName]
    model: str
    speakers: list[str]
    default_speaker: str
    language: str
    license: str
    sample_rate: int
    vocabulary: list[str]
    temperature: float
    duration_spread: float
    has_speed: bool
    units_per_word: int
    read: list[str]
    response_formats: list[str]
    sample_rates: list[int]
    limits: Limits
    recognizer_threshold: float


class Unit(BaseModel):
    """What the pointer stood on, and when, in seconds."""

    unit: str
    start: float
    end: float


class Word(BaseModel):
    """A word that was said, with its units."""

    word: str
    start: float
    end: float
    units: list[Unit]


class Timeline(BaseModel):
    """Where the pointer stood over time, and where it stopped."""

    speaker: str
    seed: int
    seconds: float
    sample_rate: int
    words: list[Word]
    stop_reason: Literal["stop", "cap"]
    forced_advances: int


class TimedSpeech(Timeline):
    """Speech and its timeline."""

    audio: str = Field(description="base64 of a file in the requested response_format")
    response_format: ResponseFormat


class TranscribedWord(BaseModel):
    """A digit, when it was said (about), and how sure the recognizer is, 0 to 1."""

    word: str
    start: float
    end: float
    score: float


class Transcription(BaseModel):
    """The digits of a recording; those below the threshold are left out."""

    text: str
    scores: list[float]


class VerboseTranscription(Transcription):
    """The same with times; `rejected` are the words below the threshold."""

    task: Literal["transcribe"] = "transcribe"
    language: str = "en"
    duration: float
    words: list[TranscribedWord]
    rejected: list[TranscribedWord]


def error_answers(*codes: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer besides what it is for."""
    meanings = {
        400: "something in the request is wrong",
        401: "the API key is missing or wrong",
        404: "there is no such model",
        408: "the request took too long to arrive",
        413: "the body is too large",
        429: "the server has no place; try again after Retry-After seconds",
        503: "the request was not answered in time, or the server is about to end",
    }
    return {code: {"model": ErrorAnswer, "description": meanings[code]} for code in codes}
