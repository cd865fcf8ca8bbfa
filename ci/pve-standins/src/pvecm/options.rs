//! The stand-in's reading of pvecm's words, with the rule of `Getopt::Long` that makes a boolean option swallow the next
//! word (pve-3.2-tools.md 4).

use anyhow::{Context, Result, bail};

/// What a command takes.
pub struct Form {
    /// Its name.
    pub name: &'static str,
    /// Its plain words.
    pub plain: &'static [&'static str],
    /// Its options that are numbers.
    pub numbers: &'static [&'static str],
    /// Its boolean options.
    pub booleans: &'static [&'static str],
}

/// All commands.
pub const FORMS: [Form; 10] = [
    Form { name: "create", plain: &["clustername"], numbers: &["nodeid", "votes"], booleans: &[] },
    Form { name: "add", plain: &["hostname"], numbers: &["nodeid", "votes"], booleans: &["force"] },
    Form { name: "addnode", plain: &["node"], numbers: &["nodeid", "votes"], booleans: &["force"] },
    Form { name: "delnode", plain: &["node"], numbers: &[], booleans: &[] },
    Form { name: "expected", plain: &["expected"], numbers: &[], booleans: &[] },
    Form { name: "status", plain: &[], numbers: &[], booleans: &[] },
    Form { name: "nodes", plain: &[], numbers: &[], booleans: &[] },
    Form { name: "updatecerts", plain: &[], numbers: &[], booleans: &["force", "silent"] },
    Form { name: "keygen", plain: &["filename"], numbers: &[], booleans: &[] },
    Form { name: "help", plain: &[], numbers: &[], booleans: &[] },
];

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The plain word; commands take at most one.
    pub word: String,
    /// `-nodeid`.
    pub nodeid: Option<u32>,
    /// `-votes`; 0 is as if it were not given.
    pub votes: Option<u32>,
    /// `-force`.
    pub force: bool,
    /// `-silent`.
    pub silent: bool,
}

/// The command that a word means: its name, or the only one that begins so.
pub fn form(word: &str) -> Option<&'static Form> {
    if let Some(form) = FORMS.iter().find(|form| form.name == word) {
        return Some(form);
    }
    let mut fitting = FORMS.iter().filter(|form| !word.is_empty() && form.name.starts_with(word));
    fitting.next().filter(|_| fitting.next().is_none())
}

/// Reads the words of a command.
pub fn read(form: &Form, words: &[String]) -> Result<Given> {
    let (mut given, mut plain) = (Given::default(), Vec::new());
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(option) =
            word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|o| !o.is_empty())
        else {
            plain.push(word.clone());
            continue;
        };
        let (name, inline) =
            option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        let known = form.numbers.contains(&name) || form.booleans.contains(&name);
        anyhow::ensure!(known, "Unknown option: {name}\n400 unable to parse option");
        // Numbers and booleans both take the next word; only a boolean may do without one.
        let next = || words.next_if(|next| !next.starts_with('-')).cloned();
        let value = inline.map(str::to_owned).or_else(next);
        if form.booleans.contains(&name) {
            let value = boolean(value.as_deref().unwrap_or("1"))?;
            if name == "force" { given.force = value } else { given.silent = value }
        } else {
            let value = value
                .with_context(|| format!("Option {name} requires an argument\n400 unable to parse option"))?;
            let number = value.parse().ok();
            let number = number.with_context(|| {
                format!("400 Parameter verification failed.\n{name}: type check ('integer') failed - got '{value}'")
            })?;
            if name == "nodeid" {
                anyhow::ensure!(
                    number > 0,
                    "400 Parameter verification failed.\nnodeid: value must have a minimum value of 1"
                );
                given.nodeid = Some(number);
            } else {
                given.votes = Some(number).filter(|votes| *votes > 0);
            }
        }
    }
    if plain.len() < form.plain.len() {
        bail!("400 not enough arguments\n{}", usage(form));
    }
    if plain.len() > form.plain.len() {
        bail!("400 wrong number of arguments\n{}", usage(form));
    }
    given.word = plain.pop().unwrap_or_default();
    Ok(given)
}

fn boolean(text: &str) -> Result<bool> {
    match text.to_lowercase().as_str() {
        "" | "1" | "on" | "yes" | "true" => Ok(true),
        "0" | "off" | "no" | "false" => Ok(false),
        _ => bail!("unable to parse boolean option"),
    }
}

/// One command's line of the usage.
pub fn usage(form: &Form) -> String {
    let plain = form.plain.iter().map(|word| format!(" <{word}>"));
    let more = if form.numbers.is_empty() && form.booleans.is_empty() { "" } else { " [OPTIONS]" };
    format!("pvecm {}{}{more}", form.name, plain.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(words: &[&str]) -> Result<Given> {
        read(form("add").unwrap(), &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_boolean_swallows_the_next_word() {
        let error = add(&["-force", "10.0.0.1"]).unwrap_err().to_string();
        assert_eq!(error, "unable to parse boolean option");
        for words in [
            &["10.0.0.1", "-force", "1"][..],
            &["10.0.0.1", "--force"],
            &["--force=1", "10.0.0.1"],
            &["-force", "1", "10.0.0.1"],
        ] {
            let given = add(words).unwrap();
            assert_eq!((given.word.as_str(), given.force), ("10.0.0.1", true), "{words:?}");
        }
        assert!(!add(&["10.0.0.1", "-force", "0"]).unwrap().force);
    }

    #[test]
    fn parameter_errors_begin_with_400() {
        for words in [&[][..], &["a", "b"], &["a", "-nodeid", "x"], &["a", "-nodeid", "0"]] {
            assert!(add(words).unwrap_err().to_string().starts_with("400 "), "{words:?}");
        }
        assert!(add(&["a", "-what", "1"]).unwrap_err().to_string().contains("400 unable to parse option"));
    }

    #[test]
    fn votes_of_zero_are_as_if_not_given() {
        assert_eq!(add(&["a", "-votes", "0"]).unwrap().votes, None);
        assert_eq!(
            add(&["a", "-votes", "2", "-nodeid", "5"]).unwrap(),
            Given { word: "a".into(), nodeid: Some(5), votes: Some(2), ..Given::default() }
        );
    }

    #[test]
    fn commands_may_be_abbreviated_when_unique() {
        for (word, wanted) in [
            ("add", Some("add")),
            ("addn", Some("addnode")),
            ("st", Some("status")),
            ("ad", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(form(word).map(|form| form.name), wanted, "{word}");
        }
    }
}
