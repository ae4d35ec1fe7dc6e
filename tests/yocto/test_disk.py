"""Disk, slots, boot loader and kernels: the same labels, sizes and names wherever they are said."""

import re
import shutil
import stat
import subprocess
import tomllib

import pytest
from metadata import (
    BSP_LAYER,
    DISTRO_LAYER,
    LAYERS,
    PROJECT,
    RECIPES,
    all_values,
    boxes,
    machines,
    run_function,
    value,
    with_required,
)

SLOTS = DISTRO_LAYER / "classes-recipe/framegate_slots.bbclass"
WKS = BSP_LAYER / "files/wic/framegate.wks.in"
ESP = BSP_LAYER / "recipes-bsp/framegate-esp/framegate-esp.bb"
FRAGMENTS = BSP_LAYER / "recipes-kernel/linux/files"
IMAGE = PROJECT / "image"
LABELS = ["esp", "boot-a", "boot-b", "root-a", "root-b"]
needs_image = pytest.mark.skipif(not IMAGE.is_dir(), reason="there is no image/")
needs_box = pytest.mark.skipif(not (PROJECT / "systemd/box").is_dir(), reason="there is no systemd/box")


def partitions():
    """Label and size in MiB of each partition of the wks file."""
    found = []
    for line in WKS.read_text().splitlines():
        if line.startswith("part "):
            label = re.search(r"--part-name (\S+)", line)[1]
            size = re.search(r"--fixed-size (\S+)M\b", line)[1]
            found.append((label, int(value(SLOTS, size.strip("${}")))))
    return found


def test_labels_of_the_disk():
    assert [label for label, _ in partitions()] == LABELS


@needs_image
def test_partitions_are_those_of_the_other_image():
    text = (IMAGE / "build").read_text()
    sizes = dict(re.findall(r"(\w+)=(\d+)", re.search(r"^readonly (esp=.*)", text, re.M)[1]))
    there = [(label, int(sizes[size])) for label, size in re.findall(r"^\s*place (\S+) \$(\w+)", text, re.M)]
    assert there == partitions()
    assert value(ESP, "FRAMEGATE_ESP_SIZE") == value(SLOTS, "FRAMEGATE_ESP_SIZE")


@needs_image
def test_boot_loader_finds_the_boot_partitions_by_their_numbers():
    grub = (IMAGE / "grub.cfg").read_text()
    assert re.findall(r"^set env=\(\$disk,gpt(\d)\)", grub, re.M)[0] == "1"
    numbers = dict(re.findall(r"set partition=\$disk,gpt(\d)\n\s*set letter=(\w)", grub))
    assert numbers == {str(LABELS.index(f"boot-{letter}") + 1): letter for letter in "ab"}
    modules = re.sub(r"#.*", "", (IMAGE / "grub-modules").read_text()).split()
    assert set(value(BSP_LAYER / "recipes-bsp/grub/grub-efi_%.bbappend", "GRUB_BUILDIN:framegate-bsp").split()) == {
        *modules,
        "boot",
    }


@needs_box
def test_slots_of_rauc_are_partitions_of_the_disk():
    text = (PROJECT / "systemd/box/etc/rauc/system.conf").read_text()
    slots = dict(re.findall(r"^\[slot\.(\S+)\]\ndevice=/dev/disk/by-partlabel/(\S+)", text, re.M))
    assert slots == {"rootfs.0": "root-a", "rootfs.1": "root-b", "boot.0": "boot-a", "boot.1": "boot-b"}
    names = re.findall(r"^\[slot\.rootfs\.\d\]\n(?:\w+=.*\n)*?bootname=(\w)", text, re.M)
    assert names == ["A", "B"]
    bundle = RECIPES / "bundles/framegate-bundle.bb"
    assert set(value(bundle, "RAUC_BUNDLE_SLOTS").split()) == {name.split(".")[0] for name in slots}
    assert value(bundle, "RAUC_BUNDLE_COMPATIBLE") == "${MACHINE}"
    assert re.search(r"^compatible=framegate-generic-x86$", text, re.M) and "framegate-generic-x86" in machines()


@needs_box
def test_data_partition_is_made_at_the_first_boot():
    assert "data" not in [label for label, _ in partitions()]
    for path in (PROJECT / "systemd/box/usr/share/framegate").glob("repart-*.d/*.conf"):
        assert re.search(r"^Label=data$", path.read_text(), re.M), path.name


