//! The questions of `cias-builder init` at a terminal, which `script` plays.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A shell at a terminal of its own.
struct Terminal {
    child: Child,
    seen: String,
}

impl Terminal {
    /// Runs `init` in `folder`, and says with which code it ended, and whether the terminal is as it was.
    fn new(folder: &Path) -> Self {
        let line = "trap : INT; before=$(stty -g); \"$BUILDER\" init --domain a.example.com; echo code $?; \
                    [ \"$before\" = \"$(stty -g)\" ] && echo 'as it was' || echo changed";
        let mut command = Command::new("script");
        command.args(["-q", "-e", "-c", line, "typescript"]).current_dir(folder);
        command.env("SHELL", "/bin/sh").env("BUILDER", env!("CARGO_BIN_EXE_cias-builder"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self { child: command.spawn().unwrap(), seen: String::new() }
    }

    /// Waits until `prompt` is shown, and types `answer`.
    fn answer(&mut self, prompt: &str, answer: &str) {
        let mut byte = [0];
        let start = self.seen.len();
        while !self.seen[start..].contains(prompt) {
            let more = self.child.stdout.as_mut().unwrap().read(&mut byte).unwrap();
            assert_eq!(more, 1, "{prompt:?} in {:?}", self.seen);
            self.seen.push(char::from(byte[0]));
        }
        self.child.stdin.as_mut().unwrap().write_all(answer.as_bytes()).unwrap();
    }

    /// All that was shown, without the ends of lines of a terminal.
    fn end(mut self) -> String {
        self.child.stdout.as_mut().unwrap().read_to_string(&mut self.seen).unwrap();
        self.child.wait().unwrap();
        self.seen.replace('\r', "")
    }

    fn process(&self) -> u32 {
        self.child.id()
    }
}

/// Files that `init` left in `folder`.
fn files(folder: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "typescript").collect()
}

#[test]
fn wrong_answers_are_asked_for_again_and_no_password_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::new(folder.path());
    for (prompt, answer) in [
        ("for all nodes: ", "short\r"),
        ("Once more: ", "short\r"),
        ("for all nodes: ", "hunter2Kq7\u{1b}[D\r"),
        ("Once more: ", "hunter2Kq7\u{1b}[D\r"),
        ("for all nodes: ", "hunter2Kq7 long\r"),
        ("Once more: ", "hunter2Kq7 other\r"),
        ("for all nodes: ", "hunter2Kq7 long\r"),
        ("Once more: ", "hunter2Kq7 long\r"),
        ("mail address: ", "nobody\r"),
        ("mail address: ", "a@example.com\r"),
        ("(yes/no) ", "yes\r"),
    ] {
        terminal.answer(prompt, answer);
    }
    let seen = terminal.end();
    for wanted in [
        "at least eight characters",
        "wanted no keys that write nothing",
        "the two differ",
        "wanted a mail address",
        "code 0\n",
        "as it was\n",
    ] {
        assert!(seen.contains(wanted), "{wanted} in {seen}");
    }
    assert!(!seen.contains("hunter2") && !seen.contains("still to do"), "{seen}");
    assert_eq!(files(folder.path()), ["site.toml"]);
}

#[test]
fn an_interrupted_question_leaves_the_terminal_as_it_was_and_no_file() {
    for (password, key) in [(false, "\u{3}"), (false, "half\u{3}"), (true, "\u{3}")] {
        let folder = tempfile::tempdir().unwrap();
        let mut terminal = Terminal::new(folder.path());
        if password {
            terminal.answer("for all nodes: ", "hunter2Kq7 long\r");
            terminal.answer("Once more: ", "hunter2Kq7 long\r");
            terminal.answer("mail address: ", key);
        } else {
            terminal.answer("for all nodes: ", key);
        }
        let seen = terminal.end();
        assert!(seen.contains("code 130\n") && seen.contains("as it was\n"), "{seen}");
        assert_eq!(seen.matches("error: interrupted; nothing was left behind").count(), 1, "{seen}");
        assert!(files(folder.path()).is_empty(), "{:?}", files(folder.path()));
    }
}

#[test]
fn a_question_that_is_ended_from_elsewhere_leaves_the_terminal_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::new(folder.path());
    terminal.answer("for all nodes: ", "half");
    let init = init_below(terminal.process()).unwrap();
    assert!(Command::new("kill").args(["-TERM", &init]).status().unwrap().success());
    let seen = terminal.end();
    assert!(seen.contains("code 130\n") && seen.contains("as it was\n"), "{seen}");
}

/// The process of `init` among those that `process` started.
fn init_below(process: u32) -> Option<String> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    children.split_whitespace().find_map(|child| {
        let name = std::fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
        if name.trim() == "cias-builder" { Some(child.to_owned()) } else { init_below(child.parse().ok()?) }
    })
}
