//! The command line of `cias notify`.

use clap::Subcommand;

use super::Output;

/// What `notify` is to do.
#[derive(Debug, Subcommand)]
pub enum Notify {
    /// Send a test message now, by every way that the site file names
    ///
    /// Prints for each way where the message went and whether it was taken, or why not; of the webhook the host alone. A mail that sendmail took
    /// may still wait in the queue of postfix: `mailq` shows it. A test is not kept and not tried again. Needs root.
    #[command(after_long_help = "\
Exit codes: 0 all ways took it; 1 not root, or a way is wrong for good (a webhook
that answers 404); 3 /etc/cias/site.toml is missing or wrong; 6 a way did not
take it now.

Examples:
  cias notify test
  cias notify test --json")]
    Test(Output),
}
