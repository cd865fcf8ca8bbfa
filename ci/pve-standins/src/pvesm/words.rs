//! The stand-in's reading of pvesm's words (CM data/PVE/JSONSchema.pm `get_options` of March 2014, read; pve-3.2-tools.md 4 and 11).

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::schema::{self, ADD, BOOLEANS, BOTH, LISTS, SET};

/// A command.
pub struct Form {
    /// Its name.
    pub name: &'static str,
    /// Has it a storage's id?
    pub has_id: bool,
    /// Its options.
    pub options: &'static [&'static str],
}

/// The commands that the stand-in has.
const FORMS: [Form; 4] = [
    Form { name: "add", has_id: true, options: &ADD },
    Form { name: "set", has_id: true, options: &SET },
    Form { name: "remove", has_id: true, options: &[] },
    Form { name: "status", has_id: false, options: &["storage", "content", "enabled", "target"] },
];

/// What was given: the id, and the options.
pub type Given = (String, BTreeMap<String, String>);

/// The command that a word means: its name, or the only one that begins so.
pub fn form(word: &str) -> Option<&'static Form> {
    let mut fitting = FORMS.iter().filter(|form| !word.is_empty() && form.name.starts_with(word));
    fitting.next().filter(|_| fitting.next().is_none())
}

/// Reads the words of a command.
pub fn read(form: &Form, words: &[String]) -> Result<Given> {
    let (mut plain, mut values) = (Vec::new(), BTreeMap::<String, String>::new());
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let option = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
        let Some(option) = option.filter(|option| !option.is_empty()) else {
            plain.push(word.clone());
            continue;
        };
        let (name, inline) = option.split_once('=').map_or((option, None), |(n, v)| (n, Some(v.to_owned())));
        let is_known =
            form.options.contains(&name) || (!form.options.is_empty() && form.has_id && BOTH.contains(&name));
        if !is_known {
            bail!("Unknown option: {name}\n400 unable to parse option");
        }
        // A boolean may do without a value, and takes the next word for one where there is one.
        let value = inline.or_else(|| words.next_if(|next| !next.starts_with('-')).cloned());
        let value = match value {
            Some(value) if BOOLEANS.contains(&name) => boolean(&value)?.to_owned(),
            None if BOOLEANS.contains(&name) => "1".to_owned(),
            Some(value) => value,
            None => bail!("Option {name} requires an argument\n400 unable to parse option"),
        };
        values
            .entry(name.to_owned())
            .and_modify(|old| {
                *old = if LISTS.contains(&name) { format!("{old},{value}") } else { value.clone() }
            })
            .or_insert(value);
    }
    if plain.len() != usize::from(form.has_id) {
        bail!("400 wrong number of arguments\n{}", usage(form));
    }
    let id = plain.pop().unwrap_or_default();
    let mut wrong: Vec<String> = values
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain(form.has_id.then_some(("storage", id.as_str())))
        .filter_map(|(name, value)| Some(format!("{name}: {}", schema::against(name, value)?)))
        .collect();
    if form.name == "add" && !values.contains_key("type") {
        wrong.push("type: property is missing and it is not optional".into());
    }
    if !wrong.is_empty() {
        bail!("400 Parameter verification failed.\n{}\n{}", wrong.join("\n"), usage(form));
    }
    Ok((id, values))
}

fn boolean(text: &str) -> Result<&'static str> {
    match text.to_lowercase().as_str() {
        "" | "1" | "true" | "yes" | "on" => Ok("1"),
        "0" | "false" | "no" | "off" => Ok("0"),
        _ => bail!("400 unable to parse boolean option"),
    }
}

/// One command's line of the usage.
fn usage(form: &Form) -> String {
    let id = if form.has_id { " <storage>" } else { "" };
    let kind = if form.name == "add" { " -type <string>" } else { "" };
    let more = if form.options.is_empty() { "" } else { " [OPTIONS]" };
    format!("pvesm {}{id}{kind}{more}", form.name)
}

/// All of them.
pub fn help() -> String {
    let lines: Vec<String> = FORMS.iter().map(usage).collect();
    format!("USAGE: pvesm <COMMAND> [ARGS] [OPTIONS]\n       {}", lines.join("\n       "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(line: &str) -> Result<Given> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        read(form(&words[0]).unwrap(), &words[1..])
    }

    #[test]
    fn the_type_is_an_option_in_3_2() {
        let (id, values) =
            given("add a_mfs -type dir --path /mnt/mfs/a -content images -content=iso -shared 1").unwrap();
        assert_eq!(
            (id.as_str(), values["type"].as_str(), values["content"].as_str()),
            ("a_mfs", "dir", "images,iso")
        );
        for (line, wanted) in [
            (
                "add dir a_mfs -path /a",
                "400 wrong number of arguments\npvesm add <storage> -type <string> [OPTIONS]",
            ),
            ("add a_mfs -path /a", "type: property is missing and it is not optional"),
            (
                "add a_mfs -type tape",
                "type: value 'tape' does not have a value in the enumeration 'dir, nfs, lvm, ",
            ),
            ("add a -type dir", "storage: invalid format - storage ID 'a' contains illegal characters"),
            ("add mfs- -type dir", "storage ID 'mfs-' contains"),
            ("add ab -type dir -mkdir 1", "Unknown option: mkdir\n400 unable to parse option"),
            (
                "add ab -type dir -path a",
                "path: invalid format - value does not look like a valid absolute path",
            ),
            ("add ab -type dir -content tapes", "content: invalid format - invalid content type 'tapes'"),
            ("add ab -type dir -maxfiles many", "maxfiles: type check ('integer') failed - got 'many'"),
            ("add ab -disable perhaps", "400 unable to parse boolean option"),
            ("add ab -type", "Option type requires an argument"),
            ("set ab -path /x", "Unknown option: path"),
            ("set ab -export /x", "Unknown option: export"),
            ("remove ab -shared 1", "Unknown option: shared"),
            ("remove", "400 wrong number of arguments"),
            ("status x", "400 wrong number of arguments"),
        ] {
            let error = given(line).unwrap_err().to_string();
            assert!(error.contains(wanted), "{line}: {error}");
        }
    }

    #[test]
    fn a_command_may_be_abbreviated_when_unique() {
        for (word, wanted) in
            [("add", Some("add")), ("r", Some("remove")), ("s", None), ("st", Some("status")), ("", None)]
        {
            assert_eq!(form(word).map(|form| form.name), wanted, "{word}");
        }
        assert_eq!(given("set x1 -shared").unwrap().1["shared"], "1");
        assert_eq!(given("set x1 -disable 0").unwrap().1["disable"], "0");
    }
}
