# The widgets: just enough of each for the installer to build its pages, and for Gtk3->main to find its way.
# Every class and method of preseed/surface.txt is here; a method that is not dies with its name.
package Gtk3::Widgets;
use strict;
use warnings;
use Gtk3::Report;

my ($window, $next, $page);
my %message;

# Base name of the page that the installer showed last.
sub page { return defined $page ? $page : '' }

# Text of the last dialog of a kind, info or error, since Next was pressed.
sub message { my ($kind) = @_; return $message{$kind} }

sub press_next {
    $next or die "the installer made no button\n";
    $next->{insensitive} and die "the installer keeps its button Next disabled\n";
    %message = ();
    $next->fire('clicked');
    return;
}

# The label and the inputs of the row whose first label begins with a text.
sub row {
    my ($text) = @_;
    my @boxes = grep { $_->isa('Gtk3::HBox') } walk($window);
    foreach my $box (@boxes) {
        my @children = @{ $box->{children} };
        my ($label) = grep { $_->isa('Gtk3::Label') } @children;
        next if !$label || index($label->{text}, $text) != 0;
        return ($label->{text}, grep { $_->isa('Gtk3::Entry') || $_->isa('Gtk3::ComboBoxText') } @children);
    }
    die "the page has no row \"$text\"\n";
}

sub walk {
    my ($widget) = @_;
    return () if !$widget;
    return ($widget, map { walk($_) } @{ $widget->{children} });
}

package Gtk3::Widget;

sub create { my ($class, %self) = @_; return bless { children => [], handlers => {}, %self }, $class }
sub new { my ($class) = @_; return $class->create }

sub add { my ($self, $child) = @_; push @{ $self->{children} }, $child; return }
sub pack_start { my ($self, $child) = @_; return $self->add($child) }
sub pack_end { my ($self, $child) = @_; return $self->add($child) }
sub remove { my ($self, $child) = @_; @{ $self->{children} } = grep { $_ != $child } @{ $self->{children} }; return }
# An array reference: the caller removes children while it walks the list.
sub get_children { my ($self) = @_; return [@{ $self->{children} }] }

sub signal_connect { my ($self, $signal, $handler) = @_; push @{ $self->{handlers}{$signal} }, $handler; return }
sub fire { my ($self, $signal) = @_; $_->($self) for @{ $self->{handlers}{$signal} || [] }; return }

# Every class below comes here for what it does not have.
our $AUTOLOAD;
sub AUTOLOAD {
    my ($self) = @_;
    my ($method) = $AUTOLOAD =~ /(\w+)$/;
    my $class = ref $self || $self;
    die "the installer calls $class->$method, which this front end does not have\n";
}
sub DESTROY { return }

# What only changes the looks.
foreach my $name (qw(show show_all realize destroy grab_focus set_can_focus set_size_request set_alignment set_default_size
    set_decorated set_has_resize_grip set_width_chars set_max_length set_visibility set_completion set_show_text)) {
    no strict 'refs';
    *{$name} = sub { return };
}

package Gtk3::Window;
our @ISA = ('Gtk3::Widget');
sub new { my ($class) = @_; return $window = $class->create }

package Gtk3::VBox;
our @ISA = ('Gtk3::Widget');
package Gtk3::HBox;
our @ISA = ('Gtk3::Widget');
package Gtk3::HSeparator;
our @ISA = ('Gtk3::Widget');
package Gtk3::ScrolledWindow;
our @ISA = ('Gtk3::Widget');
package Gtk3::Image;
our @ISA = ('Gtk3::Widget');
sub new_from_file { my ($class) = @_; return $class->create }

package Gtk3::Label;
our @ISA = ('Gtk3::Widget');
sub new { my ($class, $text) = @_; return $class->create(text => defined $text ? $text : '') }

# The status line of the installer is the only label that it changes.
sub set_text {
    my ($self, $text) = @_;
    $self->{text} = $text;
    Gtk3::Report::progress(status => $text);
    return;
}

package Gtk3::ProgressBar;
our @ISA = ('Gtk3::Widget');
sub set_fraction { my (undef, $fraction) = @_; Gtk3::Report::progress(fraction => $fraction); return }
sub set_text { return }

package Gtk3::Button;
our @ISA = ('Gtk3::Widget');

# The first button is Next, the second Abort.
sub new {
    my ($class, $text) = @_;
    my $self = $class->create(text => $text);
    $next = $self if !$next;
    return $self;
}
sub set_sensitive { my ($self, $on) = @_; $self->{insensitive} = !$on; return }
sub set_label { my ($self, $text) = @_; $self->{text} = $text; return }

package Gtk3::Entry;
our @ISA = ('Gtk3::Widget');
sub get_text { my ($self) = @_; return defined $self->{text} ? $self->{text} : '' }
sub set_text { my ($self, $text) = @_; $self->{text} = $text; $self->fire('changed'); return }

package Gtk3::EntryCompletion;
our @ISA = ('Gtk3::Widget');
foreach my $name (qw(set_text_column set_minimum_key_length set_popup_set_width set_inline_completion set_model complete)) {
    no strict 'refs';
    *{$name} = sub { return };
}

package Gtk3::ListStore;
our @ISA = ('Gtk3::Widget');
sub append { return {} }
sub set { return }

package Gtk3::ComboBoxText;
our @ISA = ('Gtk3::Widget');
sub new {
    my ($class) = @_;
    my $entry = Gtk3::Entry->new;
    my $self = $class->create(items => [], active => -1, entry => $entry);
    # A text that is typed in is no item.
    $entry->signal_connect(changed => sub { $self->{active} = -1; $self->fire('changed') });
    return $self;
}
sub new_with_entry { my ($class) = @_; return $class->new }
sub append_text { my ($self, $text) = @_; push @{ $self->{items} }, $text; return }
sub get_active { my ($self) = @_; return $self->{active} }
sub get_active_text { my ($self) = @_; return $self->{entry}->get_text }
sub set_active {
    my ($self, $index) = @_;
    $self->{active} = $index;
    $self->{entry}{text} = $self->{items}[$index];
    $self->fire('changed');
    return;
}
sub get_child { my ($self) = @_; return $self->{entry} }

package Gtk3::MessageDialog;
our @ISA = ('Gtk3::Widget');
sub new { my ($class, undef, undef, $kind, undef, $text) = @_; return $class->create(kind => $kind, text => $text) }
sub run { my ($self) = @_; $message{ $self->{kind} } = $self->{text}; return 'ok' }

package Gtk3::WebKit::WebView;
our @ISA = ('Gtk3::Widget');
sub load_html_string { my (undef, undef, $url) = @_; $page = (split m{/}, $url)[-1]; return }
sub load_uri { my ($self, $url) = @_; return $self->load_html_string('', $url) }

# Constants must exist when the installer is compiled; no key is ever pressed here.
package Gtk3::Gdk;
my $value = 0xff00;
foreach my $name (qw(Tab ISO_Left_Tab Shift_L BackSpace Delete KP_0 KP_9 Left Right)) {
    my $own = $value++;
    no strict 'refs';
    *{"KEY_$name"} = sub () { return $own };
}

1;
