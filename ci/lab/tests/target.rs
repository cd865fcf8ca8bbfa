//! docs/target.md, made from the table of programs, and the scripts held against it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/drift.rs"]
mod drift;
#[path = "support/shell.rs"]
mod shell;

use std::collections::BTreeSet;

use cias_firstboot::runner::Call;
use cias_firstboot::runner::table::{Row, SCRIPTED, TABLE, check};

fn table(title: &str, rows: &[Row]) -> String {
    let mut text = format!(
        "\n### {title}\n\n| program | package | version | options | source |\n|---|---|---|---|---|\n"
    );
    for row in rows {
        let option = |name: &&str| {
            let values = row.values.iter().find(|(option, _)| option == name);
            let values = values.map_or(String::new(), |(_, values)| format!(" {}", values.join(",")));
            format!("`{name}{values}`")
        };
        let options: Vec<String> = row.options.iter().map(option).collect();
        let cells = [row.program, row.package, row.version, &options.join(" "), row.source];
        text = [text, "| ".to_owned(), cells.join(" | "), " |\n".to_owned()].concat();
    }
    text
}

#[test]
fn the_document_has_every_program_and_option_with_version_and_source() {
    for row in TABLE.iter().chain(SCRIPTED) {
        assert!(!row.version.is_empty() && !row.source.is_empty(), "{}", row.program);
        assert!(row.values.iter().all(|(option, _)| row.options.contains(option)), "{}", row.program);
    }
    let text = table("Started by the binary", TABLE)
        + &table("Started by scripts, and the shell for a person", SCRIPTED)
        + "\n";
    drift::hold_part("docs/target.md", "programs", &text, "target");
}

/// What a script may start besides: the programs of ours and of the vendor's installer.
const OURS: [&str; 3] = ["cias-firstboot", "xinit.vendor", "proxinstall"];

#[test]
fn scripts_of_the_target_start_just_what_the_table_lists() {
    let mut called = BTreeSet::from(["bash".to_owned()]);
    for script in shell::of_the_target() {
        for words in shell::calls(&script) {
            let (program, arguments) = words.split_first().unwrap();
            let call = Call::new(program.clone()).args(arguments.to_vec());
            if shell::BUILTINS.contains(&program.as_str()) || OURS.contains(&call.program()) {
                continue;
            }
            check(SCRIPTED, &call).unwrap_or_else(|error| panic!("{script}: {error}"));
            called.insert(call.program().to_owned());
        }
    }
    let listed: BTreeSet<String> = SCRIPTED.iter().map(|row| row.program.to_owned()).collect();
    assert_eq!(called, listed);
}
