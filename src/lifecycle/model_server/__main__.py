"""`python -m lifecycle.model_server`: one model server, or with `--standby` one that has imported everything and waits for its order."""

from __future__ import annotations

import os
import sys
import types
import warnings


def main() -> int:
    """Exit codes: 0 asked to end, 1 the model cannot be loaded (the reason is on stderr), 3 predictions are left in the spool."""
    argv = sys.argv[1:]
    standby = argv == ["--standby"]
    if standby:
        sys.argv[1:] = []  # KServe parses the command line when it is imported
    _skip_kubernetes_client()
    warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")  # KServe's use of it, once per request
    from lifecycle.model_server import arguments

    if not standby and (not argv or {"-h", "--help"} & set(argv)):
        arguments.parser().print_help()
        return 0 if argv else 2
    from lifecycle.model_server import server

    if standby:
        import boto3  # noqa: F401 - imported ahead, like all a model may need
        import sklearn.compose
        import sklearn.linear_model  # noqa: F401

        order = arguments.standby_order(sys.stdin)
        if order is None:
            return 0
        argv = order
    try:
        return server.serve(arguments.settings(argv, os.environ))
    except Exception as error:
        print(f"the model cannot be served: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        raise


def _skip_kubernetes_client() -> None:
    """KServe's package imports its client for the Kubernetes API, a third of the start, which a server has no use for."""
    stand_in = types.ModuleType("kserve.api.kserve_client")
    stand_in.__dict__["KServeClient"] = None
    sys.modules.setdefault("kserve.api.kserve_client", stand_in)


if __name__ == "__main__":
    sys.exit(main())
