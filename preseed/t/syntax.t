# What runs in the installer keeps to perl 5.14, the target's, and to modules of its own; the X starter is short and plain sh.
use strict;
use warnings;
use Test::More;

# A missing tool fails this test on purpose: skipping would hide a front end that the target cannot compile.
my $checker = eval { require Perl::MinimumVersion; 1 };
ok($checker, 'Perl::MinimumVersion is there') or diag 'install the Debian package libperl-minimumversion-perl (ci/setup does)';

my @files = ('preseed/perl/Gtk3.pm', glob 'preseed/perl/Gtk3/*.pm');
my %own = map { my $name = $_; $name =~ s{^preseed/perl/|\.pm$}{}g; $name =~ s{/}{::}g; $name => 1 } @files;
foreach my $file (@files) {
    open my $source, '<', $file or die "$file: $!";
    my @lines = <$source>;
    close $source;
    my ($longest) = sort { $b <=> $a } map { length } @lines;
    cmp_ok(scalar(@lines), '<', 400, "$file is short");
    cmp_ok($longest, '<=', 140, "$file has no long line");
    my @foreign = grep { !$own{$_} && !/^(?:strict|warnings)$/ } map { /^\s*(?:use|require|no)\s+([\w:]+)/ ? $1 : () } @lines;
    is_deeply(\@foreign, [], "$file uses no other module");
    my $compiled = system($^X, '-w', '-Ipreseed/perl', '-e', "require './$file'; exit 0") == 0;
    ok($compiled, "$file compiles by itself");
    next if !$checker;
    my $version = Perl::MinimumVersion->new($file)->minimum_version;
    cmp_ok($version, '<=', version->new('5.14.0'), "$file keeps to 5.14, needs $version");
}
# Newer syntax that the checker does not know.
my %newer = (
    'postfix dereference' => [qr/->[\@%\$&]\*/, '$list->@*'],
    'slice of pairs' => [qr/%\w+[\[{]/, '%table{"a", "b"}'],
    'lexical sub' => [qr/\b(?:my|state)\s+sub\b/, 'my sub inner { }'],
    'try' => [qr/\btry\s*\{/, 'try { }'],
    'infix isa' => [qr/\bisa\s+[\w:]+/, '$thing isa Class'],
    'fc or __SUB__' => [qr/\bfc\s*[(\$]|__SUB__/, 'fc($text)'],
    'several loop variables' => [qr/\bfor(?:each)?\s+my\s*\(/, 'foreach my ($key, $value) (%table)'],
    'indented here-document' => [qr/<<~/, 'print <<~END'],
);
foreach my $name (sort keys %newer) {
    my ($pattern, $sample) = @{ $newer{$name} };
    like($sample, $pattern, "$name would be seen");
    foreach my $file (@files) {
        open my $source, '<', $file or die "$file: $!";
        my @found = grep { $_ !~ /^\s*#/ && $_ =~ $pattern } <$source>;
        is_deeply(\@found, [], "$file has no $name");
    }
}
if ($checker) {
    my $new = Perl::MinimumVersion->new(\'use feature "signatures"; sub add($x, $y) { return $x + $y }')->minimum_version;
    cmp_ok($new, '>', version->new('5.14.0'), 'the checker sees what it should');
}

done_testing();
