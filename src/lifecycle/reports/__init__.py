"""Listeners to the run's events: console, JUnit, JSON, HTML."""
