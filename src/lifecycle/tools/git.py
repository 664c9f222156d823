"""The git repositories of a tier: `training`, `data`, `deployment`.

One way for every endpoint: changes are built as objects in a private bare copy and pushed as one ref update, so a commit is there as a
whole or not at all, whoever else pushes at the same time. Everything is done by the `git` command (https://git-scm.com/docs); the user's
and the system's git configuration play no part.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from lifecycle.domain.endpoints import GitEndpoint
from lifecycle.domain.errors import InvalidInput, ServiceError

BRANCH = "main"
HARNESS = "lifecycle <lifecycle@lifecycle.dev>"
_REF = f"refs/heads/{BRANCH}"
_DEADLINE_S = 120.0
_PUSH_ATTEMPTS = 50
_LOST_RACE = ("rejected", "cannot lock ref", "failed to update ref", "unable to update", "incorrect old value")
_KEPT_SETTINGS = ("GIT_SSH", "GIT_SSL", "GIT_EXEC_PATH", "GIT_PROXY_COMMAND")
_CONFIGURATION = """\
[safe]
\tdirectory = *
[init]
\tdefaultBranch = main
[protocol "file"]
\tallow = always
[gc]
\tauto = 0
[core]
\tautocrlf = false
\tquotePath = false
[advice]
\tdetachedHead = false
"""


@dataclass(frozen=True)
class Commit:
    """One commit of a log; `at` is the committer's time in seconds since the epoch, `author` is `Name <address>`."""

    commit: str
    author: str
    at: int
    message: str


class _GitFailed(ServiceError):
    """A git command ended with an error; `output` is what it wrote to stderr."""

    def __init__(self, message: str, output: str, *, fix: str) -> None:
        super().__init__(message, fix=fix)
        self.output = output


