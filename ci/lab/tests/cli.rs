//! docs/cli.md and the man pages, made from the command lines themselves.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/drift.rs"]
mod drift;

use std::collections::BTreeSet;

use cias_firstboot::outcome::EXIT_CODES;
use clap::{Command, CommandFactory};

/// The programs, and the section of the manual that each belongs to.
fn programs() -> [(Command, &'static str); 2] {
    let built = |command: Command| {
        let mut command = command.term_width(80).disable_help_subcommand(true);
        command.build();
        command
    };
    [(built(cias_builder::cli::Cli::command()), "1"), (built(cias_firstboot::cli::Cli::command()), "8")]
}

/// Commands whose examples need more than a node without a cluster, as documents are tried on; and what they need.
const NOT_RUN: [(&str, &str); 9] = [
    ("cias backup-gateway", "needs MooseFS"),
    ("cias demote", "changes the routes of a Master"),
    ("cias enrol", "needs a cluster"),
    ("cias export-vms", "needs a cluster"),
    ("cias notify", "sends a mail"),
    ("cias promote", "changes the routes of a Master"),
    ("cias setup", "needs a server that was installed by hand"),
    ("cias switch", "needs a cluster"),
    ("cias-builder packages", "needs a mirror"),
];

/// The program and its commands, and theirs, without those that only other programs call.
fn commands(program: &Command) -> Vec<&Command> {
    let shown = program.get_subcommands().filter(|command| !command.is_hide_set());
    std::iter::once(program).chain(shown.flat_map(commands)).collect()
}

/// The help and its examples, which are commands.
fn parts(command: &Command) -> (String, Option<String>) {
    let help = command.clone().render_long_help().to_string();
    let help = help.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>();
    match help.split_once("\nExamples:\n") {
        None => (help, None),
        Some((help, examples)) => {
            let lines =
                examples.lines().map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned() + "\n");
            (help.to_owned(), Some(lines.collect()))
        }
    }
}

/// The manual's own headings for what clap gives as one text; examples are not filled.
fn headed(page: &str) -> String {
    let page = page.replace(".SH EXTRA\nExit codes: ", ".SH \"EXIT STATUS\"\n");
    match page.split_once("\n\nExamples:\n") {
        None => page,
        Some((page, examples)) => format!("{page}\n.SH EXAMPLES\n.nf\n{}\n.fi\n", examples.trim_end()),
    }
}

#[test]
fn the_reference_is_what_the_programs_say_themselves() {
    let mut text = "# The command lines\n\n\
        What `--help` prints, but for the command `help` itself. `CIAS_WRITE_DOCS=1 cargo test -p lab --test cli` writes\n\
        this file and the pages in [docs/man](man) anew. `cias` runs on a node, where `cias-firstboot` is the same program.\n"
        .to_owned();
    for (program, _) in programs() {
        for command in commands(&program) {
            let name = command.get_bin_name().unwrap_or(command.get_name());
            let level = "#".repeat(2 + name.matches(' ').count());
            let needs = NOT_RUN.iter().find(|(beginning, _)| name.starts_with(beginning));
            let marker = needs.map_or(String::new(), |(_, needs)| format!("<!-- not run: {needs} -->\n"));
            let (help, examples) = parts(command);
            let examples =
                examples.map_or(String::new(), |examples| format!("\n{marker}```sh\n{examples}```\n"));
            let help = help.trim_end();
            text.push_str(&[&format!("\n{level} {name}\n\n```text\n{help}\n```\n"), &*examples].concat());
        }
    }
    drift::hold("docs/cli.md", &text, "cli");
}

#[test]
fn the_man_pages_are_what_the_programs_say_themselves() {
    let mut pages = BTreeSet::new();
    for (program, section) in programs() {
        for command in commands(&program) {
            let name = command.get_bin_name().unwrap_or(command.get_name()).replace(' ', "-");
            let page = format!("{name}.{section}");
            let man = clap_mangen::Man::new(command.clone())
                .title(name)
                .section(section)
                .source(format!("CIAS {}", env!("CARGO_PKG_VERSION")))
                .manual("CIAS");
            let mut text = Vec::new();
            man.render(&mut text).unwrap();
            drift::hold(&format!("docs/man/{page}"), &headed(&String::from_utf8(text).unwrap()), "cli");
            pages.insert(page);
        }
    }
    let found = std::fs::read_dir(drift::root().join("docs/man")).unwrap();
    let found: BTreeSet<String> =
        found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(
        found, pages,
        "docs/man holds other pages than the programs have commands: remove or write them"
    );
}

#[test]
fn every_command_and_option_says_what_it_does_and_every_command_its_exit_codes_and_examples() {
    for (program, _) in programs() {
        assert!(program.get_after_help().is_some_and(|text| text.to_string() == EXIT_CODES));
        for command in commands(&program) {
            let name = command.get_bin_name().unwrap_or(command.get_name());
            let (help, examples) = parts(command);
            assert!(command.get_about().is_some() && help.contains("\nExit codes: 0 "), "{name}");
            assert_eq!(examples.is_some(), name.contains(' '), "{name}: examples belong to its commands");
            for line in help.lines().chain(examples.iter().flat_map(|text| text.lines())) {
                assert!(line.chars().count() <= 80, "{name}: wider than 80 columns: {line}");
            }
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{name}: {} has no help", argument.get_id());
            }
        }
    }
}
