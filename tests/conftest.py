"""For all tests: a slow machine is no failure, and a check that decides takes the same examples every time."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "sensorline", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("sensorline")
