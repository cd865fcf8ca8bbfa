# Which commands of the installer are changed, and which are stopped before they write to another disk.
use strict;
use warnings;
use Test::More;
use lib 'preseed/perl';
use Gtk3::Overrides;

sub rewritten { my ($command, $disk) = @_; return scalar eval { Gtk3::Overrides::rewrite($command, $disk) } }

my @changed = (
    ['setxkbmap de nodeadkeys', '/dev/sda', 'true'],
    ['parted --align optimal /dev/sda unit MiB mklabel msdos', '/dev/sda', 'parted --script --align optimal /dev/sda unit MiB mklabel msdos'],
    ['/sbin/parted /dev/vdb', '/dev/vdb', '/sbin/parted --script /dev/vdb'],
    [q{chroot /target /usr/sbin/grub-install --no-floppy '(hd0)'}, '/dev/vdb', q{chroot /target /usr/sbin/grub-install --no-floppy '/dev/vdb'}],
);
is(rewritten($_->[0], $_->[1]), $_->[2], "changed: $_->[0]") for @changed;

my @kept = (
    ['dd if=/dev/zero of=/dev/sda bs=512 count=256', '/dev/sda'],
    ['/sbin/pvcreate --metadatasize 250k -y -ff /dev/sda2', '/dev/sda'],
    ['/sbin/vgcreate pve /dev/cciss/c0d0p2', '/dev/cciss/c0d0'],
    ['mkfs.ext3  -F /dev/sda1', '/dev/sda'],
    ['mkfs.ext4 -m 0 -F /dev/pve/data', '/dev/sda'],
    ['mkswap /dev/pve/swap', '/dev/sda'],
    ['mount -n --bind /dev /target/dev', '/dev/sda'],
    ['cp /proxmox/packages/parted_2.3-12_amd64.deb /target/tmp/parted_2.3-12_amd64.deb', '/dev/sda'],
    [q{chroot /target /usr/sbin/grub-install --no-floppy '/dev/sda'}, '/dev/sda'],
    ['chroot /target /usr/sbin/update-grub', '/dev/sda'],
    ['true', '/dev/sda'],
);
is(rewritten(@$_), $_->[0], "kept: $_->[0]") for @kept;

my @stopped = (
    ['dd if=/dev/zero of=/dev/sdb bs=512 count=256', '/dev/sda', qr{would write to /dev/sdb, but the chosen disk is /dev/sda}],
    ['dd if=/dev/zero of=/dev/sdaa bs=512', '/dev/sda', qr{would write to /dev/sdaa,}],
    ['dd if=/dev/zero of=/dev/sda bs=512', '/dev/sdaa', qr{would write to /dev/sda,}],
    ['parted --align optimal /dev/sdb unit MiB', '/dev/sda', qr{would write to /dev/sdb,}],
    ['/sbin/pvcreate -y -ff /dev/sdb2', '/dev/sda', qr{would write to /dev/sdb2,}],
    ['/sbin/vgcreate pve /dev/sda2 /dev/sdb1', '/dev/sda', qr{would write to /dev/sdb1,}],
    ['mkfs.ext3 -F /dev/mapper/other', '/dev/sda', qr{would write to /dev/mapper/other,}],
    [q{chroot /target /usr/sbin/grub-install '(hd1)'}, '/dev/sda', qr{boot loader would not go to the chosen disk /dev/sda}],
    ['chroot /target grub-install /dev/sdb', '/dev/sda', qr{boot loader would not go to the chosen disk}],
);
foreach my $case (@stopped) {
    my ($command, $disk, $reason) = @$case;
    is(rewritten($command, $disk), undef, "stopped: $command");
    like($@, $reason, "the reason: $command");
}

# What an installer must have for all this to hold is asked for before anything is written.
ok(!eval { Gtk3::Overrides::install('/dev/sda', 'true'); 1 }, 'an installer without run_command');
like($@, qr/no function run_command/, 'is named');
eval 'package main; sub run_command { return 0 } 1' or die;
ok(!eval { Gtk3::Overrides::install('/dev/sda', 'true'); 1 }, 'an installer without syscmd');
like($@, qr/no function syscmd/, 'is named');
eval 'package main; sub syscmd { return 0 } 1' or die;
ok(!eval { Gtk3::Overrides::install('/dev/sda', 'true'); 1 }, 'an installer whose commands pass elsewhere');
like($@, qr/syscmd does not use its run_command/, 'is named');

done_testing();
