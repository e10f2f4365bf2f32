"""Which consumers run: those that are switched on, and whose libraries are there."""

import logging
from dataclasses import replace

import pytest

from sensorline import roster
from telemetry.errors import Misconfigured
from telemetry.settings import Settings


def with_(*names: str) -> Settings:
    return Settings(consumers={"enabled": names})


def test_a_consumer_without_its_libraries_is_off_and_says_how_to_mend_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without = replace(roster.ROLES["detect"], needs=("no_such_library",))
    monkeypatch.setattr(roster, "ROLES", {**roster.ROLES, "detect": without})
    with caplog.at_level(logging.WARNING):
        assert roster.enabled(with_("index", "detect")) == ["index"]
        roster.warn_of_missing(with_("index", "detect"))
    assert "detect is off: it needs no_such_library: pip install 'sensorline[detect]'" in caplog.text
    with pytest.raises(Misconfigured, match="pip install"):
        roster.role("detect")


def test_a_section_may_switch_its_consumer_off() -> None:
    settings = Settings(consumers={"enabled": ("index", "detect")}, detect={"enabled": False})
    assert roster.enabled(settings) == ["index"]


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(Misconfigured, match="no consumer 'indx'; there are: index, ledger, detect"):
        roster.enabled(with_("indx"))
    with pytest.raises(Misconfigured, match="no consumer 'indx'"):
        roster.role("indx")


def test_every_consumer_can_be_run_alone() -> None:
    from sensorline.commands.run import Consumer

    assert {each.value for each in Consumer} == set(roster.ROLES)
