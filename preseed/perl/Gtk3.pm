# The front end that answers the vendor's installer, in place of the graphical toolkit of the same name.
#
# The installer (Proxmox VE 3.x) is run unmodified with this module first in @INC. It builds its pages out of the widgets
# below; Gtk3->main then fills each page from the file that CIAS_ANSWERS names and presses Next. The rules that these widgets
# keep, and their source, stand in docs/facts.md 4.4; what is overridden at run time stands in docs/preseed.md.
# Perl 5.14, and no other module: the installer's root need not have any.
package Gtk3;
use strict;
use warnings;
use Gtk3::Widgets;
use Gtk3::Answers;

our $VERSION = '1.0';

my $answers;
my $late_done = 0;
my ($fraction, $status, $shown) = (0, '', '');

sub import { return 1 }

# The installer drains events while commands run; there are none.
sub events_pending { return 0 }
sub main_iteration { return 1 }

sub fail {
    my ($reason) = @_;
    $reason = 'no reason given' if !defined($reason) || $reason !~ /\S/;
    $reason =~ s/\s+/ /g;
    $reason =~ s/^ | $//g;
    print STDERR "cias: installation failed: $reason\n";
    CORE::exit(1);
}

# One line of progress whenever the text or the tenth of the way changes.
sub progress {
    my (%new) = @_;
    $fraction = $new{fraction} if exists $new{fraction};
    $status = $new{status} if exists $new{status};
    my $line = sprintf('%3d%% %s', int($fraction * 10) * 10, $status);
    return if $line eq $shown || $status eq '';
    $shown = $line;
    print STDERR "cias: $line\n";
    return;
}

my %page = (
    'license.htm' => sub { },
    'page1.htm' => \&choose_disk,
    'country.htm' => \&choose_country,
    'passwd.htm' => \&give_password,
    'ipconf.htm' => \&give_network,
);

# The driver: fills the page that stands there and presses Next, until the installer says how it went.
sub main {
    $answers = eval { Gtk3::Answers::load($ENV{CIAS_ANSWERS}) } or fail($@);
    override();
    my $last = '';
    while (1) {
        my $name = Gtk3::Widgets::page();
        if ($name eq 'success.htm') {
            fail('the installer says success, but the step that sets the password and the marker never ran') if !$late_done;
            print STDERR "cias: installed\n";
            CORE::exit(0);
        }
        fail(Gtk3::Widgets::message('error')) if $name eq 'fail.htm';
        fail('the installer found no disk') if $name eq 'nohds.htm';
        my $fill = $page{$name} or fail("the page $name is not known to this front end");
        fail("the page $name came back: " . Gtk3::Widgets::message('info')) if $name eq $last;
        $last = $name;
        print STDERR "cias: page $name\n";
        eval { $fill->(); Gtk3::Widgets::press_next(); 1 } or fail("page $name: $@");
    }
}

sub choose_disk {
    my $disk = $answers->{disk};
    my ($label, @inputs) = Gtk3::Widgets::row('Target Harddisk');
    my $is_ours = sub { my ($name) = split ' ', shift; return defined $name && $name eq $disk };
    if (!@inputs) {
        $label =~ s/^Target Harddisk: //;
        die "found the disk $label, wanted $disk\n" if !$is_ours->($label);
        return;
    }
    my @items = @{ $inputs[0]->{items} };
    my @ours = grep { $is_ours->($items[$_]) } 0 .. $#items;
    die "found the disks @items, wanted $disk exactly once\n" if @ours != 1;
    $inputs[0]->set_active($ours[0]);
    return;
}

sub choose_country {
    my (undef, $country) = Gtk3::Widgets::row('Country');
    $country->set_text($answers->{country});
    # The time zone's box is another one now: the installer replaced it when the country changed.
    foreach my $choice (['Time zone', 'timezone'], ['Keyboard Layout', 'keymap']) {
        my ($row, $key) = @$choice;
        my (undef, $box) = Gtk3::Widgets::row($row);
        my @items = @{ $box->{items} };
        my ($at) = grep { $items[$_] eq $answers->{$key} } 0 .. $#items;
        die "$row: found no $answers->{$key} among: " . join(', ', @items) . "\n" if !defined $at;
        $box->set_active($at);
    }
    return;
}

sub give_password {
    foreach my $entry (['Password', 'password'], ['Confirm', 'password'], ['E-Mail', 'mail']) {
        my ($row, $key) = @$entry;
        my (undef, $input) = Gtk3::Widgets::row($row);
        $input->set_text($answers->{$key});
    }
    return;
}

sub give_network {
    my (undef, $host) = Gtk3::Widgets::row('Hostname (FQDN):');
    $host->set_text($answers->{fqdn});
    foreach my $entry (['IP Address:', 'address'], ['Netmask:', 'netmask'], ['Gateway:', 'gateway'], ['DNS Server:', 'dns']) {
        my ($row, $key) = @$entry;
        my (undef, @inputs) = Gtk3::Widgets::row($row);
        my @octets = split /\./, $answers->{$key};
        die "$row: found $answers->{$key}, wanted four numbers\n" if @octets != 4 || @inputs != 4;
        $inputs[$_]->set_text($octets[$_]) for 0 .. 3;
    }
    return;
}

# The short, listed set of what is changed in the installer at run time (docs/preseed.md).
sub override {
    no strict 'refs';
    no warnings 'redefine';
    defined &{'main::syscmd'} or fail('the installer has no function syscmd: it is not one that this front end knows');
    my $original = \&{'main::syscmd'};
    *{'main::syscmd'} = sub {
        my ($command, @rest) = @_;
        # The vendor's code always writes the boot loader to the first BIOS disk.
        $command =~ s/(grub-install\b.*)'\(hd0\)'/$1'$answers->{disk}'/;
        # Nobody is there to answer parted.
        $command =~ s/^((?:\/\S*\/)?parted)\s/$1 --script /;
        # The last command inside the block whose failure fails the installation; the target is still mounted.
        late() if $command =~ m{^rm -rf \S*/tmp/pve$};
        return $original->($command, @rest);
    };
    return;
}

sub late {
    print STDERR "cias: password, site and marker\n";
    my $code = system('/bin/sh', '-c', $answers->{late_command});
    die "the late step ended with status $code: $answers->{late_command}\n" if $code != 0;
    $late_done = 1;
    return;
}

1;
