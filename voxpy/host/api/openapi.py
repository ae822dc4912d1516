"""The OpenAPI document of the API, made of its doors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs
import trio

from voxpy.history.search import CallRow, SessionRow
from voxpy.host.doors import Door, json_answer
from voxpy.text.product import product

if TYPE_CHECKING:
    from starlette.responses import Response

PLACE = "/api/openapi.json"
_KINDS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def openapi_door(doors: Iterable[Door]) -> Door:
    """Return where the document of these doors is; it stands there itself."""
    described = [door for door in doors if door.summary]

    async def answer(*_: Any) -> Response:
        await trio.lowlevel.checkpoint()
        return json_answer(document([*described, own]))

    own = Door(path=PLACE, answer=answer, summary="This document", gives="object")
    return own


def document(doors: Iterable[Door]) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for door in doors:
        place = re.sub(r"\{(\w+):\w+\}", r"{\1}", door.path)
        for method in door.methods:
            paths.setdefault(place, {})[method.lower()] = _operation(door, place)
    return {
        "openapi": "3.1.0",
        "info": {"title": "voxpy host", "version": product().partition("/")[2] or "0"},
        "paths": paths,
        "components": {
            "schemas": {
                "Error": _object(error=_object(code={"type": "integer"}, msg={"type": "string"})),
                "Done": _object(result={"type": "integer"}),
                "Session": _of(SessionRow, without=("folder",)),
                "Sessions": _many("Session"),
                "OneSession": _object(result=_ref("Session")),
                "Started": _object(
                    result={"type": "integer"},
                    call_session_history_id={"type": "string"},
                    media_session_access_url={"type": "string"},
                    media_session_access_secure_url={"type": "string"},
                ),
                "List": _object(
                    list_id={"type": "integer"},
                    name={"type": "string"},
                    rule_name={"type": "string"},
                    state={"enum": ["running", "stopped", "done"]},
                    created={"type": "string"},
                    columns={"type": "array", "items": {"type": "string"}},
                    terms={"type": "object"},
                    counts={"type": "object"},
                    rows={"type": "integer"},
                    attempts={"type": "integer"},
                ),
                "Lists": _many("List"),
                "OneList": _object(result=_ref("List")),
                "Added": _object(
                    result={"type": "integer"},
                    list_id={"type": "integer"},
                    count={"type": "integer"},
                ),
                "Users": _object(
                    result={
                        "type": "array",
                        "items": _object(user_name={"type": "string"}, places={"type": "integer"}),
                    },
                    count={"type": "integer"},
                ),
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(door: Door, place: str) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", place)
    ]
    parameters += [
        {"name": name, "in": "query", "schema": {"type": "string"}} for name in door.query
    ]
    told: dict[str, Any] = {
        "summary": door.summary,
        "parameters": parameters,
        "responses": {
            str(door.status): {"description": door.summary, "content": _content(door.gives)},
            "default": {
                "description": "why not",
                "content": {"application/json": {"schema": _ref("Error")}},
            },
        },
    }
    if door.takes and door.methods != ("GET",):
        told["requestBody"] = {"content": {kind: {"schema": {}} for kind in door.takes}}
    if door.open:
        told["security"] = []
    return told


def _content(gives: str) -> dict[str, Any]:
    if "/" in gives:
        return {gives: {"schema": {"type": "string"}}}
    schema = {"type": "object"} if gives == "object" else _ref(gives)
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _many(name: str) -> dict[str, Any]:
    return _object(result={"type": "array", "items": _ref(name)}, count={"type": "integer"})


def _of(kind: type[Any], *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of a row, from its class."""
    return _object(
        **{
            field.name: _field(str(field.type))
            for field in attrs.fields(kind)
            if field.name not in without
        }
    )


def _field(written: str) -> dict[str, Any]:
    names = [name.strip() for name in written.split("|")]
    kinds = ["null" if name == "None" else _KINDS.get(name, "") for name in names]
    if all(kinds):
        return {"type": kinds[0] if len(kinds) == 1 else kinds}
    if "CallRow" in written:
        return {"type": "array", "items": _of(CallRow)}
    return {"type": "array"}
