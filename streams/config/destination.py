"""The destinations of an Ingester: the custom resources it writes, and how their fields are derived."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticKnownError

from operators.model.api import GROUP
from operators.model.severity import Level
from operators.model.spec import Fraction, Many, Spec
from streams.config.values import Domain, EventType, Open, Slug

_NEEDS_A_NAME: JsonDict = {
    "rule": "self.type != 'crd' || has(self.gvr) || (has(self.value) && size(self.value) > 0)",
    "message": "a destination of type crd needs value or gvr, such as value: observations",
}


class FieldMapping(Spec):
    """Copies a value of the event into the Observation's details."""

    from_: str = Field(
        alias="from", description="Dotted path of the value in the event.", examples=["spec.image"]
    )
    to: str = Field(description="Key in the Observation's details.", examples=["image"])
    transform: str | None = Field(
        default=None,
        description="Change applied to text: lower, upper or truncate:N.",
        examples=["truncate:80"],
    )


class ResourceReference(Spec):
    """Names an object of the cluster."""

    api_version: str | None = Field(
        default=None, description="API version of the object.", examples=["apps/v1"]
    )
    kind: str | None = Field(
        default=None, description="Kind of the object.", examples=["Deployment"]
    )
    name: str | None = Field(default=None, description="Name of the object.")
    namespace: str | None = Field(default=None, description="Namespace of the object.")


class OwnerFields(Spec):
    """Which fields of the event name the owner of its object."""

    api_version_field: str | None = Field(
        default=None, description="Dotted path of the owner's API version."
    )
    kind_field: str | None = Field(default=None, description="Dotted path of the owner's kind.")
    name_field: str | None = Field(default=None, description="Dotted path of the owner's name.")
    namespace_field: str | None = Field(
        default=None, description="Dotted path of the owner's namespace."
    )


class ResourceExtraction(Spec):
    """How the object that an event describes is found in the event."""

    strategy: Literal["jsonpath", "k8s_owner", "manual"] | None = Field(
        default=None, description="Which of the following blocks is read."
    )
    jsonpath: Open = Field(default=None, description="JSONPath expressions; strategy: jsonpath.")
    k8s_owner: OwnerFields | None = Field(
        default=None, alias="k8sOwner", description="Fields of the owner; strategy: k8s_owner."
    )
    manual: Many[Open] = Field(default=(), description="Rules in order; strategy: manual.")


class Templates(Spec):
    """Go templates of the Observation's texts."""

    title: str | None = Field(
        default=None,
        description="Template of the title.",
        examples=["{{ .metadata.name }} is failing"],
    )
    description: str | None = Field(default=None, description="Template of the description.")


class Mapping(Spec):
    """How the fields of an Observation are derived from an event."""

    domain: Domain | None = Field(default=None, description="Domain of the Observation.")
    type: EventType | None = Field(
        default=None, description="Type of the Observation.", examples=["runtime_threat"]
    )
    priority: dict[str, Fraction] | None = Field(
        default=None,
        description="Priority from 0 to 1, by a value or key of the event.",
        examples=[{"Critical": 1.0}],
    )
    severity_map: dict[str, Level] | None = Field(
        default=None,
        description="Severity by the severity that the source reports.",
        examples=[{"Warning": "MEDIUM"}],
    )
    field_mapping: Many[FieldMapping] = Field(
        default=(), description="Values to copy from the event into the Observation's details."
    )
    resource: ResourceReference | None = Field(
        default=None, description="The object that every event describes."
    )
    resource_extraction: ResourceExtraction | None = Field(
        default=None,
        description="How the object that an event describes is found in the event.",
    )
    templates: Templates | None = Field(
        default=None, description="Go templates of the Observation's texts."
    )


class DestinationGvr(Spec):
    """Names the custom resource to write by group, version and plural."""

    group: str | None = Field(
        default=None, description="API group; the core group if empty.", examples=[GROUP]
    )
    version: str = Field(description="API version.", examples=["v1"])
    resource: str = Field(description="Plural name of the resource.", examples=["observations"])


class Destination(Spec):
    """Custom resources that are written. Observations are the only ones in this version."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [_NEEDS_A_NAME]})

    type: Literal["crd"] = Field(description="Kind of the destination; crd is the only one.")
    name: str | None = Field(default=None, description="Name of the destination.")
    gvr: DestinationGvr | None = Field(
        default=None, description="The custom resource to write; preferred to value."
    )
    value: Slug | None = Field(
        default=None,
        validate_default=True,
        description=f"Plural name of a custom resource of the group {GROUP}; required unless gvr is set.",
        examples=["observations"],
    )
    mapping: Mapping | None = Field(
        default=None, description="How the fields of an Observation are derived from an event."
    )

    @field_validator("value")
    @classmethod
    def _needs_a_name(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and "gvr" in info.data and info.data["gvr"] is None:
            raise PydanticKnownError("missing")
        return value
