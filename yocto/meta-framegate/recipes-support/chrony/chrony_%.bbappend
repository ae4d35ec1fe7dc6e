# The configuration is framegate-box's, which has no server but those that a room's DHCP names.
do_install:append:framegate-distro() {
    rm -f ${D}${sysconfdir}/chrony.conf ${D}${sysconfdir}/tmpfiles.d/chronyd.conf
}
