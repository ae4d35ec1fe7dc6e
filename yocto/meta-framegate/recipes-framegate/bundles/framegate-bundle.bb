SUMMARY = "Update of a framegate box"
DESCRIPTION = "A signed RAUC bundle with the root and the boot image of one version, for the slot that is not in use."
SECTION = "base"
LICENSE = "MIT"
PV = "${DISTRO_VERSION}"

inherit bundle

RAUC_BUNDLE_COMPATIBLE = "${MACHINE}"
RAUC_BUNDLE_VERSION = "${DISTRO_VERSION}"
RAUC_BUNDLE_FORMAT = "verity"

RAUC_BUNDLE_SLOTS = "rootfs boot"
RAUC_SLOT_rootfs = "framegate-image"
RAUC_SLOT_rootfs[file] = "framegate-image${IMAGE_MACHINE_SUFFIX}.rootfs.squashfs-zst.verity"
RAUC_SLOT_rootfs[rename] = "root.img"
RAUC_SLOT_boot = "framegate-image"
RAUC_SLOT_boot[file] = "framegate-image${IMAGE_MACHINE_SUFFIX}.rootfs.boot.vfat"
RAUC_SLOT_boot[rename] = "boot.img"

# Who signs is the builder's: kas/common.yml says how to name the key. There is none in this layer, not even an example.
FRAMEGATE_SIGNING_KEY ??= ""
FRAMEGATE_SIGNING_CERTIFICATE ??= ""
RAUC_KEY_FILE ?= "${FRAMEGATE_SIGNING_KEY}"
RAUC_CERT_FILE ?= "${FRAMEGATE_SIGNING_CERTIFICATE}"
