"""Limits that a container or a service sets: found in its own control group, and in those above."""

import pytest

from engine.system import control_groups, free_memory
from engine.system.control_groups import folders


@pytest.fixture
def tree(tmp_path):
    """Groups of version 2, and of version 1 for memory."""
    root = tmp_path / "cgroup"
    for group in ("user.slice/job", "memory/docker/box", "cpu"):
        (root / group).mkdir(parents=True)
    return root


def found(tree, tmp_path, lines):
    membership = tmp_path / "membership"
    membership.write_text(lines)
    return [str(path.relative_to(tree)) for path in folders("memory", tree, membership)]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("0::/user.slice/job\n", ["user.slice/job", "user.slice", ".", "memory"]),
        ("0::/\n", [".", "memory"]),
        ("4:memory:/docker/box\n0::/\n", [".", "memory/docker/box", "memory/docker", "memory"]),
        ("4:cpu,memory:/docker/box\n", [".", "memory/docker/box", "memory/docker", "memory"]),
        ("4:cpu:/docker/box\n", [".", "memory"]),
        # As in a container whose own group is mounted as the root: the path holds outside only.
        ("4:memory:/docker/other\n", [".", "memory/docker", "memory"]),
        ("0::/../elsewhere\n", [".", "memory"]),
        ("0::/user.slice/job:with:colons\n", ["user.slice", ".", "memory"]),
        ("", [".", "memory"]),
        ("nonsense\n\n::\n", [".", "memory"]),
    ],
)
def test_a_group_and_those_above_it_are_found(tree, tmp_path, lines, expected):
    assert found(tree, tmp_path, lines) == expected


def test_without_control_groups_nothing_is_found(tmp_path):
    assert folders("memory", tmp_path / "nowhere", tmp_path / "nothing") == []


V2 = ("memory.max", "memory.current", "inactive_file {}\nactive_file 0\n")
V1 = (
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "inactive_file 7\nactive_file 7\ntotal_inactive_file 0\ntotal_active_file {}\n",
)


def group(folder, version, most, held, files):
    folder.mkdir(exist_ok=True)
    limit, used, stat = version
    (folder / limit).write_text(f"{most}\n")
    (folder / used).write_text(f"{held}\n")
    (folder / "memory.stat").write_text("file 999\nshmem 5\n" + stat.format(files))
    return folder


def left(monkeypatch, *groups):
    """What groups leave, of a machine with plenty."""
    monkeypatch.setattr(control_groups, "folders", lambda controller: groups)
    monkeypatch.setattr(free_memory, "_of_machine", lambda: 1e18)
    monkeypatch.setattr(free_memory, "_of_process", lambda: [1e19])
    return free_memory.memory_left()


@pytest.mark.parametrize("version", [V2, V1])
def test_a_group_leaves_what_it_does_not_hold_beside_files(tmp_path, monkeypatch, version):
    assert left(monkeypatch, group(tmp_path / "a", version, 1000, 700, 300)) == 600
    assert left(monkeypatch, group(tmp_path / "a", version, 1000, 1700, 300)) == 0
    assert left(monkeypatch, group(tmp_path / "a", version, 1000, 200, 300)) == 1000
    assert left(monkeypatch, group(tmp_path / "a", version, "max", 700, 300)) == 1e18


def test_the_least_that_is_left_counts(tmp_path, monkeypatch):
    inner = group(tmp_path / "inner", V2, "max", 100, 0)
    middle = group(tmp_path / "middle", V2, 1000, 800, 0)
    outer = group(tmp_path / "outer", V1, 5000, 1000, 0)
    for groups in ((inner, middle, outer), (outer, middle, inner)):
        assert left(monkeypatch, *groups) == 200
    assert left(monkeypatch, inner, tmp_path) == 1e18
