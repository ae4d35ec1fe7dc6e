SUMMARY = "What makes a machine a framegate box"
DESCRIPTION = "The tree systemd/box: partitions, packet filter, time, watchdog, network, what becomes of a slot that fails, the service stick."
SECTION = "base"
LICENSE = "Apache-2.0 | MIT"
LIC_FILES_CHKSUM = "file://LICENSE;md5=440443f2619958a3a3de6b33f2110ef5"

inherit systemd
INHIBIT_DEFAULT_DEPS = "1"

FILESEXTRAPATHS:prepend := "${FRAMEGATE_SOURCE}:"
# All of systemd/box but etc/rauc, which differs from box to box (framegate-rauc-conf), and the links to /dev/null, of which
# BitBake can make no checksum.
PV = "${DISTRO_VERSION}"
SRC_URI = "\
    file://LICENSE;subdir=${BP} \
    file://systemd/box/etc/chrony;subdir=${BP} \
    file://systemd/box/etc/default;subdir=${BP} \
    file://systemd/box/etc/fstab;subdir=${BP} \
    file://systemd/box/etc/nftables.conf;subdir=${BP} \
    file://systemd/box/etc/sysctl.d;subdir=${BP} \
    file://systemd/box/etc/systemd/journald.conf.d;subdir=${BP} \
    file://systemd/box/etc/systemd/network;subdir=${BP} \
    file://systemd/box/etc/systemd/resolved.conf.d;subdir=${BP} \
    file://systemd/box/etc/systemd/system.conf.d;subdir=${BP} \
    file://systemd/box/usr;subdir=${BP} \
    file://nftables.service \
"
S = "${UNPACKDIR}/${BP}"

# Units that must not run, whoever asks for them.
FRAMEGATE_MASKED = "\
    autovt@.service \
    console-getty.service \
    container-getty@.service \
    ctrl-alt-del.target \
    debug-shell.service \
    getty.target \
    getty@.service \
    serial-getty@.service \
    systemd-logind.service \
"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    cp -R --no-dereference --preserve=mode,links ${S}/systemd/box/. ${D}/
    chown -R root:root ${D}
    install -d ${D}/data ${D}/efi ${D}${sysconfdir}/framegate
    install -d ${D}${sysconfdir}/systemd/system
    for unit in ${FRAMEGATE_MASKED}; do
        ln -s /dev/null ${D}${sysconfdir}/systemd/system/$unit
    done

    # The tree is written for Debian's packages. Here chrony has other names and another user, and nftables no unit.
    mv ${D}${sysconfdir}/chrony/chrony.conf ${D}${sysconfdir}/chrony.conf
    rmdir ${D}${sysconfdir}/chrony
    echo "user chronyd" >> ${D}${sysconfdir}/chrony.conf
    sed 's/^DAEMON_OPTS=/OPTIONS=/' ${D}${sysconfdir}/default/chrony > ${D}${sysconfdir}/default/chronyd
    rm ${D}${sysconfdir}/default/chrony
    mv ${D}${systemd_system_unitdir}/chrony.service.d ${D}${systemd_system_unitdir}/chronyd.service.d
    find ${D}${systemd_unitdir} -type f -exec sed -i 's/\bchrony\.service\b/chronyd.service/g' {} +
    sed -i 's/\b_chrony\b/chronyd/g' ${D}${datadir}/framegate/data.tmpfiles
    install -m 0644 ${UNPACKDIR}/nftables.service ${D}${systemd_system_unitdir}/nftables.service
}

# nooelint: oelint.var.filesoverride - the whole tree is one package
FILES:${PN} = "/"
SYSTEMD_SERVICE:${PN} = "\
    framegate-console.service \
    framegate-network.service \
    framegate-ntp.path \
    framegate-slot.service \
    framegate-trial.timer \
    nftables.service \
"
# Beside what the scripts call: file system checks at boot, the makers of the data partition, names of its users.
RDEPENDS:${PN} = "\
    bash \
    chrony \
    chronyc \
    coreutils \
    cryptsetup \
    dosfstools \
    e2fsprogs-e2fsck \
    e2fsprogs-mke2fs \
    framegate \
    grub-editenv \
    net-tools \
    nftables \
    systemd-analyze \
    systemd-extra-utils \
    systemd-networkd \
    tzdata-core \
    util-linux-flock \
    util-linux-lsblk \
    util-linux-mount \
    util-linux-umount \
"
