"""Somebody's rows or columns -> canonical series and bad rows.  Pure; `clean` is where to begin."""
