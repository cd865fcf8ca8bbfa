//! postfix's `main.cf`: read as postconf(5) says, and changed in single settings; all else stays as it is. Pure.

/// A setting with the numbers of its lines; comments among them are not its own.
struct Setting {
    name: String,
    value: String,
    lines: Vec<usize>,
}

/// All settings in their order. A line that begins with a blank goes on with the one before it, over comments and empty lines too.
fn settings(text: &str) -> Vec<Setting> {
    let mut all: Vec<Setting> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        if line.starts_with(char::is_whitespace) {
            if let Some(setting) = all.last_mut() {
                setting.value.push(' ');
                setting.value.push_str(bare);
                setting.lines.push(at);
            }
            continue;
        }
        // What is no setting is postfix's to complain about, and what follows it belongs to it.
        let (name, value) = line.split_once('=').unwrap_or(("", line));
        all.push(Setting { name: name.trim().to_owned(), value: value.to_owned(), lines: vec![at] });
    }
    all
}

/// The value of `name`, with one blank where several are; the last one counts.
pub fn value(text: &str, name: &str) -> Option<String> {
    let setting = settings(text).into_iter().rfind(|setting| setting.name == name)?;
    Some(setting.value.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The text with `name` set to `value`: in its first place, or at the end. One that says so already is left.
pub fn with(text: &str, name: &str, wanted: &str) -> String {
    if value(text, name).as_deref() == Some(wanted) {
        return text.to_owned();
    }
    let line = format!("{name} = {wanted}");
    let found: Vec<Setting> = settings(text).into_iter().filter(|setting| setting.name == name).collect();
    let all: Vec<usize> = found.iter().flat_map(|setting| setting.lines.iter().copied()).collect();
    let mut lines: Vec<&str> = Vec::new();
    for (at, old) in text.lines().enumerate() {
        match all.iter().position(|own| *own == at) {
            Some(0) => lines.push(&line),
            Some(_) => {}
            None => lines.push(old),
        }
    }
    if all.is_empty() {
        lines.push(&line);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# of the vendor\nmyhostname=n.example.com\nrelayhost =\n\nmynetworks = 127.0.0.0/8,\n# among them\n\t10.0.0.0/8\nrelayhost = [a]\n  :26\nno setting\n";

    #[test]
    fn values_are_read_as_postfix_reads_them() {
        assert_eq!(value(TEXT, "myhostname").as_deref(), Some("n.example.com"));
        assert_eq!(value(TEXT, "mynetworks").as_deref(), Some("127.0.0.0/8, 10.0.0.0/8"));
        assert_eq!(value(TEXT, "relayhost").as_deref(), Some("[a] :26"));
        assert_eq!(value("relayhost =\n", "relayhost").as_deref(), Some(""));
        assert_eq!(value(TEXT, "biff"), None);
        assert_eq!(value("# relayhost = x\n relayhost = y\n", "relayhost"), None);
    }

    #[test]
    fn one_setting_changes_and_nothing_else() {
        let changed = with(TEXT, "relayhost", "[mail.example.com]:587");
        let wanted = "# of the vendor\nmyhostname=n.example.com\nrelayhost = [mail.example.com]:587\n\nmynetworks = 127.0.0.0/8,\n# among them\n\t10.0.0.0/8\nno setting\n";
        assert_eq!(changed, wanted);
        assert_eq!(with(&changed, "relayhost", "[mail.example.com]:587"), changed);
        assert_eq!(with(TEXT, "mynetworks", "x").matches("# among them\nrelayhost = [a]").count(), 1);
        assert_eq!(with("a = b", "biff", "no"), "a = b\nbiff = no\n");
        assert_eq!(with("biff  =\tno \n", "biff", "no"), "biff  =\tno \n", "it says so already");
    }
}
