SUMMARY = "System of a framegate box"
DESCRIPTION = "Root, boot image and disk of a box: a read-only root under dm-verity, in two slots. Nobody can log in."
SECTION = "base"
LICENSE = "MIT"

inherit framegate_slots core-image

IMAGE_FEATURES = "read-only-rootfs"
IMAGE_INSTALL = "\
    packagegroup-core-boot \
    framegate \
    framegate-doc \
    framegate-box \
    framegate-rauc-conf \
    kernel-modules \
    rauc \
    rauc-service \
"

# The text of the console; a zone of the box's own, or else UTC; and the file whose date is the earliest that a clock
# without a battery shows (it gets that of openembedded-core, as all files of an image do).
framegate_image_files() {
    printf 'framegate %s (%s)\n' "${DISTRO_VERSION}" "${MACHINE}" > ${IMAGE_ROOTFS}${sysconfdir}/issue
    printf 'IMAGE_ID=framegate\nIMAGE_VERSION=%s\n' "${DISTRO_VERSION}" >> ${IMAGE_ROOTFS}${nonarch_libdir}/os-release
    ln -sfn framegate/localtime ${IMAGE_ROOTFS}${sysconfdir}/localtime
    touch ${IMAGE_ROOTFS}${nonarch_libdir}/clock-epoch
}
framegate_image_files[doc] = "Writes what says which version and which box this is"
ROOTFS_POSTPROCESS_COMMAND += "framegate_image_files"
