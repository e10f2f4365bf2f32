"""Groups of settings, each with its limits: what the file's tables and the environment's parts are called."""

import ipaddress
import re
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from telemetry.batch import READINGS_MAX


class Section(BaseModel):
    """A group of settings; an unknown name is an error, not a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(Section):
    """What the gateway takes at most.  All are tested."""

    body_bytes_max: int = Field(2**20, gt=0, description="request body on the wire")
    inflated_bytes_max: int = Field(8 * 2**20, gt=0, description="request body once inflated")
    readings_max: int = Field(READINGS_MAX, gt=0, le=READINGS_MAX, description="readings a batch")
    header_wait_s: float = Field(10.0, gt=0, description="until the request's headers are whole")
    body_window_s: float = Field(10.0, gt=0, description="a body must bring body_window_bytes_min in any such window")
    body_window_bytes_min: int = Field(1024, ge=1)
    idle_wait_s: float = Field(60.0, gt=0, description="a kept-alive connection without a request")
    connections_per_address_max: int = Field(256, gt=0)
    connections_max: int = Field(4096, gt=0)
    requests_per_s: float = Field(50.0, gt=0, description="token bucket a device: refill")
    requests_burst: int = Field(200, gt=0, description="token bucket a device: size")
    raw_rows_max: int = Field(200_000, gt=0, description="readings that one minmax or lttb query may look at")
    in_flight_bytes_max: int = Field(256 * 2**20, gt=0, description="bodies held in memory at once, inflated")
    live_readers_max: int = Field(200, gt=0, description="live streams open at once")
    live_readers_per_principal_max: int = Field(20, gt=0, description="and of one person or key")
    live_queue_bytes_max: int = Field(2 * 2**20, gt=0, description="events that wait for one reader; what is over goes")
    live_ring_bytes_max: int = Field(16 * 2**20, ge=0, description="newest records kept for readers that come back")
    live_resume_records_max: int = Field(20_000, ge=0, description="a reader that missed more begins anew")


class Mqtt(Section):
    """The gateway's place at an MQTT broker."""

    url: str = Field("", description="mqtt://, mqtts://, ws:// or wss:// of the broker; empty = no MQTT")
    username: str = ""
    password_file: str = Field("", description="holds the password of that account, in one line")
    admin_username: str = Field(
        "", description="manages the broker's accounts; empty = only `mqtt sync` elsewhere does"
    )
    admin_password_file: str = Field("", description="holds that account's password, in one line")
    cafile: str = Field("", description="authority of a broker with a certificate of its own")
    group: str = Field(
        "gateways", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="gateways of one group share messages"
    )
    in_flight_max: int = Field(20, ge=1, le=1000, description="messages of QoS 1 that the log is given at once")
    waiting_max: int = Field(
        100, ge=1, le=10_000, description="more of each QoS that may wait in memory; what is over is dropped, counted"
    )
    message_bytes_max: int = Field(256 * 1024, gt=0, description="payload on the wire")
    keepalive_s: int = Field(30, ge=5, le=3600)
    connect_wait_s: float = Field(10.0, gt=0, description="for each answer of the broker")
    phone_wait_s: float = Field(60.0, ge=0, description="try a phone's message again so long: a phone never resends")


class Web(Section):
    """What the pages are told."""

    tile_url: str = Field(
        "", description="map tiles, as https://tiles.example.org/{z}/{x}/{y}.png; empty = a plain graticule"
    )
    tile_attribution: str = Field("", description="whom the map must name")
    kibana_url: str = Field("", description="where Kibana is, for a link")
    session_hours: float = Field(12.0, gt=0, le=24 * 90, description="a login ends so long after it began")

    @field_validator("tile_url", "kibana_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[A-Za-z0-9.{}\-]+(:[0-9]+)?(/[^\s;,'\"]*)?", url):
            raise ValueError("an address begins with https:// or http:// and a host, and has no space, quote, ; or ,")
        return url


