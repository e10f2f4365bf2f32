"""The store in Elasticsearch: a document a reading, in one index a day of event time, explored in Kibana.

Delivery: idempotent by deterministic ids (`op_type=create`); durable when `write` returns, as the translog of every
shard copy is fsync'd by then (unless `translog_durability` is set to `async`).  What was written is found by queries
after the next refresh (`refresh_interval`), anomalies at once; claims and sessions are read in real time.
"""

import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from elastic_transport import Serializer, TransportError
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from telemetry import failpoints
from telemetry.anomaly import Anomaly, Asked
from telemetry.batch import Batch
from telemetry.clock import Clock, SystemClock
from telemetry.errors import Misconfigured, StoreUnavailable
from telemetry.outcome import Reason
from telemetry.ports import Claim, Counts, Detail, DeviceSeen, Item, Latest, Session, Span, Store, Written
from telemetry.secret_files import secret_of
from telemetry.stores import _elastic_anomalies as anomaly_documents
from telemetry.stores import _elastic_claims as claim_documents
from telemetry.stores import _elastic_latest as latest_documents
from telemetry.stores import _elastic_removal as removal
from telemetry.stores import _elastic_search as search
from telemetry.stores import _elastic_sessions as session_documents
from telemetry.stores import _elastic_windows as window_documents
from telemetry.stores._buckets import bounds
from telemetry.stores._days import oldest_kept_ns
from telemetry.stores._elastic_bulk import Ended, Retry, create_rows
from telemetry.stores._elastic_claims import Held
from telemetry.stores._elastic_config import Config
from telemetry.stores._elastic_http import JSON, Answer, ask
from telemetry.stores._elastic_names import Names
from telemetry.stores._elastic_rows import Chunk, Window, chunks_of
from telemetry.stores._elastic_templates import install
from telemetry.window import Windows

__all__ = ["Config", "ElasticsearchStore", "open"]


class _Raw(Serializer):
    """Bodies pass as they are: ours are encoded already, and answers are decoded where they are read."""

    mimetype = "application/*"

    def dumps(self, data: Any) -> bytes:
        return bytes(data)

    def loads(self, data: bytes) -> bytes:
        return data


class Connection:
    """The client, and its exceptions in our terms (see `_elastic_http.Elastic`)."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._client: AsyncElasticsearch | None = None

    def open(self) -> None:
        """Make the client, once; no request is sent.  Raises `Misconfigured`."""
        if self._client is None:
            self._client = _client(self._config)

    async def close(self) -> None:
        """Close its sockets, once."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        content_type: str = JSON,
        wait_s: float | None = None,
    ) -> Answer:
        """See `_elastic_http.Elastic`."""
        if self._client is None:
            raise StoreUnavailable("the store is not started")
        headers = {"accept": JSON} | ({} if body is None else {"content-type": content_type})
        try:
            answer = await self._client.perform_request(method, path, headers=headers, body=body)
        except UnsupportedProductError as e:  # an ApiError too
            raise StoreUnavailable(f"{', '.join(self._config.urls)} is not an Elasticsearch: {e}") from e
        except ApiError as e:
            return Answer(e.meta.status, e.body or b"")
        except TransportError as e:
            raise StoreUnavailable(f"Elasticsearch at {', '.join(self._config.urls)} did not answer: {e}") from e
        return Answer(answer.meta.status, answer.body)


