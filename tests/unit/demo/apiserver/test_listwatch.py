from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest

from demo.apiserver import listwatch
from demo.apiserver.errors import StatusError
from demo.apiserver.listwatch import Continuation


@pytest.mark.parametrize("version", [1, 12345, None])
@pytest.mark.parametrize("behind", ["a", "default/a", "ä/ö"])
def test_a_token_is_decoded_to_what_it_encodes(version: int | None, behind: str) -> None:
    given = Continuation(version, behind)

    assert listwatch.read_token(given.token()) == given


@pytest.mark.parametrize(
    "said",
    [
        b"abc",
        b"{}",
        b'{"v":"x","rv":1,"start":"/a"}',
        b'{"v":"meta.k8s.io/v1","rv":0,"start":"/a"}',
        b'{"v":"meta.k8s.io/v1","rv":"1","start":"/a"}',
        b'{"v":"meta.k8s.io/v1","rv":1}',
        b"\xff",
    ],
)
def test_what_is_no_token_is_refused(said: bytes) -> None:
    with pytest.raises(StatusError) as refused:
        listwatch.read_token(urlsafe_b64encode(said).decode().rstrip("="))

    assert refused.value.code == 400
    assert "continue key is not valid" in str(refused.value)
