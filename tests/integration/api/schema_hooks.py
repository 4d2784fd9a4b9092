"""What schemathesis can't know of the API: a body that is an archive, and when a valid call is a 400."""

import io
import zipfile

import schemathesis
from hypothesis import strategies

ARCHIVE = "POST /api/functions/{function_id}/code"
CHANGES = ("POST /api/functions", "PUT /api/functions/{function_id}")
LIST = "GET /api/functions"


def zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("handler.js", (2024, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


schemathesis.openapi.media_type(
    "application/octet-stream", strategies.text("ab", max_size=3).map(zipped) | strategies.binary(max_size=99)
)


@schemathesis.check
def refused_for_what_a_schema_cannot_say(ctx, response, case):
    """In place of positive_data_acceptance, where schemathesis.toml turns that off."""
    unsaid = case.operation.label in {ARCHIVE, *CHANGES, LIST}
    if unsaid and response.status_code == 400 and case.meta and case.meta.generation.mode.is_positive:
        error = response.json()["error"]
        label = case.operation.label
        if label == ARCHIVE:
            assert error["code"] == "archive_rejected", error
        elif label == LIST:
            assert error["fields"] == {"cursor": "names a function that is gone"}
        else:
            assert set(error["fields"]) <= {"min_instances", "target_concurrency"}, error
            assert all(wrong.startswith("must be at most") for wrong in error["fields"].values())