class ElasticsearchStore:
    """See `Store`."""

    def __init__(self, config: Config, *, retention_days: int, clock: Clock, detail: Detail = "samples") -> None:
        self._config = config
        self._retention_days = retention_days
        self._clock = clock
        self._detail = detail
        self._names = Names(config.prefix)
        self._elastic = Connection(config)
        self._retry = Retry(config.attempts_max, config.backoff_s)

    async def start(self) -> None:
        """See `Store`; raises `StoreUnavailable` or `Misconfigured`."""
        self._elastic.open()
        await install(self._elastic, self._config, self._names)

    async def close(self) -> None:
        """See `Store`."""
        await self._elastic.close()

    async def write(self, items: Sequence[Item]) -> list[Written]:
        """See `Store`."""
        if not items:
            return []
        held = await claim_documents.take(
            self._elastic,
            self._names,
            items,
            retention_days=self._retention_days,
            detail=self._detail,
            retry=self._retry,
            clock=self._clock,
        )
        failpoints.passing("elasticsearch.after_claims")
        writing = _to_write(items, held)
        ended = await create_rows(
            self._elastic,
            self._chunks(writing),
            bytes_max=self._config.bulk_bytes_max,
            retry=self._retry,
            clock=self._clock,
        )
        failpoints.passing("elasticsearch.after_rows")
        whole = [claim for at, (_, claim) in writing.items() if at not in ended or not ended[at].refused]
        await claim_documents.mark_done(self._elastic, self._names, whole, retry=self._retry, clock=self._clock)
        return [
            _of_rows(*writing[at], ended.get(at, Ended())) if at in writing else _of_claim(item, held[item.batch.id])
            for at, item in enumerate(items)
        ]

    def _chunks(self, writing: dict[int, tuple[Batch, Held]]) -> Iterator[Chunk]:
        for at, (batch, held) in writing.items():
            if held.claim.summarised:
                continue
            received_ns = held.claim.received_ns
            oldest_ns = oldest_kept_ns(received_ns, self._retention_days)
            window = Window.of(received_ns, oldest_ns=oldest_ns, late_days_max=self._config.late_days_max)
            yield from chunks_of(at, batch, received_ns, window, self._names)

    async def put_sessions(self, sessions: Sequence[Session]) -> None:
        """See `Store`."""
        await session_documents.put(self._elastic, self._names, sessions, retry=self._retry, clock=self._clock)

    async def get_sessions(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Session]:
        """See `Store`."""
        return await session_documents.get(self._elastic, self._names, keys)

    async def completeness(self, device: str | None = None, session: str | None = None) -> list[Session]:
        """See `Store`."""
        return await session_documents.listed(self._elastic, self._names, device, session)

    async def claims(self, device: str, session: str | None = None) -> list[Claim]:
        """See `Store`."""
        query = search.filtered(device=device, session=session)
        found = search.pages(
            self._elastic, self._names.claims, query, sort=("session", "seq"), size=self._config.page_rows
        )
        return [claim_documents.claim_of(hit["_source"]) async for hits in found for hit in hits]

    async def counts(self) -> Counts:
        """See `Store`."""
        return await search.counts(self._elastic, self._names)

    async def devices(self) -> list[DeviceSeen]:
        """See `Store`."""
        return await search.devices(self._elastic, self._names)

    async def readings(self, span: Span, *, limit: int) -> pa.Table:
        """See `Store`."""
        return await search.readings(self._elastic, self._names, span, limit=limit, size=self._config.page_rows)

    async def envelope(self, span: Span, *, points: int) -> pa.Table:
        """See `Store`."""
        return await search.envelope(self._elastic, self._names, span, points=points)

    async def latest(self, sensors: Sequence[str], *, from_ns: int) -> list[Latest]:
        """See `Store`."""
        return await latest_documents.latest(self._elastic, self._names, sensors, from_ns)

    async def export(
        self,
        device: str,
        *,
        session: str | None = None,
        sensor: str | None = None,
        from_ns: int = 0,
        to_ns: int = 2**63 - 1,
    ) -> AsyncIterator[tuple[str, pa.Table]]:
        """See `Store`."""
        first_ns, last_ns = bounds(from_ns, to_ns)
        if first_ns > last_ns:
            return
        asked = search.filtered(first_ns, last_ns, device=device, session=session, sensor=sensor)
        for name in await search.sensors_of(self._elastic, self._names, asked):
            query = search.filtered(first_ns, last_ns, device=device, session=session, sensor=name)
            async for hits in search.pages(
                self._elastic, self._names.readings, query, sort=search.IDENTITY, size=self._config.page_rows
            ):
                yield name, search.table_of(name, [hit["_source"] for hit in hits])

    async def put_anomalies(self, anomalies: Sequence[Anomaly]) -> None:
        """See `Store`."""
        await anomaly_documents.put(self._elastic, self._names, anomalies, retry=self._retry, clock=self._clock)

    async def anomalies(self, asked: Asked) -> list[Anomaly]:
        """See `Store`."""
        return await anomaly_documents.listed(self._elastic, self._names, asked)

    async def anomaly(self, id_: str) -> Anomaly | None:
        """See `Store`."""
        return await anomaly_documents.one(self._elastic, self._names, id_)

    async def put_windows(self, windows: Sequence[Windows]) -> None:
        """See `Store`."""
        await window_documents.put(
            self._elastic,
            self._names,
            windows,
            late_days_max=self._config.late_days_max,
            bytes_max=self._config.bulk_bytes_max,
            retry=self._retry,
            clock=self._clock,
        )

    async def windows(self, span: Span, *, kind: str, width_ns: int, limit: int) -> pa.Table:
        """See `Store`."""
        return await window_documents.listed(
            self._elastic, self._names, span, kind=kind, width_ns=width_ns, limit=limit, size=self._config.page_rows
        )

    async def delete_device(self, device: str) -> int:
        """See `Store`."""
        return await removal.delete_device(self._elastic, self._names, device, retry=self._retry, clock=self._clock)

    async def prune(self, *, before_ns: int) -> int:
        """See `Store`."""
        return await removal.prune(
            self._elastic, self._names, before_ns=before_ns, retry=self._retry, clock=self._clock
        )

    async def refresh(self) -> None:
        """Make what was written visible to queries at once (otherwise after `refresh_interval`)."""
        names = self._names
        for index in (names.readings, names.claims, names.sessions, names.anomalies, names.windows):
            await ask(self._elastic, "POST", f"/{index}/_refresh", missing_ok=True)


