"""Runs a scenario: steps, typed events, journal on disk, evidence, verdict."""
