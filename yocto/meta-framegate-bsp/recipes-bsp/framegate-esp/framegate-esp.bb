SUMMARY = "EFI system partition of a framegate box"
DESCRIPTION = "GRUB, the script by which it chooses a slot, and its environment; on boards U-Boot and the firmware's files."
SECTION = "bootloaders"
LICENSE = "Apache-2.0 | MIT"
LIC_FILES_CHKSUM = "file://LICENSE;md5=440443f2619958a3a3de6b33f2110ef5"
COMPATIBLE_MACHINE = "^framegate-bsp$"

DEPENDS = "dosfstools-native grub-native mtools-native"
INHIBIT_DEFAULT_DEPS = "1"

# The script is that of the image of Debian packages: a box starts alike whatever made its image.
FILESEXTRAPATHS:prepend := "${FRAMEGATE_SOURCE}:"
PV = "${DISTRO_VERSION}"
SRC_URI = "\
    file://LICENSE \
    file://image/grub.cfg \
"
S = "${UNPACKDIR}"
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit deploy nopackages
require conf/image-uefi.conf

FRAMEGATE_ESP_SIZE ?= "64"
# Of the deploy folder, with the place of each in the partition: "FILES:PLACE".
FRAMEGATE_FIRMWARE_FILES ??= ""
FRAMEGATE_FIRMWARE_DEPENDS ??= ""

do_configure[noexec] = "1"
do_install[noexec] = "1"
do_compile[depends] += "grub-efi:do_deploy ${FRAMEGATE_FIRMWARE_DEPENDS}"
do_compile() {
    grub-editenv ${B}/grubenv create
    grub-editenv ${B}/grubenv set ORDER="A B" A_OK=1 A_TRY=0 B_OK=0 B_TRY=0
    esp=${B}/esp.vfat
    rm -f $esp
    truncate -s ${FRAMEGATE_ESP_SIZE}M $esp
    mkfs.vfat -F 32 -n ESP -i 66676573 --invariant $esp
    mmd -i $esp ::EFI ::EFI/BOOT ::framegate
    mcopy -i $esp ${DEPLOY_DIR_IMAGE}/grub-efi-${EFI_BOOT_IMAGE} ::EFI/BOOT/${EFI_BOOT_IMAGE}
    mcopy -i $esp ${S}/image/grub.cfg ${B}/grubenv ::EFI/BOOT
    mcopy -i $esp ${B}/grubenv ::EFI/BOOT/grubenv.spare
    firmware="${FRAMEGATE_FIRMWARE_FILES}"
    case $firmware in *:overlays*) mmd -i $esp ::overlays ;; esac
    for pair in $firmware; do
        mcopy -D o -s -i $esp ${DEPLOY_DIR_IMAGE}/${pair%:*} ::${pair#*:}
    done
}

do_deploy() {
    install -m 0644 ${B}/esp.vfat ${DEPLOYDIR}/framegate-esp-${MACHINE}.vfat
}
addtask deploy after do_compile before do_build
