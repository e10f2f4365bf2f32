"""The MQTT library's client, made, connected and cut as our options say; `mqtt_link` speaks through it."""

import contextlib
import os
import socket
import ssl
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from telemetry.mqtt_connection import V5, Options


def made(options: Options) -> paho.Client:
    """Not connected yet, and without callbacks; it does not connect again by itself."""
    is_v5 = options.version == V5
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        clean_session=None if is_v5 else True,
        protocol=paho.MQTTv5 if is_v5 else paho.MQTTv311,
        transport="websockets" if options.address.is_websocket else "tcp",
        reconnect_on_failure=False,
        manual_ack=options.manual_ack,
    )
    client.connect_timeout = options.wait_s
    if options.address.is_websocket:
        client.ws_set_options(path=options.address.path)
    if options.login is not None:
        client.username_pw_set(options.login.username, options.login.password)
    return client


def connect(client: paho.Client, options: Options) -> None:
    """Blocks for as long as the name, the connection and the handshakes take; each has a deadline.

    Raises `OSError` and `ValueError`.
    """
    if options.address.is_tls:
        client.tls_set_context(tls_context(options.cafile))
    if options.version == V5:
        client.connect(
            options.address.host,
            options.address.port,
            options.keepalive_s,
            clean_start=True,
            properties=_limits(options),
        )
    else:
        client.connect(options.address.host, options.address.port, options.keepalive_s)
    with _line(client) as line:  # an acknowledgement and a message in a row would wait 40 ms for each other
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def cut(client: paho.Client) -> None:
    """End its connection now, whatever it waits for; nothing that was published is sent any more."""
    client.drop_out_messages()
    with contextlib.suppress(OSError, ValueError, AttributeError), _line(client) as line:  # or it has ended by itself
        line.shutdown(socket.SHUT_RDWR)


def tls_context(cafile: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, the certificate and the host's name checked; raises `OSError`."""
    context = ssl.create_default_context(cafile=cafile)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _line(client: paho.Client) -> socket.socket:
    """A second handle of the connection's socket, under TLS and WebSocket; raises when there is none."""
    return socket.socket(fileno=os.dup(client.socket().fileno()))  # type: ignore[union-attr]


def _limits(options: Options) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    if options.receive_max is not None:
        properties.ReceiveMaximum = options.receive_max
    if options.packet_bytes_max is not None:
        properties.MaximumPacketSize = options.packet_bytes_max
    return properties
