"""FSDD at its pinned revision, fetched into the cache: resumable, checked, whole or not at all.

GitHub packs the archive anew now and then, so the archive's own checksum is not stable. What is checked is the
recordings: `fsdd_sha256.txt` has one line per digit and speaker, the hash that
`sha256sum 3_theo_{0..49}.wav | sha256sum` prints.
"""

import fcntl
import gzip
import hashlib
import http.client
import re
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from tqdm import tqdm

from tts.core.errors import InputError
from tts.core.files import is_folder
from tts.core.paths import cache_folder

FSDD_REVISION = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
FSDD_URL = f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{FSDD_REVISION}.tar.gz"
TAKES = 50
"""Of each digit and speaker."""
ATTEMPTS = 3
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 16
MAX_FILE_BYTES = 1 << 20
MEMBER = re.compile(r"(?:[^/]+/)?recordings/(\d_[a-z]+_\d{1,2}\.wav)")


def expected_hashes() -> dict[str, str]:
    """ "3_theo" to the sha256 of that group of takes, at the pinned revision."""
    lines = files("data_recipes").joinpath("fsdd_sha256.txt").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines if not line.startswith("#"))}


def group_hash(folder: Path, group: str) -> str:
    """What `sha256sum 3_theo_{0..49}.wav | sha256sum` prints in the folder, for the group "3_theo"."""
    whole = hashlib.sha256()
    for take in range(TAKES):
        name = f"{group}_{take}.wav"
        whole.update(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n".encode())
    return whole.hexdigest()


def differing_groups(folder: Path, speakers: Sequence[str] | None = None) -> list[str]:
    """The groups of takes, like "3_theo", that are not those of the pinned revision. All files must be there."""
    expected = expected_hashes()
    groups = [group for group in expected if speakers is None or group.partition("_")[2] in speakers]
    return [group for group in groups if group_hash(folder, group) != expected[group]]


def fetch_fsdd(cache: Path | None = None, url: str = FSDD_URL, progress: bool = True) -> Path:
    """The folder with the recordings of the pinned revision, downloaded unless the cache has it.

    A download that was interrupted is resumed, if the server can. What does not match the checksums is deleted.

    Raises: InputError if the address cannot be reached, the cache not written, or the content is not as expected.
    """
    cache = cache or cache_folder()
    if cache is None:
        raise InputError("there is no home folder to download into; set TWOTIER_TTS_CACHE or give --source")
    target = cache / f"fsdd-{FSDD_REVISION[:7]}"
    if is_folder(target):
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "fsdd.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if target.is_dir():  # another process fetched it while this one waited
                return target
            archive = target.with_suffix(".tar.gz.part")
            _download(url, archive, progress)
            _unpack(archive, target, url)
    except OSError as error:
        advice = "free the folder, set TWOTIER_TTS_CACHE to another, or name a copy with --source"
        raise InputError(f"{cache}: FSDD cannot be stored there ({error.strerror or error}); {advice}") from None
    return target


def _download(url: str, part: Path, progress: bool) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _download_remainder(url, part, progress)
            return
        except urllib.error.HTTPError as error:
            # 416: nothing lies beyond what is kept, which is of another archive, or whole and was never unpacked.
            if error.code == 416 and attempt < ATTEMPTS:
                part.unlink(missing_ok=True)
                continue
            answer = f"{error.code} {error.reason}"
            raise InputError(f"{url}: the server answers {answer}; name a copy of FSDD with --source") from None
        except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            if attempt < ATTEMPTS:
                continue
            reason = getattr(error, "reason", None) or str(error) or type(error).__name__
            kept = part.stat().st_size if part.exists() else 0
            resume = f"; {kept / 1e6:.1f} MB are kept, run again to resume" if kept else ""
            message = f"{url}: FSDD cannot be downloaded ({reason}){resume}; or name a copy with --source"
            raise InputError(message) from None


def _download_remainder(url: str, part: Path, progress: bool) -> None:
    """Append to `part` what is missing. Beside it lies the archive's tag, so that two archives are never mixed."""
    tag_file = part.with_suffix(".etag")
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "twotier-tts"}
    tag = tag_file.read_text() if have and tag_file.exists() else ""
    if tag:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        if response.status != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0
        tag_file.write_text(response.headers.get("ETag", ""))
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        size = {"total": total, "initial": have, "unit": "B", "unit_scale": True, "miniters": 1}
        with tqdm(desc="download fsdd", disable=not progress, **size) as bar, part.open("ab" if have else "wb") as file:
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                bar.update(len(chunk))
            written = file.tell()
    if total is not None and written < total:  # read() with a size says nothing about a connection that ended early
        raise ConnectionError(f"the connection ended after {written} of {total} bytes")


def _unpack(archive: Path, target: Path, url: str) -> None:
    """Recordings out of the archive, checked, then renamed into place. The archive is deleted, right or wrong."""
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        try:
            with tarfile.open(archive, "r:gz") as tar:
                for member in tar:
                    match = MEMBER.fullmatch(member.name)
                    if match and member.isfile() and member.size <= MAX_FILE_BYTES:
                        content = tar.extractfile(member)
                        assert content is not None
                        (folder / match[1]).write_bytes(content.read())
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            message = f"{url}: what came is not a whole archive ({error}); nothing was kept, try again"
            raise InputError(message) from None
        names = [f"{group}_{take}.wav" for group in expected_hashes() for take in range(TAKES)]
        missing = [name for name in names if not (folder / name).exists()]
        wrong = [] if missing else differing_groups(folder)
        if missing or wrong:
            detail = f"{len(missing)} files are missing" if missing else f"{wrong[0]} and {len(wrong) - 1} more groups"
            raise InputError(
                f"{url}: the content does not match the checksums of revision {FSDD_REVISION[:7]} ({detail}); "
                "nothing was kept; name a copy you trust with --source"
            )
        folder.chmod(0o755)
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        archive.unlink(missing_ok=True)
        archive.with_suffix(".etag").unlink(missing_ok=True)
