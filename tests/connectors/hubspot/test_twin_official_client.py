"""HubSpot's own Python client works with the twin: it sends v3 and v4 paths, and checks answers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from connectors.hubspot.twin import Twin, start

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the vendor's package, not ours
    from hubspot import HubSpot
    from hubspot.crm import associations, companies, contacts, deals, line_items, objects
    from hubspot.crm import pipelines as pipeline_models
    from hubspot.crm import properties as property_models
    from hubspot.crm.associations import v4 as links


@pytest.fixture
def twin() -> Iterator[Twin]:
    running = start(seed=1, records=12)
    yield running
    running.stop()


@pytest.fixture
def hubspot(twin: Twin) -> HubSpot:
    return HubSpot(access_token=twin.token, host=twin.url)


def company(**values: str) -> object:
    return companies.SimplePublicObjectInputForCreate(properties=values, associations=[])


def test_a_company_lives_from_create_to_archive(twin, hubspot) -> None:
    api = hubspot.crm.companies.basic_api
    made = api.create(company(name="Böhm & Söhne", domain="boehm.example"))
    assert made.properties["name"] == "Böhm & Söhne"
    read = api.get_by_id(made.id, properties=["name", "city"])
    assert read.properties["city"] is None
    assert "domain" not in read.properties
    changed = api.update(
        made.id, companies.SimplePublicObjectInput(properties={"city": "Graz", "name": ""})
    )
    assert changed.properties["city"] == "Graz"
    assert changed.updated_at > made.updated_at
    assert twin.get("companies", made.id)["properties"].get("name") is None
    api.archive(made.id)
    with pytest.raises(companies.ApiException) as gone:
        api.get_by_id(made.id)
    assert gone.value.status == 404
    assert api.get_by_id(made.id, archived=True).archived_at is not None


def test_all_pages_of_all_records(twin, hubspot) -> None:
    for number in range(120):
        twin.create("companies", name=f"Company {number}")
    found = hubspot.crm.companies.get_all()
    assert [record.id for record in found] == [row["id"] for row in twin.objects("companies")]
    page = hubspot.crm.companies.basic_api.get_page()
    assert len(page.results) == 10
    assert page.paging.next.after == twin.objects("companies")[10]["id"]


def test_a_read_with_associations_and_history(twin, hubspot) -> None:
    first = twin.objects("deals")[0]
    twin.edit("deals", first["id"], dealstage="closedwon")
    deal = hubspot.crm.deals.basic_api.get_by_id(
        first["id"],
        associations=["companies", "line_items"],
        properties_with_history=["dealstage"],
    )
    lines = {row.id for row in deal.associations["line items"].results}
    assert lines == set(first["associations"]["line_items"])
    assert {row.type for row in deal.associations["companies"].results} == {
        "deal_to_company",
        "deal_to_company_unlabeled",
    }
    history = deal.properties_with_history["dealstage"]
    assert history[0].value == "closedwon"
    assert history[0].source_type == "CRM_UI"
    assert len(history) == 2


def test_search_finds_filters_and_sorts(twin, hubspot) -> None:
    twin.create("companies", name="Zeta Tools", city="Oslo")
    twin.create("companies", name="Alpha Tools", city="Oslo")
    request = companies.PublicObjectSearchRequest(
        filter_groups=[
            companies.FilterGroup(
                filters=[companies.Filter(property_name="city", operator="EQ", value="oslo")]
            )
        ],
        sorts=["name"],
        properties=["name"],
        limit=1,
        after="0",
    )
    found = hubspot.crm.companies.search_api.do_search(request)
    assert found.total == 2
    assert found.results[0].properties["name"] == "Alpha Tools"
    assert found.paging.next.after == "1"


def test_batches_support_every_operation(twin, hubspot) -> None:
    api = hubspot.crm.contacts.batch_api
    made = api.create(
        contacts.BatchInputSimplePublicObjectBatchInputForCreate(
            inputs=[
                contacts.SimplePublicObjectBatchInputForCreate(
                    properties={"email": f"p{i}@x.example", "firstname": "P"},
                    associations=[],
                )
                for i in range(3)
            ]
        )
    )
    assert made.status == "COMPLETE"
    ids = [record.id for record in made.results]
    read = api.read(
        contacts.BatchReadInputSimplePublicObjectId(
            inputs=[contacts.SimplePublicObjectId(id="P1@x.example")],
            id_property="email",
            properties=["email"],
            properties_with_history=[],
        )
    )
    assert read.results[0].id == ids[1]
    updated = api.update(
        contacts.BatchInputSimplePublicObjectBatchInput(
            inputs=[
                contacts.SimplePublicObjectBatchInput(id=key, properties={"jobtitle": "Buyer"})
                for key in ids
            ]
        )
    )
    assert {record.properties["jobtitle"] for record in updated.results} == {"Buyer"}
    upserted = api.upsert(
        contacts.BatchInputSimplePublicObjectBatchInputUpsert(
            inputs=[
                contacts.SimplePublicObjectBatchInputUpsert(
                    id=email, id_property="email", properties={"lastname": "L"}
                )
                for email in ("p0@x.example", "new@x.example")
            ]
        )
    )
    assert [(record.id in ids, record.new) for record in upserted.results] == [
        (True, False),
        (False, True),
    ]
    api.archive(
        contacts.BatchInputSimplePublicObjectId(
            inputs=[contacts.SimplePublicObjectId(id=key) for key in ids]
        )
    )
    assert {row["id"] for row in twin.objects("contacts", archived=True)} == set(ids)


def test_a_batch_read_names_unknown_ids(twin, hubspot) -> None:
    known = twin.objects("deals")[0]["id"]
    answer = hubspot.crm.deals.batch_api.read(
        deals.BatchReadInputSimplePublicObjectId(
            inputs=[deals.SimplePublicObjectId(id=key) for key in (known, "4711")],
            properties=[],
            properties_with_history=[],
        )
    )
    assert [record.id for record in answer.results] == [known]
    assert answer.num_errors == 1
    assert answer.errors[0].category == "OBJECT_NOT_FOUND"
    assert answer.errors[0].context == {"ids": ["4711"]}


def test_a_merge_keeps_the_old_ids_readable(twin, hubspot) -> None:
    """A merge gives a new id, and the old ones still answer."""
    one = twin.create("companies", name="One", city="Wien")
    two = twin.create("companies", name="Two", phone="+4312345678")
    person = twin.create("contacts", email="a@two.example", associations={"companies": [two]})
    api = hubspot.crm.companies
    merged = api.merge_api if hasattr(api, "merge_api") else api.basic_api
    survivor = merged.merge(
        companies.PublicMergeInput(primary_object_id=one, object_id_to_merge=two)
    )
    assert survivor.id not in (one, two)
    for old in (one, two):
        assert api.basic_api.get_by_id(old).id == survivor.id
    row = twin.get("companies", survivor.id)
    assert (row["properties"]["name"], row["properties"]["phone"]) == ("One", "+4312345678")
    assert row["associations"]["contacts"] == [person]
    assert twin.get("contacts", person)["associations"]["companies"] == [survivor.id]
    assert {one, two}.isdisjoint(row["id"] for row in twin.objects("companies"))
    read = api.basic_api.get_by_id(survivor.id, properties=["hs_merged_object_ids"])
    assert read.properties["hs_merged_object_ids"] == f"{one};{two}"


def test_custom_properties_and_groups(twin, hubspot) -> None:
    api = hubspot.crm.properties
    assert "tulay_id" not in [p.name for p in api.core_api.get_all("companies").results]
    group = api.groups_api.create(
        "companies", property_models.PropertyGroupCreate(name="tulay", label="Tulay")
    )
    assert group.name == "tulay"
    made = api.core_api.create(
        "companies",
        property_models.PropertyCreate(
            name="tulay_id",
            label="Tulay id",
            type="string",
            field_type="text",
            group_name="tulay",
            has_unique_value=True,
        ),
    )
    assert made.has_unique_value
    assert not made.hubspot_defined
    with pytest.raises(property_models.ApiException) as twice:
        api.core_api.create(
            "companies",
            property_models.PropertyCreate(
                name="tulay_id", label="x", type="string", field_type="text", group_name="tulay"
            ),
        )
    assert twice.value.status == 409
    batch = api.batch_api.create(
        "companies",
        property_models.BatchInputPropertyCreate(
            inputs=[
                property_models.PropertyCreate(
                    name=f"tulay_{n}",
                    label=n,
                    type="number",
                    field_type="number",
                    group_name="tulay",
                )
                for n in ("a", "b")
            ]
        ),
    )
    assert [row.name for row in batch.results] == ["tulay_a", "tulay_b"]
    changed = api.core_api.update(
        "companies", "tulay_a", property_models.PropertyUpdate(label="Renamed")
    )
    assert changed.label == "Renamed"
    api.core_api.archive("companies", "tulay_b")
    names = [p.name for p in api.core_api.get_all("companies").results]
    assert "tulay_a" in names
    assert "tulay_b" not in names
    assert "tulay" in [g.name for g in api.groups_api.get_all("companies").results]
    key = twin.create("companies", name="X", tulay_id="u-1")
    found = hubspot.crm.companies.basic_api.get_by_id("u-1", id_property="tulay_id")
    assert found.id == key


def test_native_properties_are_described(hubspot) -> None:
    api = hubspot.crm.properties.core_api
    stage = api.get_by_name("deals", "dealstage")
    assert stage.type == "enumeration"
    assert stage.external_options
    assert api.get_by_name("contacts", "email").has_unique_value
    modified = api.get_by_name("companies", "hs_lastmodifieddate")
    assert modified.modification_metadata.read_only_value
    owner = api.get_by_name("tasks", "hubspot_owner_id")
    assert owner.referenced_object_type == "OWNER"
    with pytest.raises(property_models.ApiException) as missing:
        api.get_by_name("companies", "tulay_id")
    assert missing.value.status == 404


def test_pipelines_and_stages(hubspot) -> None:
    api = hubspot.crm.pipelines
    sales = api.pipelines_api.get_all("deals").results[0]
    won = next(stage for stage in sales.stages if stage.id == "closedwon")
    assert won.metadata == {"probability": "1.0", "isClosed": "true"}
    stage = api.pipeline_stages_api.create(
        "deals",
        "default",
        pipeline_models.PipelineStageInput(
            label="In production", display_order=9, metadata={"probability": "0.95"}
        ),
    )
    assert stage.metadata["isClosed"] == "false"
    made = api.pipelines_api.create(
        "deals",
        pipeline_models.PipelineInput(
            label="Service",
            display_order=1,
            stages=[
                pipeline_models.PipelineStageInput(
                    label="New", display_order=0, metadata={"probability": "0.1"}
                )
            ],
        ),
    )
    assert api.pipelines_api.get_by_id("deals", made.id).stages[0].label == "New"
    api.pipelines_api.archive("deals", made.id)
    assert [row.id for row in api.pipelines_api.get_all("deals").results] == ["default"]


def test_owners(twin, hubspot) -> None:
    page = hubspot.crm.owners.owners_api.get_page(limit=3)
    assert len(page.results) == 3
    rest = hubspot.crm.owners.owners_api.get_page(limit=3, after=page.paging.next.after)
    assert len(rest.results) == 1
    one = hubspot.crm.owners.owners_api.get_by_id(int(page.results[0].id))
    assert one.email == page.results[0].email


def test_associations_v4_one_by_one(twin, hubspot) -> None:
    person = twin.create("contacts", email="x@y.example")
    first, second = (twin.create("companies", name=name) for name in ("One", "Two"))
    api = hubspot.crm.associations.v4.basic_api
    api.create_default("contacts", person, "companies", first)
    primary = links.AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=1)
    answer = api.create("contacts", person, "companies", second, [primary])
    assert answer.labels == ["Primary"]
    rows = api.get_page("contacts", person, "companies").results
    assert [row.to_object_id for row in rows] == [second, first]
    assert [len(row.association_types) for row in rows] == [2, 1]
    api.archive("contacts", person, "companies", second)
    assert twin.get("contacts", person)["associations"]["companies"] == [first]
    assert "contacts" not in twin.get("companies", second)["associations"]


def test_associations_v4_in_batches(twin, hubspot) -> None:
    people = [twin.create("contacts", email=f"b{i}@y.example") for i in range(3)]
    firm = twin.create("companies", name="Firm")
    api = hubspot.crm.associations.v4.batch_api
    made = api.create(
        "contacts",
        "companies",
        links.BatchInputPublicAssociationMultiPost(
            inputs=[
                links.PublicAssociationMultiPost(
                    _from={"id": people[0]},
                    to={"id": firm},
                    types=[
                        links.AssociationSpec(
                            association_category="HUBSPOT_DEFINED", association_type_id=279
                        )
                    ],
                )
            ]
        ),
    )
    assert made.results[0].from_object_id == people[0]
    default = api.create_default(
        "contacts",
        "companies",
        links.BatchInputPublicDefaultAssociationMultiPost(
            inputs=[
                links.PublicDefaultAssociationMultiPost(_from={"id": people[1]}, to={"id": firm})
            ]
        ),
    )
    assert {row.association_spec.association_type_id for row in default.results} == {279, 280}
    read = api.get_page(
        "companies",
        "contacts",
        links.BatchInputPublicFetchAssociationsBatchRequest(
            inputs=[links.PublicFetchAssociationsBatchRequest(id=firm)]
        ),
    )
    assert {row.to_object_id for row in read.results[0].to} == {people[0], people[1]}
    bare = api.get_page(
        "contacts",
        "companies",
        links.BatchInputPublicFetchAssociationsBatchRequest(
            inputs=[links.PublicFetchAssociationsBatchRequest(id=key) for key in people]
        ),
    )
    assert bare.num_errors == 1
    assert bare.errors[0].context["fromObjectId"] == [people[2]]
    api.archive(
        "contacts",
        "companies",
        links.BatchInputPublicAssociationMultiArchive(
            inputs=[links.PublicAssociationMultiArchive(_from={"id": people[0]}, to=[{"id": firm}])]
        ),
    )
    assert twin.get("companies", firm)["associations"]["contacts"] == [people[1]]


def test_associations_v3(twin, hubspot) -> None:
    deal, line = twin.create("deals", dealname="D"), twin.create("line_items", name="L")
    api = hubspot.crm.associations.batch_api
    api.create(
        "deals",
        "line_items",
        associations.BatchInputPublicAssociation(
            inputs=[
                associations.PublicAssociation(
                    _from={"id": deal}, to={"id": line}, type="deal_to_line_item"
                )
            ]
        ),
    )
    read = api.read(
        "deals",
        "line_items",
        associations.BatchInputPublicObjectId(inputs=[{"id": deal}]),
    )
    assert [(row.id, row.type) for row in read.results[0].to] == [(line, "deal_to_line_item")]
    types = hubspot.crm.associations.schema.types_api.get_all("deals", "line_items").results
    assert ("19", "deal_to_line_item") in [(row.id, row.name) for row in types]


def test_line_items_are_read_with_their_deal(twin, hubspot) -> None:
    product = twin.objects("products")[0]
    deal = twin.create("deals", dealname="D")
    spec = line_items.AssociationSpec(
        association_category="HUBSPOT_DEFINED", association_type_id=20
    )
    made = hubspot.crm.line_items.basic_api.create(
        line_items.SimplePublicObjectInputForCreate(
            properties={"hs_product_id": product["id"], "quantity": "2"},
            associations=[line_items.PublicAssociationsForObject(to={"id": deal}, types=[spec])],
        )
    )
    assert made.properties["hs_sku"] == product["properties"]["hs_sku"]
    assert made.properties["amount"] == "49.8"
    assert twin.get("deals", deal)["associations"]["line_items"] == [made.id]


@pytest.mark.parametrize("name", ["orders", "order", "0-123"])
def test_generic_objects_have_three_names(twin, hubspot, name) -> None:
    api = hubspot.crm.objects
    made = api.basic_api.create(
        name,
        objects.SimplePublicObjectInputForCreate(
            properties={"hs_order_name": "SO-1", "hs_currency_code": "EUR"}, associations=[]
        ),
    )
    assert (
        api.basic_api.get_by_id(name, made.id, properties=["hs_order_name"]).properties[
            "hs_order_name"
        ]
        == "SO-1"
    )
    assert twin.count("orders") == 1


def test_tokens_of_the_old_endpoint(twin) -> None:
    api = HubSpot(host=twin.url).oauth
    given = api.tokens_api.create(
        grant_type="refresh_token",
        client_id=twin.tokens.client_id,
        client_secret=twin.client_secret,
        refresh_token=twin.tokens.refresh,
    )
    assert given.expires_in == 1800
    signed_in = HubSpot(access_token=given.access_token, host=twin.url)
    assert signed_in.crm.companies.basic_api.get_page(limit=1).results
    info = api.access_tokens_api.get(given.access_token)
    assert info.hub_id == twin.settings.portal_id
    assert api.refresh_tokens_api.get(given.refresh_token).client_id == twin.tokens.client_id


def test_a_wrong_token_is_a_401(twin) -> None:
    with pytest.raises(companies.ApiException) as refused:
        HubSpot(access_token="other", host=twin.url).crm.companies.basic_api.get_page()
    assert refused.value.status == 401
    assert "INVALID_AUTHENTICATION" in refused.value.body
