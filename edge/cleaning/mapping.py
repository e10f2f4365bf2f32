"""The option `map` of a source: which of its columns become which fields of the catalogue, in which units.

    [sources.weather.map]
    sensor = "temperature"
    time = "dt"                 # absent: stamped on arrival
    time_unit = "s"             # s, ms, us, ns or iso; `timezone` is for ISO times that name none
    [sources.weather.map.fields.celsius]
    from = "main.temp"          # a column, or JMESPath into a JSON row
    unit = "degF"               # absent: the catalogue's

Short: `fields = {celsius = "main.temp"}`.  Several sensors of one row: `map` is a list.
"""

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from edge.cleaning.moments import TimeUnit
from telemetry.reading import CATALOGUE

PER_SOURCE_MAX = 64


class FieldMap(BaseModel):
    """One field: where its value stands, and its unit there."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    source: str = Field(alias="from", min_length=1, max_length=500)
    unit: str | None = Field(None, max_length=64)


def _long_form(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


class Mapping(BaseModel):
    """One sensor's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sensor: str
    time: str | None = Field(None, max_length=500)
    time_unit: TimeUnit = "s"
    timezone: str = "UTC"
    absent: tuple[str, ...] = Field((), max_length=32, description='texts that mean "no value", besides the empty one')
    decimal: Literal[".", ","] = Field(".", description="what stands before the tenths in a text")
    fields: dict[str, Annotated[FieldMap, BeforeValidator(_long_form)]] = Field(min_length=1)

    @field_validator("sensor")
    @classmethod
    def _is_in_catalogue(cls, sensor: str) -> str:
        if sensor not in CATALOGUE:
            raise ValueError(f"there is no sensor {sensor!r}; there are: {', '.join(CATALOGUE)}")
        return sensor

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, KeyError) as e:
            raise ValueError(f"there is no timezone {name!r}: name one as 'Europe/Berlin'") from e
        return name

    @model_validator(mode="after")
    def _fields_are_the_sensors(self) -> "Mapping":
        known = CATALOGUE[self.sensor].by_name
        for name in self.fields:
            if name not in known:
                raise ValueError(f"{self.sensor} has no field {name!r}; it has: {', '.join(known)}")
        return self


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Maps = Annotated[tuple[Mapping, ...], BeforeValidator(_listed), Field(min_length=1, max_length=PER_SOURCE_MAX)]
