"""The broker's verifier is the one that Mosquitto itself makes."""

from telemetry import verifier
from telemetry.verifier import Verifier


def test_it_is_what_mosquitto_writes() -> None:
    """Read off the file of `mosquitto_ctrl dynsec init ... admin adminpw`, Mosquitto 2.0.11."""
    written = Verifier(
        "D/mMsm3MKwPuG7I1R9QwKVxgmMw9DyUc+o7c462NHLL7ik/4tkzwqhKyGi9YhH4KjMa+pygu0MI8rzr1N3kMXQ==",
        "04NuM6pgVIE21JOu",
        101,
    )
    assert written.fits("adminpw")
    assert not written.fits("adminpx")


def test_each_has_a_salt_of_its_own() -> None:
    one, other = Verifier.of("sl_token"), Verifier.of("sl_token")
    assert one.salt != other.salt
    assert one.password != other.password
    assert one.iterations == verifier.ITERATIONS
