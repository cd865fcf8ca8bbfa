# Reads the answers: one flat JSON object whose values are strings, as `cias-firstboot preinstall` writes it.
# Values are kept as UTF-8 bytes, which is how the installer reads its own tables of countries and keyboards.
package Gtk3::Answers;
use strict;
use warnings;

our @KEYS = qw(disk country timezone keymap password mail fqdn address netmask gateway dns late_command);
my @ADDRESSES = qw(address netmask gateway dns);

# The answers by key; dies with one sentence, which never holds a value that may be secret.
sub load {
    my ($path) = @_;
    defined $path && $path ne '' or die "CIAS_ANSWERS is not set: it must name the file of answers\n";
    open my $file, '<', $path or die "$path: the answers cannot be opened: $!\n";
    binmode $file;
    my $text = do { local $/; <$file> };
    close $file or die "$path: the answers cannot be read: $!\n";
    my $answers = parse(defined $text ? $text : '', $path);
    my @missing = grep { !defined $answers->{$_} || $answers->{$_} eq '' } @KEYS;
    die "$path: found nothing for " . join(', ', @missing) . "; wanted a text for each\n" if @missing;
    # The installer hands the password on in a line of its own.
    my @broken = grep { $answers->{$_} =~ /[\x00-\x1f\x7f]/ } @KEYS;
    die "$path: found a control character in " . join(', ', @broken) . "; wanted one line of text\n" if @broken;
    foreach my $key (@ADDRESSES) {
        my $value = $answers->{$key};
        next if $value =~ /^\d{1,3}(?:\.\d{1,3}){3}$/ && !grep { $_ > 255 } split /\./, $value;
        die "$path: found \"$value\" for $key; wanted four numbers from 0 to 255 with dots between\n";
    }
    # The one answer that the installer encodes by itself.
    utf8::decode($answers->{password});
    return $answers;
}

# No value stands in an error here: one of them is a password.
sub parse {
    my ($text, $path) = @_;
    my $check = $text;
    utf8::decode($check) or die "$path: wanted UTF-8\n";
    my $string = qr/"((?:[^"\\\x00-\x1f]|\\.)*)"/;
    my $space = qr/[ \t\r\n]*/;
    my %answers;
    $text =~ /\G$space\{$space/gc or die "$path: wanted a JSON object\n";
    while ($text =~ /\G$string$space:$space/gc) {
        my $key = unescape($1, $path);
        $text =~ /\G$string$space/gc or die "$path: the value of \"$key\" is no string\n";
        my $value = unescape($1, $path);
        die "$path: \"$key\" stands there twice\n" if exists $answers{$key};
        $answers{$key} = $value;
        $text =~ /\G,$space(?=")/gc or last;
    }
    $text =~ /\G\}$space\z/gc or die "$path: wanted a flat JSON object of strings and nothing else\n";
    return \%answers;
}

my %plain = ('"' => '"', '\\' => '\\', '/' => '/', b => "\b", f => "\f", n => "\n", r => "\r", t => "\t");

sub unescape {
    my ($raw, $path) = @_;
    my $high = qr/[dD][89abAB][0-9a-fA-F]{2}/;
    my $low = qr/[dD][c-fC-F][0-9a-fA-F]{2}/;
    $raw =~ s{\\(?:u($high)\\u($low)|u(?!$high|$low)([0-9a-fA-F]{4})|(.))}{
        defined $1 ? bytes(0x10000 + ((hex($1) - 0xd800) << 10) + hex($2) - 0xdc00)
            : defined $3 ? bytes(hex $3)
            : exists $plain{$4} ? $plain{$4}
            : die "$path: found an escape that JSON does not have\n"
    }ge;
    return $raw;
}

sub bytes {
    my $character = chr $_[0];
    utf8::encode($character);
    return $character;
}

1;
