"""The stores' errors told as ours."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from aether.domain.errors import AetherError, DiskFull, StoreUnavailable

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
NO_ROOM_TEXTS = tuple(f"(os error {number})" for number in NO_ROOM)
"""How obstore words it."""
NO_ROOM_CODES = (
    "XMinioStorageFull",
    "XMinioAdminBucketQuotaExceeded",
    "QuotaExceeded",
    "InsufficientStorage",
)
"""Codes of MinIO's, Ceph's and versitygw's; HTTP 507 says the same."""

REFUSALS = {
    "NoSuchBucket": ("has no such bucket", "bucket"),
    "InvalidBucketName": ("takes no bucket of that name", "bucket"),
    "InvalidAccessKeyId": ("does not know the access key", "access_key"),
    "XAdminUserNotFound": ("does not know the access key", "access_key"),
    "SignatureDoesNotMatch": ("finds that the secret key is not the access key's", "secret_key"),
    "AccessDenied": ("does not let the access key do this", "access_key"),
    "RequestTimeTooSkewed": ("has another time than this host: set both clocks", ""),
    "AuthorizationHeaderMalformed": ("is in another region", "region"),
    "IllegalLocationConstraintException": ("is in another region", "region"),
    "PermanentRedirect": ("has the bucket in another region", "region"),
}
"""What no second try will mend: what to say, and what it is about.

Source: the S3 API, "Error responses"; the code with Admin in it is versitygw's.
"""

HINTS = {
    "": None,
    "bucket": "make it, or name another: AETHER_S3_BUCKET",
    "access_key": "check MINIO_ACCESS_KEY, and what it may do in the bucket: list, read, write and delete",
    "secret_key": "check MINIO_SECRET_KEY",
    "region": "check AETHER_S3_REGION and MINIO_ENDPOINT",
    "ca_pem": "name who signs it by AETHER_S3_CA; the host in MINIO_ENDPOINT must be in it",
}

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_SYSTEM = re.compile(r'message: "([^"]+)"')
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w+)")


class Refused(StoreUnavailable):
    """It answered, and will not do it, now or later: the keys, the bucket or their rights are wrong."""

    def __init__(self, message: str, about: str) -> None:
        """`about`: the field of `S3Account` to look at; '' for none."""
        super().__init__(message, hint=HINTS[about])
        self.about = about


class NoBucket(Refused):
    """There is none of that name."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "bucket")


@contextmanager
def translated() -> Iterator[None]:
    """Raises DiskFull, StoreUnavailable, Refused, and KeyError for an object that isn't there."""
    try:
        yield
    except (FileNotFoundError, BaseError) as error:
        told = _told(error)
        if told is None:
            raise KeyError(str(error).partition("\n")[0]) from error
        raise told from error
    except OSError as error:
        raise_if_full(error, "the code store is full")
        raise StoreUnavailable(f"the code store can't be used: {error}") from error


def raise_if_full(error: OSError, message: str) -> None:
    if error.errno in NO_ROOM:
        raise DiskFull(message, hint="free some space there") from error


def _told(error: Exception) -> AetherError | None:
    """None for an object that is not there."""
    text = str(error)
    status, code = _first(_STATUS, text), error_code(text)
    if status == "507" or code in NO_ROOM_CODES or any(part in text for part in NO_ROOM_TEXTS):
        return DiskFull("the code store is full", hint="free some space there")
    if code in REFUSALS:
        what, about = REFUSALS[code]
        told = f"the code store {what}"
        return NoBucket(told) if code == "NoSuchBucket" else Refused(told, about)
    if isinstance(error, FileNotFoundError) and code in ("", "NoSuchKey"):
        return None
    answered = f"HTTP {status} {code}".rstrip()
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return Refused(f"the code store refuses what we ask: {answered}", "access_key")
    if status:
        return StoreUnavailable(f"the code store failed: {answered}", hint="see its log; is its disk full?")
    return _unanswered(text)


def _unanswered(text: str) -> StoreUnavailable:
    if certificate := _first(_CERTIFICATE, text):
        return Refused(f"the code store's certificate is not trusted: {certificate}", "ca_pem")
    reason = _first(_SYSTEM, text)
    if reason:
        reason = reason[0].lower() + reason[1:]
    elif "kind: Timeout" in text or "TimedOut" in text:
        reason = "no answer in time"
    else:
        reason = text.partition("\n")[0].rpartition(" - ")[2]
    return StoreUnavailable(f"the code store does not answer: {reason}")


def error_code(text: str) -> str:
    """Of an answer of S3's; '' if there is none in it."""
    return _first(_CODE, text)


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""