@pytest.fixture
def boot_slot(tmp_path):
    """Runs the task that makes a boot image, with a verified root of 8 MiB of nothing; the folder it worked in."""
    if not shutil.which("mkfs.vfat", path="/usr/sbin:/sbin:/usr/bin") or not shutil.which("mcopy"):
        pytest.skip("dosfstools or mtools is not installed")
    if not IMAGE.is_dir():
        pytest.skip("there is no image/")
    (tmp_path / "root.squashfs-zst.verity").write_bytes(bytes(8 << 20))
    (tmp_path / "root.squashfs-zst.verity-params").write_text(
        f"VERITY_DATA_SECTORS=16000\nVERITY_DATA_BLOCKS=2000\nVERITY_DATA_BLOCK_SIZE=4096\nVERITY_HASH_BLOCK_SIZE=4096\n"
        f"VERITY_HASH_ALGORITHM=sha256\nVERITY_ROOT_HASH={'ab' * 32}\nVERITY_SALT={'cd' * 32}\n"
    )
    (tmp_path / "Image").write_bytes(b"kernel")
    variables = {
        "IMGDEPLOYDIR": str(tmp_path),
        "DEPLOY_DIR_IMAGE": str(tmp_path),
        "IMAGE_LINK_NAME": "root",
        "IMAGE_NAME": "root-1",
        "KERNEL_IMAGETYPE": "Image",
        "FRAMEGATE_SOURCE": str(PROJECT),
        "FRAMEGATE_CONSOLE": "console=ttyX0,115200",
    } | {
        f"FRAMEGATE_{name}": value(SLOTS, f"FRAMEGATE_{name}")
        for name in ("BOOT_SIZE", "ROOT_SIZE", "ROOT_IMAGE", "BOOT_IMAGE")
    }

    def run(**changes):
        return run_function(SLOTS, "do_image_boot_slot", changes | variables | changes, tmp_path)

    return tmp_path, run


def test_boot_image_boots_the_root_that_it_was_made_for(boot_slot):
    folder, run = boot_slot
    done = run()
    assert done.returncode == 0, done.stderr
    image = folder / "root.boot.vfat"
    assert image.stat().st_size == int(value(SLOTS, "FRAMEGATE_BOOT_SIZE")) << 20
    slot = subprocess.run(["mtype", "-i", image, "::slot.cfg"], capture_output=True, text=True, check=True).stdout
    assert subprocess.run(["mtype", "-i", image, "::vmlinuz"], capture_output=True, check=True).stdout == b"kernel"
    assert slot.splitlines()[0] == "set ROOTHASH=" + "ab" * 32
    command = next(line for line in slot.splitlines() if "linux " in line)
    table = re.search(r'"dm-mod\.create=root,,,ro,([^"]+)"', command)[1].split()
    assert table == [
        "0",
        "16000",
        "verity",
        "1",
        "PARTLABEL=root-$letter",
        "PARTLABEL=root-$letter",
        "4096",
        "4096",
        "2000",
        "2000",
        "sha256",
        "ab" * 32,
        "cd" * 32,
        "1",
        "panic_on_corruption",
    ]
    words = command.replace(re.search(r'"[^"]*"', command)[0], "").split()
    for word in (
        "rauc.slot=$pick",
        "roothash=$ROOTHASH",
        "$machine",
        "root=/dev/dm-0",
        "panic=3",
        "console=ttyX0,115200",
        "systemd.volatile=state",
        "systemd.verity=no",
    ):
        assert word in words, word
    # One serial port, and every variable is one that grub.cfg sets before it reads this.
    assert sum(word.startswith("console=") for word in words) == 1
    grub = (IMAGE / "grub.cfg").read_text()
    before = grub[: grub.rindex("/slot.cfg")]
    for name in set(re.findall(r"\$\{?(\w+)", slot)) - {"ROOTHASH"}:
        assert re.search(rf"\bset {name}=", before), name
    if shutil.which("grub-script-check"):
        (folder / "slot.cfg").write_text(slot)
        checked = subprocess.run(["grub-script-check", folder / "slot.cfg"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


def test_a_root_that_is_too_large_is_refused(boot_slot):
    _, run = boot_slot
    done = run(FRAMEGATE_ROOT_SIZE="7")
    assert done.returncode == 1 and "7 MiB" in done.stderr


@needs_image
def test_efi_system_partition(tmp_path):
    for tool in ("mkfs.vfat", "mcopy", "grub-editenv"):
        if not shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin"):
            pytest.skip(f"{tool} is not installed")
    (tmp_path / "grub-efi-bootaa64.efi").write_bytes(b"grub")
    (tmp_path / "bootfiles").mkdir()
    (tmp_path / "bootfiles/start4.elf").write_bytes(b"firmware")
    (tmp_path / "u-boot.bin").write_bytes(b"u-boot")
    (tmp_path / "uart0.dtbo").write_bytes(b"overlay")
    done = run_function(
        ESP,
        "do_compile",
        {
            "B": str(tmp_path),
            "S": str(PROJECT),
            "DEPLOY_DIR_IMAGE": str(tmp_path),
            "EFI_BOOT_IMAGE": "bootaa64.efi",
            "FRAMEGATE_ESP_SIZE": value(ESP, "FRAMEGATE_ESP_SIZE"),
            "FRAMEGATE_FIRMWARE_FILES": "bootfiles/*: u-boot.bin:kernel8.img uart0.dtbo:overlays",
        },
        tmp_path,
    )
    assert done.returncode == 0, done.stderr

    def read(name):
        return subprocess.run(
            ["mtype", "-i", tmp_path / "esp.vfat", f"::{name}"], capture_output=True, check=True
        ).stdout

    assert read("EFI/BOOT/bootaa64.efi") == b"grub"
    assert read("EFI/BOOT/grub.cfg") == (IMAGE / "grub.cfg").read_bytes()
    assert b"ORDER=A B\nA_OK=1\n" in read("EFI/BOOT/grubenv") and read("EFI/BOOT/grubenv") == read(
        "EFI/BOOT/grubenv.spare"
    )
    assert (
        read("start4.elf") == b"firmware"
        and read("kernel8.img") == b"u-boot"
        and read("overlays/uart0.dtbo") == b"overlay"
    )


def test_every_box_is_a_machine_or_said_to_be_none():
    assert {name.removeprefix("framegate-") for name in machines()} <= boxes()
    table, rest = (BSP_LAYER / "README.md").read_text().split("are no machines here:")
    without = boxes() - {name.removeprefix("framegate-") for name in machines()}
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", rest, re.M)) == without
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.M)) == set(machines())


