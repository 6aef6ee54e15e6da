"""Lines from a pipe, a file or a terminal, as they come."""

import os
import select
from collections import deque

from tts.core.errors import InputError

LONGEST = 1 << 20  # bytes; a thousand words with ample space between them
_PATIENCE = 0.01  # seconds for a writer that is busy writing to come up with the next line


class Lines:
    """Numbered lines of a file descriptor, from 1; blank ones are passed over, and no more is read than is needed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._whole: deque[bytes] = deque()
        self._begun = b""
        self._number = 0
        self._ended = False

    def next(self, wait: bool) -> tuple[int, str] | None:
        """The next line and its number; None at the end, and without `wait` also where none is there yet.

        What is not UTF-8 becomes surrogates, which no text may hold. Raises InputError for a line without end, and for
        what cannot be read.
        """
        while True:
            while self._whole:
                self._number += 1
                text = self._whole.popleft().decode("utf-8", errors="surrogateescape").rstrip("\r")
                if text.strip():
                    return self._number, text
            if self._ended:
                return None
            if len(self._begun) > LONGEST:
                raise InputError(f"line {self._number + 1} has more than {LONGEST} bytes; write one text a line")
            if not select.select([self._descriptor], [], [], None if wait else _PATIENCE)[0]:
                return None
            self._read()

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, 1 << 16)
        except OSError as error:  # a folder, a disk that fails
            raise InputError(f"cannot read standard input: {error.strerror}; write one text a line to it") from error
        if data:
            *whole, self._begun = (self._begun + data).split(b"\n")
            self._whole.extend(whole)
        else:
            self._ended = True
            self._whole.append(self._begun)
