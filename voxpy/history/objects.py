"""An S3-compatible store of what calls leave (extra ``fleet``). Blocks: not for the event loop.

A session's files lie under ``<prefix>/sessions/<its id>/``, whichever host had the call. What is
sent is read five megabytes at a time, each signed and summed, so an hour of sound needs no more
memory than a minute; it counts as stored when the store says how long it is and that is what we
have.
"""

from __future__ import annotations

import mimetypes
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from voxpy.errors import EngineMissing, RequestFailed, install_command
from voxpy.project.keeping import KeepingSettings, Known, S3Settings, s3_key

if TYPE_CHECKING:
    from minio import Minio

PART_BYTES = 5 * 2**20
"""The least that the protocol allows."""
CONNECT_S = 5.0
READ_S = 30.0
AT_ONCE = 4
TYPES = {".flac": "audio/flac", ".jsonl": "application/x-ndjson", ".log": "text/plain"}
NOT_THERE = ("NoSuchKey", "NoSuchObject")


class ObjectStore:
    """One bucket. May be used in several threads at once.

    Every method raises RequestFailed, with the store's own ``code`` if it gave one, when the store
    cannot be reached or refuses; and OSError for a file of ours.
    """

    def __init__(self, settings: S3Settings, access_key: str, secret_key: str) -> None:
        """Raises EngineMissing without minio."""
        try:
            import urllib3
            from minio import Minio
            from minio.error import MinioException, S3Error
        except ImportError as error:
            missing = f"recordings in an S3 store need minio: {install_command('fleet')}"
            raise EngineMissing(missing) from error
        self._settings = settings
        self._s3_error = S3Error
        self._failures = (MinioException, urllib3.exceptions.HTTPError)
        where = urlsplit(settings.endpoint)
        self._client: Minio = Minio(
            endpoint=where.netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=where.scheme == "https",
            region=settings.region,
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
                retries=False,  # ours wait longer, and outlive the process
                maxsize=AT_ONCE,
            ),
        )

    def url(self, session_id: str, name: str) -> str:
        """Return where a file of a session is or will be; reading it needs the store's keys."""
        settings = self._settings
        return f"{settings.endpoint}/{settings.bucket}/{quote(self._key(session_id, name))}"

    def put(self, session_id: str, name: str, path: Path) -> int:
        """Store a file; return its size, which the store has confirmed."""
        key, size_bytes = self._key(session_id, name), path.stat().st_size
        with self._named():
            self._client.fput_object(
                bucket_name=self._settings.bucket,
                object_name=key,
                file_path=str(path),
                content_type=_type_of(name),
                part_size=PART_BYTES,
                num_parallel_uploads=1,
            )
            found = self._client.stat_object(bucket_name=self._settings.bucket, object_name=key)
        if found.size != size_bytes:
            told = f"{name} has {size_bytes} bytes, and the store has {found.size} of it"
            raise RequestFailed(told)
        return size_bytes

    def get(self, session_id: str, name: str, path: Path) -> bool:
        """Bring a file back, whole or not at all; return whether the store has it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        coming = path.with_name(f".{name}.{secrets.token_hex(4)}")
        try:
            with self._named():
                self._client.fget_object(
                    bucket_name=self._settings.bucket,
                    object_name=self._key(session_id, name),
                    file_path=str(path),
                    tmp_file_path=str(coming),
                )
        except RequestFailed as error:
            if error.code in NOT_THERE:
                return False
            raise
        finally:
            coming.unlink(missing_ok=True)
        return True

    def remove(self, session_id: str) -> None:
        """Delete all that is stored of a session."""
        bucket = self._settings.bucket
        with self._named():
            found = self._client.list_objects(
                bucket_name=bucket, prefix=self._key(session_id, ""), recursive=True
            )
            for each in found:
                self._client.remove_object(bucket_name=bucket, object_name=str(each.object_name))

    def _key(self, session_id: str, name: str) -> str:
        return "/".join(filter(None, (self._settings.prefix, "sessions", session_id))) + f"/{name}"

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            code = getattr(error, "code", None)
            told = f"{code}: {error.message}" if isinstance(error, self._s3_error) else f"{error}"
            where = f"{self._settings.endpoint}, bucket {self._settings.bucket}"
            raise RequestFailed(f"{where}: {' '.join(told.split())}", code=code) from error


def objects_of(keeping: KeepingSettings, secrets: Known) -> ObjectStore | None:
    """Return the store that routing.yaml names, if it names one.

    Raises ConfigError without its secrets, EngineMissing without minio.
    """
    s3 = keeping.recordings.s3
    if s3 is None:
        return None
    keys = [s3_key(keeping, name, secrets) for name in (s3.access_key, s3.secret_key)]
    return ObjectStore(s3, *keys)


def _type_of(name: str) -> str:
    suffix = Path(name).suffix
    found: Any = TYPES.get(suffix) or mimetypes.guess_type(name)[0]
    return found or "application/octet-stream"
