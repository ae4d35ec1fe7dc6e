"""Reads BitBake's files as far as these tests need: assignments, and shell functions that can be run.

It knows nothing of other layers. A variable that is not given stays as it is written.
"""

import pathlib
import re
import shutil
import subprocess
import tomllib

PROJECT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = PROJECT / "yocto"
DISTRO_LAYER = LAYERS / "meta-framegate"
BSP_LAYER = LAYERS / "meta-framegate-bsp"
RECIPES = DISTRO_LAYER / "recipes-framegate"

CARGO = tomllib.loads((PROJECT / "Cargo.toml").read_text())
VERSION = CARGO["package"]["version"]

ASSIGNMENT = re.compile(
    r'^(?P<name>[A-Za-z0-9_.${}:/%+-]+(?:\[[^]]+\])?)\s*(?P<operator>\?\?=|\?=|:=|\+=|=\+|\.=|=\.|=)\s*"(?P<value>(?:[^"\\]|\\.)*)"',
    re.M | re.S,
)


def boxes() -> set[str]:
    """Names of the boxes of hw-profiles/."""
    profiles = (tomllib.loads(path.read_text()) for path in (PROJECT / "hw-profiles").glob("*.toml"))
    return {profile["name"] for profile in profiles if profile["kind"] == "box"}


def machines() -> dict[str, pathlib.Path]:
    return {path.stem: path for path in (BSP_LAYER / "conf/machine").glob("*.conf")}


def metadata_files(*suffixes: str) -> list[pathlib.Path]:
    return sorted(path for path in LAYERS.rglob("*") if path.suffix in suffixes)


def assignments(path: pathlib.Path) -> list[tuple[str, str, str]]:
    """Name, operator and value of each assignment, in order; continued lines are joined."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    text = re.sub(r"^(?:fakeroot |python )?[A-Za-z0-9_:-]* ?\(\) ?\{.*?^\}", "", text, flags=re.M | re.S)
    text = text.replace("\\\n", " ")
    return [(m["name"], m["operator"], m["value"]) for m in ASSIGNMENT.finditer(text)]


def value(path: pathlib.Path, name: str) -> str:
    """What a file assigns to a variable last, by an operator that sets it."""
    found = [v for n, operator, v in assignments(path) if n == name and operator in ("=", "?=", "??=", ":=", "+=")]
    assert found, f"{path.name} does not set {name}"
    return " ".join(found[-1].split())


def all_values(path: pathlib.Path, name: str) -> list[str]:
    return " ".join(v for n, _, v in assignments(path) if n == name).split()


def with_required(path: pathlib.Path, folder: pathlib.Path) -> list[pathlib.Path]:
    """A file and those of ours that it requires, the required ones first."""
    files = []
    for name in re.findall(r"^require (\S+)", path.read_text(), re.M):
        required = folder / name
        if required.exists():
            files += with_required(required, folder)
    return files + [path]


def local_sources(path: pathlib.Path) -> list[str]:
    """What a recipe takes from the tree, or from beside itself."""
    return [
        entry.removeprefix("file://").split(";")[0]
        for entry in all_values(path, "SRC_URI")
        if entry.startswith("file://")
    ]


def unpack(recipe: pathlib.Path, folder: pathlib.Path) -> None:
    """Lays what a recipe takes from the tree into a folder, as BitBake does."""
    for name in local_sources(recipe):
        source, copy = PROJECT / name, folder / name
        if source.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, copy, symlinks=True) if source.is_dir() else shutil.copy(source, copy)


def shell_function(path: pathlib.Path, name: str, variables: dict[str, str]) -> str:
    """The body of a shell function, with BitBake's variables in it replaced."""
    found = re.search(rf"^{re.escape(name)}\(\) \{{\n(.*?)^\}}", path.read_text(), re.M | re.S)
    assert found, f"{path.name} has no {name}"
    body = found[1]
    for _ in range(3):
        for key, replacement in variables.items():
            body = body.replace("${" + key + "}", replacement)
    return body


# The installation folders of openembedded-core, with usrmerge.
FOLDERS = {
    "bindir": "/usr/bin",
    "sbindir": "/usr/sbin",
    "sysconfdir": "/etc",
    "datadir": "/usr/share",
    "docdir": "/usr/share/doc",
    "localstatedir": "/var",
    "nonarch_libdir": "/usr/lib",
    "systemd_unitdir": "/usr/lib/systemd",
    "systemd_system_unitdir": "/usr/lib/systemd/system",
}


def run_function(
    path: pathlib.Path, name: str, variables: dict[str, str], folder: pathlib.Path
) -> subprocess.CompletedProcess:
    """Runs a shell function as BitBake would, but for owners: these tests need not be root."""
    body = shell_function(path, name, FOLDERS | variables)
    prelude = 'set -e\nchown() { :; }\nbbfatal() { echo "$*" >&2; exit 1; }\n'
    return subprocess.run(["sh", "-c", prelude + body], cwd=folder, capture_output=True, text=True)


def tree(folder: pathlib.Path) -> set[str]:
    """Everything in a folder that is not a folder, by its path in it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or path.is_file()}
