"""When a reading was: stamps from a monotonic clock tied to UTC, and what is done until that clock is set."""
