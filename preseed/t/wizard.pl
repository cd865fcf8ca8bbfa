# A stand-in of the vendor's installer: the same widgets and pages in small, for the tests of the front end.
# WIZARD says what is different:
#   disks: several, foreign, nodisk, name (one that the installer refuses)
#   pages: unknown, refuse (its input), stay (where it is), grey (Next disabled), mail (a row of another name), method or constant (unknown)
#   ends: early (before the driver), die (in a click), leave (exit by itself)
#   installation: fail, swap (another disk is written), grub (elsewhere), noboot (no grub), other (no place for the late step)
use strict;
use warnings;
use Gtk3 '-init';
use Gtk3::WebKit;

my $mode = $ENV{WIZARD} || '';
my @disks = $mode eq 'several' ? ('/dev/sda (10GB, A)', '/dev/sdaa (10GB, B)', '/dev/sdb (10GB, C)') : ('/dev/sdb (10GB, C)');
@disks = ('/dev/sdx (1GB, X)') if $mode eq 'foreign';
my ($next_function, $target, %entry, $zone_box, $zone, $keymap);
$Gtk3::ZONEINFO = $ENV{ZONES};
# As in the installer, an unknown key is an error when the script is compiled.
my $tab = Gtk3::Gdk::KEY_Tab;
if ($mode eq 'constant') { eval 'use strict; my $key = Gtk3::Gdk::KEY_Novel; 1' or die $@ }

sub syscmd { my ($command) = @_; return run_command($command, undef, undef, 1) }

