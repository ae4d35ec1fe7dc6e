# These are framegate-box's.
do_install:append:framegate() {
    rm -f ${D}${sysconfdir}/fstab ${D}${sysconfdir}/issue ${D}${sysconfdir}/issue.net
}
