"""A proxy in front of a real HTTP server that does to a request what a test says: pass, refuse, lose the reply, and
refuse single operations of a bulk request (which then do not reach the server)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import orjson
from aiohttp import web

DOCUMENT_END = b"\xff"  # of SMILE


@dataclass(frozen=True)
class Pass:
    """Hand on, and hand back the answer."""


@dataclass(frozen=True)
class Refuse:
    """Answer so; the server sees nothing."""

    status: int
    body: bytes = b'{"error":{"type":"proxy","reason":"refused by the proxy"}}'


@dataclass(frozen=True)
class LoseReply:
    """Hand on, wait for the answer, and close the connection without it."""


@dataclass(frozen=True)
class RefuseItems:
    """Take these operations out of the bulk request, and put a refusal with `status` in their place of the answer."""

    items: Sequence[int]
    status: int


Action = Pass | Refuse | LoseReply | RefuseItems
Script = Callable[[str, str], Action]  # method, path with query


class Proxy:
    """Runs on a free port of loopback; `script` may be changed at any time, `seen` is what came."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.script: Script = lambda method, path: Pass()
        self.seen: list[tuple[str, str]] = []
        self.url = ""

    @asynccontextmanager
    async def run(self) -> AsyncIterator["Proxy"]:
        """Listen until the block ends."""
        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        async with aiohttp.ClientSession() as self._session:
            try:
                yield self
            finally:
                await runner.cleanup()

    def refuse_next(self, matching: str, *actions: Action) -> None:
        """Do these to the next requests whose path has `matching`, one each; pass all others."""
        left = list(actions)

        def script(method: str, path: str) -> Action:
            return left.pop(0) if matching in path and left else Pass()

        self.script = script

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        action = self.script(request.method, request.path_qs)
        self.seen.append((request.method, request.path_qs))
        if isinstance(action, Refuse):
            return web.Response(status=action.status, body=action.body, content_type="application/json")
        if isinstance(action, RefuseItems) and not (body := _without(body, action.items)):
            return web.Response(body=_with_refusals(b'{"items":[]}', action), content_type="application/json")
        answer = await self._forward(request, body)
        if isinstance(action, LoseReply):
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0)
        if isinstance(action, RefuseItems):
            answer.body = _with_refusals(_bytes(answer), action)
        return answer

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        kept = {k: v for k, v in request.headers.items() if k.lower() in {"accept", "content-type", "authorization"}}
        url = self._target + request.path_qs
        async with self._session.request(request.method, url, data=body or None, headers=kept) as answer:
            product = {"x-elastic-product": answer.headers.get("x-elastic-product", "")}
            content = await answer.read()
            return web.Response(status=answer.status, body=content, headers=product, content_type=answer.content_type)


def _bytes(answer: web.Response) -> bytes:
    assert isinstance(answer.body, bytes)
    return answer.body


def _without(body: bytes, items: Sequence[int]) -> bytes:
    """The bulk body without these operations, each an action and a document."""
    documents = body.split(DOCUMENT_END)[:-1]
    gone = {2 * k for k in items} | {2 * k + 1 for k in items}
    return b"".join(d + DOCUMENT_END for k, d in enumerate(documents) if k not in gone)


def _with_refusals(answer: bytes, action: RefuseItems) -> bytes:
    content = orjson.loads(answer)
    error = {"type": "es_rejected_execution_exception", "reason": "rejected by the proxy"}
    for k in sorted(action.items):
        content["items"].insert(k, {"create": {"status": action.status, "error": error}})
    return orjson.dumps({"errors": True, "items": content["items"]})
