"""A module with the documented interface of Raspberry Pi's `sense_hat`, as much of it as is used."""

import math
import threading
import time


class SenseHat:
    """Lying flat on a table, turning slowly.  Class attributes are the test's to change."""

    is_there = True
    call_s = 0.0
    failing: set[str] = set()  # noqa: RUF012 - the test's
    humidity = 45.0
    made = 0

    def __init__(self) -> None:
        if not type(self).is_there:
            raise OSError("Cannot access I2C. Please ensure I2C is enabled in raspi-config")
        type(self).made += 1
        self._pressure_calls = 0
        self._busy = threading.Lock()

    def _called(self, name: str) -> None:
        assert self._busy.acquire(blocking=False), "two threads at once"
        time.sleep(self.call_s)
        self._busy.release()
        if name in self.failing:
            raise OSError(5, "Input/output error")

    def get_temperature(self) -> float:
        self._called("temperature")
        return 31.5

    def get_humidity(self) -> float:
        self._called("humidity")
        return self.humidity

    def get_pressure(self) -> float:
        """Millibar; 0 at the first call."""
        self._called("pressure")
        self._pressure_calls += 1
        return 1013.25 if self._pressure_calls > 1 else 0

    def get_accelerometer_raw(self) -> dict[str, float]:
        """In g."""
        self._called("accelerometer")
        return {"x": 0.0, "y": 0.5, "z": 1.0}

    def get_gyroscope_raw(self) -> dict[str, float]:
        """In rad/s."""
        self._called("gyroscope")
        return {"x": 0.1, "y": 0.2, "z": 0.3}

    def get_compass_raw(self) -> dict[str, float]:
        """In uT."""
        self._called("compass")
        return {"x": 20.0, "y": -5.0, "z": 40.0}

    def get_orientation_radians(self) -> dict[str, float]:
        self._called("orientation")
        return {"roll": 0.1, "pitch": 0.2, "yaw": math.pi}
