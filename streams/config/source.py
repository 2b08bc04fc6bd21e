"""The sources of an Ingester: an informer, a webhook, or the logs of pods."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from operators.model.api import GROUP
from operators.model.spec import Duration, Fraction, Many, Positive, Spec
from operators.model.units import duration_seconds
from streams.config.values import (
    DNS_LABEL,
    DNS_SUBDOMAIN,
    FieldSelector,
    LabelSelector,
    Namespace,
    Rate,
    matching,
)

IngesterKind = Literal["informer", "webhook", "logs"]


class Gvr(Spec):
    """Names a resource of the API server by group, version and plural."""

    group: Annotated[str, AfterValidator(matching(DNS_SUBDOMAIN, "an API group", empty=True))] = (
        Field(description='API group; "" is the core group.', examples=["apps"])
    )
    version: Annotated[str, AfterValidator(matching(r"^v[a-z0-9]+$", "an API version"))] = Field(
        description="API version.", examples=["v1"]
    )
    resource: Annotated[
        str, AfterValidator(matching(DNS_LABEL, "the plural name of a resource"))
    ] = Field(
        description="Plural name of the resource, in lower case; Observations and Ingesters"
        " themselves are refused.",
        examples=["deployments"],
    )

    @field_validator("resource")
    @classmethod
    def _not_our_own(cls, resource: str, info: ValidationInfo) -> str:
        if info.data.get("group") == GROUP and resource in {"observations", "ingesters"}:
            raise ValueError(
                f"any resource but {GROUP}'s observations and ingesters:"
                " an Ingester that watches its own output would trigger itself endlessly"
            )
        return resource


class InformerSpec(Spec):
    """Lists and watches the objects of one resource."""

    gvr: Gvr | None = Field(default=None, description="The resource to watch; required.")
    namespace: Namespace | None = Field(
        default=None, description="Namespace to watch; all namespaces if empty.", examples=["shop"]
    )
    label_selector: LabelSelector | None = Field(
        default=None,
        description="Watches only objects whose labels match; the syntax is kubectl's.",
        examples=["app=web,tier in (a,b)"],
    )
    field_selector: FieldSelector | None = Field(
        default=None,
        description="Watches only objects whose fields match. Which fields a resource supports is"
        " known to the API server alone.",
        examples=["metadata.name=web"],
    )
    resync_period: Duration = Field(
        default="0",
        description='Time between two complete lists that repair missed events; "0" is never.',
        examples=["30m"],
    )

    @property
    def watched(self) -> Gvr:
        """The kind of object to watch. Raises ``ValueError`` where the document has none: such a source has no plan."""
        if self.gvr is None:
            raise ValueError("informer.gvr: required, but missing")
        return self.gvr

    @property
    def resync_seconds(self) -> float:
        """``resync_period`` in seconds; 0 is never."""
        return duration_seconds(self.resync_period or "0")


class LogPattern(Spec):
    """Makes an event of each log line that matches."""

    regex: str = Field(
        description="Regular expression; its named groups become fields of the event.",
        examples=["panic: (?P<reason>.*)"],
    )
    type: str | None = Field(
        default=None, description="Event type of a line that matches.", examples=["panic"]
    )
    priority: Fraction | None = Field(
        default=None, description="Priority of a line that matches, from 0 to 1.", examples=[0.9]
    )


class Logs(Spec):
    """Reads the logs of pods."""

    pod_selector: LabelSelector | None = Field(
        default=None, description="Labels of the pods to read.", examples=["app=web"]
    )
    container: str | None = Field(
        default=None, description="Container to read; the first of each pod if empty."
    )
    patterns: Many[LogPattern] = Field(default=(), description="Which lines become events.")
    poll_interval: str = Field(
        default="1s", description="Time between two searches for new pods.", examples=["5s"]
    )
    since_seconds: int = Field(
        default=300, description="Age in seconds of the oldest line that is read at the start."
    )


class WebhookAuth(Spec):
    """How senders authenticate."""

    type: Literal["none", "bearer", "basic"] = Field(
        default="none", description="Authentication scheme."
    )
    secret_name: str | None = Field(
        default=None, description="Secret that holds the expected token, or user and password."
    )
    secret_ref: str | None = Field(default=None, description="Alternative spelling of secretName.")


class WebhookTls(Spec):
    """TLS of the webhook's port."""

    enabled: bool = Field(default=True, description="Whether the port serves TLS.")
    cert_secret_ref: str | None = Field(
        default=None, description="Secret of type kubernetes.io/tls with certificate and key."
    )
    min_version: Literal["1.2", "1.3"] | None = Field(
        default=None, description="Lowest TLS version that is accepted."
    )


class WebhookRateLimit(Spec):
    """Limits the rate of requests that are accepted."""

    requests_per_second: Rate | None = Field(
        default=None, description="Requests per second.", examples=[50]
    )
    burst: Positive | None = Field(
        default=None,
        description="Requests that are accepted at once after a pause.",
        examples=[100],
    )
    requests_per_minute: int | None = Field(
        default=None, description="Requests per minute.", examples=[3000]
    )


class Webhook(Spec):
    """Receives events by HTTP."""

    path: str | None = Field(default=None, description="Path of the requests.", examples=["/falco"])
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Port to listen on.", examples=[8443]
    )
    buffer_size: int = Field(default=100, description="Events that may wait to be processed.")
    methods: Many[Literal["GET", "POST", "PUT", "PATCH"]] = Field(
        default=(), description="HTTP methods that are accepted."
    )
    auth: WebhookAuth | None = Field(default=None, description="How senders authenticate.")
    tls: WebhookTls | None = Field(default=None, description="TLS of the webhook's port.")
    rate_limit: WebhookRateLimit | None = Field(
        default=None, description="Limits the rate of requests that are accepted."
    )


class SourceEntry(Spec):
    """One of several sources of one Ingester."""

    name: Annotated[str, StringConstraints(pattern=DNS_LABEL)] = Field(
        description="Name of the source within the Ingester.", examples=["pods"]
    )
    type: IngesterKind = Field(description="Kind of the source.")
    informer: InformerSpec | None = Field(default=None, description="Settings of type informer.")
    logs: Logs | None = Field(default=None, description="Settings of type logs.")
    webhook: Webhook | None = Field(default=None, description="Settings of type webhook.")
