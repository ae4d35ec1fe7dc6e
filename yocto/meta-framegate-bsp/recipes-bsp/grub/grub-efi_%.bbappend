# GRUB reads its script from where it was started itself, and has what that script uses and no more (image/grub-modules).
FILESEXTRAPATHS:prepend:framegate-bsp := "${THISDIR}/files:"
GRUB_BUILDIN:framegate-bsp = "part_gpt fat linux normal configfile loadenv test echo sleep regexp reboot boot"
