"""First start: the accounts in Elasticsearch that compose.yaml's services and its operator use.

Kibana's own user gets its password, the gateways and consumers a role that reaches their indices and nothing else, the
operator one that reads them in Kibana.  Safe to run again: it sets what it set before.
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

SETUP = Path(os.environ.get("SECRETS", "/secrets")) / "setup"
URL = os.environ.get("ELASTICSEARCH", "http://elasticsearch:9200")
WAIT_S = 120.0
INDICES = ["readings-*", "windows-*", "claims", "sessions", "anomalies"]
ROLE = {
    "cluster": ["monitor", "manage_index_templates"],
    "indices": [{"names": INDICES, "privileges": ["read", "write", "create_index", "delete_index", "manage"]}],
}
READER = {"indices": [{"names": INDICES, "privileges": ["read", "view_index_metadata"]}]}


def main() -> int:
    """Exit code 0 when every account is there."""
    ask("POST", "/_security/user/kibana_system/_password", {"password": password("kibana_system")})
    ask("PUT", "/_security/role/sensorline", ROLE)
    ask("PUT", "/_security/role/sensorline_reader", READER)
    ask("PUT", "/_security/user/sensorline", {"password": password("sensorline"), "roles": ["sensorline"]})
    roles = ["kibana_admin", "sensorline_reader"]
    ask("PUT", "/_security/user/operator", {"password": password("operator"), "roles": roles})
    return 0


def password(name: str) -> str:
    """That secret."""
    return (SETUP / f"{name}.password").read_text().strip()


def ask(method: str, path: str, body: dict[str, Any]) -> None:
    """As the superuser; tried again while the node is not ready.  Raises what the node said to a wrong request."""
    login = base64.b64encode(f"elastic:{password('elastic')}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers, method=method)  # noqa: S310
    until_s = time.monotonic() + WAIT_S
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - this file's own address
                answer.read()
                return
        except urllib.error.HTTPError as e:
            if (e.code < 500 and e.code not in (401, 429)) or time.monotonic() > until_s:
                raise SystemExit(f"{method} {path}: {e.code} {e.read(500).decode(errors='replace')}") from e
        except OSError as e:
            if time.monotonic() > until_s:
                raise SystemExit(f"{method} {path}: {e}") from e
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
