"""Frozen records and pure decisions. No I/O, no tool's SDK; pydantic is the one library records are made with."""
