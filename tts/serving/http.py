"""The HTTP server: OpenAI's speech API, its neighbors, and the page."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, get_args

from fastapi import APIRouter, FastAPI, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic.json_schema import SkipJsonSchema
from starlette.exceptions import HTTPException

from tts._version import __version__
from tts.core.errors import InputError
from tts.serving import schemas
from tts.serving.encoding import MEDIA_TYPES, RATES, Encoder, ResponseFormat, output_rate
from tts.serving.guards import Guard, busy_answer, error_answer
from tts.serving.pool import Busy
from tts.serving.reference import reference_page
from tts.serving.schemas import error_answers
from tts.serving.service import Service, Speech
from tts.text.reading import ReadMode
from tts.voice import Audio, CheckedText, SpeakOptions

PAGE = Path(__file__).parent / "page"
router = APIRouter()


def make_app(service: Service, key: str | None = None, page: Path = PAGE) -> FastAPI:
    """The application. `key`: what clients must send, if any; `page`: the folder that is served at /, if it exists."""
    settings = service.settings
    app = FastAPI(
        title="twotier-tts",
        version=__version__,
        summary="Speech in OpenAI's API, by a two-tier SampleRNN",
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(router)
    if page.is_dir():
        _add_page(app, StaticFiles(directory=page))
    app.add_exception_handler(InputError, _input_error)
    app.add_exception_handler(Busy, lambda *_: busy_answer())
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, lambda *_: error_answer(500, "the server failed; its log says where"))
    app.add_middleware(
        Guard,
        key=key,
        max_bytes=settings.max_upload_bytes,
        max_body_seconds=settings.max_body_seconds,
        max_request_seconds=settings.max_request_seconds,
    )
    if settings.cors:
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors, allow_methods=["*"], allow_headers=["*"])
    _describe(app, service)
    return app


def _add_page(app: FastAPI, files: StaticFiles) -> None:
    """Serve the page's files by routes of their names: a mount of "/" would take the wrong methods of other routes."""

    async def file(request: Request) -> Response:
        return await files.get_response(request.path_params.get("name", "index.html"), request.scope)

    for path in ("/", "/{name}"):
        app.add_route(path, file, methods=["GET"])


def _describe(app: FastAPI, service: Service) -> None:
    """Make the schema say what this server takes and answers."""
    schema = app.openapi()
    for path in schema["paths"].values():
        for operation in path.values():  # FastAPI's own errors are answered with 400, in OpenAI's form
            operation["responses"].pop("422", None)
    parts = schema["components"]["schemas"]
    speech = parts["SpeechRequest"]["properties"]
    speech["model"]["enum"] = [service.voice.name, *schemas.SPEECH_MODELS]
    name = {"type": "string", "enum": ["default", *service.voice.speakers]}
    custom = {"type": "object", "properties": {"id": name}, "required": ["id"], "additionalProperties": False}
    texts = {key: speech["voice"][key] for key in ("title", "description", "default")}
    speech["voice"] = {"anyOf": [name, custom], **texts}
    speech["sample_rate"]["anyOf"][0]["enum"] = _rates(service)
    form = parts["Body_transcriptions_v1_audio_transcriptions_post"]["properties"]
    form["model"]["enum"] = list(schemas.TRANSCRIPTION_MODELS)


@router.post(
    "/v1/audio/speech",
    response_class=Response,
    responses={
        200: {"content": {kind: {} for kind in (*MEDIA_TYPES.values(), "text/event-stream")}, "description": "speech"},
        **error_answers(400, 401, 404, 408, 413, 429, 503),
    },
)
async def speech(request: Request, body: schemas.SpeechRequest) -> Response:
    """Say a text; the answer begins before the text has been said."""
    said, encoder, headers = await _begun(_service(request), body, "speech")
    if body.stream_format == "sse":
        return StreamingResponse(_events(said, encoder), media_type="text/event-stream", headers=headers)
    return StreamingResponse(_bytes(said, encoder), media_type=MEDIA_TYPES[body.response_format], headers=headers)


