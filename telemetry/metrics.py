"""Metrics, by prometheus-client: every counter there is, in one place, each documented (a test holds it)."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
REGISTRY = CollectorRegistry()

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

requests = Counter(
    "sensorline_requests", "Requests answered, by route and status.", ["route", "status"], registry=REGISTRY
)
readings_accepted = Counter(
    "sensorline_readings_accepted", "Readings acknowledged to a sender, by dialect.", ["dialect"], registry=REGISTRY
)
readings_rejected = Counter(
    "sensorline_readings_rejected", "Readings refused one by one, by reason.", ["reason"], registry=REGISTRY
)
readings_unknown = Counter(
    "sensorline_readings_unknown", "Readings kept under a sensor name the catalogue lacks.", registry=REGISTRY
)
batches_refused = Counter(
    "sensorline_batches_refused", "Batches refused whole, by error code.", ["code"], registry=REGISTRY
)
append_seconds = Histogram(
    "sensorline_append_seconds", "Time until the log had a batch.", buckets=_SECONDS, registry=REGISTRY
)
outcomes = Counter(
    "sensorline_readings_outcome", "Readings by how they ended in the store.", ["outcome"], registry=REGISTRY
)
dead_letters = Counter("sensorline_dead_letters", "Records dead-lettered, by reason.", ["reason"], registry=REGISTRY)
flush_seconds = Histogram(
    "sensorline_flush_seconds", "Time of one flush, by consumer.", ["consumer"], buckets=_SECONDS, registry=REGISTRY
)
flush_failures = Counter(
    "sensorline_flush_failures", "Flushes that must be tried again, by consumer.", ["consumer"], registry=REGISTRY
)
batches_turned = Counter(
    "sensorline_batches_turned",
    "Batches that a stateful consumer took up, by lane: live, backlog, late, or duplicate, which it dropped.",
    ["consumer", "lane"],
    registry=REGISTRY,
)
states_lost = Counter(
    "sensorline_states_lost",
    "States of devices that had to start afresh, by reason: failed, unreadable, too_large; session: only one of it.",
    ["consumer", "reason"],
    registry=REGISTRY,
)
states_hot = Gauge(
    "sensorline_states_hot", "Devices whose state is in memory, by consumer.", ["consumer"], registry=REGISTRY
)
lag_records = Gauge(
    "sensorline_lag_records", "Records not yet committed, by consumer.", ["consumer"], registry=REGISTRY
)
lag_alarm = Gauge(
    "sensorline_lag_alarm", "1 while a consumer's lag is over its alarm.", ["consumer"], registry=REGISTRY
)
retention_alarm = Gauge(
    "sensorline_retention_alarm",
    "1 while a consumer is near the log's end of retention.",
    ["consumer"],
    registry=REGISTRY,
)
devices_age_seconds = Gauge(
    "sensorline_devices_age_seconds", "Since the device registry was last known to be current.", registry=REGISTRY
)
codes_refused = Counter(
    "sensorline_codes_refused", "Enrolment codes that were wrong, used or expired.", registry=REGISTRY
)
logins_refused = Counter("sensorline_logins_refused", "Logins with a wrong name or password.", registry=REGISTRY)
live_readers = Gauge("sensorline_live_readers", "Live streams open now.", registry=REGISTRY)
live_failures = Counter(
    "sensorline_live_failures",
    "Errors that nobody foresaw, by where: following (every reader connects again) or catching_up (one begins anew).",
    ["where"],
    registry=REGISTRY,
)
live_events_lost = Counter(
    "sensorline_live_events_lost", "Events that readers were too slow for; each was told how many.", registry=REGISTRY
)
mqtt_accounts_failed = Counter(
    "sensorline_mqtt_accounts_failed",
    "Accounts that the broker could not be told of at once, by what: issued or ended; `sensorline mqtt sync` mends it.",
    ["what"],
    registry=REGISTRY,
)
mqtt_connected = Gauge(
    "sensorline_mqtt_connected", "1 while the gateway is subscribed at its broker.", registry=REGISTRY
)
mqtt_dropped = Counter(
    "sensorline_mqtt_dropped", "Messages over MQTT that nobody was told of, by reason.", ["reason"], registry=REGISTRY
)
mqtt_receipts_lost = Counter(
    "sensorline_mqtt_receipts_lost", "Receipts that the broker did not take; the edge sends again.", registry=REGISTRY
)
anomalies = Counter(
    "sensorline_anomalies", "Anomalies opened, by kind and severity.", ["kind", "severity"], registry=REGISTRY
)
alerts = Counter(
    "sensorline_alerts",
    "Alerts by channel and outcome: delivered, failed (a try that comes again), given_up (they are dead letters).",
    ["channel", "outcome"],
    registry=REGISTRY,
)
alerts_withheld = Counter(
    "sensorline_alerts_withheld",
    "Anomalies that were not told one by one, by why: acknowledged, limited (told as a number), old, undecodable.",
    ["why"],
    registry=REGISTRY,
)
readings_unjudged = Counter(
    "sensorline_readings_unjudged",
    "Readings that detection did not look at, by why: late, crowded (more streams than are kept), fixes (of GPS).",
    ["why"],
    registry=REGISTRY,
)
windows_left_out = Counter(
    "sensorline_windows_left_out",
    "Readings (of `value`: single values) that are in no window, by reason: too_late, ahead, time, value.",
    ["reason"],
    registry=REGISTRY,
)


def render() -> bytes:
    """The exposition text."""
    return generate_latest(REGISTRY)
