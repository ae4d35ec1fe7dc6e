# Makes of an image's verified root what a slot of a box holds beside it: the boot image, a small FAT with the kernel and
# what the boot loader has to know of that very root (slot.cfg).
#
# The kernel itself puts dm-verity over the root before it mounts it (dm-mod.create=, CONFIG_DM_INIT): there is no initrd,
# and nothing of cryptsetup runs at boot. Root and hash tree come from meta-oe's image_types_verity, which leaves the
# table's parameters in a file; so there is no class for verity here, and no need of meta-security.
#
# Which slot is booted decides image/grub.cfg, for this image as for that of Debian packages. It reads the slot.cfg of both
# slots for their root hashes, then that of its choice ($pick, $letter, $partition, $machine) for what to boot. Ours boots:
# a table of dm-verity has spaces, and the initrd that grub.cfg would go on with does not exist.

VERITY_IMAGE_FSTYPE = "squashfs-zst"
# Of the version alone: the same root is the same image, bit by bit.
VERITY_SALT = "${@__import__('hashlib').sha256(d.expand('${PN}-${DISTRO_VERSION}').encode()).hexdigest()}"
IMAGE_CLASSES += "image_types_verity"
IMAGE_FSTYPES = "squashfs-zst verity wic.zst wic.bmap"

# Of the partitions, in MiB, as image/build has them.
FRAMEGATE_ESP_SIZE = "64"
FRAMEGATE_BOOT_SIZE = "96"
FRAMEGATE_ROOT_SIZE = "512"

FRAMEGATE_ROOT_IMAGE = "${IMAGE_LINK_NAME}.squashfs-zst.verity"
FRAMEGATE_BOOT_IMAGE = "${IMAGE_LINK_NAME}.boot.vfat"
# As a kernel's argument, such as "console=ttyS0,115200". The status of the box is shown there.
FRAMEGATE_CONSOLE ??= ""

do_image_boot_slot() {
    . ${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.squashfs-zst.verity-params
    size=$(stat -L -c %s ${IMGDEPLOYDIR}/${FRAMEGATE_ROOT_IMAGE})
    if [ $size -gt $(expr ${FRAMEGATE_ROOT_SIZE} \* 1048576) ]; then
        bbfatal "The verified root has $size bytes, and its partition ${FRAMEGATE_ROOT_SIZE} MiB"
    fi

    # Those of the other image, but for the serial port. The root is open already when systemd would look for it.
    options=$(sed -e 's/#.*//' -e '/^console=/d' ${FRAMEGATE_SOURCE}/image/kernel-options | tr -s '\n ' ' ')
    options="$options ${FRAMEGATE_CONSOLE} root=/dev/dm-0 rootwait systemd.verity=no"
    device="PARTLABEL=root-\$letter"
    table="root,,,ro,0 $VERITY_DATA_SECTORS verity 1 $device $device $VERITY_DATA_BLOCK_SIZE $VERITY_HASH_BLOCK_SIZE"
    table="$table $VERITY_DATA_BLOCKS $VERITY_DATA_BLOCKS $VERITY_HASH_ALGORITHM $VERITY_ROOT_HASH $VERITY_SALT"
    table="$table 1 panic_on_corruption"
    cat > slot.cfg << END
set ROOTHASH=$VERITY_ROOT_HASH
if [ -n "\$pick" ]; then
    if linux (\$partition)/vmlinuz rauc.slot=\$pick roothash=\$ROOTHASH \$machine $options dm-mod.waitfor=$device "dm-mod.create=$table"; then boot; fi
fi
END

    image=${IMGDEPLOYDIR}/${IMAGE_NAME}.boot.vfat
    rm -f $image
    truncate -s ${FRAMEGATE_BOOT_SIZE}M $image
    mkfs.vfat -n BOOT -i 66672d62 --invariant $image
    mcopy -i $image ${DEPLOY_DIR_IMAGE}/${KERNEL_IMAGETYPE} ::vmlinuz
    mcopy -i $image slot.cfg ::
    ln -sf ${IMAGE_NAME}.boot.vfat ${IMGDEPLOYDIR}/${FRAMEGATE_BOOT_IMAGE}
}
do_image_boot_slot[doc] = "Makes the boot image that belongs to the verified root"
do_image_boot_slot[dirs] = "${WORKDIR}/boot-slot"
do_image_boot_slot[cleandirs] = "${WORKDIR}/boot-slot"
do_image_boot_slot[file-checksums] += "${FRAMEGATE_SOURCE}/image/kernel-options:True"
do_image_boot_slot[depends] += "\
    virtual/kernel:do_deploy \
    dosfstools-native:do_populate_sysroot \
    mtools-native:do_populate_sysroot \
"
addtask do_image_boot_slot after do_image_verity before do_image_wic do_image_complete

# The disk is made of what the tasks above leave, and of the boot loader; wic has nothing to put together itself.
WKS_FILE_DEPENDS = "${WKS_FILE_DEPENDS_DEFAULT}"
do_image_wic[depends] += "framegate-esp:do_deploy"
