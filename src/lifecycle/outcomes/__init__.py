"""What a scenario's then can assert, one class each, read back from the system that holds the truth."""
