"""A small server that answers as Kibana's status, import and dashboards addresses do."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY, USER, PASSWORD = "a2V5OmNhbmFyeQ==", "elastic", "canary-password"


@dataclass
class Asked:
    """A request, as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def file(self) -> str:
        """The uploaded file of a multipart form."""
        head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
        (part,) = BytesParser().parsebytes(head + self.body).get_payload()  # type: ignore[misc]
        assert 'name="file"' in str(part["content-disposition"])  # type: ignore[index]
        assert ".ndjson" in str(part["content-disposition"])  # type: ignore[index]
        return bytes(part.get_payload(decode=True)).decode()  # type: ignore[union-attr,arg-type]


@dataclass
class FakeKibana:
    """What it answers, and what it was asked."""

    version: str = "8.19.2"
    busy: int = 0  # so many requests get a 503 first
    wants_login: bool = False
    import_errors: list[dict[str, Any]] = field(default_factory=list)
    elsewhere: bool = False  # another space has everything already: an import makes it under ids of this one's own
    dashboards_status: int = 201
    forced: tuple[int, dict[str, str], bytes] | None = None
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def imports(self) -> list[list[dict[str, Any]]]:
        """The objects of each import."""
        sent = [a for a in self.asked if "_import" in a.path]
        return [[json.loads(line) for line in a.file.splitlines()] for a in sent]

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:  # noqa: PLR0911 - a table of answers
        self.asked.append(asked)
        if self.busy:
            self.busy -= 1
            return 503, {"retry-after": "1"}, b"Kibana server is not ready yet"
        if self.forced is not None:
            return self.forced
        if self.wants_login and asked.headers.get("authorization") != f"ApiKey {KEY}":
            return _document(401, {"statusCode": 401, "error": "Unauthorized", "message": "[security_exception]"})
        if asked.path.endswith("/api/status"):
            return _document(200, {"name": "k", "version": {"number": self.version, "build_snapshot": False}})
        if asked.method != "GET" and "kbn-xsrf" not in asked.headers:
            return _document(400, {"statusCode": 400, "message": "Request must contain a kbn-xsrf header."})
        if "/api/saved_objects/_import" in asked.path:
            assert asked.path.endswith("?overwrite=true")
            return self._import(asked)
        if "/api/dashboards/" in asked.path and asked.method == "PUT" and self.elsewhere:
            return _document(409, {"statusCode": 409, "message": "Saved object is in another space"})
        if "/api/dashboards/" in asked.path and asked.method == "PUT":
            said = {"statusCode": self.dashboards_status, "message": "[request body.panels.0]: no such key"}
            return _document(self.dashboards_status, said if self.dashboards_status >= 300 else {"id": "x", "data": {}})
        return _document(404, {"statusCode": 404, "error": "Not Found", "message": "Not Found"})

    def _import(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        ids = {(json.loads(line)["type"], json.loads(line)["id"]) for line in asked.file.splitlines()}
        errors = [e for e in self.import_errors if (e["type"], e["id"]) in ids]
        document: dict[str, Any] = {"success": not errors, "successCount": len(ids) - len(errors), "warnings": []}
        taken = sorted(ids - {(e["type"], e["id"]) for e in errors})
        document["successResults"] = [
            {"type": type_, "id": id_, "meta": {}} | ({"destinationId": f"here-{id_}"} if self.elsewhere else {})
            for type_, id_ in taken
        ]
        return _document(200, document | ({"errors": errors} if errors else {}))


def _document(status: int, document: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    return status, {"content-type": "application/json"}, json.dumps(document).encode()


@contextmanager
def kibana(**options: Any) -> Iterator[FakeKibana]:
    """One that listens until the block ends."""
    fake = FakeKibana(**options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, answer = fake.answer(Asked(self.command, self.path, headers, body))
            self.send_response(status)
            for name, value in ({"content-length": str(len(answer))} | more).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = _any  # noqa: N815 - the names http.server looks for

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
