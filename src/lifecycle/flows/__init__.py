"""The named Prefect flows, composed of the loops' steps; the only place that imports Prefect for flows."""
