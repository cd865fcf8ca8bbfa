//! The scripts of the target keep to the shells of the target: dash 0.5.7, and bash 4.2 where an administrator made it
//! /bin/sh. Their Perl is held to 5.14 by preseed/t/syntax.t.
//!
//! Neither shell can be had today, so a script must be in the grammar of POSIX, which both read; in the words of it that
//! dash knows; and without what either learnt later.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/drift.rs"]
mod drift;
#[path = "support/shell.rs"]
mod shell;

use shell::read_by;

/// Pieces of text that an older shell does not know or takes for something else, and the version that brought them.
const LATER: [(&str, &str); 28] = [
    ("LINENO", "dash 0.5.11"),
    ("pipefail", "dash 0.5.13"),
    ("local -", "bash 4.4"),
    ("declare -n", "bash 4.3"),
    ("typeset -n", "bash 4.3"),
    ("wait -n", "bash 4.3"),
    ("[-1]", "bash 4.3 in assignments"),
    ("globasciiranges", "bash 4.3"),
    ("EXECIGNORE", "bash 4.4"),
    ("inherit_errexit", "bash 4.4"),
    ("mapfile -d", "bash 4.4"),
    ("readarray -d", "bash 4.4"),
    ("@Q}", "bash 4.4"),
    ("@E}", "bash 4.4"),
    ("@P}", "bash 4.4"),
    ("@A}", "bash 4.4"),
    ("@a}", "bash 4.4"),
    ("EPOCHSECONDS", "bash 5.0"),
    ("EPOCHREALTIME", "bash 5.0"),
    ("BASH_ARGV0", "bash 5.0"),
    ("wait -f", "bash 5.0"),
    ("localvar_inherit", "bash 5.0"),
    ("SRANDOM", "bash 5.1"),
    ("wait -p", "bash 5.1"),
    ("@U}", "bash 5.1"),
    ("@L}", "bash 5.1"),
    ("@K}", "bash 5.1"),
    ("${ ", "bash 5.3"),
];

/// The first thing that keeps a script from the target.
fn fault(text: &str) -> Option<String> {
    if text.lines().next() != Some("#!/bin/sh") {
        return Some("its first line is not #!/bin/sh".into());
    }
    let checks: [(&str, &[&str]); 4] = [
        ("shfmt", &["-ln", "posix", "--to-json"]),
        ("dash", &["-n"]),
        ("bash", &["--posix", "-n"]),
        ("shellcheck", &["--shell=dash", "--severity=style", "--exclude=SC2317", "-"]),
    ];
    for (program, args) in checks {
        let output = read_by(program, args, text);
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            return Some(format!("{program}: {}", String::from_utf8_lossy(&said)));
        }
    }
    let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    code.flat_map(|line| LATER.iter().map(move |later| (line, later)))
        .find(|(line, (piece, _))| line.contains(piece))
        .map(|(line, (piece, since))| format!("{piece:?} came with {since}: {line}"))
}

#[test]
fn every_script_of_the_target_is_in_the_grammar_of_its_shells() {
    for script in shell::of_the_target() {
        let text = std::fs::read_to_string(drift::root().join(&script)).unwrap();
        if let Some(fault) = fault(&text) {
            panic!("{script}: {fault}");
        }
    }
}

#[test]
fn what_the_target_does_not_read_is_seen() {
    for (line, by) in [
        ("words=(one two)", "shfmt"),
        ("[[ -e /etc ]] || exit 1", "shellcheck"),
        ("cat <<<\"text\"", "shfmt"),
        ("cat <(ls)", "shfmt"),
        ("cat /etc/hostname |& cat", "shfmt"),
        ("if true; then echo one", "shfmt"),
        ("echo $'a\\tb'", "shellcheck"),
        ("cat /etc/hostname &>/dev/null", "shellcheck"),
        ("echo \"${HOME:1:2}\"", "shfmt"),
        ("echo \"${HOME//a/b}\"", "shfmt"),
        ("[ \"$HOME\" == /root ]", "shellcheck"),
        ("source /etc/profile", "shellcheck"),
        ("read -r -t 5 answer; echo \"$answer\"", "shellcheck"),
        ("echo \"$RANDOM\"", "shellcheck"),
        ("set -o pipefail", "\"pipefail\""),
        ("echo $HOME", "shellcheck"),
        ("echo \"$LINENO\"", "\"LINENO\""),
        ("wait -f 1", "shellcheck"),
    ] {
        let fault = fault(&format!("#!/bin/sh\n{line}\n")).unwrap_or_default();
        assert!(fault.starts_with(by), "{line}: wanted {by}, found {fault:?}");
    }
    assert!(fault("#!/bin/bash\ntrue\n").is_some());
    assert_eq!(fault("#!/bin/sh\nset -eu\n# wait -f is newer\ntrue\n"), None);
}