def options(fragment):
    """Options of a kernel fragment; what is off is n."""
    found = {}
    for line in fragment.read_text().splitlines():
        on = re.fullmatch(r"CONFIG_(\w+)=(.+)", line)
        off = re.fullmatch(r"# CONFIG_(\w+) is not set", line)
        assert on or off or line.startswith("# ") and "CONFIG_" not in line, f"{fragment.name}: {line}"
        name, setting = (on[1], on[2]) if on else (off[1], "n") if off else (None, None)
        if name:
            assert name not in found, f"{fragment.name} has {name} twice"
            found[name] = setting
    return found


def kernel(machine):
    """All options that the fragments of a machine set; no two contradict each other."""
    x86 = "framegate-x86.inc" in machines()[machine].read_text()
    append = BSP_LAYER / (
        "recipes-kernel/linux/linux-yocto_%.bbappend"
        if x86
        else "dynamic-layers/raspberrypi/recipes-kernel/linux/linux-raspberrypi_%.bbappend"
    )
    names = all_values(append, "SRC_URI:append:framegate-x86" if x86 else "SRC_URI:append:framegate-bsp")
    found = {}
    for name in names:
        name = name.removeprefix("file://")
        path = FRAGMENTS / name if (FRAGMENTS / name).exists() else append.parent / "files" / name
        for option, setting in options(path).items():
            assert found.setdefault(option, setting) == setting, f"{name} and another one disagree about {option}"
    return found


# Kernel options of what hw-profiles/ name.
WATCHDOGS = {"iTCO_wdt": "ITCO_WDT", "bcm2835_wdt": "BCM2835_WDT"}
TPMS = {"crb": "TCG_CRB", "tis": "TCG_TIS"}
DRIVERS = {"uvcvideo": "USB_VIDEO_CLASS", "unicam*": "VIDEO_BCM2835_UNICAM", "rp1-cfe*": "VIDEO_RP1_CFE"}


@pytest.mark.parametrize("machine", sorted(machines()))
def test_kernel_has_what_the_profile_names(machine):
    profile = tomllib.loads((PROJECT / f"hw-profiles/{machine.removeprefix('framegate-')}.toml").read_text())
    there = kernel(machine)
    assert there[WATCHDOGS[profile["watchdog"]["driver"]]] == "y"
    if profile.get("tpm") in TPMS:
        assert there[TPMS[profile["tpm"]]] == "y"
    for name in profile["capture"]:
        capture = tomllib.loads((PROJECT / f"hw-profiles/{name}.toml").read_text())
        wanted = [DRIVERS[driver] for driver in capture["match"].get("driver", []) if driver in DRIVERS]
        assert not wanted or any(there.get(option) in ("m", "y") for option in wanted), name


@pytest.mark.parametrize("machine", sorted(machines()))
def test_kernel_can_mount_a_verified_root_without_an_initrd(machine):
    there = kernel(machine)
    for option in (
        "BLK_DEV_DM",
        "DM_INIT",
        "DM_VERITY",
        "CRYPTO_SHA256",
        "SQUASHFS",
        "SQUASHFS_ZSTD",
        "DEVTMPFS_MOUNT",
        "EFI_STUB",
        "EFI_PARTITION",
        "MMC_BLOCK",
        "BLK_DEV_NVME",
        "MODULE_SIG",
        "SECURITY_LOCKDOWN_LSM",
        "SECURITY_LANDLOCK",
        "CGROUP_BPF",
        "NF_TABLES_INET",
    ):
        assert there.get(option) == "y", option
    for option in ("BT", "WLAN", "FIREWIRE", "CAN", "USB_GADGET", "SWAP"):
        assert there.get(option) == "n", option


def test_no_key_lies_in_the_layers():
    for path in LAYERS.rglob("*"):
        if path.is_file():
            assert b"PRIVATE KEY-----" not in path.read_bytes(), path
            assert stat.S_IMODE(path.stat().st_mode) & 0o002 == 0
