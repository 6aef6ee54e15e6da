"""The sizes in a WAV file's header: whether the file was cut short, or written by a program that could not know them.

libsndfile reads a WAV file that was cut short without an error, and takes some placeholder sizes at their word. So the
header is checked here first. A program that streams (writes into a pipe) puts a placeholder where a size is due.

The rule, by the size that the `data` chunk states (RF64: the `ds64` chunk):

- It is a *placeholder* if it is 0 and audio follows, within 64 KiB of 10^9 or 2 x 10^9, or at least 0x7FFF0000. Then
  the RIFF chunk's size decides by the same test. If that is a placeholder too, or no more than is there, the audio goes
  to the end of the file; if it is another size and more than is there, the file is cut short.
- It is any other size: as many bytes are audio, and what follows is left alone (`LIST`, padding). The file is cut short
  if it holds fewer. The RIFF chunk's size is then of no interest.
"""

from collections.abc import Iterator
from typing import NamedTuple

PLACEHOLDERS = (1_000_000_000, 2_000_000_000)
PLACEHOLDER_SLACK = 1 << 16  # what writers add or take off for the header
LARGEST = 0x7FFF0000  # from here on: 0x7FFFF000 (SoX), 0x7FFFFFFF, 0xFFFFFFFF (FFmpeg)
UNKNOWN_32 = 0xFFFFFFFF


class CutShort(Exception):
    """The file ends before its audio does; the message says what is missing."""


class _Chunk(NamedTuple):
    name: bytes
    size: int
    start: int  # of its content


def whole(data: bytes) -> bytes:
    """The bytes of an audio file with true sizes in the header, if it is WAV; others are returned as they are.

    Raises: CutShort.
    """
    if data[:4] not in (b"RIFF", b"RF64") or (len(data) >= 12 and data[8:12] != b"WAVE"):
        return data
    chunks: dict[bytes, _Chunk] = {}
    for chunk in _chunks(data, 12):
        chunks[chunk.name] = chunk
        if chunk.name == b"data":
            break
    if b"data" not in chunks:
        raise CutShort("the header ends before any audio")
    audio = chunks[b"data"]
    stated, riff_size = audio.size, int.from_bytes(data[4:8], "little")
    if data[:4] == b"RF64" and b"ds64" in chunks:
        start = chunks[b"ds64"].start
        if stated == UNKNOWN_32:
            stated = int.from_bytes(data[start + 8 : start + 16], "little")
        if riff_size == UNKNOWN_32:
            riff_size = int.from_bytes(data[start : start + 8], "little")
    there = len(data) - audio.start
    if stated == 0 and _only_chunks(data, audio.start):
        return data  # no audio, and it says so
    if not _is_placeholder(stated):
        if stated > there:
            raise CutShort(f"the header announces {stated} bytes of audio, and {there} are there")
        return data
    if not _is_placeholder(riff_size) and riff_size + 8 > len(data) + 1:  # the last padding byte is often left out
        raise CutShort(f"the header announces {riff_size + 8} bytes, and {len(data)} are there")
    return _with_sizes(data, audio, chunks.get(b"ds64"))


def _is_placeholder(size: int) -> bool:
    return size == 0 or size >= LARGEST or any(abs(size - known) <= PLACEHOLDER_SLACK for known in PLACEHOLDERS)


def _chunks(data: bytes, position: int) -> Iterator[_Chunk]:
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        yield _Chunk(bytes(data[position : position + 4]), size, position + 8)
        position += 8 + size + size % 2


def _only_chunks(data: bytes, position: int) -> bool:
    """Whether nothing but whole chunks, or nothing at all, lies from `position` to the end."""
    for chunk in _chunks(data, position):
        if not (chunk.name.isascii() and chunk.name.decode("ascii").isprintable()):
            return False
        position = chunk.start + chunk.size
    return abs(len(data) - position) <= 1


def _with_sizes(data: bytes, audio: _Chunk, ds64: _Chunk | None) -> bytes:
    """A copy that is plain RIFF, with the sizes that the file has."""
    copy = bytearray(data)
    copy[:8] = b"RIFF" + (len(data) - 8).to_bytes(4, "little")
    copy[audio.start - 4 : audio.start] = (len(data) - audio.start).to_bytes(4, "little")
    if ds64:
        copy[ds64.start - 8 : ds64.start - 4] = b"JUNK"
    return bytes(copy)
