"""Routes of pipelines and their stages."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from connectors.hubspot.twin.calls import Call, Reply, text_field
from connectors.hubspot.twin.error_bodies import missing
from connectors.hubspot.twin.objects import Row
from connectors.hubspot.twin.pipelines import Pipeline, Stage


def _all(call: Call) -> dict[str, Pipeline]:
    return call.account.pipelines.setdefault(call.kind.name, {})


def _pipeline(call: Call) -> Pipeline:
    found = _all(call).get(call.params["id"])
    if found is None:
        raise missing(f"Pipeline {call.params['id']} does not exist")
    return found


def _stage(call: Call) -> Stage:
    found = _pipeline(call).stages.get(call.params["stage"])
    if found is None:
        raise missing(f"Stage {call.params['stage']} does not exist")
    return found


def listing(call: Call) -> Reply:
    """Lists the pipelines of an object type."""
    found = sorted(_all(call).values(), key=lambda pipeline: pipeline.order)
    return Reply(200, {"results": [pipeline.shown() for pipeline in found]})


def read(call: Call) -> Reply:
    """Answers one pipeline."""
    return Reply(200, _pipeline(call).shown())


def _new_stage(call: Call, row: Row) -> Stage:
    now = call.account.clock.ms()
    key = str(row.get("stageId") or uuid.uuid4())
    metadata = {str(k): str(v) for k, v in (row.get("metadata") or {}).items()}
    if "probability" in metadata:
        metadata.setdefault("isClosed", str(metadata["probability"] in ("0.0", "1.0")).lower())
    return Stage(
        key, text_field(row, "label"), int(row.get("displayOrder") or 0), metadata, now, now
    )


def _put(call: Call, key: str, row: Row) -> Pipeline:
    now = call.account.clock.ms()
    order = int(row.get("displayOrder") or 0)
    pipeline = Pipeline(key, text_field(row, "label"), order, now, now)
    stages = [_new_stage(call, stage) for stage in row.get("stages") or ()]
    pipeline.stages = {stage.id: stage for stage in stages}
    _all(call)[key] = pipeline
    return pipeline


def create(call: Call) -> Reply:
    """Makes a pipeline with its stages."""
    row = call.json()
    return Reply(201, _put(call, str(row.get("pipelineId") or uuid.uuid4()), row).shown())


def replace(call: Call) -> Reply:
    """Replaces a pipeline and all of its stages."""
    return Reply(200, _put(call, _pipeline(call).id, call.json()).shown())


def update(call: Call) -> Reply:
    """Changes label or order."""
    pipeline = _pipeline(call)
    _change(call, pipeline, call.json())
    return Reply(200, pipeline.shown())


def _change(call: Call, target: Pipeline | Stage, row: Row) -> None:
    target.label = str(row.get("label", target.label))
    target.order = int(row.get("displayOrder", target.order))
    target.updated = call.account.clock.ms()


def archive(call: Call) -> Reply:
    """Removes a pipeline."""
    del _all(call)[_pipeline(call).id]
    return Reply(204)


def stages(call: Call) -> Reply:
    """Lists the stages of a pipeline."""
    return Reply(200, {"results": _pipeline(call).shown()["stages"]})


def read_stage(call: Call) -> Reply:
    """Answers one stage."""
    return Reply(200, _stage(call).shown())


def create_stage(call: Call) -> Reply:
    """Adds a stage."""
    stage = _new_stage(call, call.json())
    _pipeline(call).stages[stage.id] = stage
    return Reply(201, stage.shown())


def update_stage(call: Call) -> Reply:
    """Changes a stage; PUT replaces its metadata, PATCH adds to it."""
    stage, row = _stage(call), call.json()
    _change(call, stage, row)
    given: dict[str, Any] = row.get("metadata") or {}
    kept = stage.metadata if call.method == "PATCH" else {}
    stage.metadata = {**kept, **{str(k): str(v) for k, v in given.items()}}
    return Reply(200, stage.shown())


def archive_stage(call: Call) -> Reply:
    """Removes a stage."""
    del _pipeline(call).stages[_stage(call).id]
    return Reply(204)


ROWS: list[tuple[str, str, Callable[[Call], Reply]]] = [
    ("GET", "/{type}", listing),
    ("POST", "/{type}", create),
    ("GET", "/{type}/{id}", read),
    ("PUT", "/{type}/{id}", replace),
    ("PATCH", "/{type}/{id}", update),
    ("DELETE", "/{type}/{id}", archive),
    ("GET", "/{type}/{id}/stages", stages),
    ("POST", "/{type}/{id}/stages", create_stage),
    ("GET", "/{type}/{id}/stages/{stage}", read_stage),
    ("PUT", "/{type}/{id}/stages/{stage}", update_stage),
    ("PATCH", "/{type}/{id}/stages/{stage}", update_stage),
    ("DELETE", "/{type}/{id}/stages/{stage}", archive_stage),
]
