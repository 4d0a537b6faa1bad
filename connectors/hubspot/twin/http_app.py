"""The HTTP side: which path leads to which route, tokens, limits, and refusals as JSON."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.hubspot.twin import (
    associations,
    batches,
    objects,
    pipeline_routes,
    portal,
    properties,
    webhook_routes,
)
from connectors.hubspot.twin.account import Account
from connectors.hubspot.twin.calls import Call, Reply
from connectors.hubspot.twin.error_bodies import Refusal, missing
from connectors.hubspot.twin.limits import Limits
from connectors.hubspot.twin.search import search
from connectors.hubspot.twin.tokens import Tokens
from connectors.hubspot.twin.webhooks import Webhooks

Answer = Callable[[Call], Reply]
Row = tuple[str, str, Answer]
#: A dated version, such as 2026-09; any is answered the same.
DATED = "{version}"

_LINKS: list[Row] = [
    ("PUT", "/{type}/{id}/associations/default/{to_type}/{to_id}", associations.put_default),
    ("GET", "/{type}/{id}/associations/{to_type}", associations.read),
    ("PUT", "/{type}/{id}/associations/{to_type}/{to_id}", associations.put),
    ("DELETE", "/{type}/{id}/associations/{to_type}/{to_id}", associations.remove),
]
_OBJECTS: list[Row] = [
    ("GET", "/{type}", objects.list_page),
    ("POST", "/{type}", objects.create),
    ("POST", "/{type}/search", search),
    ("POST", "/{type}/merge", objects.merge),
    ("POST", "/{type}/batch/read", batches.batch_read),
    ("POST", "/{type}/batch/create", batches.batch_create),
    ("POST", "/{type}/batch/update", batches.batch_update),
    ("POST", "/{type}/batch/upsert", batches.batch_upsert),
    ("POST", "/{type}/batch/archive", batches.batch_archive),
    ("POST", "/{type}/gdpr-delete", objects.forget),
    ("GET", "/{type}/{id}", objects.read),
    ("PATCH", "/{type}/{id}", objects.update),
    ("DELETE", "/{type}/{id}", objects.archive),
]
_LINKS_V3: list[Row] = [
    ("GET", "/{type}/{id}/associations/{to_type}", associations.v3_read),
    ("PUT", "/{type}/{id}/associations/{to_type}/{to_id}/{name}", associations.v3_put),
    ("DELETE", "/{type}/{id}/associations/{to_type}/{to_id}/{name}", associations.remove),
]
_ASSOCIATIONS: list[Row] = [
    ("POST", "/{type}/{to_type}/batch/read", associations.batch_read),
    ("POST", "/{type}/{to_type}/batch/create", associations.batch_create),
    ("POST", "/{type}/{to_type}/batch/archive", associations.batch_archive),
    ("POST", "/{type}/{to_type}/batch/associate/default", associations.batch_default),
    ("POST", "/{type}/{to_type}/batch/labels/archive", associations.batch_labels_archive),
    ("GET", "/{type}/{to_type}/labels", associations.labels),
    ("POST", "/{type}/{to_type}/labels", associations.define_label),
    ("DELETE", "/{type}/{to_type}/labels/{type_id}", associations.forget_label),
]
_ASSOCIATIONS_V3: list[Row] = [
    ("POST", "/{type}/{to_type}/batch/read", associations.v3_batch_read),
    ("POST", "/{type}/{to_type}/batch/create", associations.v3_batch_create),
    ("POST", "/{type}/{to_type}/batch/archive", associations.batch_archive),
    ("GET", "/{type}/{to_type}/types", associations.v3_types),
]
_PROPERTIES: list[Row] = [
    ("GET", "/{type}", properties.listing),
    ("POST", "/{type}", properties.create),
    ("POST", "/{type}/batch/read", properties.batch_read),
    ("POST", "/{type}/batch/create", properties.batch_create),
    ("POST", "/{type}/batch/archive", properties.batch_archive),
    ("GET", "/{type}/groups", properties.groups),
    ("POST", "/{type}/groups", properties.create_group),
    ("GET", "/{type}/groups/{name}", properties.read_group),
    ("PATCH", "/{type}/groups/{name}", properties.update_group),
    ("DELETE", "/{type}/groups/{name}", properties.archive_group),
    ("GET", "/{type}/{name}", properties.read),
    ("PATCH", "/{type}/{name}", properties.update),
    ("DELETE", "/{type}/{name}", properties.archive),
]
_OWNERS: list[Row] = [
    ("GET", "", portal.owners),
    ("GET", "/", portal.owners),
    ("GET", "/{id}", portal.owner),
]
#: Path prefixes of the generations, and the rows below them.
_FAMILIES: list[tuple[tuple[str, ...], list[Row]]] = [
    (("/crm/v3/objects", f"/crm/objects/{DATED}"), _OBJECTS),
    (("/crm/v4/objects", f"/crm/objects/{DATED}"), _LINKS),
    (("/crm/v3/objects",), _LINKS_V3),
    (("/crm/v4/associations", f"/crm/associations/{DATED}"), _ASSOCIATIONS),
    (("/crm/v3/associations",), _ASSOCIATIONS_V3),
    (("/crm/v3/properties", f"/crm/properties/{DATED}"), _PROPERTIES),
    (("/crm/v3/pipelines", f"/crm/pipelines/{DATED}"), pipeline_routes.ROWS),
    (("/crm/v3/owners", f"/crm/owners/{DATED}"), _OWNERS),
    (("/account-info/v3", f"/account-info/{DATED}"), [("GET", "/details", portal.details)]),
    (("/webhooks/v3", f"/app-webhooks/{DATED}"), webhook_routes.ROWS),
]


@dataclass(frozen=True, slots=True)
class TwinApp:
    """Everything that stands between a request and the data."""

    account: Account
    tokens: Tokens
    limits: Limits
    webhooks: Webhooks
    #: Key of the developer account, which may configure webhooks instead of a token.
    developer_key: str

    def app(self) -> Starlette:
        """Returns the application."""
        routes = [
            self._route(method, f"{prefix}{path}", answer)
            for prefixes, rows in _FAMILIES
            for prefix in prefixes
            for method, path, answer in rows
        ]
        routes += self._own_routes()
        routes.append(Route("/{rest:path}", self._lost))
        return Starlette(routes=routes, exception_handlers={405: self._lost})

    def _own_routes(self) -> list[Route]:
        usage = "/api-usage/daily/private-apps"
        routes = [
            self._route("GET", f"{prefix}{usage}", self._usage)
            for prefix in ("/account-info/v3", "/account-info/{version}")
        ]
        open_routes: list[Row] = [
            ("POST", "/oauth/v1/token", self.tokens.grant),
            ("POST", "/oauth/{version}/token", self.tokens.grant),
            ("POST", "/oauth/{version}/token/introspect", self.tokens.introspect),
            ("POST", "/oauth/{version}/token/revoke", self.tokens.revoke),
            ("GET", "/oauth/v1/access-tokens/{token}", self.tokens.access_info),
            ("GET", "/oauth/v1/refresh-tokens/{token}", self.tokens.refresh_info),
        ]
        return routes + [self._route(*row, guarded=False) for row in open_routes]

    def _usage(self, _call: Call) -> Reply:
        row = portal.usage_row(self.account, self.limits.used_today, self.limits.daily)
        return Reply(200, {"results": [row]})

    def _route(self, method: str, path: str, answer: Answer, *, guarded: bool = True) -> Route:
        searching = path.endswith("/search")

        async def endpoint(request: Request) -> Response:
            body = await request.body()
            call = _call(self.account, request, body)
            try:
                if guarded:
                    self._admit(request)
                    self.limits.take(search=searching)
                with self.account.lock, self._whole(method):
                    reply = answer(call)
            except Refusal as refusal:
                reply = Reply(refusal.status, refusal.body())
            headers = {} if searching or not guarded else self.limits.headers()
            return _response(reply, headers)

        return Route(path, endpoint, methods=[method])

    def _whole(self, method: str) -> AbstractContextManager[object]:
        """Lets webhooks of one call leave together."""
        return nullcontext() if method == "GET" else self.webhooks.together()

    def _admit(self, request: Request) -> None:
        hooks = request.url.path.startswith(("/webhooks/", "/app-webhooks/"))
        if hooks and request.query_params.get("hapikey") == self.developer_key:
            return
        self.tokens.admit(request.headers.get("authorization"))

    async def _lost(self, request: Request, error: Exception | None = None) -> Response:
        try:
            self._admit(request)
            refusal = missing(f"Unable to find resource {request.url.path}")
            if error is not None:
                refusal = Refusal(405, "Method not allowed", "METHOD_NOT_ALLOWED")
        except Refusal as unwelcome:
            refusal = unwelcome
        return _response(Reply(refusal.status, refusal.body()), {})


def _call(account: Account, request: Request, body: bytes) -> Call:
    query: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        # the vendor's clients repeat `properties=a&properties=b` as well as joining them by commas
        query[name] = f"{query[name]},{value}" if name in query else value
    return Call(account, request.method, request.url.path, request.path_params, query, body)


def _response(reply: Reply, headers: dict[str, str]) -> Response:
    if reply.body is None:
        return Response(status_code=reply.status, headers=headers)
    content = orjson.dumps(reply.body)
    return Response(content, reply.status, headers, media_type="application/json;charset=utf-8")
