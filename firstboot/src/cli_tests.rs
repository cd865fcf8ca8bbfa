//! The command line as a whole.

use super::*;
use clap::CommandFactory;

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_plans_names_are_sub_commands_and_setup_takes_a_site_file() {
    let read = |words: &[&str]| -> Vec<String> {
        let typed = words.iter().map(OsString::from);
        arguments(typed).into_iter().map(|word| word.into_string().unwrap()).collect()
    };
    for (typed, wanted) in [
        (
            &["/data/cias/dlll_cias-setup.sh", "s.toml", "--yes"][..],
            &["cias", "setup", "--site", "s.toml", "--yes"][..],
        ),
        (&["dlll_cias-setup.sh"], &["cias", "setup"]),
        (&["dlll_cias-setup.sh", "--yes"], &["cias", "setup", "--yes"]),
        (&["/mnt/mfs/cias/keepalived_to_master.sh"], &["cias", "promote"]),
        (&["/data/cias/dlll_cias-switch_to_master.sh"], &["cias", "switch"]),
        (&["/data/cias/dlll_cias-swtich_to_master.sh", "--help"], &["cias", "switch", "--help"]),
        (&["/usr/sbin/cias", "status"], &["/usr/sbin/cias", "status"]),
    ] {
        assert_eq!(read(typed), wanted);
    }
}

#[test]
fn help_fits_80_columns() {
    let mut root = Cli::command();
    root.build();
    let nested = root.get_subcommands().flat_map(clap::Command::get_subcommands);
    for command in std::iter::once(&root).chain(root.get_subcommands()).chain(nested) {
        let help = command.clone().render_long_help().to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
        }
    }
}
