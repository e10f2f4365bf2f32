"""How much an anomaly matters."""

import pytest

from consumers.severity import is_worse, severity
from telemetry.anomaly import Severity


@pytest.mark.parametrize(
    ("kind", "score", "expected"),
    [
        ("fall", 1, Severity.CRITICAL),
        ("crash", 9, Severity.CRITICAL),
        ("pothole", 1, Severity.INFO),
        ("pothole", 5, Severity.WARNING),
        ("outlier", 4.9, Severity.WARNING),
        ("outlier", 5, Severity.CRITICAL),
        ("clock_jump", 1e6, Severity.WARNING),
        ("what nobody knows yet", 1, Severity.WARNING),
    ],
)
def test_by_kind_and_by_how_far_it_went(kind: str, score: float, expected: Severity) -> None:
    assert severity(kind, score) is expected


def test_the_order() -> None:
    assert is_worse(Severity.CRITICAL, Severity.WARNING)
    assert is_worse(Severity.WARNING, Severity.INFO)
    assert not is_worse(Severity.INFO, Severity.INFO)
