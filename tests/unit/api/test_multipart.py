from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aether.gateway.api.multipart import FilePart

CONTENT = bytes(range(256)) + b"\r\n--bound\r\n--boundar\r\n" * 5
BODY = (
    b'--boundary\r\nContent-Disposition: form-data; name="note"\r\n\r\nbefore\r\n'
    b'--boundary\r\ncontent-disposition: form-data; name="file"; filename="a b.zip"\r\n'
    b"Content-Type: application/zip\r\n\r\n" + CONTENT + b"\r\n"
    b'--boundary\r\nContent-Disposition: form-data; name="G\xc2\x8c\xf2\x99"\r\n\r\nafter\r\n--boundary--\r\n'
)


@given(st.lists(st.integers(0, len(BODY)), max_size=12))
async def test_file_is_the_same_however_the_body_is_cut(cuts):
    edges = [0, *sorted(cuts), len(BODY)]

    async def body():
        for start, end in pairwise(edges):
            yield BODY[start:end]

    part = FilePart("multipart/form-data; boundary=boundary")
    assert b"".join([piece async for piece in part.content(body())]) == CONTENT
    assert part.filename == "a b.zip"
