# When a line of progress is printed: by a clock of our own, so that nothing waits.
use strict;
use warnings;
use Test::More;
my $now;
BEGIN { $now = 1000; *CORE::GLOBAL::time = sub () { return $now } }
use lib 'preseed/perl';
use Gtk3::Report;

# What is printed while the steps run; each step is [seconds later, call].
sub printed {
    my (@steps) = @_;
    my $text = '';
    local *STDERR;
    open STDERR, '>', \$text or die;
    foreach my $step (@steps) {
        $now += $step->[0];
        $step->[1]->();
    }
    return $text;
}
sub fraction { my ($value) = @_; return sub { Gtk3::Report::progress(fraction => $value) } }
sub status { my ($value) = @_; return sub { Gtk3::Report::progress(status => $value) } }
my $pulse = \&Gtk3::Report::heartbeat;

is(printed([0, fraction(0)], [60, $pulse]), '', 'nothing to say before the first text');
is(printed([0, status('one')], [0, fraction(0.1)], [0, fraction(0.2)], [0, status('two')], [0, status('two')]),
    "cias: 0% one\ncias: 20% two\n", 'a new text at once, fractions not more often than every second');
is(printed([1, fraction(0.201)], [0, fraction(0.25)], [1, fraction(0.3)]), "cias: 25% two\ncias: 30% two\n", 'each second a new fraction');
is(printed([29, $pulse], [1, $pulse], [1, $pulse], [30, $pulse]),
    "cias: 30% two, still running\ncias: 30% two, still running\n", 'a sign of life after half a minute');
is(printed([0, status('')], [90, $pulse]), '', 'no text, no line');
Gtk3::Report::hide('s3cr+t');
is(printed([0, sub { Gtk3::Report::line("  a\nb\t's3cr+t'\n") }]), "cias: a b '***'\n", 'one line, and no secret in it');

done_testing();
