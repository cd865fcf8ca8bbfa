# Drives a miniature of the vendor's installer by the front end, in each of the ways in which it can go.
use strict;
use warnings;
use Test::More;
use File::Temp 'tempdir';

my $dir = tempdir(CLEANUP => 1);
my %good = (
    disk => '/dev/sdb', country => 'Germany', timezone => 'Europe/Berlin', keymap => 'German', password => 'a\\"b:c',
    mail => 'a@example.com', fqdn => 'pve.example.com', address => '10.254.0.1', netmask => '255.0.0.0', gateway => '10.0.0.254',
    dns => '10.0.0.254', late_command => "echo LATE >>$dir/late",
);

sub drive {
    my ($mode, %change) = @_;
    my %answers = (%good, %change);
    unlink "$dir/late";
    open my $file, '>', "$dir/answers.json" or die;
    print $file '{', join(', ', map { qq("$_": "$answers{$_}") } sort keys %answers), "}\n";
    close $file;
    local @ENV{qw(WIZARD CIAS_ANSWERS PERL5LIB)} = ($mode, "$dir/answers.json", 'preseed/perl');
    my $output = `$^X preseed/t/wizard.pl 2>&1`;
    return ($? >> 8, $output);
}

foreach my $mode ('', 'several') {
    my ($code, $output) = drive($mode);
    is($code, 0, "'$mode' ends well") or diag $output;
    like($output, qr{^CHOSEN /dev/sdb Europe/Berlin German 1 pve\.example\.com$}m, 'every page was answered');
    like($output, qr{^RUN /sbin/parted --script --align optimal /dev/sdb}m, 'parted is not asked to ask');
    like($output, qr{grub-install --no-floppy '/dev/sdb'}, 'the boot loader goes to the chosen disk');
    ok(-e "$dir/late", 'the late step ran');
    unlike($output, qr/a"b/, 'the password is not shown');
}

my @failures = (
    ['foreign', {}, qr{found the disk /dev/sdx .*, wanted /dev/sdb}, 'another single disk'],
    ['several', { disk => '/dev/sdc' }, qr{wanted /dev/sdc exactly once}, 'a disk that is not in the list'],
    ['', { timezone => 'Asia/Tokyo' }, qr{Time zone: found no Asia/Tokyo among: Europe/Berlin}, 'a zone of another country'],
    ['', { address => '10.1' }, qr{IP Address:: found 10\.1, wanted four numbers}, 'half an address'],
    ['', { fqdn => '' }, qr{found no fqdn, wanted a value}, 'a missing answer'],
    ['refuse', {}, qr{the page passwd\.htm came back: Password is too short}, 'a page that refuses its input'],
    ['die', {}, qr{page passwd\.htm: the screen broke}, 'an exception in the installer'],
    ['fail', {}, qr{disk full}, 'a failed installation'],
    ['unknown', {}, qr{the page surprise\.htm is not known}, 'an unknown page'],
    ['', { late_command => 'exit 5' }, qr{the late step ended with status}, 'a late step that fails'],
    ['other', {}, qr{never ran}, 'an installer in which the late step has no place'],
);
foreach my $case (@failures) {
    my ($mode, $change, $wanted, $name) = @$case;
    my ($code, $output) = drive($mode, %$change);
    is($code, 1, "$name: exit code");
    like($output, qr{^cias: installation failed: .*$wanted}m, "$name: reason");
    ok(!-e "$dir/late", "$name: no late step");
}

done_testing();
