"""Messages to clients that are connected by WebSocket, in one process or, with Redis, in all of them."""

from collections.abc import Iterator

from laterctl.edits.alias import DependencyAlias
from laterctl.edits.app_statements import Router
from laterctl.edits.beside import Beside
from laterctl.edits.chosen import Chosen
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File, current_user
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.open_file import Listed
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage


def callers(context: FeatureContext) -> Iterator[Edit]:
    """Ask the project's own dependency who connects, where a new module can import it."""
    if (own := current_user(context)) is None:
        path = context.path("api/ws.py")
        if not context.own_file(context.path("core/auth/tokens.py")):
            context.notice(f"anybody may connect, until jwt is added, or CALLERS in {path} names who knows callers")
        return
    context.notice(f"who connects is what {own.text} returns: it has to take a WebSocket where it takes a request")
    yield File("api/ws_user.py", "websocket/api/ws_user.py.jinja")
    yield Listed("api.ws_user:user_caller", into="api.ws:CALLERS", rank=10)


feature = Feature(
    name="websocket",
    group=Group.SCALING,
    aliases=("ws",),
    summary="messages to clients that are connected by WebSocket, whatever process they are connected to",
    requires=("settings", "lifespan"),
    floors={"python": "3.10", "fastapi": "0.115.4", "pydantic": "2"},
    options=(
        Option(
            "store",
            "what hands messages on: memory for one process, redis for more",
            default="memory",
            choices=("memory", "redis"),
            requires={"redis": ("redis",)},
        ),
        Option("path", "of the route", default="/ws", pattern=r"(/[A-Za-z0-9._~-]+)+"),
    ),
    edits=(
        DependencyFloor("websockets>=13"),
        Setting(
            "ws_origins", "list[str] | str", [], help="origins whose pages may connect: https://app.example.com,..."
        ),
        Setting("ws_max_connections", "PositiveInt", 1000, help="connections at a time, of each process"),
        Setting("ws_max_of_user", "PositiveInt", 20, help="connections of one user, of each process"),
        Setting("ws_max_message", "PositiveInt", 65536, help="largest message of a client, in bytes"),
        Chosen(
            "store",
            ("redis",),
            (Setting("ws_channel", "str", "ws", help="channel in Redis, for this application alone"),),
        ),
        File("core/realtime.py", "websocket/core/realtime.py.jinja"),
        Provider("hub", "core.realtime:Hub", closed_by="aclose", rank=60),
        File("api/ws.py", "websocket/api/ws.py.jinja", open=True),
        Beside(
            "cors",
            (
                File("core/realtime_cors.py", "websocket/core/realtime_cors.py.jinja"),
                Listed("core.realtime_cors:has_cors", into="api.ws:ORIGINS"),
            ),
        ),
        Beside(
            "jwt",
            (
                File("api/ws_token.py", "websocket/api/ws_token.py.jinja"),
                Listed("api.ws_token:token_caller", into="api.ws:CALLERS", rank=20),
            ),
        ),
        Router("api.ws:router", alias="ws_router"),
        DependencyAlias(
            "HubDep",
            "Annotated[Hub, Depends(shared_hub)]",
            ("typing:Annotated", "fastapi:Depends", "core.realtime:Hub", "api.ws:shared_hub"),
        ),
        DroppedTest("test_ws.py", "websocket/tests/test_ws.py.jinja", when=has_importable_app),
    ),
    edits_for=callers,
    by_hand=ExistingSigns(
        imports=("broadcaster", "fastapi_websocket_pubsub", "fastapi_websocket_rpc", "socketio"),
        names=("ConnectionManager", "WebSocketManager", "WebsocketManager", "WSManager"),
        routes=("{path}",),
        dependencies=("broadcaster", "fastapi-websocket-pubsub", "python-socketio", "fastapi-socketio"),
    ),
    changes=("WebSockets are taken at /ws, or another websocket.path",),
    stage=Stage.MORE,
    why="when clients are to be told instead of asking",
    notes=(
        "send to all clients: await hub.publish(text), with hub: HubDep from {api.ws}; to those of one user: "
        "await hub.publish(text, topic_of(subject)), from {core.realtime}",
        "start the server with a bound for what it takes itself: uvicorn --ws-max-size 65536",
        "with more than one process: laterctl add websocket --set websocket.store=redis",
    ),
)
