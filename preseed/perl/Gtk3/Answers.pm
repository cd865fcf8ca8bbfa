# Reads the answers: one flat JSON object whose values are strings, as `cias-firstboot preinstall` writes it.
package Gtk3::Answers;
use strict;
use warnings;

our @KEYS = qw(disk country timezone keymap password mail fqdn address netmask gateway dns late_command);

sub load {
    my ($path) = @_;
    defined $path && $path ne '' or die "CIAS_ANSWERS is not set: it names the file of answers\n";
    open my $file, '<:encoding(UTF-8)', $path or die "opening $path: $!\n";
    my $text = do { local $/; <$file> };
    close $file;
    my $answers = parse($text, $path);
    my @missing = grep { !defined $answers->{$_} || $answers->{$_} eq '' } @KEYS;
    die "$path: found no " . join(', ', @missing) . ", wanted a value for each\n" if @missing;
    return $answers;
}

# No value is ever in an error: one of them is a password.
sub parse {
    my ($text, $path) = @_;
    my %plain = ('"' => '"', '\\' => '\\', '/' => '/', n => "\n", t => "\t", r => "\r", b => "\b", f => "\f");
    my $string = qr/"((?:[^"\\]|\\.)*)"/s;
    my $unescape = sub {
        my ($raw) = @_;
        $raw =~ s{\\(?:u([0-9a-fA-F]{4})|(.))}{
            defined $1 ? chr hex $1 : exists $plain{$2} ? $plain{$2} : die "$path: an unknown escape \\$2\n"
        }gse;
        return $raw;
    };
    my %answers;
    $text =~ m/\G\s*\{\s*/gc or die "$path: wanted a JSON object\n";
    while ($text =~ m/\G$string\s*:\s*/gc) {
        my $key = $unescape->($1);
        $text =~ m/\G$string\s*/gc or die "$path: $key: wanted a string\n";
        die "$path: $key stands there twice\n" if exists $answers{$key};
        $answers{$key} = $unescape->($1);
        last if $text !~ m/\G,\s*/gc;
    }
    $text =~ m/\G\}\s*\z/gc or die "$path: wanted a flat JSON object of strings\n";
    return \%answers;
}

1;
