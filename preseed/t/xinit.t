# The X starter: which of the two ways it takes, with stand-ins for every program and file that it names.
use strict;
use warnings;
use Test::More;
use File::Temp 'tempdir';

my $dir = tempdir(CLEANUP => 1);
sub write_file {
    my ($name, $text) = @_;
    open my $file, '>', "$dir/$name" or die "$dir/$name: $!";
    print $file $text;
    close $file or die;
    chmod 0755, "$dir/$name" or die;
    return;
}
open my $source, '<', 'preseed/xinit' or die "preseed/xinit: $!";
my @lines = <$source>;
close $source;
cmp_ok(scalar(@lines), '<=', 50, 'it is short');
my $text = join '', @lines;
my %place = ('/proc/cmdline' => 'cmdline', '/cias/cias-firstboot' => 'cias', '/sbin/ifup' => 'ifup', '/usr/bin/xinit.vendor' => 'vendor');
foreach my $path (sort keys %place) {
    is($text =~ s/\Q$path\E/$dir\/$place{$path}/g, 1, "$path is named once");
}
write_file('xinit', $text);

sub start {
    my ($words, $ifup_status) = @_;
    write_file('cmdline', "$words\n");
    write_file('ifup', "#!/bin/sh\necho ifup \"\$@\"\nexit $ifup_status\n");
    write_file('cias', "#!/bin/sh\necho cias \"\$@\"\nexit 5\n");
    write_file('vendor', "#!/bin/sh\necho vendor \"\$@\"\nexit 3\n");
    my $output = `$dir/xinit -- -dpi 96 2>&1`;
    return ($? >> 8) . "\n$output";
}

my $vendor = "3\nifup -i /etc/network/interfaces.vendor eth0\nvendor -- -dpi 96\n";
is(start('ro quiet cias.auto splash=silent', 0), "5\ncias install\n", 'unattended: our command alone, its status passed on');
is(start('cias.auto', 0), "5\ncias install\n", 'the word alone');
is(start('ro quiet', 0), $vendor, 'attended: the network by the vendor\'s file, then the vendor\'s starter');
is(start('ro xcias.auto cias.autox cias_auto', 0), $vendor, 'a word that only looks alike');
like(start('ro', 1), qr/^3\nifup .*\ncias: eth0 got no address\nvendor -- -dpi 96\n\z/, 'no address is no reason to stop');

open my $interfaces, '<', 'preseed/interfaces' or die;
is_deeply([map { /^\s*(auto|allow-\S+|iface|source|mapping)\s+(.*)/ ? "$1 $2" : () } <$interfaces>], ['auto lo', 'iface lo inet loopback'],
    'the network of the unattended installer is the loopback device only');

done_testing();