@router.post(
    "/v1/audio/speech/timed",
    response_model=schemas.TimedSpeech,
    responses=error_answers(400, 401, 404, 408, 413, 429, 503),
)
async def timed_speech(request: Request, body: schemas.SpeechRequest) -> Response:
    """Say a text, and answer with the whole: the file in base64, and the words and units with their times.

    To have it while it is made, ask `/v1/audio/speech` for `stream_format: sse`, whose last event has the times.
    """
    said, encoder, headers = await _begun(_service(request), body, "timed")

    async def answer() -> AsyncIterator[bytes]:
        parts = [encoder.feed(chunk) async for chunk in said]
        whole = b"".join([*parts, encoder.finish()])
        timed = schemas.TimedSpeech(
            **timeline(said.audio).model_dump(),
            audio=base64.b64encode(whole).decode(),
            response_format=body.response_format,
        )
        yield timed.model_dump_json().encode()

    return StreamingResponse(answer(), media_type="application/json", headers=headers)


@router.post(
    "/v1/audio/transcriptions",
    response_model=schemas.VerboseTranscription | schemas.Transcription,
    responses={200: {"content": {"text/plain": {}}}, **error_answers(400, 401, 404, 408, 413, 429, 503)},
)
async def transcriptions(
    request: Request,
    file: UploadFile,
    model: Annotated[schemas.Name, Form()],
    response_format: Annotated[schemas.TranscriptionFormat, Form()] = "json",
    threshold: Annotated[float | SkipJsonSchema[None], Form(ge=0, le=1, allow_inf_nan=False)] = None,
    language: Annotated[str | None, Form(max_length=20, description="accepted and ignored")] = None,
    prompt: Annotated[str | None, Form(max_length=4096, description="accepted and ignored")] = None,
    temperature: Annotated[float, Form(ge=0, le=1, allow_inf_nan=False, description="accepted and ignored")] = 0,
) -> Response:
    """The digits in a recording; those of a confidence below the threshold (default: the recognizer's) are left out."""
    service = _service(request)
    _check_model(model, schemas.TRANSCRIPTION_MODELS)
    with _about("file"):
        found, seconds = await service.recognize(await file.read(), "transcription")
    least = service.recognizer.threshold if threshold is None else threshold
    words = [
        schemas.TranscribedWord(word=str(one.digit), start=one.start, end=one.end, score=round(one.confidence, 4))
        for one in found
    ]
    kept = [word for word in words if word.score >= least]
    text, scores = " ".join(word.word for word in kept), [word.score for word in kept]
    if response_format == "text":
        return PlainTextResponse(text + "\n")
    if response_format == "json":
        return JSONResponse(schemas.Transcription(text=text, scores=scores).model_dump())
    rejected = [word for word in words if word.score < least]
    verbose = schemas.VerboseTranscription(
        text=text, scores=scores, duration=round(seconds, 3), words=kept, rejected=rejected
    )
    return JSONResponse(verbose.model_dump())


@router.get("/v1/models", responses=error_answers(401))
async def models(request: Request) -> schemas.Models:
    """The names that requests may have as `model`."""
    names = [_service(request).voice.name, *schemas.SPEECH_MODELS, *schemas.TRANSCRIPTION_MODELS]
    return schemas.Models(data=[schemas.Model(id=name) for name in names])


@router.get("/v1/audio/voices", responses=error_answers(401))
async def voices(request: Request) -> schemas.Voices:
    """What the voice is and says, and what a request may ask of it."""
    service = _service(request)
    voice, settings = service.voice, service.settings
    config = voice.config
    return schemas.Voices(
        voices=[schemas.VoiceName(id=name, name=name) for name in ("default", *voice.speakers)],
        model=voice.name,
        speakers=voice.speakers,
        default_speaker=config.default_speaker,
        language=config.language,
        license=config.license,
        sample_rate=voice.sample_rate,
        vocabulary=list(voice.vocabulary),
        temperature=config.sampling.temperature,
        duration_spread=config.sampling.duration_spread,
        has_speed=config.model.duration == "explicit",
        units_per_word=config.model.units_per_word,
        read=list(get_args(ReadMode)),
        response_formats=list(get_args(ResponseFormat)),
        sample_rates=_rates(service),
        limits=schemas.Limits(
            audio_seconds=settings.max_audio_seconds,
            upload_bytes=settings.max_upload_bytes,
            upload_seconds=settings.max_upload_seconds,
        ),
        recognizer_threshold=service.recognizer.threshold,
    )


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """The schema as a page."""
    return HTMLResponse(reference_page(request.app.openapi()))


