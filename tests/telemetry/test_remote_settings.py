"""What travels about settings: strict on the way down, forgiving and harmless on the way up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.beside import TEXT_CHARS_MAX, Beside
from telemetry.errors import Invalid
from telemetry.remote_settings import SOURCES_MAX, Changes, Report, Versioned

WHOLE = {"version": 3, "batch_period_s": 2.0, "sources": {"imu": {"enabled": True, "rate_hz": 50}, "t": {"every_s": 1}}}


def test_a_document_comes_back_as_it_was() -> None:
    assert Versioned.parse(WHOLE).document == WHOLE
    assert Versioned.of(4, Versioned.parse(WHOLE)).document == WHOLE | {"version": 4}
    assert Versioned.parse({"version": 0}).document == {"version": 0}


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"version": True}, "version"),
        ({"version": -1}, "version"),
        ({"version": "3"}, "version"),
        ({}, "version"),
        ({"version": 1, "batch_period_s": 0}, "batch_period_s"),
        ({"version": 1, "batch_period_s": float("nan")}, "batch_period_s"),
        ({"version": 1, "batch_period_s": True}, "batch_period_s"),
        ({"version": 1, "data_dir": "/"}, "data_dir"),
        ({"version": 1, "sources": {"../x": {}}}, "sources.../x"),
        ({"version": 1, "sources": {"imu": {"rate_hz": 0}}}, "sources.imu.rate_hz"),
        ({"version": 1, "sources": {"imu": {"rate_hz": 1e9}}}, "sources.imu.rate_hz"),
        ({"version": 1, "sources": {"imu": {"every_s": 0}}}, "sources.imu.every_s"),
        ({"version": 1, "sources": {"imu": {"enabled": 1}}}, "sources.imu.enabled"),
        ({"version": 1, "sources": {"imu": {"path": "/etc/shadow"}}}, "sources.imu.path"),
        ({"version": 1, "sources": {f"s{n}": {} for n in range(SOURCES_MAX + 1)}}, "sources"),
        ([], ""),
        (None, ""),
    ],
    ids=repr,
)
def test_a_wrong_document_is_refused_with_its_path(wrong: object, path: str) -> None:
    with pytest.raises(Invalid) as refused:
        Versioned.parse(wrong)
    assert (refused.value.path or "").startswith(path)


@given(st.integers(0, 2**31 - 1), st.none() | st.integers(0, 2**31 - 1), st.text(max_size=400))
def test_a_report_fits_a_header_and_comes_back(in_force: int, failed: int | None, reason: str) -> None:
    text = Report(in_force=in_force, failed=failed, reason=reason[:TEXT_CHARS_MAX]).text
    assert text.isascii()
    assert text.isprintable()
    headers = Beside(settings=text).to_headers()
    said = Report.parse(Beside.of_headers(headers).settings)
    assert said is not None
    assert (said.in_force, said.failed, said.text) == (in_force, failed, text)


@pytest.mark.parametrize("text", ["", "x", "-1", "7 failed=x", "99999999999", "7 and more", "٣", None])
def test_a_report_that_is_none_is_as_if_absent(text: str | None) -> None:
    assert Report.parse(text) is None


def test_changes_without_anything_are_empty() -> None:
    assert Changes().given == {}
    assert Changes.model_validate({"sources": {}, "batch_period_s": None}).given == {}
