# A stand-in for the working half of the vendor's installer (docs/facts.md 3.4 to 3.6), loaded by proxinstall.
package Installer::Steps;
use strict;
use warnings;

my ($given, $words, $kernel, $root, $lib, $country, $map);
sub setup { ($given, $words, $kernel, $root, $lib, $country, $map) = @_; return }

my $filesystem = 'ext3';
sub word { my ($name, $default) = @_; return $words =~ /$name=(\d+)\s/i ? $1 : $default }

sub prepare_disk {
    main::tell(0, 'create partitions');
    $filesystem = 'ext4' if $words =~ /\sext4\s/;
    my $disk = $given->{disk}{name};
    my $kib = int($given->{disk}{sectors} / 2);
    my $gpt = $kib >= 2 * 1024**3;
    main::syscmd("dd if=/dev/zero of=$disk bs=512 count=256");
    my $limit = word('hdsize', 0) * 1048576;
    $kib = $limit if $limit && $limit < $kib;
    my $gib = int($kib / 1048576);
    my $end = $kib / 1024;
    main::must("parted --align optimal $disk unit MiB " . ($gpt
        ? "mklabel gpt mkpart primary 1 2 set 1 bios_grub on mkpart primary ext2 2 512 set 2 boot on mkpart primary ext2 512 $end set 3 lvm on"
        : "mklabel msdos mkpart primary ext2 1 512 set 1 boot on mkpart primary ext2 512 $end set 2 lvm on"), 'unable to partition harddisk');
    sleep 1;    # the vendor's installer waits here too
    my $boot = main::partition($disk, $gpt ? 2 : 1);
    my $volume = main::partition($disk, $gpt ? 3 : 2);
    main::must("/sbin/pvcreate --metadatasize 250k -y -ff $volume", 'unable to initialize physical volume');
    main::must("/sbin/vgcreate pve $volume", 'unable to create volume group');
    die "hardisk too small (${gib}GB)\n" if $gib < 4;
    my $memory = `cat /proc/meminfo` =~ /^MemTotal:\s+(\d+)/m ? int($1 / 1024) : 0;
    my $g = 1048576;
    my $swap = $gib / 8 < 4 ? $gib / 8 : 4;
    my $wanted = int($memory / 1024) > 4 ? int($memory / 1024) : 4;
    $swap = $wanted < $gib / 8 ? $wanted : $gib / 8;
    $swap = word('swapsize', $swap) * $g;
    my $cap = word('maxroot', 96);
    my $system = ($gib > 4 * $cap ? $cap : $gib / 4) * $g;
    my $space = ($gib > 128 ? 16 : $gib / 8) * $g;
    my $rest = $kib - 524288 - $swap - $system;
    my $free = word('minfree', -1) * $g;
    $free = $space if $free < 0 || $free >= $rest;
    my $data = $rest - $free;
    my $most = word('maxvz', -1) * $g;
    $data = $most if $most >= 0 && $most < $data;
    my @volumes = ([swap => $swap], [root => $system], [data => $data]);
    main::must(sprintf('/sbin/lvcreate -L%dK -n%s pve', $_->[1], $_->[0]), "unable to create $_->[0] volume") for @volumes;
    main::must('/sbin/vgchange -a y pve', 'unable to activate volume group');
    main::tell(0.02, 'create filesystems');
    main::must('mkswap /dev/pve/swap', 'unable to create swap space');
    main::must("mkfs.$filesystem -F $boot", 'unable to create filesystem');
    main::must("mkfs.$filesystem -F /dev/pve/root", 'unable to create filesystem');
    main::must("mkfs.$filesystem -m 0 -F /dev/pve/data", 'unable to create filesystem');
    main::syscmd('udevadm trigger --subsystem-match block');
    main::syscmd('udevadm settle --timeout 10');
    main::must("mount -n /dev/pve/root -o noatime,barrier=0 $root", 'unable to mount root');
    mkdir "$root/boot";
    main::must("mount -n $boot -o noatime,barrier=0 $root/boot", 'unable to mount boot');
    main::syscmd("mkdir -p $root/var/lib/vz");
    main::must("mount -n /dev/pve/data $root/var/lib/vz", 'unable to mount data');
    $given->{boot} = $boot;
    return;
}

