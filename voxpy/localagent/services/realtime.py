"""The services of the Realtime protocol: they differ in addresses, keys and quirks."""

from __future__ import annotations

import re
from functools import partial

import attrs

from voxpy.localagent.services.dialect import Fake, Request, needs_key
from voxpy.wire.realtime.endpoint import Refusal, check_request
from voxpy.wire.realtime.server.quirks import LIKE

INWORLD_PATH = "/api/v1/realtime/session"
OPENAI_PATH = re.compile(r"(/openai)?(/v1)?/realtime")


def _check(request: Request, *, openai: bool) -> Refusal | None:
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    return check_request(f"{request.path}?{query}", request.headers.items(), openai=openai)


OPENAI = Fake(
    name="openai",
    path=OPENAI_PATH,
    address="/v1/realtime?model=<any>",
    example='openai.AsyncOpenAI(websocket_base_url="ws://{where}/v1", api_key="any")',
    refuse=partial(_check, openai=True),
    quirks=LIKE["openai"],
)
FAKES = (
    Fake(
        name="inworld",
        path=re.compile(INWORLD_PATH),
        address=f"{INWORLD_PATH}?key=<any>&protocol=realtime",
        example="voxpy run scenarios/answer.py --agent ws://{where}",
        refuse=partial(_check, openai=False),
    ),
    OPENAI,
    attrs.evolve(
        OPENAI,
        name="openai-beta",
        quirks=LIKE["openai-beta"],
        knows=lambda request: "openai-beta" in request.headers,
    ),
    Fake(
        name="grok",
        path=OPENAI_PATH,
        address="/v1/realtime?model=grok-voice-latest",
        example="Grok.create_voice_agent_api_client(url='ws://{where}/v1/realtime')",
        refuse=needs_key("authorization", "sec-websocket-protocol"),
        quirks=LIKE["grok"],
        knows=lambda request: request.query.get("model", "").startswith("grok"),
    ),
    Fake(
        name="yandex",
        path=re.compile("/v1/realtime/openai"),
        address="/v1/realtime/openai?model=gpt://<folder>/<model>",
        example="Yandex.create_realtime_api_client(url='ws://{where}/v1/realtime/openai', …)",
        refuse=needs_key("authorization"),
        quirks=LIKE["yandex"],
    ),
)