def open(  # noqa: A001 - the port's word
    config: Config, data_dir: Path, *, retention_days: int, detail: Detail = "samples"
) -> Store:
    """The store on the cluster that `config` names; nothing is written to `data_dir`."""
    return ElasticsearchStore(config, retention_days=retention_days, clock=SystemClock(), detail=detail)


def _to_write(items: Sequence[Item], held: dict[Any, Held]) -> dict[int, tuple[Batch, Held]]:
    """By place in `items`: the first of each batch whose content is the claimed one and whose rows may be missing."""
    writing: dict[Any, tuple[int, tuple[Batch, Held]]] = {}
    for at, item in enumerate(items):
        claim = held[item.batch.id]
        if not claim.is_done and item.content_hash == claim.claim.content_hash:
            writing.setdefault(item.batch.id, (at, (item.batch, claim)))
    return dict(writing.values())


def _of_rows(batch: Batch, held: Held, ended: Ended) -> Written:
    if held.claim.summarised:
        return Written(summarised=held.claim.summarised, expired=held.claim.expired)
    expired = batch.readings - ended.created - ended.existed - ended.refused
    reason = Reason.STORE_REFUSED if ended.refused else None
    return Written(ended.created, ended.existed, expired, ended.refused, reason, ended.detail)


def _of_claim(item: Item, held: Held) -> Written:
    kept, readings = held.claim.content_hash, item.batch.readings
    if kept == item.content_hash:
        return Written(duplicate=readings)
    detail = f"claimed with hash {kept}, this is {item.content_hash}"
    return Written(dead_lettered=readings, reason=Reason.CONFLICT, detail=detail)


def _client(config: Config) -> AsyncElasticsearch:
    options: dict[str, Any] = {}
    if (key := secret_of(config.api_key, config.api_key_file, "adapters.elasticsearch.api_key_file")) is not None:
        options["api_key"] = key
    password = secret_of(config.password, config.password_file, "adapters.elasticsearch.password_file")
    if config.username is not None and password is not None:
        options["basic_auth"] = (config.username, password)
    if any(url.startswith("https:") for url in config.urls):
        options |= _tls(config)
    raw = _Raw()
    try:
        return AsyncElasticsearch(
            list(config.urls),
            serializers={"application/*": raw, "application/json": raw, "text/*": raw},
            request_timeout=config.timeout_s,
            max_retries=0,
            retry_on_timeout=False,
            http_compress=config.http_compress,
            **options,
        )
    except (ValueError, OSError, ssl.SSLError) as e:
        raise Misconfigured(f"the Elasticsearch store's settings: {e}") from e


def _tls(config: Config) -> dict[str, Any]:
    options: dict[str, Any] = {"verify_certs": config.verify}
    if not config.verify:
        options["ssl_show_warn"] = False
    for name, path in (
        ("ca_certs", config.ca_file),
        ("client_cert", config.client_cert_file),
        ("client_key", config.client_key_file),
    ):
        if path is not None:
            if not path.is_file():
                raise Misconfigured(f"the Elasticsearch store's {name}: there is no file {path}")
            options[name] = str(path)
    return options
