"""The scenario language: its model, loading with every mistake reported at once, its JSON Schema."""
