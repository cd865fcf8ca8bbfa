# Drives a miniature of the vendor's installer by the front end, in each of the ways in which it can go.
use strict;
use warnings;
use Test::More;
use File::Temp 'tempdir';

my $dir = tempdir(CLEANUP => 1);
my %good = (
    disk => '/dev/sdb', country => 'Germany', timezone => 'Europe/Berlin', keymap => 'German', password => 'a\\"b:c',
    mail => 'a@example.com', fqdn => 'pve.example.com', address => '10.254.0.1', netmask => '255.0.0.0', gateway => '10.0.0.254',
    dns => '10.0.0.253', late_command => "echo LATE >>$dir/late",
);
mkdir "$dir/zones" and mkdir "$dir/zones/Etc" or die;
open my $zone, '>', "$dir/zones/Etc/UTC" or die;
close $zone or die;

sub drive {
    my ($mode, %change) = @_;
    my %answers = (%good, %change);
    unlink "$dir/late";
    open my $file, '>', "$dir/answers.json" or die;
    print $file '{', join(', ', map { qq("$_": "$answers{$_}") } sort keys %answers), "}\n";
    close $file or die;
    local @ENV{qw(WIZARD CIAS_ANSWERS PERL5LIB ZONES)} = ($mode, "$dir/answers.json", 'preseed/perl', "$dir/zones");
    my $output = `$^X -w preseed/t/wizard.pl 2>&1`;
    return ($? >> 8, $output);
}

foreach my $mode ('', 'several') {
    my ($code, $output) = drive($mode);
    is($code, 0, "'$mode' ends well") or diag $output;
    like($output, qr{^CHOSEN /dev/sdb Europe/Berlin German same pve\.example\.com$}m, 'every page was answered');
    is(join(' ', $output =~ /^ADDRESS (.*)$/mg),
        'DNS Server: 10.0.0.253 Gateway: 10.0.0.254 IP Address: 10.254.0.1 Netmask: 255.0.0.0', 'and every number');
    like($output, qr{^VISIBLE $}m, 'the answers are not handed on to what the installer runs');
    like($output, qr{^CHILD 7$}m, 'a child of the installer is not taken for it');
    like($output, qr{^cias: 50% creating things$}m, 'progress is shown');
    like($output, qr{^RUN /sbin/parted --script --align optimal /dev/sdb}m, 'parted is not asked to ask');
    like($output, qr{grub-install --no-floppy '/dev/sdb'}, 'the boot loader goes to the chosen disk');
    like($output, qr{grub-install.*^RUN \( echo LATE .*^RUN rm -rf /target/tmp/pve.*^RUN umount}ms, 'the late step has its place');
    ok(-e "$dir/late", 'and ran');
    like($output, qr{^cias: installation done\n\z}m, 'the last line says so');
    unlike($output, qr/a"b/, 'the password is not shown');
    unlike($output, qr/ at \S+ line \d+/, 'perl has nothing to say');
}
foreach my $disk ('/dev/sda', '/dev/sdaa') {
    my ($code, $output) = drive('several', disk => $disk);
    like($output, qr{^CHOSEN $disk Europe}m, "$disk is told from its like");
    is($code, 0, "$disk ends well");
}
like((drive('', timezone => 'Etc/UTC'))[1], qr{^CHOSEN /dev/sdb Etc/UTC German}m, 'a zone of no country is typed in');

my $never = qr/^RUN (?!true$)/m;
my @failures = (
    # mode, other answers, reason, name, what the output must not hold
    ['foreign', {}, qr{page page1\.htm: the installer offers /dev/sdx \(1GB, X\); wanted /dev/sdb exactly once}, 'another single disk', $never],
    ['several', { disk => '/dev/sdc' }, qr{/dev/sdaa \(10GB, B\), .*; wanted /dev/sdc exactly once}, 'a disk that is not in the list', $never],
    ['several', { disk => '/dev/sd' }, qr{wanted /dev/sd exactly once}, 'half a disk\'s name', $never],
    ['name', {}, qr{page page1\.htm: unable to get device for partition 1 on device /dev/sdb}, 'a name that the installer cannot take', $never],
    ['nodisk', {}, qr{the installer found no hard disk}, 'no disk', $never],
    ['', { timezone => 'Asia/Tokyo' }, qr{timezone: there is no time zone "Asia/Tokyo"}, 'an unknown zone', $never],
    ['', { keymap => 'Klingon' }, qr{no keyboard layout "Klingon"}, 'an unknown keyboard', $never],
    ['', { address => '10.1' }, qr{found "10\.1" for address; wanted four numbers}, 'half an address', $never],
    ['', { fqdn => '', dns => '' }, qr{found nothing for fqdn, dns}, 'missing answers', $never],
    ['mail', {}, qr{page passwd\.htm: the page has no row "E-Mail"}, 'a row that is not there', $never],
    ['refuse', {}, qr{page passwd\.htm: Password is too short\.$}, 'a page that refuses its input', $never],
    ['stay', {}, qr{page passwd\.htm: Next did not lead to another page}, 'a page that does not go on', $never],
    ['grey', {}, qr{page ipconf\.htm: the installer keeps its button Next disabled}, 'a button that cannot be pressed', $never],
    ['die', {}, qr{page passwd\.htm: the screen broke$}, 'an exception in the installer', $never],
    ['early', {}, qr{no country\.dat$}, 'an end before the driver', $never],
    ['constant', {}, qr{Gtk3::Gdk::KEY_Novel}, 'an unknown constant', $never],
    ['leave', {}, qr{the installer ended by itself with status 3$}, 'an end by itself', $never],
    ['unknown', {}, qr{a page that this front end does not know: "surprise\.htm"}, 'an unknown page', $never],
    ['method', {}, qr{page passwd\.htm: the installer calls Gtk3::WebKit::WebView->go_back, which}, 'an unknown method', $never],
    ['fail', {}, qr{disk full$}, 'a failed installation', qr/parted/],
    ['swap', {}, qr{would write to /dev/sdc, but the chosen disk is /dev/sdb: /sbin/parted}, 'another disk than the chosen one', qr/^RUN.*parted/m],
    ['grub', {}, qr{the boot loader would not go to the chosen disk}, 'a boot loader elsewhere', qr/^RUN.*grub/m],
    ['noboot', {}, qr{without writing the boot loader}, 'no boot loader', qr/^RUN rm/m],
    ['', { late_command => 'echo out; echo no room >&2; exit 5' }, qr{ended with exit status 5: no room$}, 'a late step that fails', qr/^RUN rm/m],
    ['', { late_command => 'kill -9 $$' }, qr{ended with signal 9: it said nothing$}, 'a late step that is killed', qr/^RUN rm/m],
    ['other', {}, qr{says success, but never ran the command that sets the password}, 'no place for the late step', qr/LATE/],
);
foreach my $case (@failures) {
    my ($mode, $change, $wanted, $name, $unwanted) = @$case;
    my ($code, $output) = drive($mode, %$change);
    is($code, 1, "$name: exit code");
    my @reasons = $output =~ /^(cias: installation failed: .*)$/mg;
    is(scalar(@reasons), 1, "$name: one line") or diag $output;
    like($reasons[0], $wanted, "$name: the reason");
    unlike($output, $unwanted, "$name: nothing more was done");
    like($output, qr/^RUN umount/m, "$name: the installer cleaned up") if $mode =~ /^(?:fail|swap|grub|noboot)$/;
    ok(!-e "$dir/late", "$name: no late step");
    unlike($output, qr/a"b/, "$name: the password is not shown");
}

done_testing();