class Gateway(Section):
    """Where the gateway listens."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535, description="0 = any free port")
    public_url: str = Field("", description="what phones are told; empty = http://host:port")
    trusted_proxies: tuple[str, ...] = Field(
        (), description="addresses or networks of proxies in front, whose X-Forwarded-For says who asks"
    )
    certfile: str = ""
    keyfile: str = ""
    local_https: bool = Field(default=False, description="a certificate of this station's own, as `--https` says")
    authority_file: str = Field("", description="certificate of one's own authority, given away at /ca.crt")
    plain_http_anywhere: bool = Field(default=False, description="allow plain HTTP on other than loopback")
    append_wait_s: float = Field(10.0, gt=0, description="deadline of one append to the log")
    query_wait_s: float = Field(30.0, gt=0, description="deadline of one query to the store")
    devices_stale_s: float = Field(5.0, gt=0, description="refuse devices when the registry's tail is older")
    stop_wait_s: float = Field(8.0, gt=0, description="to finish requests after SIGTERM")
    limits: Limits = Limits()
    mqtt: Mqtt = Mqtt()
    web: Web = Web()

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            ipaddress.ip_network(proxy, strict=False)
        return proxies


class Consumers(Section):
    """How consumers poll and flush."""

    enabled: tuple[str, ...] = Field(
        ("index", "ledger", "detect", "windows", "anomalies", "alert"),
        description="what `up` runs, of those whose libraries are installed",
    )
    flush_readings_max: int = Field(100_000, gt=0, description="flush when this many readings are held")
    flush_bytes_max: int = Field(32 * 2**20, gt=0, description="or this many bytes of records")
    flush_wait_s: float = Field(1.0, gt=0, description="or this long after the first of them came")
    backoff_s: float = Field(0.5, gt=0, description="first wait after a failed flush; doubles")
    backoff_max_s: float = Field(30.0, gt=0)
    lag_alarm_records: int = Field(10_000, gt=0)
    session_cache_max: int = Field(10_000, gt=0, description="sessions the ledger keeps in memory")
    checkpoint_s: float = Field(10.0, gt=0, description="how often consumers with a state write down what changed")
    states_max: int = Field(20_000, gt=0, description="devices whose state is in memory, a consumer")
    states_bytes_max: int = Field(512 * 2**20, gt=0, description="and their bytes, about; others wait on disk")
    hold_batches_max: int = Field(32, gt=0, description="batches that wait for a missing seq before it is given up")
    hold_s: float = Field(30.0, gt=0, description="and for how long, in the receive time of later records")
    device_sessions_max: int = Field(8, ge=2, description="sessions a device that a state tells apart")
    health_host: str = "127.0.0.1"
    health_port: int = Field(0, ge=0, le=65535, description="of `consume`; 0 = none")


class Window(Section):
    """A kind of window: tumbling (`width_s`), sliding (`width_s`, `slide_s`) or session (`gap_s`)."""

    kind: Literal["tumbling", "sliding", "session"] = "tumbling"
    width_s: float = Field(0.0, ge=0, le=86_400 * 7, description="of tumbling and sliding windows")
    slide_s: float = Field(0.0, ge=0, description="a sliding window begins so often")
    gap_s: float = Field(0.0, ge=0, le=86_400, description="a session window ends so long after its last row")

    @model_validator(mode="after")
    def _says_what_its_kind_needs(self) -> Self:
        given = (self.width_s > 0, self.slide_s > 0, self.gap_s > 0)
        if given != (self.kind != "session", self.kind == "sliding", self.kind == "session"):
            raise ValueError("tumbling needs width_s, sliding width_s and slide_s, session gap_s, and nothing else")
        if self.slide_s > self.width_s:
            raise ValueError("slide_s must not be over width_s")
        return self


_SECOND, _MINUTE = Window(width_s=1.0), Window(width_s=60.0)


class Windows(Section):
    """Windows of readings in event time, and their features."""

    enabled: bool = Field(default=False, description="they cost about as much CPU as storing the readings does")
    every_sensor: tuple[Window, ...] = Field((_SECOND,), description="windows of a sensor that `sensors` does not name")
    sensors: dict[str, tuple[Window, ...]] = Field(
        {"location": (_SECOND, _MINUTE)}, description="windows by sensor; an empty list = none; one session at most"
    )
    bands: bool = Field(default=True, description="spectral power in octaves, where a sensor gives 10 Hz or more")
    delay_s: float = Field(0.0, ge=0, le=3600, description="the watermark is so far behind the newest time")
    lateness_s: float = Field(5.0, ge=0, le=3600, description="a row so far behind the watermark still counts")
    idle_s: float = Field(10.0, gt=0, description="write a sensor's open windows when it is so long silent")


class Retention(Section):
    """How long things are kept."""

    store_days: int = Field(30, gt=0)
    log_hours: float = Field(72.0, gt=0)
    check_s: float = Field(600.0, gt=0)


class Detect(Section):
    """How anomalies are found and told.  Spans are of the readings' own time, unless they say receive time."""

    enabled: bool = True
    profiles: dict[str, Literal["series", "channels", "motion", "health", "none"]] = Field(
        default_factory=dict, description="the profile of a sensor, where it is not to be the usual one"
    )
    hold_s: float = Field(5.0, gt=0, description="an anomaly closes when nothing was found for so long, and ...")
    hold_rows: int = Field(3, ge=0, description="... for so many rows, which is longer where rows are rare")
    open_s_max: float = Field(3600.0, gt=0, description="an anomaly that lasts longer is closed, and another one opens")
    idle_s: float = Field(600.0, gt=0, description="receive time without a row after which a stream's anomalies close")
    opened_per_hour_max: int = Field(60, gt=0, description="a device's anomalies; what is over is counted and said")
    samples_s: float = Field(5.0, ge=0, description="raw rows kept from so long before the start to so long after")
    samples_rows_max: int = Field(1024, ge=2, le=8192, description="rows kept of one anomaly")
    silence_s_min: float = Field(60.0, gt=0, description="receive time without a word, at least, until it is a silence")
    silence_times: float = Field(10.0, gt=1, description="and so many times the usual interval between batches")
    silence_batches_min: int = Field(20, ge=2, description="batches until the usual interval is known")
    streams_max: int = Field(16, gt=0, le=64, description="streams of one device; more are counted and not judged")
    backlog_sessions_max: int = Field(2, gt=0, le=16, description="sessions that drain at once, each by its own state")


