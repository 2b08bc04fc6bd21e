"""Where an Ingester's events come from: an informer, a webhook, or the logs of pods."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from streams.config.values import (
    DNS_LABEL,
    DNS_SUBDOMAIN,
    Duration,
    FieldSelector,
    Fraction,
    LabelSelector,
    Many,
    Namespace,
    Positive,
    Rate,
    Spec,
    matching,
)

GROUP = "zen.kube-zen.io"
VERSIONS = ("v1alpha1", "v1")

IngesterKind = Literal["informer", "webhook", "logs"]


class Gvr(Spec):
    """The kind of object an informer watches."""

    group: Annotated[str, AfterValidator(matching(DNS_SUBDOMAIN, "an API group", empty=True))] = (
        Field(description='API group; "" is the core group.')
    )
    version: Annotated[str, AfterValidator(matching(r"^v[a-z0-9]+$", "an API version"))] = Field(
        description="API version, such as v1."
    )
    resource: Annotated[
        str, AfterValidator(matching(DNS_LABEL, "the plural name of a resource"))
    ] = Field(description="Plural name of the resource, such as deployments.")

    @field_validator("resource")
    @classmethod
    def _not_our_own(cls, resource: str, info: ValidationInfo) -> str:
        if info.data.get("group") == GROUP and resource in {"observations", "ingesters"}:
            raise ValueError(
                f"any resource but {GROUP}'s observations and ingesters:"
                " an Ingester that watches what it writes never ends"
            )
        return resource


class Informer(Spec):
    """Watches objects of one kind."""

    gvr: Gvr | None = Field(default=None, description="The kind of object to watch.")
    namespace: Namespace | None = Field(
        default=None, description="Namespace to watch; all of them if empty."
    )
    label_selector: LabelSelector | None = Field(
        default=None, description="Only objects whose labels match."
    )
    field_selector: FieldSelector | None = Field(
        default=None, description="Only objects whose fields match; the server knows which exist."
    )
    resync_period: Duration = Field(
        default="0",
        description='How often to read every object again, such as "30m"; "0" is never.',
    )


class LogPattern(Spec):
    """What to look for in a line."""

    regex: str = Field(description="Regular expression; its named groups become fields.")
    type: str | None = Field(default=None, description="Event type of a line that matches.")
    priority: Fraction | None = Field(default=None, description="Priority of a line that matches.")


class Logs(Spec):
    """Follows the logs of pods."""

    pod_selector: LabelSelector | None = Field(default=None, description="Labels of the pods.")
    container: str | None = Field(
        default=None, description="Container to follow; the first if empty."
    )
    patterns: Many[LogPattern] = Field(default=(), description="What to look for.")
    poll_interval: str = Field(default="1s", description="How often to look for new pods.")
    since_seconds: int = Field(default=300, description="How far back to read at first.")


class WebhookAuth(Spec):
    """How a sender shows who it is."""

    type: Literal["none", "bearer", "basic"] = Field(default="none", description="Kind of proof.")
    secret_name: str | None = Field(default=None, description="Secret that holds what to expect.")
    secret_ref: str | None = Field(default=None, description="Another spelling of secretName.")


class WebhookTls(Spec):
    """How the webhook is encrypted."""

    enabled: bool = Field(default=True, description="Whether to encrypt.")
    cert_secret_ref: str | None = Field(default=None, description="Secret with the certificate.")
    min_version: Literal["1.2", "1.3"] | None = Field(
        default=None, description="Lowest TLS version to accept."
    )


class WebhookRateLimit(Spec):
    """How fast senders may post."""

    requests_per_second: Rate | None = Field(default=None, description="Requests per second.")
    burst: Positive | None = Field(default=None, description="Requests that may come at once.")
    requests_per_minute: int | None = Field(default=None, description="Requests per minute.")


class Webhook(Spec):
    """Takes what others post."""

    path: str | None = Field(default=None, description="Path to listen on.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Port to listen on."
    )
    buffer_size: int = Field(default=100, description="Events that may wait.")
    methods: Many[Literal["GET", "POST", "PUT", "PATCH"]] = Field(
        default=(), description="HTTP methods to accept."
    )
    auth: WebhookAuth | None = Field(default=None, description="How a sender shows who it is.")
    tls: WebhookTls | None = Field(default=None, description="How the webhook is encrypted.")
    rate_limit: WebhookRateLimit | None = Field(
        default=None, description="How fast senders may post."
    )


class SourceEntry(Spec):
    """One of several sources in one Ingester."""

    name: Annotated[str, StringConstraints(pattern=DNS_LABEL)] = Field(
        description="Name of the source within the Ingester."
    )
    type: IngesterKind = Field(description="Kind of source.")
    informer: Informer | None = Field(default=None, description="Set for type informer.")
    logs: Logs | None = Field(default=None, description="Set for type logs.")
    webhook: Webhook | None = Field(default=None, description="Set for type webhook.")
