"""The error responses of the service and of the gateway in front of it: code, HTTP status, message."""

from __future__ import annotations

from typing import Final

# Quoted from Alibaba Cloud's page on DescribeVodMediaPlayData.
METER: Final = {
    "Meter.ParamError": (400, "Param Error:{detail},Please Check Again."),
    "Meter.ServerInternalError": (500, "The Request Processing Has Failed Due To Some Unknown Error."),
    "Meter.DataSourceQueryError": (500, "Data Source Error:{detail},Please Try Again."),
    "Meter.AuthError": (403, "Authentication Failed,Please Try Again."),
    "Meter.ReadyTsError": (502, "Get ReadyTs Failed,Please Try Again."),
}
# Of the gateway (official SDK, Alibaba Cloud's pages on common errors).
GATEWAY: Final = {
    "Throttling": (400, "Request was denied due to request throttling."),
    "Throttling.User": (400, "Request was denied due to user flow control."),
    "Throttling.Api": (400, "Request was denied due to api flow control."),
    "InternalError": (500, "The request processing has failed due to some unknown error."),
    "UnknownError": (500, "The request processing has failed due to some unknown error."),
    "ServiceUnavailable": (503, "The request has failed due to a temporary failure of the server."),
    "ServiceUnAvailable": (503, "The request has failed due to a temporary failure of the server."),
    "SignatureNonceUsed": (400, "Specified signature nonce was used already."),
    "InvalidSecurityToken.Expired": (400, "Specified SecurityToken is expired."),
    "InvalidSecurityToken.Malformed": (400, "Specified SecurityToken is malformed."),
    "InvalidSecurityToken.MismatchWithAccessKey": (400, "Specified SecurityToken mismatch with the AccessKey."),
    "InvalidTimeStamp.Expired": (400, "Specified time stamp or date value is expired."),
    "InvalidTimeStamp.Format": (400, "Specified time stamp or date value is not well formatted."),
    "SignatureDoesNotMatch": (
        400,
        "Specified signature is not matched with our calculation. server string to sign is:{detail}",
    ),
    "IncompleteSignature": (400, "The request signature does not conform to Aliyun standards. {detail}"),
    "InvalidAccessKeyId.NotFound": (404, "Specified access key is not found."),
    "InvalidAccessKeyId.Inactive": (400, "Specified access key is disabled."),
    "Forbidden.AccessKeyDisabled": (403, "The AccessKey is disabled."),
    "Forbidden": (403, "User not authorized to operate on the specified resource."),
    "Forbidden.RAM": (
        403,
        "User not authorized to operate on the specified resource, or this API doesn't support RAM.",
    ),
    "NoPermission": (403, "You are not authorized to perform this action."),
    "OperationDenied": (403, "Your account does not open VOD service yet."),
    "OperationDenied.Suspended": (403, "Your VOD service is suspended because of an overdue payment."),
    "MissingParameter": (400, "The input parameter {detail} that is mandatory for processing this request is missing."),
    "MissingAction": (400, "Action is mandatory for this action."),
    "MissingVersion": (400, "Version is mandatory for this action."),
    "MissingAuthorization": (400, "Authorization is mandatory for this action."),
    "MissingTimestamp": (400, "x-acs-date is mandatory for this action."),
    "MissingSignatureNonce": (400, "x-acs-signature-nonce is mandatory for this action."),
    "MissingContentSha256": (400, "x-acs-content-sha256 is mandatory for this action."),
    "MissingSecurityToken": (400, "x-acs-security-token is mandatory for this action."),
    "InvalidParameter": (400, "The specified parameter is not valid. {detail}"),
    "InvalidAction.NotFound": (404, "Specified action is not found: {detail}"),
    "InvalidApi.NotFound": (404, "Specified api is not found, please check your url and method."),
    "UnsupportedHTTPMethod": (405, "This http method is not supported."),
    "RequestEntityTooLarge": (413, "The request body is too large."),
}
# Of SearchMedia, GetVideoInfos and GetCategories (their pages).
MEDIA_ACTIONS: Final = {
    "ErrorMatchSyntax": (400, "The parameter Match.{detail} has an error syntax, please check it."),
    "SortByExceededMax": (400, "The sort fields exceeded max when all data is traversed."),
    "InvalidScrollToken.Expired": (400, "The ScrollToken is expired, please search from the first page again."),
    "InvalidVideo.NotFound": (404, "The video does not exist."),
    "InvalidCateId.NotFound": (404, "The CateId does not exist."),
}
API_ERRORS: Final = {**METER, **GATEWAY, **MEDIA_ACTIONS}

# Codes whose response names the policy that denied the request (the gateway's AccessDeniedDetail).
_DENIED: Final = frozenset({"Forbidden.RAM", "NoPermission"})


class ApiError(Exception):
    """An error response with a code of API_ERRORS; `detail` is inserted into its message."""

    def __init__(self, code: str, detail: str = "", *, headers: dict[str, str] | None = None) -> None:
        self.code = code
        self.status, message = API_ERRORS[code]
        self.message = message.format(detail=detail)
        self.headers = headers or {}
        super().__init__(f"{code}: {self.message}")

    def body(self, request_id: str, host: str, action: str = "DescribeVodMediaPlayData") -> dict[str, object]:
        """The JSON object that the gateway sends."""
        document: dict[str, object] = {
            "RequestId": request_id,
            "HostId": host,
            "Code": self.code,
            "Message": self.message,
            "Recommend": f"https://api.aliyun.com/troubleshoot?q={self.code}&product=vod&requestId={request_id}",
        }
        if self.code in _DENIED:
            document["AccessDeniedDetail"] = {
                "AuthAction": f"vod:{action}",
                "AuthPrincipalType": "SubUser",
                "NoPermissionType": "ImplicitDeny",
                "PolicyType": "AccountLevelIdentityBasedPolicy",
            }
        return document
