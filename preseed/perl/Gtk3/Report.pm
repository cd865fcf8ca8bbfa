# What the operator reads: lines that begin with "cias: " on standard error, and in the end one result and one exit status.
package Gtk3::Report;
use strict;
use warnings;

# Seconds without a line of progress after which a sign of life is given.
our $QUIET = 30;

my ($owner, $last_words, $secret);
my ($fraction, $status, $shown, $shown_at) = (0, '', '', 0);

# Watches this process: should it end before the driver says how it went, that is a failure with the last error as reason.
sub arm {
    $owner = $$;
    # $^S: false outside every eval, undefined while code is compiled.
    $SIG{__DIE__} = sub { $last_words = $_[0] if !$^S };
    return;
}

END {
    # A child that could not start its program passes here, too: it is not the installer.
    if (defined $owner && $owner == $$) {
        $last_words = "the installer ended by itself with status $?" if !defined $last_words;
        line("installation failed: $last_words");
        $? = 1;
    }
}

# Never shows this text, whoever writes it into a message.
sub hide {
    my ($text) = @_;
    $secret = $text;
    return;
}

# Prints one line, whatever white space is in the text.
sub line {
    my ($text) = @_;
    $text =~ s/\Q$secret\E/***/g if defined $secret;
    $text =~ s/\s+/ /g;
    $text =~ s/^ | $//g;
    print STDERR "cias: $text\n";
    return;
}

sub failure {
    my ($reason) = @_;
    undef $owner;
    line("installation failed: $reason");
    CORE::exit(1);
}

sub success {
    undef $owner;
    line('installation done');
    CORE::exit(0);
}

# A new text is printed at once, a new fraction at most every second.
sub progress {
    my (%new) = @_;
    my $text_changed = exists $new{status} && $new{status} ne $status;
    $fraction = $new{fraction} if exists $new{fraction};
    $status = $new{status} if exists $new{status};
    show() if $status ne '' && ($text_changed || time - $shown_at >= 1);
    return;
}

# A command that runs long says nothing by itself.
sub heartbeat {
    my $seconds = time - $shown_at;
    return if $status eq '' || $seconds < $QUIET;
    $shown = '';
    show(', still running');
    return;
}

sub show {
    my ($more) = @_;
    my $text = sprintf '%3d%% %s%s', int($fraction * 100), $status, defined $more ? $more : '';
    return if $text eq $shown;
    ($shown, $shown_at) = ($text, time);
    line($text);
    return;
}

1;
