"""Conformance suites and pytest plugin, public, so that others can test their own stack with them."""
