"""The S3 API (moto, SeaweedFS, MinIO): objects by their s3:// address."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from lifecycle.domain.endpoints import ObjectStoreEndpoint
from lifecycle.domain.errors import InvalidInput, ServiceError


def parse_uri(uri: str) -> tuple[str, str]:
    """(bucket, key) of an s3:// address; the key may be empty. Raises InvalidInput."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise InvalidInput(f"{uri!r} is no address in the object store", fix="write it as s3://bucket/key")
    return bucket, key


class ObjectStore:
    """One client, usable from any thread; boto3 is imported with the first request.

    Every method raises ServiceError when the store does not answer or refuses, and names bucket and key.
    """

    def __init__(self, endpoint: ObjectStoreEndpoint) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def _client(self) -> Any:
        with self._lock:  # making a client is not thread safe in boto3, using one is
            if self._made is None:
                import boto3
                from botocore.config import Config

                self._made = boto3.session.Session().client(
                    "s3",
                    endpoint_url=self._endpoint.url,
                    aws_access_key_id=self._endpoint.access_key.reveal(),
                    aws_secret_access_key=self._endpoint.secret_key.reveal(),
                    region_name=self._endpoint.region,
                    config=Config(
                        signature_version="s3v4",
                        s3={"addressing_style": "path"},
                        connect_timeout=5,
                        read_timeout=60,
                        retries={"max_attempts": 3, "mode": "standard"},
                        max_pool_connections=16,
                    ),
                )
            return self._made

    def _call(self, operation: str, uri: str, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client, operation)(**arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise ServiceError(
                f"the object store refused {operation} of {uri}: {code} {error.response.get('Error', {}).get('Message', '')}".strip(),
                fix="check that the bucket and the key are there and the credentials may use them",
            ) from error
        except BotoCoreError as error:
            raise ServiceError(
                f"the object store at {self._endpoint.url} did not answer {operation} of {uri}: {error}",
                fix="look at the object store's log in the run folder",
            ) from error

    def create_bucket(self, bucket: str) -> None:
        """Idempotent."""
        from botocore.exceptions import ClientError

        try:
            self._client.create_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                raise ServiceError(f"the bucket {bucket} cannot be made: {error}") from error

    def put(self, uri: str, content: bytes) -> None:
        bucket, key = parse_uri(uri)
        self._call("put_object", uri, Bucket=bucket, Key=key, Body=content)

    def get(self, uri: str) -> bytes:
        bucket, key = parse_uri(uri)
        content: bytes = self._call("get_object", uri, Bucket=bucket, Key=key)["Body"].read()
        return content

    def exists(self, uri: str) -> bool:
        from botocore.exceptions import ClientError

        bucket, key = parse_uri(uri)
        try:
            self._client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}:
                return False
            raise ServiceError(f"the object store refused to look at {uri}: {error}") from error
        return True

    def list(self, prefix: str) -> list[str]:
        """Addresses of all objects that begin with the address, in the order of their keys."""
        bucket, key = parse_uri(prefix)
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", prefix, Bucket=bucket, Prefix=key, **token)
            found += [f"s3://{bucket}/{entry['Key']}" for entry in page.get("Contents", [])]
            if not page.get("IsTruncated"):
                return found
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def upload(self, path: Path, uri: str) -> None:
        """A file, in parts when it is large; memory stays bounded."""
        bucket, key = parse_uri(uri)
        self._call("upload_file", uri, Filename=str(path), Bucket=bucket, Key=key)

    def download(self, uri: str, path: Path) -> None:
        bucket, key = parse_uri(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._call("download_file", uri, Bucket=bucket, Key=key, Filename=str(path))

    def delete(self, uri: str) -> None:
        """Idempotent."""
        bucket, key = parse_uri(uri)
        self._call("delete_object", uri, Bucket=bucket, Key=key)
