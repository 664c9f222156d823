"""The git client against real bare repositories, read back by plain git."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lifecycle.domain.endpoints import GitEndpoint
from lifecycle.domain.errors import InvalidInput, ServiceError
from lifecycle.tools.git import Git


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "repositories with a space"


@pytest.fixture
def git(base: Path) -> Git:
    git = Git(GitEndpoint(base.as_uri().replace("%20", " ")))
    git.create("deployment")
    return git


def plain(base: Path, *arguments: str) -> str:
    """The side door: git itself on the bare repository."""
    command = ["git", "-c", "safe.directory=*", "--git-dir", str(base / "deployment.git"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_create_twice_makes_one_bare_repository_on_main(git: Git, base: Path) -> None:
    """Create is idempotent, keeps the commits and sets main as the default branch."""
    first = git.commit_files("deployment", {"a": "1"}, "one")
    assert git.create("deployment") == f"file://{base}/deployment.git"
    assert plain(base, "rev-parse", "HEAD") == first
    assert plain(base, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert plain(base, "rev-parse", "--is-bare-repository") == "true"


def test_commit_puts_in_changes_and_deletes(git: Git, base: Path) -> None:
    """Text, bytes and deletions land as given, other files stay, and the parent is the old head."""
    one = git.commit_files("deployment", {"a/b.yaml": "ä: 1\n", "c": b"\x00\xff", "keep": "k"}, "one")
    two = git.commit_files("deployment", {"a/b.yaml": "b: 2\n", "c": None, "gone-already": None}, "two")
    assert plain(base, "rev-parse", "main", "main^") == f"{two}\n{one}"
    assert git.files("deployment", one) == ("a/b.yaml", "c", "keep")
    assert git.files("deployment", "main") == ("a/b.yaml", "keep")
    assert git.read("deployment", "c", one) == b"\x00\xff"
    assert git.read("deployment", "a/b.yaml", one) == "ä: 1\n".encode()
    assert git.read("deployment", "a/b.yaml") == b"b: 2\n"
    assert plain(base, "show", "main:keep") == "k"


def test_deleting_a_folder_takes_everything_below(git: Git) -> None:
    """None for a folder deletes the files in it and nothing that only begins alike."""
    git.commit_files("deployment", {"a/b": "1", "a/c/d": "2", "ab": "3"}, "one")
    git.commit_files("deployment", {"a": None}, "two")
    assert git.files("deployment", "main") == ("ab",)


def test_a_file_may_become_a_folder_and_back(git: Git) -> None:
    """A path conflict between a file and a folder resolves to what was asked for last."""
    git.commit_files("deployment", {"a": "1"}, "one")
    git.commit_files("deployment", {"a/b": "2"}, "two")
    assert git.files("deployment", "main") == ("a/b",)
    git.commit_files("deployment", {"a": "3"}, "three")
    assert git.files("deployment", "main") == ("a",)


def test_no_change_returns_the_head_and_makes_no_commit(git: Git, base: Path) -> None:
    """Committing what is there already leaves the history alone."""
    head = git.commit_files("deployment", {"a": "1"}, "one")
    assert git.commit_files("deployment", {"a": "1", "nothing": None}, "again") == head
    assert plain(base, "rev-list", "--count", "main") == "1"


def test_every_concurrent_commit_arrives(git: Git, base: Path) -> None:
    """Commits racing through separate clients all land, one after the other, none partial."""
    clients = [Git(git.endpoint) for _ in range(4)]

    def write(number: int) -> str:
        return clients[number % 4].commit_files("deployment", {f"{number}/x": "x", f"{number}/y": "y"}, f"n{number}")

    with ThreadPoolExecutor(8) as pool:
        commits = list(pool.map(write, range(16)))
    assert len(set(commits)) == 16
    assert len(git.files("deployment", "main")) == 32
    assert plain(base, "rev-list", "--count", "main") == "16"
    for number, commit in enumerate(commits):
        changed = plain(base, "diff-tree", "--root", "--no-commit-id", "-r", "--name-only", commit).split()
        assert changed == [f"{number}/x", f"{number}/y"]


def test_a_refused_push_is_an_error_and_leaves_no_trace(git: Git, base: Path) -> None:
    """A hook that declines makes a ServiceError with its words, and main stays."""
    head = git.commit_files("deployment", {"a": "1"}, "one")
    hook = base / "deployment.git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho the reviewers are on holiday >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(ServiceError, match="the reviewers are on holiday"):
        git.commit_files("deployment", {"a": "2"}, "two")
    assert plain(base, "rev-parse", "main") == head


def test_seed_commits_the_folder_once(git: Git, base: Path, tmp_path: Path) -> None:
    """Seed takes the folder without what its .gitignore excludes, keeps the executable bit, and runs once."""
    folder = tmp_path / "team"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "train.py").write_text("pass\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "a.log").write_text("noise")
    commit = git.seed("deployment", folder, "The team's code")
    assert git.files("deployment", commit) == (".gitignore", "run.sh", "src/train.py")
    assert plain(base, "ls-tree", "main", "run.sh").startswith("100755")
    (folder / "new").write_text("late")
    assert git.seed("deployment", folder, "again") == commit
    git.commit_files("deployment", {"run.sh": "#!/bin/sh\necho\n"}, "change")
    assert plain(base, "ls-tree", "main", "run.sh").startswith("100755"), "a change keeps the file's mode"


def test_clone_is_clean_and_detached_at_the_commit(git: Git, tmp_path: Path) -> None:
    """A clone holds exactly the commit's files, no branch checked out and nothing modified."""
    one = git.commit_files("deployment", {"a": "1"}, "one")
    two = git.commit_files("deployment", {"a": "2", "b": "2"}, "two")
    old = git.clone("deployment", one, tmp_path / "deep" / "old")
    assert {path.name for path in old.iterdir()} == {".git", "a"}
    assert (old / "a").read_text() == "1"
    status = subprocess.run(
        ["git", "status", "--short", "--branch"], cwd=old, check=True, capture_output=True, text=True
    )
    assert status.stdout.strip() == "## HEAD (no branch)"
    new = git.clone("deployment", "main", tmp_path / "new")
    assert subprocess.run(["git", "rev-parse", "HEAD"], cwd=new, capture_output=True, text=True).stdout.strip() == two
    assert (new / "b").read_text() == "2"


