"""A bucket at an S3 store, opened: its keys tried, and made if it isn't there."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import obstore
from obstore.store import S3Store

from aether.adapters.objects.code_store import BUCKET, ObjectCodeStore
from aether.adapters.objects.errors import NoBucket, error_code, translated
from aether.adapters.objects.remote import RemoteBucket
from aether.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig

CONNECT_WITHIN_S = 2
ANSWER_WITHIN_S = 5
"""To a read, and between any two bytes of an answer: how soon a dead store is told."""
WRITE_WITHIN_S = 30
"""To a copy, which the store may do before it answers, and to a part of an upload, from its first byte on:
over a network with less than PART_BYTES * PARTS_AT_ONCE in that time (0.7 MB/s), nothing large gets there.
"""
TRIES_S = 5
"""No try is begun that much later than the first."""
TRIES_AGAIN = 3
HOME_REGION = "us-east-1"
"""Where a bucket is made that names no other. Source: the S3 API, "CreateBucket"."""
ELSEWHERE = (
    '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>"
)
MADE_MEANWHILE = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


@dataclass(frozen=True, slots=True)
class S3Account:
    """Where code is kept, and who we are there. `endpoint` is a URL, without the bucket."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str = BUCKET
    region: str = HOME_REGION
    ca_pem: str | None = field(default=None, repr=False)
    """Authorities, in PEM, that are trusted beside well-known ones."""


async def open_code_store(account: S3Account) -> ObjectCodeStore:
    """Raises StoreUnavailable when nobody answers, Refused when the keys or the bucket can't be used."""
    store = _client(account, ANSWER_WITHIN_S)
    try:
        await _try(store)
    except NoBucket:
        await _make_bucket(account, store)
        await _try(store)
    return ObjectCodeStore(RemoteBucket(store, _client(account, WRITE_WITHIN_S)), account.bucket)


def _client(account: S3Account, answer_within_s: int) -> S3Store:
    client: ClientConfig = {
        "allow_http": account.endpoint.startswith("http://"),
        "connect_timeout": f"{CONNECT_WITHIN_S}s",
        "read_timeout": f"{answer_within_s}s",
        # Of a whole transfer; the limits above tell a dead store much sooner.
        "timeout": "1d",
    }
    if account.ca_pem is not None:
        client["root_certificate"] = account.ca_pem
    return S3Store(
        account.bucket,
        endpoint=account.endpoint,
        region=account.region,
        access_key_id=account.access_key,
        secret_access_key=account.secret_key,
        virtual_hosted_style_request=False,
        client_options=client,
        retry_config={"max_retries": TRIES_AGAIN, "retry_timeout": timedelta(seconds=TRIES_S)},
    )


async def _try(store: S3Store) -> None:
    """Listing is refused with a reason, unlike HEAD, whose answers have no body."""
    with translated():
        await obstore.list_with_delimiter_async(store, ".none")


async def _make_bucket(account: S3Account, store: S3Store) -> None:
    """obstore can't, but signs what does."""
    url = await obstore.sign_async(store, "PUT", "", timedelta(minutes=1))
    trusted = ssl.create_default_context()
    if account.ca_pem is not None:
        trusted.load_verify_locations(cadata=account.ca_pem)
    body = "" if account.region == HOME_REGION else ELSEWHERE.format(account.region)
    try:
        async with httpx.AsyncClient(verify=trusted, timeout=WRITE_WITHIN_S) as client:
            answer = await client.put(url, content=body)
    except httpx.HTTPError as error:
        raise StoreUnavailable(f"the code store does not answer: {error}") from error
    code = error_code(answer.text)
    if answer.is_error and code not in MADE_MEANWHILE:
        raise NoBucket(
            f"the code store has no bucket {account.bucket!r}, and makes none for us:"
            f" HTTP {answer.status_code} {code}".rstrip()
        )
