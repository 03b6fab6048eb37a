"""The providers of credentials, each with its parameters, and the library that contacts them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY: Final = "alibabacloud_credentials"
"""The library that fetches credentials from providers; not installed by default."""
# Never `pip install` by name: the package is on no index, so a stranger who registers the name would get cloud keys.
INSTALL_ROLES: Final = "from a checkout, pip install --require-hashes -r requirements/roles.txt"
METADATA_SERVICE: Final = "http://100.100.100.200"
LARGEST_FILE: Final = 1024 * 1024
"""Bytes of a file with a token or profiles, which are a few kB."""


@dataclass(frozen=True, slots=True)
class EcsRole:
    """The RAM role of the ECS instance, from its metadata service, which also returns its name if `role_name` is empty.

    `proxy` is the URL of the HTTP proxy to use for it, or None.
    """

    role_name: str = ""
    disable_imds_v1: bool = False
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class AssumedRole:
    """A role that an AccessKey may assume (STS AssumeRole); `duration` in seconds, `sts_endpoint` a host."""

    role_arn: str
    role_session_name: str
    external_id: str | None
    duration: int
    sts_endpoint: str


@dataclass(frozen=True, slots=True)
class OidcRole:
    """A role that the token in a file may assume (STS AssumeRoleWithOIDC), as with RRSA in ACK."""

    role_arn: str
    oidc_provider_arn: str
    oidc_token_file: Path
    role_session_name: str
    duration: int
    sts_endpoint: str


@dataclass(frozen=True, slots=True)
class CliProfile:
    """A profile of the Alibaba Cloud CLI; without `name` the file's current one. It may refer to the role `ecs`."""

    file: Path
    name: str | None
    ecs: EcsRole


@dataclass(frozen=True, slots=True)
class IniProfile:
    """A section of the SDKs' credentials.ini. It may refer to the role `ecs`."""

    file: Path
    name: str
    ecs: EcsRole


@dataclass(frozen=True, slots=True)
class UriProvider:
    """A URL that returns credentials."""

    uri: str = field(repr=False)


CredentialProvider = EcsRole | AssumedRole | OidcRole | CliProfile | IniProfile | UriProvider
