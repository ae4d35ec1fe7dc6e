"""Images and bundles for the tests: made by image/build, kept by a hash of all that goes in, and spoiled on purpose."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("FRAMEGATE_IMAGE_CACHE", PROJECT / "tests/.cache/image"))
BINARY = Path(os.environ.get("FRAMEGATE_BIN", PROJECT / "target/release/framegate")).resolve()
PKI = CACHE / "pki"
COMPATIBLE = "framegate-generic-x86"


def _inputs(bench: bool) -> bytes:
    digest = hashlib.sha256()
    folders = [PROJECT / "image", PROJECT / "systemd"]
    files = [PROJECT / "src/config/framegate.toml", PROJECT / "README.md", PROJECT / "Cargo.lock", BINARY]
    for folder in folders:
        files += sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md")
    if not bench:
        files = [path for path in files if PROJECT / "image/bench" not in path.parents]
    for path in files:
        digest.update(str(path.relative_to(PROJECT) if PROJECT in path.parents else path.name).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()


def build(version: str, bench: bool = False, files: dict[str, str] | None = None) -> Path:
    """The folder with what image/build made. `files` go over those of a bench image: path below the root, content."""
    what = hashlib.sha256(_inputs(bench) + repr((version, bench, sorted((files or {}).items()))).encode()).hexdigest()[:16]
    folder = CACHE / "built" / what
    if not (folder / "SHA256SUMS").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        line = [PROJECT / "image/build", "--version", version, "--binary", BINARY, "--output", folder, "--raw"]
        if bench:
            line.append("--bench")
        if files:
            over = folder / "over"
            for name, content in files.items():
                path = over / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
                path.chmod(0o755 if content.startswith("#!") else 0o644)
            line += ["--overlay", over]
        subprocess.run(line, check=True, env={**os.environ, "FRAMEGATE_IMAGE_CACHE": str(CACHE)})
    else:
        os.utime(folder)
    return folder


def forget_old(keep: int = 8) -> None:
    """Images of sources that are no more would fill the disk."""
    made = sorted((CACHE / "built").glob("*"), key=lambda path: path.stat().st_mtime)
    for folder in made[:-keep]:
        shutil.rmtree(folder)


def only(folder: Path, suffix: str) -> Path:
    [path] = folder.glob(f"framegate-*{suffix}")
    return path


def disk(folder: Path) -> Path:
    return only(folder, ".img")


def bundle(folder: Path) -> Path:
    return only(folder, ".raucb")


class Spoiled:
    """Bundles made from a good one: its two images changed, or its manifest, or signed by somebody else."""

    def __init__(self, good: Path, folder: Path):
        self.good, self.folder = good, folder
        self.content = folder / "content"
        subprocess.run(["unsquashfs", "-q", "-n", "-d", self.content, good], check=True, stdout=subprocess.DEVNULL)
        (self.content / "manifest.raucm").unlink()
        self.version = good.name.removeprefix("framegate-").removesuffix(".raucb")

    def make(self, name: str, *, version: str = "", compatible: str = COMPATIBLE, change=None, pki: Path = PKI) -> Path:
        """`change` is given the folder with root.img and boot.img."""
        content = self.folder / f"{name}.content"
        shutil.copytree(self.content, content)
        if change:
            change(content)
        (content / "manifest.raucm").write_text(
            f"[update]\ncompatible={compatible}\nversion={version or self.version}\n[bundle]\nformat=verity\n"
            "[image.rootfs]\nfilename=root.img\n[image.boot]\nfilename=boot.img\n"
        )
        path = self.folder / f"{name}.raucb"
        subprocess.run(
            ["rauc", "bundle", f"--cert={pki / 'signer.pem'}", f"--key={pki / 'signer.key'}",
             f"--keyring={pki / 'ca.pem'}", content, path],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        shutil.rmtree(content)
        return path


def slot_config(content: Path, edit) -> None:
    """Changes slot.cfg in the boot image of a bundle: `edit` is given its text, and returns what it becomes. It is another
    build then."""
    image, file = content / "boot.img", content / "slot.cfg"
    subprocess.run(["mcopy", "-n", "-i", image, "::slot.cfg", file], check=True)
    text = re.sub(r"set BUILD=\w+", f"set BUILD={os.urandom(16).hex()}", file.read_text())
    file.write_text(edit(text))
    subprocess.run(["mcopy", "-o", "-i", image, file, "::slot.cfg"], check=True)
    file.unlink()


def destroy(content: Path, at: int, size: int = 256 * 1024) -> None:
    with open(content / "root.img", "r+b") as image:
        image.seek(at)
        image.write(os.urandom(size))


def stranger(folder: Path) -> Path:
    """A PKI that no box trusts."""
    run = lambda *line: subprocess.run(["openssl", *line], check=True, stderr=subprocess.DEVNULL)  # noqa: E731
    folder.mkdir()
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=stranger",
        "-keyout", folder / "signer.key", "-out", folder / "signer.pem")  # fmt: skip
    shutil.copy(folder / "signer.pem", folder / "ca.pem")
    return folder
