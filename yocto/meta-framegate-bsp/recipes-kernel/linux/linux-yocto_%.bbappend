FILESEXTRAPATHS:prepend:framegate-bsp := "${THISDIR}/files:"

COMPATIBLE_MACHINE:framegate-x86 = "^framegate-x86$"
KMACHINE:framegate-x86 = "common-pc-64"

SRC_URI:append:framegate-x86 = " \
    file://framegate.cfg \
    file://framegate-unused.cfg \
    file://framegate-x86.cfg \
    file://framegate-capture-usb.cfg \
    file://framegate-capture-pcie.cfg \
"
