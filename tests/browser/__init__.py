"""Pages in a real headless Chromium against real stations."""
