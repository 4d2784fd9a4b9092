import pytest

from aether.domain.errors import BadRequest
from aether.gateway.prefix import check_path, check_reference

LEAVING = [
    b"/..",
    b"/../b",
    b"/%2e%2e/b",
    b"/%2E./b",
    b"/.%2e",
    b"/..%2fb",
    b"/%2e%2e%2fb",
    b"/..%5cb",
    b"/..\\b",
    b"/\\../b",
    b"/x/../../b",
    b"/x/%2e%2e/%2e%2e/b",
    b"/x/..\\..\\b",
    b"/x/./../../b",
    b"//../b",
    b"/x//../../b",
    b"/x%2fy/../../b",  # a name of its own to some, two to others
    b"/x\\y/../../b",
    b"/..;a=b/b",
    b"/%2e%2e;/b",
    b"/x/../../x/y",
]

STAYING = [
    b"",
    b"/",
    b"/a/b",
    b"/a%2fb",
    b"/a%2Fb%5cc",
    b"/a\\b",
    b"/a/../b",
    b"/a/b/../../c",
    b"/a/b/%2e%2e/c",
    b"/.",
    b"/./a",
    b"/...",
    b"/..a",
    b"/a..",
    b"/a..b/c",
    b"/.well-known/x",
    b"/%252e%252e/b",  # `%2e%2e` to the function, if it decodes twice: its own doing
    b"/a/%2e/b",
    b"/%00",
]


@pytest.mark.parametrize("path", LEAVING)
def test_a_path_that_would_leave_its_prefix_is_refused(path):
    with pytest.raises(BadRequest):
        check_path(path)


@pytest.mark.parametrize("path", STAYING)
def test_a_path_within_its_prefix_passes(path):
    check_path(path)


@pytest.mark.parametrize(
    "reference", [b".", b"..", b"%2e%2e", b"%2e", b"a%2fb", b"a%5c..", b"..%2f..", b"a\\b", b"%2f"]
)
def test_a_piece_of_a_path_is_no_functions_name(reference):
    with pytest.raises(BadRequest):
        check_reference(reference)


@pytest.mark.parametrize("reference", [b"hello", b"a.b", b"fn-1", b"%20", b"...", b"%zz"])
def test_what_may_be_a_name_is_looked_up(reference):
    check_reference(reference)
