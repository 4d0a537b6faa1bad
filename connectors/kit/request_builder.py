"""Builds the requests to one host, and refuses those that would leave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from connectors.kit.address import climbs
from connectors.kit.errors import ConnectorError, ContractError, RecordMissingError


class RequestBuilder:
    """Requests below one address that is safe to call."""

    def __init__(self, base: httpx.URL, client: httpx.Client) -> None:
        self._base = base
        self._client = client

    def build(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        more: Mapping[str, str] | None = None,
        stream: str,
    ) -> httpx.Request:
        """Returns a request; `more` are additional headers, `stream` is for messages.

        Raises: RecordMissingError, or ContractError without a stream, for an impossible path.
        """
        headers = dict(more or {})
        if json is not None:
            content = orjson.dumps(json)
            headers["Content-Type"] = "application/json"
        # One text, because httpx parses address, path and query each time it joins them.
        address = f"{self._base}{path.lstrip('/')}"
        if climbs(address):
            raise _unfit(method, stream)
        if params:
            address += f"?{httpx.QueryParams(params)}"
        try:
            for value in headers.values():
                if not (value.isascii() and value.isprintable()):
                    raise ContractError(f"{method}: a header has characters that none can have")
            return self._client.build_request(method, address, content=content, headers=headers)
        except (httpx.InvalidURL, ValueError):
            # from None: they quote what they could not take.
            raise _unfit(method, stream) from None

    def redirected(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:
        """Returns the request that a redirect asks for.

        Raises: ContractError when it writes, or leads to another host.
        """
        try:
            target = request.url.join(response.headers["location"])
        except httpx.InvalidURL as error:
            raise ContractError(
                f"{request.method} {request.url.path} is redirected to what is no address"
            ) from error
        here = (self._base.scheme, self._base.host, self._base.port)
        if (
            request.method not in ("GET", "HEAD")
            or (target.scheme, target.host, target.port) != here
        ):
            raise ContractError(
                f"{request.method} {request.url.path} is redirected to {target.host!r};"
                " not followed: correct base_url"
            )
        return self._client.build_request(request.method, target, headers=request.headers)


def _unfit(method: str, stream: str) -> ConnectorError:
    if stream:
        return RecordMissingError(f"{method}: no record can have such a key", stream=stream)
    return ContractError(f"{method}: a path has parts that none can have, such as `..`")
