"""One suite per tool, run against the emulator and against the real server."""
