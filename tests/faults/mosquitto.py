"""A real Mosquitto on free loopback ports, that a test may kill, pause and start again.

    with mosquitto(tmp_path, tls=True) as broker:
        broker.url            mqtt://127.0.0.1:...   always there
        broker.tls_url        mqtts://127.0.0.1:...  with `tls`; trust `broker.cafile`
        broker.websocket_url  ws://127.0.0.1:...     with `websocket`
        broker.secure_websocket_url                  with both

With `dynsec=True` nobody gets in but `broker.admin`, whose password is `broker.admin_password`; `broker.control`
runs `mosquitto_ctrl ... dynsec` as that admin.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from sensorline.servers import apt
from sensorline.servers.errors import ServersError
from sensorline.servers.ports import HOST, free_port

START_WAIT_S = 10.0
STOP_WAIT_S = 5.0
PLUGIN = "mosquitto_dynamic_security.so"
PLUGIN_FOLDERS = ("/usr/lib", "/usr/local/lib", "/usr/lib64")


@cache
def programs() -> Path:
    """Mosquitto's path; skips the test, with the reason, where it is absent and may not be installed."""
    try:
        return Path(apt.program("mosquitto", "mosquitto", print))
    except ServersError as e:
        if os.environ.get("CI") == "true":  # a suite that skips what it was told to run proves nothing
            raise
        pytest.skip(str(e))


@dataclass
class Mosquitto:
    """One broker; each method returns when it is done."""

    folder: Path
    port: int
    tls_port: int = 0
    websocket_port: int = 0
    secure_websocket_port: int = 0
    persistence: bool = False
    admin: str = "admin"
    admin_password: str = ""
    extra: Sequence[str] = ()  # further lines of configuration, before the first listener
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Plain TCP."""
        return f"mqtt://{HOST}:{self.port}"

    @property
    def tls_url(self) -> str:
        """TLS over TCP."""
        return f"mqtts://{HOST}:{self.tls_port}"

    @property
    def websocket_url(self) -> str:
        """A WebSocket."""
        return f"ws://{HOST}:{self.websocket_port}/mqtt"

    @property
    def secure_websocket_url(self) -> str:
        """A WebSocket over TLS."""
        return f"wss://{HOST}:{self.secure_websocket_port}/mqtt"

    @property
    def cafile(self) -> Path:
        """The throw-away authority."""
        return self.folder / "ca.crt"

    @property
    def log(self) -> str:
        """What it has printed."""
        return (self.folder / "mosquitto.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, or start it again, on the same ports and with the same files."""
        (self.folder / "mosquitto.conf").write_text(self._configuration())
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(programs()), "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        deadline_s = time.monotonic() + START_WAIT_S
        for port in self._ports():
            while not _answers(port):
                assert self.process.poll() is None, f"mosquitto ended:\n{self.log}"
                assert time.monotonic() < deadline_s, f"mosquitto does not answer:\n{self.log}"
                time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not help; fine when it does not run."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)  # a paused process hears SIGTERM only then
        try:
            self.process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_WAIT_S)

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def control(self, *command: str) -> str:
        """`mosquitto_ctrl dynsec <command>` as the admin; its output."""
        program = str(programs().with_name("mosquitto_ctrl"))
        program = program if Path(program).exists() else apt.program("mosquitto_ctrl", "mosquitto", print)
        login = ["-u", self.admin, "-P", self.admin_password]
        done = subprocess.run(
            [program, "-h", HOST, "-p", str(self.port), *login, "dynsec", *command],
            capture_output=True,
            text=True,
            timeout=START_WAIT_S,
            check=False,
        )
        # mosquitto_ctrl ends with 0 also when the broker refused the command
        assert done.returncode == 0 and "Error" not in done.stderr + done.stdout, done.stderr + done.stdout
        return done.stdout

    def _ports(self) -> list[int]:
        ports = [self.port, self.tls_port, self.websocket_port, self.secure_websocket_port]
        return [port for port in ports if port]

    def _configuration(self) -> str:
        lines = [
            "per_listener_settings false",
            f"allow_anonymous {_flag(not self.admin_password)}",
            "set_tcp_nodelay true",  # else a PUBACK and a message in a row wait 40 ms for each other
            "log_type error",
            "log_type warning",
            "log_type notice",
            *(["user root"] if os.geteuid() == 0 else []),  # else it could not read the test's folder
            f"persistence {_flag(self.persistence)}",
            *self.extra,
        ]
        if self.persistence:
            lines += [f"persistence_location {self.folder}/", "autosave_interval 1", "autosave_on_changes true"]
        if self.admin_password:
            lines += [f"plugin {_plugin()}", f"plugin_opt_config_file {self.folder / 'dynamic-security.json'}"]
        lines += [f"listener {self.port} {HOST}"]  # first: it refuses to start with WebSockets alone
        certificate = [f"certfile {self.folder / 'server.crt'}", f"keyfile {self.folder / 'server.key'}"]
        if self.tls_port:
            lines += [f"listener {self.tls_port} {HOST}", *certificate]
        if self.websocket_port:
            lines += [f"listener {self.websocket_port} {HOST}", "protocol websockets"]
        if self.secure_websocket_port:
            lines += [f"listener {self.secure_websocket_port} {HOST}", "protocol websockets", *certificate]
        return "\n".join(lines) + "\n"


@contextmanager
def mosquitto(
    folder: Path,
    *,
    tls: bool = False,
    websocket: bool = False,
    persistence: bool = False,
    dynsec: bool = False,
    extra: Sequence[str] = (),
) -> Iterator[Mosquitto]:
    """A started broker with its files in a new folder inside `folder`; stopped at the end."""
    programs()
    home = folder / f"mosquitto-{time.monotonic_ns()}"
    home.mkdir(parents=True)
    broker = Mosquitto(
        home,
        free_port(),
        tls_port=free_port() if tls else 0,
        websocket_port=free_port() if websocket else 0,
        secure_websocket_port=free_port() if tls and websocket else 0,
        persistence=persistence,
        admin_password="throw-away" if dynsec else "",
        extra=extra,
    )
    if tls:
        make_certificates(home)
    if dynsec:
        _make_admin(broker)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def make_certificates(folder: Path) -> None:
    """ca.crt, and server.crt and server.key for 127.0.0.1 and localhost, valid for two days."""
    openssl = apt.program("openssl", "openssl", print)
    names = folder / "names.cnf"
    names.write_text(f"subjectAltName=IP:{HOST},DNS:localhost\nextendedKeyUsage=serverAuth\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    _run(
        openssl,
        "req",
        "-x509",
        *key,
        "-subj",
        "/CN=throw-away",
        *usage,
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        at=folder,
    )
    request = [argument for argument in key if argument not in ("-days", "2")]
    _run(openssl, "req", *request, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr", at=folder)
    signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", names.name]
    _run(openssl, "x509", "-req", "-in", "server.csr", *signed, "-out", "server.crt", at=folder)


def _make_admin(broker: Mosquitto) -> None:
    program = apt.program("mosquitto_ctrl", "mosquitto", print)
    _run(program, "dynsec", "init", "dynamic-security.json", broker.admin, broker.admin_password, at=broker.folder)


def _run(*command: str, at: Path) -> None:
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, timeout=START_WAIT_S, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


@cache
def _plugin() -> Path:
    for folder in PLUGIN_FOLDERS:
        for found in Path(folder).glob(f"**/{PLUGIN}"):
            return found
    pytest.skip(f"{PLUGIN} is not here: this Mosquitto was built without dynamic security")


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0
