"""The local tier: services started side by side as children of the run."""
