"""Names that outlive the code that made them: their alphabet, their order, their length."""

from __future__ import annotations

import base64
import hashlib

import pytest

from operators.model.identity import canonical, digest, observation_name


@pytest.mark.parametrize("characters", [2, 20, 32, 50])
@pytest.mark.parametrize("value", ["", "a", ["shop", "checkout", "ü"], {"b": 1, "a": None}])
def test_a_digest_is_the_base32_of_a_sha_256(value: object, characters: int) -> None:
    whole = base64.b32encode(hashlib.sha256(canonical(value)).digest()).decode().lower()
    assert digest(value, characters=characters) == whole[:characters]


def test_the_name_of_an_identity_stays() -> None:
    identity = (
        "default",
        "trivy",
        "aquasecurity.github.io",
        "vulnerabilityreports",
        "shop",
        "a",
        "",
    )
    assert observation_name("trivy", identity) == "trivy-xcybf2srspknjgb5wtwl"
