"""The catalogue is consistent: a name has one kind, bounds are bounds, names can reach a store."""

import pytest

from telemetry.batch import is_name
from telemetry.reading import CATALOGUE, FIELD_NAMES, Kind, Sensor

SENSORS = pytest.mark.parametrize("sensor", CATALOGUE.values(), ids=lambda s: s.name)


def test_a_field_name_has_one_kind_wherever_it_stands() -> None:
    for sensor in CATALOGUE.values():
        for field in sensor.fields:
            assert FIELD_NAMES[field.name] is field.kind, f"{sensor.name}.{field.name}"


@SENSORS
def test_a_sensor_is_well_formed(sensor: Sensor) -> None:
    assert is_name(sensor.name)
    assert sensor.fields
    assert len(sensor.by_name) == len(sensor.fields), "a field stands twice"
    for field in sensor.fields:
        assert is_name(field.name)
        assert field.name == field.name.lower()
        assert field.low < field.high
        assert sensor.by_name[field.name] is field


def test_precision_is_declared_where_it_matters() -> None:
    assert CATALOGUE["location"].by_name["latitude"].kind is Kind.FLOAT64
    assert CATALOGUE["acceleration"].by_name["x"].kind is Kind.FLOAT32
    assert Kind.FLOAT32.is_number
    assert Kind.FLOAT64.is_number
    assert not Kind.TEXT.is_number
    assert not Kind.BOOL.is_number
