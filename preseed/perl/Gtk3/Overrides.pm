# The short, listed set of what is changed in the installer at run time (docs/preseed.md), all of it in one wrapped function:
# main::run_command, through which every command of the installer passes.
package Gtk3::Overrides;
use strict;
use warnings;
use Gtk3::Report;

my ($seen, $boot_loader, $late) = (0, 0, 0);

# Wraps the installer's function; $disk is the one disk that may be written, $late_command runs when all else is done.
sub install {
    my ($disk, $late_command) = @_;
    foreach my $name (qw(run_command syscmd)) {
        main->can($name) or die "the installer has no function $name: it is not one that this front end knows\n";
    }
    my $original = main->can('run_command');
    no warnings 'redefine';
    *main::run_command = sub {
        my ($command, @rest) = @_;
        $seen = 1;
        run_late($original, $late_command) if $command =~ m{^rm -rf \S+/tmp/pve$};
        return $original->(rewrite($command, $disk), @rest);
    };
    # Nothing is written yet: the time to find out that this installer starts its commands some other way.
    main::syscmd('true');
    $seen or die "the installer's syscmd does not use its run_command: it is not one that this front end knows\n";
    return;
}

# The command to run in place of the installer's; dies if it would write to another disk than the chosen one.
sub rewrite {
    my ($command, $disk) = @_;
    my ($program) = $command =~ m{^(?:\S*/)?([\w.]+)\s};
    return $command if !defined $program;
    if ($program =~ /^(?:dd|parted|pvcreate|vgcreate|mkswap|mkfs\.\w+)$/) {
        foreach my $path ($command =~ m{(/dev/[^\s']+)}g) {
            next if $path =~ m{^(?:/dev/zero|/dev/pve/\w+|\Q$disk\E(?:p?\d+)?)$};
            die "the installer would write to $path, but the chosen disk is $disk: $command\n";
        }
    }
    # There is no X whose keyboard could be set.
    return 'true' if $program eq 'setxkbmap';
    # Nobody is there to answer parted.
    $command =~ s/^(\S+)/$1 --script/ if $program eq 'parted';
    if ($command =~ m{\bgrub-install\s}) {
        # The installer always takes the first BIOS disk.
        $command =~ s/'\(hd0\)'/'$disk'/;
        $command =~ m{\s'?\Q$disk\E'?$} or die "the boot loader would not go to the chosen disk $disk: $command\n";
        $boot_loader = 1;
    }
    return $command;
}

# Runs at the last command whose failure still fails the installation, with the target still mounted.
sub run_late {
    my ($run, $command) = @_;
    $boot_loader or die "the installer came to its end without writing the boot loader\n";
    Gtk3::Report::line('settings of the site');
    my $last = 'it said nothing';
    my $status = $run->("( $command ) 2>&1", sub { $last = $_[0] if $_[0] =~ /\S/ }, undef, 1);
    return $late = 1 if $status == 0;
    my $how = $status & 127 ? 'signal ' . ($status & 127) : 'exit status ' . ($status >> 8);
    die "\"$command\" ended with $how: $last\n";
}

# What a good installation would have passed, or nothing.
sub undone {
    return 'never ran the command that sets the password and the marker' if !$late;
    return;
}

1;
