# Every class, method, constant and page of surface.txt is there; what is not ends with its name.
use strict;
use warnings;
use Test::More;
use lib 'preseed/perl';
use Gtk3 ();
use Gtk3::WebKit;

my %listed;
open my $list, '<', 'preseed/surface.txt' or die "preseed/surface.txt: $!";
while (my $line = <$list>) {
    next if $line =~ /^(#|\s*$)/;
    my ($kind, @words) = split ' ', $line;
    ok(!$listed{$kind}{"@words"}++, "listed once: $kind @words");
}
close $list;

is_deeply([sort keys %listed], [qw(const method never page)], 'the kinds of lines');
foreach my $entry (sort keys %{ $listed{method} }) {
    my ($class, $method) = split ' ', $entry;
    ok($class->can($method), "$class->$method");
}
ok(defined &{"Gtk3::Gdk::$_"}, "constant $_") for sort keys %{ $listed{const} };
is(scalar(keys %{ { map { $_ => 1 } map { my $name = $_; no strict 'refs'; &{"Gtk3::Gdk::$name"}() } keys %{ $listed{const} } } }),
    scalar(keys %{ $listed{const} }), 'each constant has a value of its own');
my @ends = qw(success.htm fail.htm nohds.htm);
is_deeply([sort grep { !/^extract/ } keys %{ $listed{page} }], [sort keys %Gtk3::page, @ends], 'the pages that the driver knows');
foreach my $name (sort keys %{ $listed{never} }) {
    ok(!grep({ (split)[1] eq $name } keys %{ $listed{method} }), "$name is not both there and never called");
}

ok(!eval { Gtk3::Entry->new->get_buffer; 1 }, 'an unknown method dies');
like($@, qr/^the installer calls Gtk3::Entry->get_buffer, which this front end does not have$/, 'with its name');
ok(!eval { Gtk3::ComboBoxText->new_with_model; 1 }, 'an unknown constructor dies');
like($@, qr/calls Gtk3::ComboBoxText->new_with_model, which/, 'with its name');

my @fired;
my $combo = Gtk3::ComboBoxText->new_with_entry;
$combo->append_text($_) for 'zero', 'one';
$combo->set_active(1);
$combo->signal_connect(changed => sub { push @fired, $_[0]->get_active . ' ' . $_[0]->get_active_text });
is_deeply(\@fired, [], 'a handler hears nothing of what was before it');
$combo->set_active(1);
$combo->set_active(0);
$combo->get_child->set_text('two');
is_deeply(\@fired, ['1 one', '0 zero', '-1 two'], 'choosing and typing fire with the widget');
my $box = Gtk3::HBox->new(0, 0);
$box->pack_start($_, 0, 0, 0) for Gtk3::Label->new('a'), Gtk3::Label->new('b');
my $children = $box->get_children;
$box->remove($_) for @$children;
is(scalar(@$children), 2, 'children come as a list of their own');
is_deeply($box->get_children, [], 'and can be removed');

done_testing();