class Alerts(Section):
    """Who is told of anomalies, and how often.  Nobody is while there is no channel."""

    enabled: bool = True
    channels: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="each channel's own settings: webhook, mqtt, email; under another name, `channel` says which it is",
    )
    severity_min: Literal["info", "warning", "critical"] = Field("warning", description="what matters less is not told")
    on_close: bool = Field(default=False, description="tell also when an anomaly that was told is over")
    group_s: float = Field(30.0, gt=0, le=3600, description="what follows a device's first so soon is told together")
    device_per_hour: float = Field(12.0, gt=0, description="token bucket of a device's alerts: refill")
    device_burst: int = Field(4, gt=0, description="and size; what is over is told as a number")
    per_hour: float = Field(60.0, gt=0, description="token bucket of all alerts of a process: refill")
    burst: int = Field(20, gt=0, description="and size")
    ack_quiet_s: float = Field(0.0, ge=0, description="after an acknowledgement: silence of that kind on that device")
    age_s_max: float = Field(3600.0, gt=0, description="what was received longer ago is told no more")
    tries_max: int = Field(20, gt=0, description="a channel that fails so often, or ...")
    give_up_s: float = Field(4 * 3600.0, gt=0, description="... for so long: the alert becomes dead letters")
    backoff_s: float = Field(1.0, gt=0, description="first wait of a channel after a failure; doubles")
    backoff_max_s: float = Field(300.0, gt=0)
    waiting_max: int = Field(200, gt=0, description="alerts that wait for a channel; the oldest gives way")
