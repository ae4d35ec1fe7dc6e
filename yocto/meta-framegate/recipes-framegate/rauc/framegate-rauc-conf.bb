SUMMARY = "What RAUC knows of a framegate box"
DESCRIPTION = "The slots of the disk, what a bundle has to be made for, and who must have signed it."
SECTION = "base"
LICENSE = "Apache-2.0 | MIT"
LIC_FILES_CHKSUM = "file://LICENSE;md5=440443f2619958a3a3de6b33f2110ef5"

FILESEXTRAPATHS:prepend := "${FRAMEGATE_SOURCE}:"
PV = "${DISTRO_VERSION}"
SRC_URI = "\
    file://LICENSE \
    file://systemd/box/etc/rauc/system.conf \
"
S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"
PACKAGE_ARCH = "${MACHINE_ARCH}"

# PEM: under which certificates a bundle must be signed. The builder's own; there is no example to forget in a box.
FRAMEGATE_KEYRING ??= ""

do_configure[noexec] = "1"
do_compile[noexec] = "1"
do_install() {
    if [ -z "${FRAMEGATE_KEYRING}" ]; then
        bbfatal "FRAMEGATE_KEYRING does not name the certificates that updates are signed under"
    fi
    install -D -m 0644 ${FRAMEGATE_KEYRING} ${D}${sysconfdir}/rauc/keyring.pem
    # A box takes updates made for it, and none that is older than what it has.
    sed -e 's/^compatible=.*/compatible=${MACHINE}/' -e 's/^min-bundle-version=.*/min-bundle-version=${DISTRO_VERSION}/' \
        ${S}/systemd/box/etc/rauc/system.conf > ${D}${sysconfdir}/rauc/system.conf
}
do_install[file-checksums] += "${@d.getVar('FRAMEGATE_KEYRING') + ':True' if d.getVar('FRAMEGATE_KEYRING') else ''}"

# Beside meta-rauc's rauc-conf, which has an example in it.
RPROVIDES:${PN} += "virtual-rauc-conf"