def test_clone_of_an_unknown_commit_leaves_nothing(git: Git, tmp_path: Path) -> None:
    """A clone that cannot be done removes what it began; a folder with content is refused untouched."""
    git.commit_files("deployment", {"a": "1"}, "one")
    with pytest.raises(ServiceError, match="0123"):
        git.clone("deployment", "0123" * 10, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(ServiceError, match="not empty"):
        git.clone("deployment", "main", tmp_path / "full")
    assert (tmp_path / "full" / "mine").read_text() == "mine"


def test_log_is_newest_first_with_author_and_message(git: Git) -> None:
    """The log tells author and whole message; the committer is always the harness."""
    assert git.log("deployment") == ()
    git.commit_files("deployment", {"a": "1"}, "one\n\nbody")
    git.commit_files("deployment", {"a": "2"}, "two", "Ada Lovelace <ada@example.org>")
    newest, oldest = git.log("deployment")
    assert (newest.message, newest.author) == ("two", "Ada Lovelace <ada@example.org>")
    assert (oldest.message, oldest.author) == ("one\n\nbody", "lifecycle <lifecycle@lifecycle.dev>")
    assert newest.at >= oldest.at > 0
    assert newest.commit == git.head("deployment")


def test_the_users_configuration_and_environment_play_no_part(
    git: Git, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's identity, hooks, signing and the GIT_ variables of an enclosing hook change nothing."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        "[user]\n name = Someone\n email = s@example.org\n[commit]\n gpgsign = true\n[core]\n hooksPath = /nonexistent\n"
        "[init]\n defaultBranch = trunk\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Someone")
    git.create("other")
    git.commit_files("other", {"a": "1"}, "one")
    commit = git.commit_files("deployment", {"a": "1"}, "one")
    monkeypatch.undo()
    assert plain(base, "log", "-1", "--format=%an %cn %H") == f"lifecycle lifecycle {commit}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_owner_can_be_used(git: Git, base: Path) -> None:
    """Git's ownership check does not stop the harness from using its own repositories."""
    for path in [base / "deployment.git", *(base / "deployment.git").rglob("*")]:
        os.chown(path, 12345, 12345)
    commit = git.commit_files("deployment", {"a": "1"}, "one")
    assert git.head("deployment") == commit


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", ".git/config", "a/.GIT/config", "", "."])
def test_a_path_outside_the_repository_is_refused(git: Git, path: str) -> None:
    """Nothing can be written outside the tree or into git's own folder."""
    with pytest.raises(InvalidInput):
        git.commit_files("deployment", {path: "x"}, "evil")
    with pytest.raises(InvalidInput):
        git.read("deployment", path)


def test_what_is_not_there_is_told_with_a_fix(git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty repository, unknown repository, commit and file, a wrong author and a missing git each have their own error."""
    with pytest.raises(ServiceError, match="no commits on main"):
        git.head("deployment")
    with pytest.raises(ServiceError, match="no commit main"):
        git.read("deployment", "a")
    git.commit_files("deployment", {"a": "1"}, "one")
    with pytest.raises(ServiceError, match=r"no file b (?s:.)*it holds: a"):
        git.read("deployment", "b")
    with pytest.raises(ServiceError, match="no commit nope"):
        git.files("deployment", "nope")
    with pytest.raises(ServiceError, match="reading the repository unknown failed"):
        git.head("unknown")
    with pytest.raises(ServiceError, match="reading the repository unknown failed"):
        git.commit_files("unknown", {"a": "1"}, "one")
    with pytest.raises(InvalidInput, match="no author"):
        git.commit_files("deployment", {"a": "2"}, "two", "somebody")
    with pytest.raises(InvalidInput, match="no repository name"):
        git.create("../outside")
    with pytest.raises(InvalidInput, match="no folder to seed"):
        git.seed("deployment", tmp_path / "none", "x")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match=r"install git") as caught:
        git.head("deployment")
    assert "not found" in caught.value.message
