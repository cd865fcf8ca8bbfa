# The reader of the answers: what it takes, what it refuses and with which sentence.
use strict;
use warnings;
use Test::More;
use File::Temp 'tempdir';
use lib 'preseed/perl';
use Gtk3::Answers;

my @good = (
    ['{}', {}, 'empty'],
    [" \n{\t\"a\" :\r\"b\" ,\"c\":\"\" } \n", { a => 'b', c => '' }, 'white space'],
    ['{"a":"\\"\\\\\\/\\n\\t"}', { a => "\"\\/\n\t" }, 'short escapes'],
    ['{"a":"\\u00e9\\u20ac"}', { a => "\xc3\xa9\xe2\x82\xac" }, 'escapes by number, as UTF-8'],
    ['{"a":"\\ud83d\\ude00"}', { a => "\xf0\x9f\x98\x80" }, 'a surrogate pair'],
    ["{\"a\":\"C\xc3\xb4te\"}", { a => "C\xc3\xb4te" }, 'UTF-8 as it stands'],
    ['{"a":"\\\\u0041"}', { a => '\\u0041' }, 'an escaped backslash before a u'],
    ['{"a\\u0062":"{}[],:"}', { ab => '{}[],:' }, 'an escape in a key, punctuation in a value'],
);
foreach my $case (@good) {
    my ($text, $wanted, $name) = @$case;
    is_deeply(eval { Gtk3::Answers::parse($text, 'F') }, $wanted, "taken: $name") or diag $@;
}

my @bad = (
    ['', 'wanted a JSON object', 'nothing'],
    ['[]', 'wanted a JSON object', 'a list'],
    ['{"a": 1}', 'the value of "a" is no string', 'a number'],
    ['{"a": {"b": "c"}}', 'the value of "a" is no string', 'an object inside'],
    ['{"a": null}', 'the value of "a" is no string', 'null'],
    ['{"a": "secret}', 'the value of "a" is no string', 'an open string'],
    ["{\"a\": \"sec\nret\"}", 'the value of "a" is no string', 'a raw line end'],
    ['{"a": "secret"', 'flat JSON object', 'an open object'],
    ['{"a": "secret",}', 'flat JSON object', 'a comma before the end'],
    ['{"a": "secret" "b": "c"}', 'flat JSON object', 'no comma'],
    ['{"a": "secret"} {}', 'and nothing else', 'something behind'],
    ['{a: "secret"}', 'flat JSON object', 'a bare key'],
    ['{"a": "b", "a": "secret"}', '"a" stands there twice', 'a key twice'],
    ['{"a": "secret\\q"}', 'an escape that JSON does not have', 'an unknown escape'],
    ['{"a": "secret\\u12"}', 'an escape that JSON does not have', 'a short number'],
    ['{"a": "secret\\ud83d"}', 'an escape that JSON does not have', 'half a pair'],
    ["{\"a\": \"secret\xff\"}", 'wanted UTF-8', 'no UTF-8'],
);
foreach my $case (@bad) {
    my ($text, $wanted, $name) = @$case;
    ok(!eval { Gtk3::Answers::parse($text, 'F'); 1 }, "refused: $name");
    like($@, qr/^F: .*\Q$wanted\E.*\n\z/, "the reason: $name");
    unlike($@, qr/secret/, "no value in the reason: $name");
}

my $dir = tempdir(CLEANUP => 1);
my %whole = (
    disk => '/dev/sda', country => 'Germany', timezone => 'Europe/Berlin', keymap => 'German', password => 'p\\u00e9ss1', mail => 'a@b.c',
    fqdn => 'a.b.c', address => '10.0.0.1', netmask => '255.0.0.0', gateway => '10.0.0.254', dns => '10.0.0.254', late_command => 'true',
);

sub load {
    my (%change) = @_;
    my %answers = (%whole, %change);
    open my $file, '>', "$dir/a.json" or die;
    print $file '{', join(',', map { qq("$_":"$answers{$_}") } grep { defined $answers{$_} } sort keys %answers), '}';
    close $file or die;
    return Gtk3::Answers::load("$dir/a.json");
}

is(load()->{password}, "p\x{e9}ss1", 'the password comes as characters');
is(load(address => '255.0.10.1')->{address}, '255.0.10.1', 'an address');
is(load(more => 'x')->{more}, 'x', 'a key that nobody asks for does no harm');
my @refused = (
    [{ country => undef, fqdn => '', dns => undef }, 'found nothing for country, fqdn, dns;', 'all that is missing, in one sentence'],
    [{ address => '10.1' }, 'found "10.1" for address; wanted four numbers', 'half an address'],
    [{ gateway => '10.0.0.256' }, 'found "10.0.0.256" for gateway', 'a number too big'],
    [{ dns => '10.0.0.1 ' }, 'found "10.0.0.1 " for dns', 'a blank behind an address'],
    [{ password => 'two\\nlines' }, 'found a control character in password;', 'a password of two lines'],
);
foreach my $case (@refused) {
    my ($change, $wanted, $name) = @$case;
    ok(!eval { load(%$change); 1 }, "refused: $name");
    like($@, qr/^\Q$dir\E\/a\.json: \Q$wanted\E/, "the reason: $name");
}
ok(!eval { Gtk3::Answers::load("$dir/none"); 1 }, 'refused: no file');
like($@, qr/none: the answers cannot be opened: No such file/, 'the reason: no file');
ok(!eval { Gtk3::Answers::load(undef); 1 }, 'refused: no name');
like($@, qr/^CIAS_ANSWERS is not set/, 'the reason: no name');

done_testing();
