"""Where an Ingester's Observations go, and how they are shaped for it."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticKnownError

from operators.model.severity import Level
from streams.config.source import GROUP
from streams.config.values import Domain, EventType, Fraction, Many, Open, Slug, Spec

_NEEDS_A_NAME: JsonDict = {
    "rule": "self.type != 'crd' || has(self.gvr) || (has(self.value) && size(self.value) > 0)",
    "message": "a destination of type crd needs value or gvr",
}


class FieldMapping(Spec):
    """Copies a value from the event to the Observation."""

    from_: str = Field(alias="from", description="Dotted path in the event.")
    to: str = Field(description="Key under the Observation's details.")
    transform: str | None = Field(
        default=None, description="lower, upper or truncate:N, applied to text."
    )


class ResourceReference(Spec):
    """An object of the cluster."""

    api_version: str | None = Field(default=None, description="API version of the object.")
    kind: str | None = Field(default=None, description="Kind of the object.")
    name: str | None = Field(default=None, description="Name of the object.")
    namespace: str | None = Field(default=None, description="Namespace of the object.")


class OwnerFields(Spec):
    """The fields of an event that name an owner."""

    api_version_field: str | None = Field(default=None, description="Path of the API version.")
    kind_field: str | None = Field(default=None, description="Path of the kind.")
    name_field: str | None = Field(default=None, description="Path of the name.")
    namespace_field: str | None = Field(default=None, description="Path of the namespace.")


class ResourceExtraction(Spec):
    """How the object an event is about is found in it."""

    strategy: Literal["jsonpath", "k8s_owner", "manual"] | None = Field(
        default=None, description="Way to find it."
    )
    jsonpath: Open = Field(default=None, description="Read for strategy jsonpath.")
    k8s_owner: OwnerFields | None = Field(
        default=None, alias="k8sOwner", description="Read for strategy k8s_owner."
    )
    manual: Many[Open] = Field(default=(), description="Read for strategy manual.")


class Templates(Spec):
    """Go templates of texts."""

    title: str | None = Field(default=None, description="Template of the title.")
    description: str | None = Field(default=None, description="Template of the description.")


class Mapping(Spec):
    """How an event becomes an Observation."""

    domain: Domain | None = Field(default=None, description="Domain of the Observation.")
    type: EventType | None = Field(default=None, description="Type of the Observation.")
    priority: dict[str, Fraction] | None = Field(
        default=None, description="Priority by a value or a key of the event."
    )
    severity_map: dict[str, Level] | None = Field(
        default=None, description="Severity by the source's own word for it."
    )
    field_mapping: Many[FieldMapping] = Field(default=(), description="Values to copy.")
    resource: ResourceReference | None = Field(
        default=None, description="The object every event is about."
    )
    resource_extraction: ResourceExtraction | None = Field(
        default=None, description="How the object an event is about is found in it."
    )
    templates: Templates | None = Field(default=None, description="Templates of texts.")


class DestinationGvr(Spec):
    """A kind of custom resource to write."""

    group: str | None = Field(default=None, description="API group; the core group if empty.")
    version: str = Field(description="API version.")
    resource: str = Field(description="Plural name of the resource.")


class Destination(Spec):
    """Custom resources to write."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [_NEEDS_A_NAME]})

    type: Literal["crd"] = Field(description="Kind of destination.")
    name: str | None = Field(default=None, description="What to call it.")
    gvr: DestinationGvr | None = Field(
        default=None, description="The kind to write; goes before value."
    )
    value: Slug | None = Field(
        default=None,
        validate_default=True,
        description=f"Plural name of a kind of {GROUP}, such as observations.",
    )
    mapping: Mapping | None = Field(
        default=None, description="How an event becomes what is written."
    )

    @field_validator("value")
    @classmethod
    def _needs_a_name(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and "gvr" in info.data and info.data["gvr"] is None:
            raise PydanticKnownError("missing")
        return value
