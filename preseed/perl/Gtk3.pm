# The front end that answers the vendor's installer, in place of the graphical toolkit of the same name.
#
# The installer (Proxmox VE 3.x) is run unmodified with this module first in @INC. It builds its pages out of Gtk3::Widgets;
# Gtk3->main then fills each page from the file that CIAS_ANSWERS names and presses Next. The rules that the widgets keep, and
# their source, stand in docs/facts.md 4.4; what is overridden at run time stands in docs/preseed.md.
# Perl 5.14, and no module but these: the installer's root need not have any.
package Gtk3;
use strict;
use warnings;
use Gtk3::Answers;
use Gtk3::Overrides;
use Gtk3::Report;
use Gtk3::Widgets;

our $VERSION = '1.0';
our $ZONEINFO = '/usr/share/zoneinfo';

my $answers;

# `use Gtk3 '-init'`: from here on no end of the program goes without a reason.
sub import {
    Gtk3::Report::arm();
    return;
}

# The installer drains events while a command runs, five times a second: there are none, but it shows that we are alive.
sub events_pending {
    Gtk3::Report::heartbeat();
    return 0;
}

sub main_iteration { return 0 }

our %page = (
    'license.htm' => sub { return },
    'page1.htm' => \&choose_disk,
    'country.htm' => \&choose_country,
    'passwd.htm' => \&give_password,
    'ipconf.htm' => \&give_network,
);

# The driver: fills the page that stands there and presses Next, until the installer says how it went. Never returns.
sub main {
    eval { prepare(); 1 } or Gtk3::Report::failure($@);
    my $last = '';
    while (1) {
        my $name = Gtk3::Widgets::page();
        finish() if $name eq 'success.htm';
        Gtk3::Report::failure(Gtk3::Widgets::message('error') || 'the installer says so without a reason') if $name eq 'fail.htm';
        Gtk3::Report::failure('the installer found no hard disk') if $name eq 'nohds.htm';
        if ($name eq $last) {
            Gtk3::Report::failure("page $name: " . (Gtk3::Widgets::message('info') || 'Next did not lead to another page'));
        }
        $last = $name;
        my $fill = $page{$name} or Gtk3::Report::failure("the installer shows a page that this front end does not know: \"$name\"");
        Gtk3::Report::line("page $name");
        eval { $fill->(); Gtk3::Widgets::press_next(); 1 } or Gtk3::Report::failure("page $name: $@");
    }
}

sub prepare {
    $answers = Gtk3::Answers::load($ENV{CIAS_ANSWERS});
    Gtk3::Report::hide($answers->{password});
    # The target's own programs must see neither the answers nor our modules.
    delete @ENV{qw(CIAS_ANSWERS PERL5LIB)};
    Gtk3::Overrides::install($answers->{disk}, $answers->{late_command});
    return;
}

sub finish {
    my $undone = Gtk3::Overrides::undone();
    Gtk3::Report::failure("the installer says success, but $undone") if $undone;
    Gtk3::Report::success();
    return;
}

# The description of a disk begins with its device path, which must be ours to the letter: /dev/sda is not /dev/sdaa.
sub choose_disk {
    my $disk = $answers->{disk};
    my ($label, $combo) = Gtk3::Widgets::row('Target Harddisk');
    $label =~ s/^[^:]*:\s*//;
    my @offered = $combo ? @{ $combo->{items} } : ($label);
    my @ours = grep { $offered[$_] =~ /^\Q$disk\E(?:\s|$)/ } 0 .. $#offered;
    die "the installer offers " . join(', ', @offered) . "; wanted $disk exactly once\n" if @ours != 1;
    $combo->set_active($ours[0]) if $combo;
    # A device name that the installer cannot make partition names from would stop it only after it has written to the disk.
    main::get_partition_dev($disk, 1) if defined &main::get_partition_dev;
    return;
}

sub choose_country {
    my (undef, $country) = Gtk3::Widgets::row('Country');
    $country->set_text($answers->{country});
    my (undef, $keyboard) = Gtk3::Widgets::row('Keyboard Layout');
    pick($keyboard, $answers->{keymap}) or die "keymap: the installer has no keyboard layout \"$answers->{keymap}\"\n";
    # Looked up only now: the installer replaced the box when the country changed.
    my (undef, $zone) = Gtk3::Widgets::row('Time zone');
    return if pick($zone, $answers->{timezone});
    # A zone of no country, such as Etc/UTC, is typed in, as a person would.
    -f "$ZONEINFO/$answers->{timezone}" or die "timezone: there is no time zone \"$answers->{timezone}\" in $ZONEINFO\n";
    $zone->get_child->set_text($answers->{timezone});
    return;
}

# Chooses the item of just this text; false if there is none.
sub pick {
    my ($combo, $text) = @_;
    my ($at) = grep { $combo->{items}[$_] eq $text } 0 .. $#{ $combo->{items} };
    $combo->set_active($at) if defined $at;
    return defined $at;
}

sub give_password {
    my %row = ('Password' => 'password', 'Confirm' => 'password', 'E-Mail' => 'mail');
    foreach my $text (sort keys %row) {
        my (undef, $entry) = Gtk3::Widgets::row($text);
        $entry->set_text($answers->{ $row{$text} });
    }
    return;
}

sub give_network {
    my (undef, $host) = Gtk3::Widgets::row('Hostname (FQDN):');
    $host->set_text($answers->{fqdn});
    my %row = ('IP Address:' => 'address', 'Netmask:' => 'netmask', 'Gateway:' => 'gateway', 'DNS Server:' => 'dns');
    foreach my $text (sort keys %row) {
        my (undef, @entries) = Gtk3::Widgets::row($text);
        die "the row \"$text\" has " . @entries . " entries, wanted 4\n" if @entries != 4;
        my @numbers = split /\./, $answers->{ $row{$text} };
        $entries[$_]->set_text($numbers[$_]) for 0 .. 3;
    }
    return;
}

1;
