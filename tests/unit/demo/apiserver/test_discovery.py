"""What kubectl looks for in an OpenAPI document."""

from __future__ import annotations

import json
import re

from demo.apiserver.definitions import complete, served_by
from demo.apiserver.discovery import openapi_v3_document, openapi_v3_index
from streams.config.crd import manifests
from streams.config.ingester import IngesterSpec

SERVED = [one for crd in manifests() for one in served_by(complete(crd)) if one.version == "v1"]


def test_the_index_has_the_path_of_each_document() -> None:
    assert openapi_v3_index(["v1", "zen.kube-zen.io/v1"])["paths"] == {
        "api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"},
        "apis/zen.kube-zen.io/v1": {"serverRelativeURL": "/openapi/v3/apis/zen.kube-zen.io/v1"},
    }


def test_every_kind_can_be_patched_and_its_fields_be_validated() -> None:
    whole = openapi_v3_document(SERVED)

    path = "/apis/zen.kube-zen.io/v1/namespaces/{namespace}/ingesters/{name}"
    patch = whole["paths"][path]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {
        "group": "zen.kube-zen.io",
        "version": "v1",
        "kind": "Ingester",
    }
    assert "fieldValidation" in {one["name"] for one in patch["parameters"]}
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    assert f"{path}/status" in whole["paths"]


def test_every_reference_leads_somewhere() -> None:
    whole = openapi_v3_document(SERVED)
    schemas = whole["components"]["schemas"]

    found = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(whole)))
    assert found
    assert found <= set(schemas)


def test_the_schema_of_a_kind_is_found_by_its_kind_and_explains_its_fields() -> None:
    schemas = openapi_v3_document(SERVED)["components"]["schemas"]
    wanted = {"group": "zen.kube-zen.io", "version": "v1", "kind": "Ingester"}
    (ingester,) = [
        one for one in schemas.values() if wanted in one.get("x-kubernetes-group-version-kind", ())
    ]

    source = ingester["properties"]["spec"]["properties"]["source"]
    assert (
        source["description"]
        == IngesterSpec.model_json_schema()["properties"]["source"]["description"]
        + " Example: trivy"
    )
    assert ingester["properties"]["metadata"]["allOf"] == [
        {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
    ]
