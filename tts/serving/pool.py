"""Many texts spoken at a time by a few threads: the queue and the places of a server.

A text waits in a bounded queue until a thread has a place for it, joins what the thread is making (continuous
batching), and leaves when it ends or nobody wants it any more. What it says does not depend on what is beside it.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator

import numpy as np

from tts.core.machine import cores
from tts.voice import Audio, Batch, CheckedText, Voice

FIRST_SECONDS, LATER_SECONDS = 0.02, 0.06
"""About how much of each text a thread makes in a step: little while nothing of one of them has been sent yet."""
RETRY_SECONDS = 1
"""When to try again where the queue is full."""


class Busy(Exception):
    """The queue is full, or the server is about to end."""


class Job:
    """A text to be said, for `Pool.submit`. Iterate over it for its chunks, (n,) float32; then `audio` is the whole."""

    audio: Audio

    def __init__(self, text: CheckedText) -> None:
        """To be made in the event loop that iterates."""
        self.text = text
        self.begun = self.cancelled = False
        self._loop = asyncio.get_running_loop()
        self._made: asyncio.Queue[np.ndarray | Exception | None] = asyncio.Queue()

    def cancel(self) -> None:
        """Stop making it. From any thread; after the end it changes nothing."""
        self.cancelled = True

    def put(self, item: np.ndarray | Exception | None) -> None:
        """Give a chunk, or what ended it (None: the end of the text), to who iterates. From any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._made.put_nowait, item)

    async def __aiter__(self) -> AsyncIterator[np.ndarray]:
        try:
            while (item := await self._made.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
                await asyncio.sleep(0)  # or, with many chunks there, the loop would not see that the client has left
        finally:
            self.cancel()


class Pool:
    """Threads that speak with one voice. `submit` belongs to an event loop; `close` to any thread."""

    def __init__(self, voice: Voice, threads: int = 0, streams: int = 16, queue: int = 64) -> None:
        """Start them: `threads` (0: one for each core) with `streams` places each, and a queue of `queue` texts."""
        self.voice = voice
        self._capacity = queue
        self._waiting: deque[Job] = deque()
        self._change = threading.Condition()
        self._closed = False
        batches = [voice.batch(streams) for _ in range(threads or len(cores()))]
        self._places = streams * len(batches)
        self._loads = [0] * len(batches)
        self._threads = [
            threading.Thread(target=self._run, args=(number, batch), name=f"speech-{number}", daemon=True)
            for number, batch in enumerate(batches)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def active(self) -> int:
        """How many texts are being made."""
        return sum(self._loads)

    @property
    def waiting(self) -> int:
        """How many texts wait for a place."""
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether it takes texts."""
        return not self._closed and all(thread.is_alive() for thread in self._threads)

    def submit(self, job: Job) -> None:
        """Have a text said. Raises Busy where no place is free and the queue is full."""
        with self._change:
            waiting = sum(not other.cancelled for other in self._waiting)
            if self._closed or self.active + waiting >= self._places + self._capacity:
                raise Busy
            self._waiting.append(job)
            self._change.notify_all()

    def close(self) -> None:
        """Take no more texts, finish those that were taken, and end the threads."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int, batch: Batch) -> None:
        jobs: dict[int, Job] = {}
        while self._take(number, batch, jobs):
            try:
                fresh = any(not job.begun for job in jobs.values())
                for place, samples, audio in batch.run(FIRST_SECONDS if fresh else LATER_SECONDS):
                    job = jobs[place]
                    job.begun = True
                    job.put(samples)
                    if audio:
                        job.audio = audio
                        job.put(None)
                        del jobs[place]
            except Exception as error:  # a bug: those at hand fail, and the thread goes on with new places
                for job in jobs.values():
                    job.put(error)
                jobs.clear()
                batch = self.voice.batch(batch.free + batch.busy)

    def _take(self, number: int, batch: Batch, jobs: dict[int, Job]) -> bool:
        """Drop what nobody wants, begin what waits; sleeps where there is nothing to do. False: that was all."""
        for place in [place for place, job in jobs.items() if job.cancelled]:
            batch.leave(place)
            del jobs[place]
        with self._change:
            while True:
                self._loads[number] = len(jobs)
                while self._waiting and batch.free and self._loads[number] <= min(self._loads):
                    job = self._waiting.popleft()
                    if not job.cancelled:
                        jobs[batch.begin(job.text)] = job
                        self._loads[number] = len(jobs)
                if jobs:
                    return True
                if self._closed and not self._waiting:
                    return False
                self._change.wait()
