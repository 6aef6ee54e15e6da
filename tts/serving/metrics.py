"""What `/metrics` shows."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from tts.serving.pool import Pool

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)


class Metrics:
    """The metrics of one server."""

    def __init__(self, pool: Pool) -> None:
        self.registry = registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self.requests = Counter(
            "tts_requests", "requests, by protocol and outcome", ["kind", "outcome"], registry=registry
        )
        self.first_chunk = Histogram(
            "tts_first_chunk_seconds", "from a request to its first chunk of audio", buckets=_SECONDS, registry=registry
        )
        self.speech = Histogram(
            "tts_speech_request_seconds", "from a request to the end of its audio", buckets=_SECONDS, registry=registry
        )
        self.audio = Counter("tts_audio_seconds", "seconds of speech made", registry=registry)
        self.recognized = Counter("tts_recognized_seconds", "seconds of recordings recognized", registry=registry)
        active = Gauge("tts_texts_active", "texts that are being said", registry=registry)
        active.set_function(lambda: pool.active)
        waiting = Gauge("tts_texts_waiting", "texts that wait for a place", registry=registry)
        waiting.set_function(lambda: pool.waiting)
