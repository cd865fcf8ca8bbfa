#!/bin/bash
# A stand-in for the vendor's script of the same name: prepares the read-only root and starts X.
stop() {
    echo "Installation aborted - unable to continue (type exit or CTRL-D to reboot)"
    /bin/bash
    leave
}

leave() {
    trap - ERR
    /etc/init.d/networking stop
    /etc/init.d/udev stop
    while read -r device _; do
        case $device in /dev/*) swapoff "$device" ;; esac
    done </proc/swaps
    for point in /target /tmp /var/tmp /var/log /var/run /var/lib/xkb /proc /sys /dev; do
        umount -l -n "$point" >/dev/null 2>&1
    done
    exit 0
}

trap stop ERR
PATH=/sbin:/bin:/usr/sbin:/usr/bin
echo "Starting the installation"
mount -n -t proc proc /proc
for point in /tmp /var/tmp /var/log /var/run /var/lib/xkb; do
    mount -n -t tmpfs tmpfs "$point"
done
mount -n -t sysfs sysfs /sys
modprobe -q dm_mod || true
export RUNLEVEL=S PREVLEVEL=N
/etc/init.d/udev start
hostname proxmox
echo "Detecting network settings"
/etc/init.d/networking start >/dev/tty2 2>&1

xinit -- -dpi 96 >/dev/tty2 2>&1

if grep -qw proxdebug /proc/cmdline; then
    echo "Debugging mode (type exit or CTRL-D to reboot)"
    /bin/bash
fi
echo "Installation done, rebooting"
leave
