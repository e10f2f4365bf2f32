"""How DuckDB is run."""

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """`threads` are DuckDB's own: with 1 every call runs in its caller's thread, which is the cheapest for small
    writes; readers and the writer still run side by side."""

    model_config = ConfigDict(strict=True, extra="forbid")

    threads: int = Field(default=1, ge=1, le=64)
    memory_limit: str = Field(default="1GB", pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$")
    checkpoint_bytes: int = Field(default=64 * 2**20, ge=2**20)
    readers: int = Field(default=4, ge=1, le=32)
    write_deadline_s: float = Field(default=30.0, gt=0)
    query_deadline_s: float = Field(default=30.0, gt=0)
    upkeep_deadline_s: float = Field(default=600.0, gt=0)
