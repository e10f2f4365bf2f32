"""Where the Elasticsearch store is, how to be let in, and how its indices are made."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator


class Config(BaseModel):
    """Settings of the Elasticsearch store."""

    model_config = ConfigDict(strict=True, extra="forbid")

    urls: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] = ("http://127.0.0.1:9200",)
    api_key: SecretStr | None = None
    api_key_file: Annotated[Path | None, Field(strict=False)] = None  # holds it, in one line
    username: str | None = None
    password: SecretStr | None = None
    password_file: Annotated[Path | None, Field(strict=False)] = None
    ca_file: Annotated[Path | None, Field(strict=False)] = None
    client_cert_file: Annotated[Path | None, Field(strict=False)] = None
    client_key_file: Annotated[Path | None, Field(strict=False)] = None
    verify: bool = True

    prefix: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_.-]{0,63})?$")] = ""
    shards: Annotated[int, Field(ge=1, le=1024)] = 1
    replicas: Annotated[int, Field(ge=0, le=16)] = 0
    refresh_interval: Annotated[str, Field(pattern=r"^(-1|[0-9]+(ms|s|m))$")] = "5s"
    translog_durability: Literal["request", "async"] = "request"
    translog_sync_interval: Annotated[str, Field(pattern=r"^[0-9]+(ms|s|m)$")] = "5s"
    synthetic_source: bool = False  # half the disk (and no less CPU); needs a paid licence
    # Event days further back than this share one index with those of impossible clocks: an index costs a shard.
    late_days_max: Annotated[int, Field(ge=1)] = 90

    timeout_s: Annotated[float, Field(gt=0, strict=False)] = 30.0
    attempts_max: Annotated[int, Field(ge=1, le=20)] = 5
    backoff_s: Annotated[float, Field(ge=0, strict=False)] = 0.1
    bulk_bytes_max: Annotated[int, Field(ge=64 * 1024, le=90 * 2**20)] = 5 * 2**20
    http_compress: bool = False
    page_rows: Annotated[int, Field(ge=10, le=10_000)] = 10_000

    @field_validator("urls", mode="before")
    @classmethod
    def _may_be_one_text(cls, urls: Any) -> Any:
        """An environment variable holds one text: addresses with commas between them."""
        return tuple(url.strip() for url in urls.split(",") if url.strip()) if isinstance(urls, str) else urls

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        for name in ("api_key", "password"):
            if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                raise ValueError(f"give {name} or {name}_file, not both")
        has_key = self.api_key is not None or self.api_key_file is not None
        has_password = self.password is not None or self.password_file is not None
        if has_key and self.username is not None:
            raise ValueError("give api_key or username and password, not both")
        if (self.username is None) == has_password:
            raise ValueError("username and password go together")
        if self.client_key_file is not None and self.client_cert_file is None:
            raise ValueError("client_key_file needs client_cert_file")
        return self
