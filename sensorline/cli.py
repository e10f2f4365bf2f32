"""The command line (placeholder until its commands are written)."""


def main() -> None:
    """Run the command line."""
