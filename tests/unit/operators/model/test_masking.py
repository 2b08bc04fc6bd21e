from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from operators.model.content import (
    _KEY,  # pyright: ignore[reportPrivateUsage]
    _TOKEN,  # pyright: ignore[reportPrivateUsage]
    MASK,
    names_a_secret,
    redact,
    redacted_text,
)

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "key",
    ["password", "DB_PASSWORD", "api-key", "apiKey", "Set-Cookie", "privateKey", "authToken"],
)
def test_telling_keys(key: str) -> None:
    assert names_a_secret(key)
    assert redact({key: "hunter2"}) == {key: MASK}


def test_other_keys_keep_their_values() -> None:
    body = {"name": "checkout", "image": "shop/checkout:4.2.1", "replicas": 3, "ready": True}
    assert redact(dict(body)) == body


def test_whole_subtrees_of_a_secret_are_masked() -> None:
    found = redact({"secret": {"a": ["x", 1, True, None], "b": {"c": 2.5}}})
    assert found == {"secret": {"a": [MASK, MASK, True, None], "b": {"c": MASK}}}


def test_environment_pairs() -> None:
    env = [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "MODE", "value": "fast"}]
    assert redact({"env": env})["env"] == [
        {"name": "DB_PASSWORD", "value": MASK},
        {"name": "MODE", "value": "fast"},
    ]


def test_values_that_look_like_tokens() -> None:
    assert redacted_text(f"got {JWT} from him") == f"got {MASK} from him"
    assert redacted_text("AKIA" + "A1" * 8) == MASK
    assert redacted_text("ghp_" + "a" * 36) == MASK
    assert redacted_text("-----BEGIN RSA PRIVATE KEY-----\nabc") == MASK
    assert redact({"args": ["--key", JWT]}) == {"args": ["--key", MASK]}


@pytest.mark.parametrize(
    "text",
    [
        f"x-{JWT}",
        f"jwt_{JWT}",
        f"/login?access_token%3D{JWT}",
        f"line\\n{JWT}",
        "keyAKIA" + "A1" * 8,
        "%3Dghp_" + "a" * 36,
    ],
)
def test_a_token_is_masked_whatever_stands_before_it(text: str) -> None:
    masked = redacted_text(text)
    assert MASK in masked
    assert not any(part in masked for part in (*JWT.split("."), "A1A1", "aaaa"))


PIECES = (
    "eyJ",
    "A" * 10,
    ".",
    "AKIA",
    "0" * 16,
    "ghp_",
    "-----BEGIN ",
    "PRIVATE KEY",
    "-----",
    "é",
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=7).map("".join)


@given(TEXTS)
@example("AKIA" + "0" * 16)
def test_no_text_too_short_to_be_looked_at_holds_a_token(text: str) -> None:
    found = _TOKEN.search(text) or _KEY.search(text)
    assert (redacted_text(text) == text) is (found is None)


def test_the_shortest_token_is_masked_under_any_key() -> None:
    assert redact({"note": "AKIA" + "0" * 16}) == {"note": MASK}


def test_a_text_of_open_tokens_takes_linear_time() -> None:
    text = "eyJ" * 500_000  # quadratic would be minutes, and the test's time-out
    assert redacted_text(text) == text
    assert redacted_text("eyJaaaaaaaaaaa." * 100_000)
    assert redacted_text("eyJaaaaaaaaaa" * 100_000 + ".a" * 100_000)
