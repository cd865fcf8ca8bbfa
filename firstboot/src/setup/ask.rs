//! Questions at the terminal: what a site file lacks, and whether to begin.

use std::io::{BufRead, IsTerminal, stderr, stdin};
use std::path::Path;

use anyhow::{Context, Result};
use signal_hook::consts::SIGINT;
use toml_edit::{DocumentMut, value};

use crate::outcome::Class;
use crate::site::{self, Finding, Loaded, values};

/// Keys that a person can answer for: (table, key, question). Secrets are the same on all nodes and cannot be made up here.
const ASKED: [(&str, &str, &str); 3] = [
    ("site", "domain", "The DNS domain of the nodes"),
    ("site", "mail", "The administrator's mail address"),
    ("install", "accept_eula", "Have you read and accepted the licence of Proxmox VE? (yes)"),
];

/// Can somebody be asked?
pub fn can_ask() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// Loads the site file at `path`; what it lacks is asked for where somebody can answer.
pub fn load(path: &Path) -> Result<Loaded> {
    let findings = match site::examine(path)? {
        Ok(loaded) => return Ok(loaded),
        Err(findings) => findings,
    };
    if !can_ask() || !findings.iter().all(is_asked) {
        return Err(site::refusal(path, &findings));
    }
    let ctrl_c = CtrlC::ends()?;
    let mut answers = Vec::new();
    for (table, key, question) in ASKED {
        if findings.iter().any(|finding| finding.key == format!("{table}.{key}")) {
            answers.push((table, key, ask(key, question)?));
        }
    }
    drop(ctrl_c);
    let completed = site::examine_with(path, |text| complete(text, &answers))?;
    completed.map_err(|findings| site::refusal(path, &findings))
}

/// Waits for Enter; anything else stops it.
pub fn confirm() -> Result<()> {
    let ctrl_c = CtrlC::ends()?;
    let answer = line("Press Enter to do all this, or Ctrl-C to leave everything as it is: ")?;
    drop(ctrl_c);
    if answer.as_deref() == Some("") {
        return Ok(());
    }
    Err(Class::Failed.error("found another answer than Enter: nothing was changed"))
}

/// Is it something that is missing, or left empty, and can be asked for?
fn is_asked(finding: &Finding) -> bool {
    ASKED.iter().any(|(table, key, _)| finding.key == format!("{table}.{key}"))
        && ["nothing", "\"\"", "false"].contains(&finding.found.as_str())
}

fn judge(key: &str, answer: &str) -> Result<(), String> {
    match key {
        "domain" => values::domain(answer).map(drop),
        "mail" => values::mail(answer).map(drop),
        _ if answer == "yes" => Ok(()),
        _ => Err("yes, or Ctrl-C".to_owned()),
    }
}

fn ask(key: &str, question: &str) -> Result<String> {
    loop {
        let answer = line(&format!("{question}: "))?;
        let answer = answer.ok_or_else(|| {
            Class::Failed.error("the terminal was closed before the answer: nothing was changed")
        })?;
        match judge(key, answer.trim()) {
            Ok(()) => return Ok(answer.trim().to_owned()),
            Err(wanted) => eprintln!("wanted {wanted}"),
        }
    }
}

/// A line without its end; nothing, if the terminal was closed.
fn line(question: &str) -> Result<Option<String>> {
    eprint!("{question}");
    let mut line = String::new();
    stdin().lock().read_line(&mut line).context("reading the answer")?;
    Ok(line.strip_suffix('\n').map(ToOwned::to_owned))
}

/// `text` with the answers in it; everything else stays as it is. What is no TOML stays too, and is refused by its reader.
fn complete(text: &str, answers: &[(&str, &str, String)]) -> String {
    let Ok(mut document) = text.parse::<DocumentMut>() else { return text.to_owned() };
    for (table, key, answer) in answers {
        document[table][key] = if *key == "accept_eula" { value(true) } else { value(answer) };
    }
    document.to_string()
}

/// While it lives, Ctrl-C ends the program with its own exit code: a question would go on waiting.
struct CtrlC(signal_hook::SigId);

impl CtrlC {
    fn ends() -> Result<Self> {
        let always = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let id = signal_hook::flag::register_conditional_shutdown(SIGINT, Class::Interrupted as i32, always);
        Ok(Self(id.context("installing a signal handler")?))
    }
}

impl Drop for CtrlC {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::from_text;

    #[test]
    fn answers_complete_a_file_and_change_nothing_else() {
        let whole = site::tests::example();
        let lacking = whole
            .replace("domain = \"example.com\"\n", "# the domain\n")
            .replace("admin@example.com", "")
            .replace("accept_eula = true\n", "");
        let findings = from_text(&lacking).unwrap_err();
        assert!(findings.len() == 3 && findings.iter().all(is_asked), "{findings:?}");
        let answers = [
            ("site", "domain", "example.org".to_owned()),
            ("site", "mail", "me@example.org".to_owned()),
            ("install", "accept_eula", "yes".to_owned()),
        ];
        let text = complete(&lacking, &answers);
        let site = from_text(&text).unwrap();
        assert_eq!((site.site.domain.as_str(), site.site.mail.as_str()), ("example.org", "me@example.org"));
        assert!(text.contains("# the domain\n") && site.install.accept_eula);
    }

    #[test]
    fn secrets_and_wrong_values_are_not_asked_for() {
        let findings = from_text(&site::tests::example().replace("key = \"5a", "kay = \"5a")).unwrap_err();
        assert!(!findings.iter().any(is_asked), "{findings:?}");
        let findings = from_text(&site::tests::example().replace("admin@example.com", "admin")).unwrap_err();
        assert!(!findings.iter().any(is_asked), "{findings:?}");
        assert!(judge("mail", "x").is_err() && judge("accept_eula", "y").is_err());
    }
}
