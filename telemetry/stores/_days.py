"""Retention, the same in every store: whole UTC days, and what is too old on arrival."""

DAY_NS = 86_400 * 10**9


def day_start_ns(t_ns: int) -> int:
    """The start of the UTC day in which `t_ns` lies."""
    return t_ns // DAY_NS * DAY_NS


def oldest_kept_ns(received_ns: int, retention_days: int) -> int:
    """Event time below which a reading of a batch received then is expired."""
    return received_ns - retention_days * DAY_NS
