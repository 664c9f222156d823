"""The repository server's part: resolve a revision of a git repository and read a folder of it, through a bare copy kept per URL."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from lifecycle.emulators.argocd.manifests import CannotRender, Directory, Object, chosen, parse

_DEADLINE_S = 90.0
_CONFIGURATION = (
    '[safe]\n\tdirectory = *\n[protocol "file"]\n\tallow = always\n[gc]\n\tauto = 0\n[core]\n\tquotePath = false\n'
)
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


class RepositoryError(CannotRender):
    """Git could not reach, resolve or fetch."""


@dataclass(frozen=True)
class Rendered:
    """The objects of a folder at a commit."""

    commit: str
    objects: tuple[Object, ...]


class Repositories:
    """Bare copies below `folder`, one per URL, brought up to date on demand."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: dict[str, asyncio.Lock] = {}
        self._rendered: dict[tuple[str, str, str, Directory], Rendered] = {}

    async def render(self, url: str, revision: str, path: str, directory: Directory) -> Rendered:
        """The objects of a folder at a branch, tag, commit or HEAD; raises CannotRender."""
        if path.startswith("/") or ".." in path.split("/"):
            raise CannotRender(f"{path}: app path is outside the repository")
        async with self._locks.setdefault(url, asyncio.Lock()):
            commit = await self._resolve(url, revision or "HEAD")
            key = (url, commit, path, directory)
            if key not in self._rendered:
                copy = await self._fetch(url, commit)
                self._rendered[key] = await self._read(copy, commit, path or ".", directory)
                if len(self._rendered) > 200:
                    self._rendered.pop(next(iter(self._rendered)))
            return self._rendered[key]

    async def _resolve(self, url: str, revision: str) -> str:
        if _COMMIT.match(revision):
            return revision
        try:
            told = await self._git("ls-remote", "--", url)
        except RepositoryError as error:
            raise RepositoryError(f"failed to list refs: {error}") from error
        refs: dict[str, str] = {}
        for line in told.decode().splitlines():
            commit, _, name = line.partition("\t")
            refs[name] = commit
        for name in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}^{{}}", f"refs/tags/{revision}"):
            if name in refs:
                return refs[name]
        raise RepositoryError(f"unable to resolve '{revision}' to a commit SHA")

    async def _fetch(self, url: str, commit: str) -> Path:
        copy = self._folder / hashlib.sha256(url.encode()).hexdigest()[:16]
        if not (copy / "HEAD").is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            await self._git("init", "--quiet", "--bare", "--template=", str(copy))
        if not await self._has(copy, commit):
            refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            await self._git("fetch", "--quiet", "--prune", "--force", "--no-auto-gc", "--", url, *refs, copy=copy)
        if not await self._has(copy, commit):
            raise RepositoryError(
                f"failed to initialize repository resources: Failed to checkout revision {commit}: not our ref {commit}"
            )
        return copy

    async def _has(self, copy: Path, commit: str) -> bool:
        try:
            await self._git("cat-file", "-e", f"{commit}^{{commit}}", copy=copy)
        except RepositoryError:
            return False
        return True

    async def _read(self, copy: Path, commit: str, path: str, directory: Directory) -> Rendered:
        listed = await self._git("ls-tree", "-r", "-z", "--name-only", commit, copy=copy)
        paths = [name for name in listed.decode("utf-8", "surrogateescape").split("\0") if name]
        objects: list[Object] = []
        for file in chosen(paths, path.rstrip("/").removeprefix("./") or ".", directory):
            content = await self._git("cat-file", "blob", f"{commit}:{file}", copy=copy)
            objects.extend(parse(file, content))
        return Rendered(commit, tuple(objects))

    async def _git(self, *arguments: str, copy: Path | None = None) -> bytes:
        configuration = self._folder / "gitconfig"
        if not configuration.is_file():
            self._folder.mkdir(parents=True, exist_ok=True)
            configuration.write_text(_CONFIGURATION)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        environment |= {
            "GIT_CONFIG_GLOBAL": str(configuration),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        if copy is not None:
            environment["GIT_DIR"] = str(copy)
        try:
            process = await asyncio.create_subprocess_exec(
                "git", *arguments, env=environment, cwd=self._folder,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise RepositoryError('exec: "git": executable file not found in $PATH') from error
        try:
            output, problem = await asyncio.wait_for(process.communicate(), _DEADLINE_S)
        except (TimeoutError, asyncio.CancelledError) as error:
            if process.returncode is None:
                process.kill()
                await process.wait()
            if isinstance(error, TimeoutError):
                raise RepositoryError(f"git {arguments[0]} timed out after {_DEADLINE_S:.0f} s") from error
            raise
        if process.returncode != 0:
            said = problem.decode(errors="replace").strip() or f"exit status {process.returncode}"
            raise RepositoryError("repository not found" if _is_missing(said) else said)
        return output


def _is_missing(said: str) -> bool:
    known = ("does not appear to be a git repository", "repository not found", "Repository not found", "not exported")
    return any(words in said for words in known)
