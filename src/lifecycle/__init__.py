"""An executable reference of the end-to-end MLOps lifecycle, and the test harness for it."""