sub install_packages {
    main::tell(0.1, 'extracting base system');
    main::must("tar xf /proxmox/pve-base.tar -C $root", 'unable to extract the base system');
    mkdir "$root/$_" for qw(tmp proc sys dev);
    main::must("mount -n -t tmpfs tmpfs $root/tmp", 'unable to mount tmp');
    main::must("mount -n -t proc proc $root/proc", 'unable to mount proc');
    main::must("mount -n -t sysfs sysfs $root/sys", 'unable to mount sys');
    my ($host, $domain, $address) = @$given{qw(host domain address)};
    main::syscmd("hostname $host");
    main::write_file("$root/etc/hosts", "127.0.0.1 localhost.localdomain localhost\n$address $host.$domain $host pvelocalhost\n");
    main::write_file("$root/etc/hostname", "$host\n");
    main::write_file("$root/etc/network/interfaces", "auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n"
        . "\taddress $address\n\tnetmask $given->{netmask}\n\tgateway $given->{gateway}\n\tbridge_ports eth0\n\tbridge_stp off\n\tbridge_fd 0\n");
    main::write_file("$root/etc/resolv.conf", "search $domain\nnameserver $given->{dns}\n");
    my ($uuid) = `blkid -s UUID -o value $given->{boot}` =~ /(\S+)/;
    main::write_file("$root/etc/fstab", "/dev/pve/root / $filesystem errors=remount-ro 0 1\n/dev/pve/data /var/lib/vz $filesystem defaults 0 1\n"
        . "UUID=$uuid /boot $filesystem defaults 0 1\n/dev/pve/swap none swap sw 0 0\nproc /proc proc defaults 0 0\n");
    main::write_file("$root/etc/mtab", '') if !-l "$root/etc/mtab";
    main::syscmd("cp $lib/policy-disable-rc.d $root/usr/sbin/policy-rc.d");
    divert('/sbin/start-stop-daemon', "cp $lib/fake-start-stop-daemon $root/sbin/start-stop-daemon");
    divert($_, "ln -sf /bin/true $root$_") for '/usr/sbin/update-grub', '/usr/sbin/update-initramfs';
    main::syscmd("touch $root/proxmox_install_mode");
    my @packages = map { m{([^/]+)$} } glob '/proxmox/packages/*.deb';
    my $count = 0;
    foreach my $deb (@packages) {
        main::tell(0.5 + 0.25 * $count++ / @packages, "extracting $deb");
        main::must("cp /proxmox/packages/$deb $root/tmp/$deb", "installation of package $deb failed");
        main::must("chroot $root dpkg --force-depends --no-triggers --unpack /tmp/$deb", "installation of package $deb failed");
    }
    main::tell(0.75, 'configuring packages');
    main::must("chroot $root dpkg --force-confold --configure -a", 'unable to configure packages');
    return;
}

sub divert {
    my ($command, $replacement) = @_;
    main::syscmd("chroot $root dpkg-divert --package proxmox --add --rename $command");
    return main::must($replacement, "unable to divert $command");
}

sub restore {
    my ($command) = @_;
    main::must("mv $root$command.distrib $root$command", "unable to restore $command");
    return main::must("chroot $root dpkg-divert --remove $command", "unable to restore $command");
}

sub finish {
    unlink "$root/etc/mailname";
    main::write_file("$root/etc/postfix/main.cf", "myhostname=$given->{host}.$given->{domain}\ninet_interfaces = loopback-only\n");
    main::syscmd("chroot $root /usr/sbin/postfix check");
    unlink "$root/proxmox_install_mode";
    unlink "$root/etc/localtime";
    symlink "/usr/share/zoneinfo/$given->{timezone}", "$root/etc/localtime";
    main::write_file("$root/etc/timezone", "$given->{timezone}\n");
    main::tell(0.8, 'make system bootable');
    main::syscmd("sed -i -e 's/^GRUB_DISTRIBUTOR.*/GRUB_DISTRIBUTOR=\"Proxmox Virtual Environment\"/' $root/etc/default/grub");
    restore($_) for '/usr/sbin/update-grub', '/usr/sbin/update-initramfs';
    unlink "$root/etc/mtab";
    symlink '/proc/mounts', "$root/etc/mtab";
    main::syscmd("mount -n --bind /dev $root/dev");
    main::must("chroot $root /usr/sbin/update-initramfs -c -k $kernel", 'unable to install initramfs');
    main::must("chroot $root /usr/sbin/grub-install --no-floppy '(hd0)'", 'unable to install the boot loader');
    main::must("chroot $root /usr/sbin/update-grub", 'unable to install the boot loader');
    main::syscmd("umount $root/dev");
    unlink "$root/usr/sbin/policy-rc.d";
    restore('/sbin/start-stop-daemon');
    main::run_command("chroot $root /usr/sbin/chpasswd", undef, "root:$given->{password}\n");
    mkdir "$root/tmp/pve";
    main::write_file("$root/tmp/pve/datacenter.cfg", "keyboard: $map->{$given->{keymap}}{kvm}\n");
    main::write_file("$root/tmp/pve/user.cfg", "user:root\@pam:1:0:::$given->{mail}::\n");
    main::run_command("chroot $root /usr/bin/create_pmxcfs_db /tmp/pve /var/lib/pve-cluster/config.db");
    main::syscmd("rm -rf $root/tmp/pve");
    main::tell(1, 'installed');
    return;
}

1;
