"""The project's sessions: what CI runs and what a developer types.

    nox -s lint unit        what every change must pass
    nox -s integration      the conformance suites on real services in containers
    nox -s e2e              the conformance suites on the cluster of KUBECONFIG
    nox -s bench            ratios against the bare libraries; see benchmarks/README.md

Every session runs in the locked environment of the checkout (`uv run --locked`), so nothing is installed twice; another Python is
chosen by UV_PYTHON, as the CI matrix does.
"""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.sessions = ["lint", "unit"]
nox.options.default_venv_backend = "none"

UV_RUN = ("uv", "run", "--locked")


def _run(session: nox.Session, *command: str) -> None:
    session.run(*UV_RUN, *command, external=True)


def _suite(session: nox.Session, folder: str, *options: str) -> None:
    """Run one suite; pytest ends with an error when it collects nothing, so an empty suite is never green."""
    results = Path(".lifecycle/junit")
    results.mkdir(parents=True, exist_ok=True)
    _run(session, "pytest", f"tests/{folder}", f"--junitxml={results / folder}.xml", *options, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types and the direction of imports."""
    _run(session, "ruff", "check", ".")
    _run(session, "ruff", "format", "--check", ".")
    _run(session, "mypy")
    _run(session, "lint-imports")


@nox.session
def unit(session: nox.Session) -> None:
    """The local tier: emulators, embedded servers and every scenario; no container engine needed."""
    _suite(session, "unit", "-n", "2", "--dist", "loadscope")


@nox.session
def integration(session: nox.Session) -> None:
    """The conformance suites on real services in containers; fails loudly where no engine answers."""
    _suite(session, "integration")


@nox.session
def e2e(session: nox.Session) -> None:
    """The conformance suites on the cluster of KUBECONFIG; fails loudly where there is none."""
    _suite(session, "e2e")


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios against the bare libraries, interleaved in one run: nox -s bench -- --baseline PATH."""
    _run(session, "python", "benchmarks/run.py", *session.posargs)
