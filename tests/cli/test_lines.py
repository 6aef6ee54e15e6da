"""Lines as they come: nothing is read before it is needed, nothing waits for what is not there."""

import os
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.cli.lines import LONGEST, Lines
from tts.core.errors import InputError


@pytest.fixture
def pipe():
    read, write = os.pipe()
    file = os.fdopen(write, "wb", buffering=0)
    yield Lines(read), file
    file.close()
    os.close(read)


def test_lines_that_are_there(pipe):
    lines, writer = pipe
    writer.write(b"4 7\r\n\n \nfour\n1")
    assert lines.next(wait=True) == (1, "4 7")
    assert lines.next(wait=False) == (4, "four")
    assert lines.next(wait=False) is None  # "1" may go on
    writer.write(b"2")
    writer.close()
    assert lines.next(wait=False) == (5, "12")
    assert lines.next(wait=True) is None
    assert lines.next(wait=False) is None


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"4", b"7 2", b"\xc3", b"\xa9", b"\r", b" ", b"\n"]) | st.binary(max_size=9)))
def test_any_bytes_in_any_pieces_are_the_lines_of_the_whole(pieces):
    """Blank lines are counted and left out, wherever a piece ends, within a character as well."""
    read, write = os.pipe()
    lines, found = Lines(read), []
    for piece in pieces:
        os.write(write, piece)
        while line := lines.next(wait=False) if b"\n" in piece else None:
            found.append(line)
    os.close(write)
    while line := lines.next(wait=True):
        found.append(line)
    os.close(read)
    whole = b"".join(pieces).decode("utf-8", errors="surrogateescape").split("\n")
    assert found == [(n, text.rstrip("\r")) for n, text in enumerate(whole, 1) if text.strip()]


def test_waiting(pipe):
    lines, writer = pipe
    assert lines.next(wait=False) is None
    thread = threading.Thread(target=lambda: (time.sleep(0.05), writer.write(b"4\n")))
    thread.start()
    assert lines.next(wait=True) == (1, "4")
    thread.join()


def test_what_is_no_text(pipe):
    lines, writer = pipe
    writer.write(b"\xff4\n\xef\xbb\xbf4\n")
    assert lines.next(wait=True) == (1, "\udcff4")
    assert lines.next(wait=True) == (2, "\ufeff4")


def test_a_line_without_end(tmp_path):
    (tmp_path / "long").write_bytes(b"4\n" + b"7" * (LONGEST * 3))
    with (tmp_path / "long").open("rb") as file:
        lines = Lines(file.fileno())
        assert lines.next(wait=True) == (1, "4")
        with pytest.raises(InputError, match=f"line 2 has more than {LONGEST} bytes"):
            lines.next(wait=False)
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) < 2 * LONGEST


def test_a_folder(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(InputError, match="cannot read standard input: Is a directory"):
        Lines(descriptor).next(wait=True)
    os.close(descriptor)


def test_no_more_is_read_than_is_needed(tmp_path):
    (tmp_path / "many").write_bytes(b"4 7 2\n" * 300_000)
    with (tmp_path / "many").open("rb") as file:
        lines = Lines(file.fileno())
        for number in range(1, 1001):
            assert lines.next(wait=False) == (number, "4 7 2")
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) < 100_000
