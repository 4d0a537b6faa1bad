"""The API, endpoint by endpoint, version 2026-09; the only file with addresses.

Returns decoded bodies unchanged. Knows nothing of records, cursors or the hub.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from connectors.hubspot.errors import STATUSES
from connectors.hubspot.vocabulary import LIST_PAGE, SEARCH_LANE, SEARCH_PAGE
from connectors.kit.auth import BearerAuth, OAuthAuth, TokenStore
from connectors.kit.budget import Budget
from connectors.kit.errors import ContractError, CredentialsError
from connectors.kit.http import Http, segment

Json = dict[str, Any]


def _now() -> datetime:
    return datetime.now(UTC)


def auth_of(settings: Mapping[str, Any], tokens: TokenStore | None) -> httpx.Auth:
    """Returns the auth flow that the settings describe. Raises: CredentialsError without any."""
    if settings.get("token"):
        return BearerAuth(settings["token"])
    if settings.get("client_id") and settings.get("client_secret"):
        if not settings.get("refresh_token") and tokens is None:
            raise CredentialsError("HubSpot: OAuth needs a refresh_token; authorise the app first")
        base = str(settings["base_url"]).rstrip("/")
        # quirk(hubspot): renew by expires_in; a 401 is not to be used as the trigger (usage page).
        return OAuthAuth(
            f"{base}/oauth/{settings['api_version']}/token",
            client_id=settings["client_id"],
            client_secret=settings["client_secret"],
            refresh_token=settings.get("refresh_token"),
            store=tokens,
            # ... but a token that expired early is no reason to pause the connection.
            renew_on_401=True,
        )
    raise CredentialsError("HubSpot: set token, or client_id, client_secret and refresh_token")


class HubSpotClient:
    """Calls HubSpot. All methods raise as `Http.request` does."""

    def __init__(
        self,
        base_url: str,
        version: str,
        *,
        auth: httpx.Auth,
        budget: Budget,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._http = Http(
            base_url, auth=auth, budget=budget, statuses=STATUSES, transport=transport
        )
        self._version = version
        self.clock = clock
        #: How far the server's clock is ahead of ours; zero before the first response.
        self._skew = timedelta(0)

    def close(self) -> None:
        self._http.close()

    # -- clock

    def server_time(self, moment: datetime) -> datetime:
        """Converts a local time to the server's clock; rather early than late."""
        return moment + self._skew

    def learn_time(self) -> None:
        """Ensures that the server's clock is known, with one small call if necessary."""
        if self._http.server_date is None:
            self.account()

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = self._http.request(method, path, **options)
        self._note_clock()
        return response

    def _json(self, method: str, path: str, **options: Any) -> Json:
        body = self._http.json(method, path, **options)
        self._note_clock()
        if not isinstance(body, dict):
            raise ContractError(f"{method} {path} answered something else than a JSON object")
        return body

    def _note_clock(self) -> None:
        # The Date header has whole seconds and is older than the moment of its arrival, so that
        # the difference never puts us ahead of the server.
        if self._http.server_date is not None:
            self._skew = self._http.server_date - self.clock()

    # -- objects

    def _objects(self, stream: str) -> str:
        return f"/crm/objects/{self._version}/{stream}"

    def list_page(
        self,
        stream: str,
        *,
        after: str | None = None,
        properties: Sequence[str] = (),
        associations: Sequence[str] = (),
        archived: bool = False,
        limit: int = LIST_PAGE,
    ) -> Json:
        """Reads a page of all records, by ascending id; consistent."""
        params = {"limit": str(limit), "archived": "true" if archived else "false"}
        if after is not None:
            params["after"] = after
        if properties:
            params["properties"] = ",".join(properties)
        if associations:
            params["associations"] = ",".join(associations)
        return self._json("GET", self._objects(stream), params=params, repeatable=True)

    def get(
        self, stream: str, key: str, *, properties: Sequence[str], associations: Sequence[str] = ()
    ) -> Json:
        """Reads one record; the answer's id differs when the record was merged."""
        params = {"properties": ",".join(properties)}
        if associations:
            params["associations"] = ",".join(associations)
        path = f"{self._objects(stream)}/{segment(key, stream=stream)}"
        return self._json("GET", path, params=params, repeatable=True, stream=stream, key=key)

    def search(
        self, stream: str, *, filters: Sequence[Json], sort: str, properties: Sequence[str]
    ) -> Json:
        """Reads the first page of a search: eventually consistent, no deleted records."""
        body = {
            "filterGroups": [{"filters": list(filters)}],
            "sorts": [{"propertyName": sort, "direction": "ASCENDING"}],
            "properties": list(properties),
            "limit": SEARCH_PAGE,
        }
        path = f"{self._objects(stream)}/search"
        return self._json("POST", path, json=body, lane=SEARCH_LANE, repeatable=True)

    def batch_read(
        self,
        stream: str,
        ids: Sequence[str],
        *,
        properties: Sequence[str],
        history: Sequence[str] = (),
        id_property: str | None = None,
    ) -> Json:
        """Reads up to 100 records (50 with history) by id or unique property; consistent."""
        body: Json = {
            "inputs": [{"id": one} for one in ids],
            "properties": list(properties),
            "propertiesWithHistory": list(history),
        }
        if id_property:
            body["idProperty"] = id_property
        path = f"{self._objects(stream)}/batch/read"
        return self._json("POST", path, json=body, repeatable=True, stream=stream)

    def batch_create(self, stream: str, inputs: Sequence[Json]) -> Json:
        path = f"{self._objects(stream)}/batch/create"
        return self._json("POST", path, json={"inputs": inputs}, repeatable=False, stream=stream)

    def create(self, stream: str, body: Json) -> Json:
        return self._json("POST", self._objects(stream), json=body, repeatable=False, stream=stream)

    def batch_update(self, stream: str, inputs: Sequence[Json]) -> Json:
        path = f"{self._objects(stream)}/batch/update"
        return self._json("POST", path, json={"inputs": inputs}, repeatable=True, stream=stream)

    def update_row(self, stream: str, row: Json) -> Json:
        """Changes one record, given as a row of a batch update."""
        path = f"{self._objects(stream)}/{segment(row['id'], stream=stream)}"
        body = {"properties": row["properties"]}
        return self._json("PATCH", path, json=body, repeatable=True, stream=stream, key=row["id"])

    def batch_archive(self, stream: str, ids: Sequence[str]) -> None:
        body = {"inputs": [{"id": one} for one in ids]}
        path = f"{self._objects(stream)}/batch/archive"
        self._call("POST", path, json=body, repeatable=True, stream=stream)

    def archive(self, stream: str, key: str) -> None:
        path = f"{self._objects(stream)}/{segment(key, stream=stream)}"
        self._call("DELETE", path, repeatable=True, stream=stream, key=key)

    # -- associations

    def _associations(self, pair: tuple[str, str]) -> str:
        return f"/crm/associations/{self._version}/{pair[0]}/{pair[1]}"

    def associations(self, pair: tuple[str, str], inputs: Sequence[Json]) -> Json:
        path = f"{self._associations(pair)}/batch/read"
        return self._json("POST", path, json={"inputs": inputs}, repeatable=True, stream=pair[0])

    def associate(self, pair: tuple[str, str], inputs: Sequence[Json]) -> Json:
        path = f"{self._associations(pair)}/batch/create"
        return self._json("POST", path, json={"inputs": inputs}, repeatable=True, stream=pair[0])

    def dissociate(self, pair: tuple[str, str], inputs: Sequence[Json]) -> None:
        path = f"{self._associations(pair)}/batch/archive"
        self._call("POST", path, json={"inputs": inputs}, repeatable=True, stream=pair[0])

    def association_labels(self, pair: tuple[str, str]) -> list[Json]:
        """Returns the association types of one direction: category, typeId, label."""
        path = f"{self._associations(pair)}/labels"
        results = self._json("GET", path, repeatable=True, stream=pair[0]).get("results")
        if not isinstance(results, list):
            raise ContractError(f"GET {path} answered without a list of association types")
        return results

    # -- properties and account

    def properties(self, stream: str) -> list[Json]:
        path = f"/crm/properties/{self._version}/{stream}"
        results = self._json("GET", path, repeatable=True).get("results")
        if not isinstance(results, list):
            raise ContractError(f"GET {path} answered without a list of properties")
        return results

    def has_property(self, stream: str, name: str) -> bool:
        path = f"/crm/properties/{self._version}/{stream}/{name}"
        return self._call("GET", path, repeatable=True, accept={404}).status_code != 404

    def create_property(self, stream: str, body: Json) -> bool:
        """Creates a property; False when it was there already."""
        path = f"/crm/properties/{self._version}/{stream}"
        response = self._call("POST", path, json=body, repeatable=False, accept={409})
        return response.status_code != 409

    def create_group(self, stream: str, name: str, label: str) -> None:
        """Ensures that a property group exists."""
        path = f"/crm/properties/{self._version}/{stream}/groups"
        body = {"name": name, "label": label}
        self._call("POST", path, json=body, repeatable=False, accept={409})

    def account(self) -> Json:
        return self._json("GET", f"/account-info/{self._version}/details", repeatable=True)
