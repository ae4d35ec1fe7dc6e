FILESEXTRAPATHS:prepend:framegate-bsp := "${THISDIR}/../../../../recipes-kernel/linux/files:${THISDIR}/files:"

SRC_URI:append:framegate-bsp = " \
    file://framegate.cfg \
    file://framegate-unused.cfg \
    file://framegate-raspberry-pi.cfg \
    file://framegate-capture-usb.cfg \
    file://framegate-capture-csi.cfg \
"