sub run_command {
    my ($command, $function, $input, $status_only) = @_;
    print "RUN $command\n";
    Gtk3->main_iteration while Gtk3->events_pending;
    my $shell = $command =~ /^\( / ? $command : $command eq 'true' ? 'true' : 'echo a line';
    my @lines = `$shell`;
    chomp @lines;
    if ($function) { $function->($_) for @lines, '' }
    return $status_only ? $? : join "\n", @lines;
}

sub get_partition_dev { die "unable to get device for partition $_[1] on device $_[0]\n" if $mode eq 'name'; return "$_[0]$_[1]" }

die "no country.dat\n" if $mode eq 'early';
my $window = Gtk3::Window->new;
my $view = Gtk3::WebKit::WebView->new;
my $inbox = Gtk3::HBox->new(0, 0);
my $next = Gtk3::Button->new('_Next');
$next->signal_connect(clicked => sub { $next_function->() });
Gtk3::Button->new('_Abort')->signal_connect(clicked => sub { exit(-1) });
$window->add($_) for $inbox, $next;

sub page {
    my ($name, $function) = @_;
    $view->load_html_string('<html>', "file:///var/lib/pve-installer/html/$name");
    $next_function = $function;
    return;
}

sub clean { $inbox->remove($_) for @{ $inbox->get_children }; return }

sub add_row {
    my ($text, @inputs) = @_;
    my $box = Gtk3::HBox->new(0, 0);
    $box->pack_start(Gtk3::Label->new($text), 0, 0, 0);
    $box->pack_start($_, 0, 0, 0) for @inputs;
    $inbox->pack_start($box, 0, 0, 0);
    return $box;
}

sub say_so { my ($kind, $text) = @_; Gtk3::MessageDialog->new($window, 'modal', $kind, 'ok', $text)->run; return }

sub disks {
    clean();
    return page('nohds.htm', sub { exit 0 }) if $mode eq 'nodisk';
    $target = (split ' ', $disks[0])[0];
    if (@disks == 1) {
        add_row("Target Harddisk: $disks[0]");
    } else {
        my $combo = Gtk3::ComboBoxText->new_with_entry;
        $combo->append_text($_) for @disks;
        $combo->set_active(0);
        $combo->signal_connect(changed => sub { $target = (split ' ', $disks[shift->get_active])[0] });
        add_row('Target Harddisks: ', $combo);
    }
    page('page1.htm', \&country);
    return;
}

sub zones {
    my ($box, @zones) = @_;
    $box->remove($zone_box) if $zone_box;
    $zone_box = Gtk3::ComboBoxText->new_with_entry;
    my $new = $zone_box;
    $new->signal_connect(changed => sub { $zone = $new->get_active_text });
    $new->append_text($_) for @zones;
    $new->set_active(0);
    $box->pack_start($new, 0, 0, 0);
    return;
}

sub country {
    clean();
    say_so('info', 'A note that stops nothing.');
    my $country = Gtk3::Entry->new;
    my $zone_row = add_row('Time zone');
    zones($zone_row, 'America/Lima');
    my $keys = Gtk3::ComboBoxText->new_with_entry;
    $keys->append_text($_) for 'German', 'U.S. English';
    $keys->signal_connect(changed => sub { $keymap = $keys->get_active_text });
    add_row('Keyboard Layout', $keys);
    $country->signal_connect(changed => sub { zones($zone_row, 'Europe/Berlin', 'Europe/Busingen') });
    add_row('Country', $country);
    page('country.htm', \&password);
    return;
}

sub password {
    clean();
    add_row($_, $entry{$_} = Gtk3::Entry->new) for 'Password', 'Confirm', $mode eq 'mail' ? 'Post' : 'E-Mail';
    page('passwd.htm', sub {
        return say_so('info', 'Password is too short.') if $mode eq 'refuse';
        return if $mode eq 'stay';
        $next->set_sensitive(0) if $mode eq 'grey';
        exit 3 if $mode eq 'leave';
        $view->go_back if $mode eq 'method';
        die "the screen broke\n" if $mode eq 'die';
        return network();
    });
    return;
}

sub network {
    clean();
    add_row('Hostname (FQDN):', $entry{host} = Gtk3::Entry->new);
    foreach my $row ('IP Address:', 'Netmask:', 'Gateway:', 'DNS Server:') {
        add_row($row, @{ $entry{$row} = [map { Gtk3::Entry->new } 1 .. 4] });
    }
    page('ipconf.htm', \&install);
    return;
}

sub install {
    my $same = $entry{Password}->get_text eq $entry{Confirm}->get_text ? 'same' : 'different';
    print "CHOSEN $target $zone $keymap $same ", $entry{host}->get_text, "\n";
    print "ADDRESS $_ ", join('.', map { $_->get_text } @{ $entry{$_} }), "\n" for grep { /:$/ } sort keys %entry;
    # A child that could not start its program ends by itself.
    my $child = fork;
    exit 7 if !$child;
    waitpid $child, 0;
    print "CHILD ", $? >> 8, "\n";
    print "VISIBLE ", join(' ', grep { defined $ENV{$_} } qw(CIAS_ANSWERS PERL5LIB)), "\n";
    my ($bar, $label) = (Gtk3::ProgressBar->new, Gtk3::Label->new(''));
    $next->set_sensitive(0);
    my $written = $mode eq 'swap' ? '/dev/sdc' : $target;
    my $boot = $mode eq 'grub' ? '(hd1)' : '(hd0)';
    eval {
        $bar->set_fraction(0.5);
        $label->set_text('creating things');
        die "disk full\n" if $mode eq 'fail';
        syscmd("/sbin/parted --align optimal $written unit MiB");
        syscmd("chroot /target /usr/sbin/grub-install --no-floppy '$boot'") if $mode ne 'noboot';
        syscmd('rm -rf /target/tmp/pve') if $mode ne 'other';
        1;
    } or do {
        my $error = $@;
        syscmd('umount -d /target');
        page('fail.htm', sub { exit 0 });
        return say_so('error', $error);
    };
    syscmd('umount -d /target');
    page('success.htm', sub { exit 0 });
    return;
}

page($mode eq 'unknown' ? 'surprise.htm' : 'license.htm', \&disks);
Gtk3->main;
