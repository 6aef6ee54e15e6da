"""The downloader against a server on this machine: resumed, checked, nothing wrong left behind."""

import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.miniature_fsdd import write_corpus

from data_recipes import download
from data_recipes.download import differing_groups, expected_hashes, fetch_fsdd, group_hash
from tts.core.errors import InputError


class Server(http.server.ThreadingHTTPServer):
    """Serves `body` at any path; `cut` answers close the connection early, `ranges` says whether Range is respected."""

    body = b""
    cut = 0
    ranges = True
    tag = '"one"'

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/fsdd.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        start = 0
        if wanted and self.server.ranges and self.headers.get("If-Range") == self.server.tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(self.server.body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(self.server.body) - 1}/{len(self.server.body)}")
        else:
            self.send_response(200)
        rest = self.server.body[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("ETag", self.server.tag)
        self.end_headers()
        if self.server.cut:
            self.server.cut -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("fsdd") / "recordings")


def pack(folder: Path, leave_out: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path in sorted(folder.iterdir()):
            if path.name != leave_out:
                tar.add(path, f"free-spoken-digit-dataset-26eb9aa/recordings/{path.name}")
        tar.add(folder / "0_theo_0.wav", "free-spoken-digit-dataset-26eb9aa/../../escaped.wav")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def hashes_of_the_miniature(recordings: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "fsdd_dir" not in request.fixturenames:
        hashes = {f"{digit}_theo": group_hash(recordings, f"{digit}_theo") for digit in range(10)}
        monkeypatch.setattr(download, "expected_hashes", lambda: hashes)


@pytest.fixture
def server(recordings: Path) -> Iterator[Server]:
    with Server() as running:
        running.body = pack(recordings)
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_fetches_once(server: Server, recordings: Path, tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "cache"
    folder = fetch_fsdd(cache, server.url, progress=False)
    assert fetch_fsdd(cache, server.url, progress=False) == folder
    assert len(server.asked) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in recordings.iterdir()
    }
    assert sorted(path.name for path in cache.iterdir()) == ["fsdd-26eb9aa", "fsdd.lock"]
    assert not list(tmp_path.rglob("escaped.wav"))


def test_a_cut_connection_is_taken_up_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.cut = 2
    assert fetch_fsdd(tmp_path, server.url, progress=False).is_dir()
    half = len(server.body) // 2
    assert server.asked == [None, f"bytes={half}-", f"bytes={half + (len(server.body) - half) // 2}-"]


def test_a_later_call_goes_on(server: Server, tmp_path: Path) -> None:
    server.cut = 3
    with pytest.raises(InputError, match=r"MB are kept, run again to resume; or name a copy with --source"):
        fetch_fsdd(tmp_path, server.url, progress=False)
    assert fetch_fsdd(tmp_path, server.url, progress=False).is_dir()
    assert len(server.asked) == 4 and server.asked[3] is not None


@pytest.mark.parametrize("change", ["no ranges", "another archive", "all there"])
def test_begins_again_where_it_cannot_go_on(server: Server, tmp_path: Path, change: str) -> None:
    part, tag = tmp_path / "fsdd-26eb9aa.tar.gz.part", tmp_path / "fsdd-26eb9aa.tar.gz.etag"
    part.write_bytes(b"x" * (len(server.body) if change == "all there" else 1000))
    tag.write_text('"other"' if change == "another archive" else server.tag)
    server.ranges = change != "no ranges"
    assert fetch_fsdd(tmp_path, server.url, progress=False).is_dir()


@pytest.mark.parametrize("spoilt", ["other content", "missing take", "no archive", "cut archive"])
def test_what_does_not_match_leaves_nothing(server: Server, recordings: Path, tmp_path: Path, spoilt: str) -> None:
    if spoilt == "other content":
        copy = tmp_path / "copy"
        copy.mkdir()
        for path in recordings.iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        (copy / "3_theo_4.wav").write_bytes(b"RIFF")
        server.body = pack(copy)
    elif spoilt == "missing take":
        server.body = pack(recordings, leave_out="9_theo_49.wav")
    elif spoilt == "no archive":
        server.body = b"<html>sorry</html>"
    else:
        server.body = server.body[: len(server.body) // 2]
    cache = tmp_path / "cache"
    with pytest.raises(InputError, match="nothing was kept") as caught:
        fetch_fsdd(cache, server.url, progress=False)
    assert "\n" not in str(caught.value)
    assert [path.name for path in cache.iterdir()] == ["fsdd.lock"]


def test_unreachable_is_one_line(tmp_path: Path) -> None:
    with Server() as server:
        url = server.url  # closed again: nobody answers there
    with pytest.raises(InputError, match=r"cannot be downloaded .*--source") as caught:
        fetch_fsdd(tmp_path / "cache", url, progress=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache" / "fsdd-26eb9aa").exists()


def test_not_found_is_one_line(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.send_error(404))
    with pytest.raises(InputError, match="answers 404 Not Found"):
        fetch_fsdd(tmp_path, server.url, progress=False)


def test_cache_that_cannot_be_written_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="TWOTIER_TTS_CACHE"):
        fetch_fsdd(tmp_path / "file", server.url, progress=False)


def test_real_corpus_has_the_checksums_kept_here(fsdd_dir: Path) -> None:
    hashes = expected_hashes()
    assert len(hashes) == 60 and differing_groups(fsdd_dir, [name.partition("_")[2] for name in hashes]) == []