@router.get("/health")
async def health() -> dict[str, str]:
    """Whether the server runs."""
    return {"status": "ok", "version": __version__}


@router.get("/ready", responses=error_answers(503))
async def ready(request: Request) -> JSONResponse:
    """Whether the server takes texts."""
    if not _service(request).pool.ready:
        return error_answer(503, "the server is about to end, or has failed")
    return JSONResponse({"status": "ok"})


@router.get("/metrics", response_class=PlainTextResponse, responses=error_answers(401))
async def metrics(request: Request) -> Response:
    """Prometheus's format."""
    return Response(generate_latest(_service(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)


def timeline(audio: Audio) -> schemas.Timeline:
    """Where the pointer stood while an utterance was made."""
    units: list[list[schemas.Unit]] = [[] for _ in audio.words]
    begin = 0.0
    for segment in audio.segments:
        end = segment.end / audio.sample_rate
        units[segment.word].append(schemas.Unit(unit=segment.unit, start=begin, end=end))
        begin = end
    return schemas.Timeline(
        speaker=audio.speaker,
        seed=audio.seed,
        seconds=audio.seconds,
        sample_rate=audio.sample_rate,
        words=[
            schemas.Word(word=word, start=own[0].start, end=own[-1].end, units=own)
            for word, own in zip(audio.words, units, strict=True)
            if own
        ],
        stop_reason=audio.stop_reason,
        forced_advances=audio.forced_advances,
    )


async def _bytes(said: Speech, encoder: Encoder) -> AsyncIterator[bytes]:
    async for chunk in said:
        if data := encoder.feed(chunk):
            yield data
    yield encoder.finish()


async def _events(said: Speech, encoder: Encoder) -> AsyncIterator[bytes]:
    """OpenAI's server-sent events; the last one has the timeline as well."""

    def event(content: dict[str, Any]) -> bytes:
        return f"data: {json.dumps(content)}\n\n".encode()

    async for data in _bytes(said, encoder):
        if data:
            yield event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
    words = len(said.audio.words)
    usage = {"input_tokens": words, "output_tokens": 0, "total_tokens": words}
    yield event({"type": "speech.audio.done", "usage": usage, "timeline": timeline(said.audio).model_dump()})


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _begun(service: Service, body: schemas.SpeechRequest, kind: str) -> tuple[Speech, Encoder, dict[str, str]]:
    """A text that is being said, what encodes it, and the headers of the answer."""
    text = await asyncio.to_thread(_checked, service, body)
    rate = output_rate(body.response_format, body.sample_rate, service.voice.sample_rate)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Sample-Rate": str(rate)}
    said = service.begin(text, kind)
    return said, Encoder(body.response_format, service.voice.sample_rate, rate), headers


def _checked(service: Service, body: schemas.SpeechRequest) -> CheckedText:
    """Raises InputError for what cannot be said, HTTPException for an unknown model."""
    _check_model(body.model, (service.voice.name, *schemas.SPEECH_MODELS))
    options = SpeakOptions(body.temperature, body.duration_spread, read=body.read, speed=body.speed)
    speaker = None if body.voice == "default" else body.voice
    with _about("input", speaker="voice"):
        return service.voice.checked(body.input, speaker, body.seed, options)


@contextmanager
def _about(field: str, **fields: str) -> Iterator[None]:
    """An error in here gets the request's field in place of its argument: that of `fields`, else `field` for none."""
    try:
        yield
    except InputError as error:
        error.param = fields.get(error.param, error.param) if error.param else field
        raise


def _check_model(name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise HTTPException(404, f"there is no model {name[:80]!r}; there are {', '.join(known)}")


def _rates(service: Service) -> list[int]:
    return sorted({*RATES, service.voice.sample_rate})


def _input_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InputError)
    return error_answer(400, str(error), param=error.param)


def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")[:100]
    wrong = "is text; send a file, as curl -F file=@NAME does" if "UploadFile" in first["msg"] else first["msg"]
    return error_answer(400, f"{place or 'body'}: {wrong}", param=place or None)


def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = "model_not_found" if error.status_code == 404 and "model" in str(error.detail) else None
    return error_answer(error.status_code, str(error.detail), code=code, headers=dict(error.headers or {}) or None)
