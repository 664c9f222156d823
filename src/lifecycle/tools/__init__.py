"""One module per tool of the stack, the only place that imports the tool's SDK."""
