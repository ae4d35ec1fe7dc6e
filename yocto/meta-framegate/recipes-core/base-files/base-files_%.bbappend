# These are framegate-box's.
do_install:append:framegate-distro() {
    rm -f ${D}${sysconfdir}/fstab ${D}${sysconfdir}/issue ${D}${sysconfdir}/issue.net
}
