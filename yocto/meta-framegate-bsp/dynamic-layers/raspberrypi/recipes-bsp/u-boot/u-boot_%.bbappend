FILESEXTRAPATHS:prepend:framegate-bsp := "${THISDIR}/files:"
SRC_URI:append:framegate-bsp = " file://framegate-u-boot.cfg"
