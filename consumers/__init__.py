"""LOG -> STORE: what reads the log and never acknowledges before its own work is durable."""
