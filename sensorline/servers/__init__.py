"""Real Apache Kafka and real Elasticsearch as local processes on loopback, without Docker, for trying and testing.

    from sensorline import servers

    running = servers.up(Path("var/servers"))     # fetches the jars the first time
    running.bootstrap, running.elasticsearch_url  # 127.0.0.1:19092, http://127.0.0.1:19200
    servers.down(Path("var/servers"))             # the data stays

They have no password and no replica: never expose them, never keep in them what you cannot lose.
"""

from sensorline.servers.controller import Servers, Status, down, kill, log_file, pause, restart, resume, status, up
from sensorline.servers.errors import ServersError

__all__ = [
    "Servers",
    "ServersError",
    "Status",
    "down",
    "kill",
    "log_file",
    "pause",
    "restart",
    "resume",
    "status",
    "up",
]
