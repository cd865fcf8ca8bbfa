# Every class, method and constant of surface.txt is there, and only 5.14's syntax is used.
use strict;
use warnings;
use Test::More;
use lib 'preseed/perl';
use Gtk3;
use Gtk3::WebKit;
use Gtk3::Answers;

open my $list, '<', 'preseed/surface.txt' or die;
while (my $line = <$list>) {
    next if $line =~ /^(#|\s*$)/;
    my ($kind, @words) = split ' ', $line;
    if ($kind eq 'method') {
        ok($words[0]->can($words[1]), "$words[0]->$words[1]");
    } elsif ($kind eq 'const') {
        ok(defined &{"Gtk3::Gdk::$words[0]"}, "constant $words[0]");
    } else {
        like($kind, qr{^(page|never)$}, "a known kind of line: $line");
    }
}

my @bad = (['[]', 'object'], ['{"a": 1}', 'a string'], ['{"a": "b"', 'object'], ['{"a": "b", "a": "c"}', 'twice'],
    ['{"a": "\\q"}', 'escape'], ['{"a": "b"} x', 'object'], ['', 'object']);
foreach my $case (@bad) {
    my ($text, $wanted) = @$case;
    ok(!eval { Gtk3::Answers::parse($text, 'F'); 1 }, "refused: $text");
    like($@, qr/^F: .*$wanted/, "the reason: $text");
}
is_deeply(Gtk3::Answers::parse('{ "a" : "\\u00e9\\n\\"\\\\", "b":"" }', 'F'), { a => "\x{e9}\n\"\\", b => '' }, 'escapes');

done_testing();
