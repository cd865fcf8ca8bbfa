# Loaded by the vendor's installer; its one class stands with the other widgets.
package Gtk3::WebKit;
use strict;
use warnings;
use Gtk3::Widgets;

sub import { return 1 }

1;