class Git:
    """The repositories below one endpoint; may be used from several threads."""

    def __init__(self, endpoint: GitEndpoint) -> None:
        self.endpoint = endpoint
        self._folder = tempfile.TemporaryDirectory(prefix="lifecycle-git-", ignore_cleanup_errors=True)
        self._configuration = Path(self._folder.name) / "gitconfig"
        self._configuration.write_text(_CONFIGURATION)
        self._locks: dict[str, threading.RLock] = {}
        self._guard = threading.Lock()

    def url(self, name: str) -> str:
        """The address to clone from."""
        pure = PurePosixPath(name)
        if not name or pure.is_absolute() or any(part in ("..", ".git") for part in pure.parts):
            raise InvalidInput(f"{name!r} is no repository name", fix="use a plain name such as deployment")
        return self.endpoint.repository(name)

    def create(self, name: str) -> str:
        """Make the bare repository, branch main, unless it is there; returns its URL. Only file:// repositories can be made here, others must exist."""
        url = self.url(name)
        parts = urlsplit(url)
        if parts.scheme == "file":
            path = Path(unquote(parts.path))
            if not (path / "HEAD").is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._run("init", "--quiet", "--bare", "--template=", f"--initial-branch={BRANCH}", str(path))
        return url

    def seed(self, name: str, folder: Path, message: str) -> str:
        """The first commit, from a folder (its .gitignore holds); a repository that has commits is left alone. Returns the head's commit."""
        if not folder.is_dir():
            raise InvalidInput(f"{folder} is no folder to seed the repository {name} from")
        with self._copy(name) as copy:
            head = self._fetch(name, copy)
            if head:
                return head
            with self._index(copy) as index:
                self._run(f"--work-tree={folder}", "add", "--all", ".", copy=copy, index=index, cwd=folder)
                tree = self._text("write-tree", copy=copy, index=index)
            commit = self._commit(copy, tree, None, message, HARNESS)
            if self._push(name, copy, commit):
                return commit
        return self.head(name)  # someone else seeded it at the same time

    def commit_files(
        self, name: str, files: Mapping[str, bytes | str | None], message: str, author: str = HARNESS
    ) -> str:
        """Commit files (None deletes a file or folder) on top of main and push; returns the head, the old one when nothing changed.

        Raises:
            InvalidInput: a path leaves the repository, or the author is not `Name <address>`.
            ServiceError: the repository cannot be reached or refuses the push.
        """
        for path in files:
            _check_path(path)
        with self._copy(name) as copy:
            for _ in range(_PUSH_ATTEMPTS):
                head = self._fetch(name, copy)
                tree = self._changed_tree(copy, head, files)
                if head and tree == self._text("rev-parse", f"{head}^{{tree}}", copy=copy):
                    return head
                commit = self._commit(copy, tree, head, message, author)
                if self._push(name, copy, commit):
                    return commit
        raise ServiceError(
            f"pushing to the repository {name} lost the race {_PUSH_ATTEMPTS} times", fix="see who else writes to it"
        )

    def head(self, name: str) -> str:
        """The commit of main; raises ServiceError when there is none."""
        url = self.url(name)
        lines = self._text("ls-remote", "--quiet", url, _REF, what=f"reading the repository {name}").splitlines()
        if not lines:
            raise ServiceError(f"the repository {name} ({url}) has no commits on {BRANCH}", fix="seed it first")
        return lines[0].split("\t")[0]

    def read(self, name: str, path: str, commit: str = BRANCH) -> bytes:
        """One file's content at a commit or branch; raises ServiceError when it is not there."""
        _check_path(path)
        with self._copy(name) as copy:
            found = self._resolve(name, copy, commit)
            try:
                return self._run("cat-file", "blob", f"{found}:{PurePosixPath(path)}", copy=copy)
            except _GitFailed as error:
                raise ServiceError(
                    f"there is no file {path} in the repository {name} at {commit}",
                    fix=f"it holds: {', '.join(self._files(copy, found)[:20]) or 'nothing'}",
                ) from error

    def files(self, name: str, commit: str = BRANCH) -> tuple[str, ...]:
        """The paths of all files at a commit or branch, sorted."""
        with self._copy(name) as copy:
            return self._files(copy, self._resolve(name, copy, commit))

    def log(self, name: str) -> tuple[Commit, ...]:
        """The commits of main, newest first; none for an empty repository."""
        with self._copy(name) as copy:
            head = self._fetch(name, copy)
            if not head:
                return ()
            text = self._text("log", "-z", "--format=%H%x1f%an <%ae>%x1f%ct%x1f%B", head, copy=copy)
        fields = (record.split("\x1f", 3) for record in text.split("\0") if record)
        return tuple(Commit(commit, author, int(at), body.strip()) for commit, author, at, body in fields)

    def clone(self, name: str, commit: str, into: Path) -> Path:
        """A clean clone at a commit or branch, detached, in a folder that does not exist yet or is empty; returns the folder."""
        url = self.url(name)
        if into.exists() and (not into.is_dir() or any(into.iterdir())):
            raise ServiceError(f"{into} is not empty, so nothing is cloned there", fix="give a new folder")
        existed = into.exists()
        into.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._run(
                "clone",
                "--quiet",
                "--no-checkout",
                "--template=",
                url,
                str(into),
                what=f"cloning the repository {name}",
            )
            target = f"origin/{commit}" if self._knows(into, f"refs/remotes/origin/{commit}") else commit
            self._run(
                "checkout", "--quiet", "--detach", target, "--", cwd=into, what=f"checking out {commit} of {name}"
            )
        except ServiceError:
            shutil.rmtree(into, ignore_errors=True)
            if existed:
                into.mkdir()
            raise
        return into

    # --- the private copy

    @contextmanager
    def _copy(self, name: str) -> Iterator[Path]:
        """The private bare copy of a repository, held for one caller at a time."""
        self.url(name)
        with self._guard:
            lock = self._locks.setdefault(name, threading.RLock())
        with lock:
            copy = Path(self._folder.name) / f"{name}.git"
            if not (copy / "HEAD").is_file():
                self._run("init", "--quiet", "--bare", "--template=", str(copy))
            yield copy

    def _fetch(self, name: str, copy: Path) -> str:
        """Bring the copy up to date; returns main's commit, empty when there is none."""
        self._run(
            "fetch", "--quiet", "--prune", "--force", "--no-auto-gc", "--no-write-fetch-head",
            self.url(name), "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*",
            copy=copy, what=f"reading the repository {name}",
        )  # fmt: skip
        return self._text("for-each-ref", "--format=%(objectname)", _REF, copy=copy)

    def _resolve(self, name: str, copy: Path, commit: str) -> str:
        """The full id of a commit, branch or tag; what is named by its full id and already here needs no network."""
        if len(commit) != 40 or not self._knows(copy, commit):
            self._fetch(name, copy)
        if commit.startswith("-") or not self._knows(copy, commit):
            raise ServiceError(
                f"there is no commit {commit} in the repository {name} ({self.url(name)})",
                fix="look at its log; an empty repository must be seeded first",
            )
        return self._text("rev-parse", "--verify", f"{commit}^{{commit}}", copy=copy)

    def _knows(self, repository: Path, commit: str) -> bool:
        try:
            self._run("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}", cwd=repository)
        except _GitFailed:
            return False
        return True

    def _files(self, copy: Path, commit: str) -> tuple[str, ...]:
        listed = self._text("ls-tree", "-r", "-z", "--name-only", commit, copy=copy)
        return tuple(sorted(path for path in listed.split("\0") if path))

    @contextmanager
    def _index(self, copy: Path) -> Iterator[Path]:
        index = copy / "lifecycle-index"
        index.unlink(missing_ok=True)
        try:
            yield index
        finally:
            index.unlink(missing_ok=True)

    def _changed_tree(self, copy: Path, head: str, files: Mapping[str, bytes | str | None]) -> str:
        """The tree of `head` with the files put in or taken out; a file that was executable stays so."""
        with self._index(copy) as index:
            if head:
                self._run("read-tree", head, copy=copy, index=index)
            lines: list[bytes] = []
            for path, content in files.items():
                present = self._listed(copy, index, path)
                if content is None:
                    lines += [b"0 %s\t%s" % (b"0" * 40, there.encode()) for there in present]
                    continue
                data = content.encode() if isinstance(content, str) else content
                blob = self._text("hash-object", "-w", "--stdin", copy=copy, stdin=data)
                mode = present.get(str(PurePosixPath(path)), "100644")
                lines.append(f"{mode} {blob}\t{PurePosixPath(path)}".encode())
            if lines:
                self._run("update-index", "-z", "--index-info", copy=copy, index=index, stdin=b"\0".join(lines) + b"\0")
            return self._text("write-tree", copy=copy, index=index)

    def _listed(self, copy: Path, index: Path, path: str) -> dict[str, str]:
        """Path and mode of the file, or of everything in the folder, of that name."""
        text = self._text(
            "ls-files", "-z", "--format=%(objectmode) %(path)", "--", str(PurePosixPath(path)), copy=copy, index=index
        )
        entries = (entry.split(" ", 1) for entry in text.split("\0") if entry)
        return {there: mode for mode, there in entries}

    def _commit(self, copy: Path, tree: str, parent: str | None, message: str, author: str) -> str:
        name, _, address = author.partition(" <")
        if not name.strip() or not address.endswith(">"):
            raise InvalidInput(f"{author!r} is no author", fix="write it as `Name <address>`")
        parents = ("-p", parent) if parent else ()
        identity = {"GIT_AUTHOR_NAME": name.strip(), "GIT_AUTHOR_EMAIL": address[:-1]}
        return self._text("commit-tree", tree, *parents, copy=copy, stdin=message.encode(), identity=identity)

    def _push(self, name: str, copy: Path, commit: str) -> bool:
        """Whether the commit became main; False when someone else's push came first."""
        try:
            self._run(
                "push", "--quiet", "--no-verify", self.url(name), f"{commit}:{_REF}",
                copy=copy, what=f"pushing to the repository {name}",
            )  # fmt: skip
        except _GitFailed as error:
            declined = "hook declined" in error.output
            if not declined and any(word in error.output for word in _LOST_RACE):
                return False
            raise
        return True

    # --- the command

    def _text(
        self,
        *arguments: str,
        copy: Path | None = None,
        index: Path | None = None,
        stdin: bytes = b"",
        identity: Mapping[str, str] | None = None,
        what: str = "",
    ) -> str:
        output = self._run(*arguments, copy=copy, index=index, stdin=stdin, identity=identity, what=what)
        return output.decode("utf-8", "surrogateescape").strip("\n")

    def _run(
        self,
        *arguments: str,
        copy: Path | None = None,
        index: Path | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
        identity: Mapping[str, str] | None = None,
        what: str = "",
    ) -> bytes:
        """Run git and return what it wrote; `what` tells the user what was being done."""
        environment = self._environment(identity)
        if copy is not None:
            environment["GIT_DIR"] = str(copy)
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        what = what or f"git {' '.join(arguments[:2])}"
        try:
            done = subprocess.run(
                ["git", *arguments],
                env=environment,
                cwd=cwd or self._folder.name,
                input=stdin,
                capture_output=True,
                timeout=_DEADLINE_S,
                check=False,
            )
        except FileNotFoundError as error:
            raise ServiceError(
                "the git command was not found", fix="install git and see that it is on the PATH"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ServiceError(
                f"{what} took longer than {_DEADLINE_S:.0f} s", fix=f"see whether {self.endpoint.base_url} answers"
            ) from error
        if done.returncode != 0:
            output = done.stderr.decode(errors="replace").strip()
            raise _GitFailed(
                f"{what} failed: {output or f'git ended with {done.returncode}'}",
                output,
                fix=f"see whether the repository exists below {self.endpoint.base_url} and may be read and written",
            )
        return done.stdout

    def _environment(self, identity: Mapping[str, str] | None) -> dict[str, str]:
        """This process's environment without any GIT_ setting (a run inside a git hook has many) and without anyone's configuration."""
        name, _, address = HARNESS.partition(" <")
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("GIT_") or key.startswith(_KEPT_SETTINGS)
        }
        return kept | {
            "GIT_CONFIG_GLOBAL": str(self._configuration),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": address[:-1],
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": address[:-1],
            "LC_ALL": "C",
            **(identity or {}),
        }


def _check_path(path: str) -> None:
    pure = PurePosixPath(path)
    parts = [part.lower() for part in pure.parts]
    if pure.is_absolute() or not parts or ".." in parts or ".git" in parts or "\0" in path:
        raise InvalidInput(f"{path!r} is no path inside a repository", fix="give a path below the repository's root")
