"""Marquez: the lineage service's HTTP API, in memory.

Modelled on the public API of Marquez 0.50 (https://marquezproject.github.io/marquez/openapi.html) and on OpenLineage 2
(https://openlineage.io/spec/2-0-2/OpenLineage.json).

Covered: run, job and dataset events; namespaces, sources, datasets with their versions, tags and field tags; jobs with their
versions, runs and tags; runs with their facets and transitions; the lineage graph, column lineage, upstream runs; the event log;
search; statistics of the last day. Names follow Marquez: a job with a parent is `<parent>.<step>`, a dataset gets a new version from
each run that writes it, and that version becomes the current one when the run completes.

Known gaps: symlinked datasets are kept as facets but not resolved; job renames (aliases) do not exist; statistics are counted for
the last day only; nothing is kept beyond the process.
"""
