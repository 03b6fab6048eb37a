"""All fuzz targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.campaigns.fuzz import (
    api_response,
    configuration,
    http_connection,
    negotiation,
    status,
    web_configuration,
)

if TYPE_CHECKING:
    from tests.campaigns.fuzz.target import Target

TARGETS: Final[dict[str, Target]] = {
    module.TARGET.name: module.TARGET
    for module in (api_response, configuration, web_configuration, http_connection, negotiation, status)
}
