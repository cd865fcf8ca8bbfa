//! The isolinux configuration: reads the vendor's, adds a label that installs unattended.

use anyhow::Result;
use cias_firstboot::outcome::Class;

/// Name of the label that starts by itself: the guard, then the installation.
pub const LABEL: &str = "cias";
/// Name of the label that starts the installation without the guard, and can be given more kernel words.
pub const DIRECT: &str = "cias-direct";
/// Name of the label that installs a server again.
pub const REINSTALL: &str = "cias-reinstall";
/// The guard, beside the menu. isolinux takes any file of an unknown kind for a kernel.
pub const GUARD: &str = "cias.lnx";
/// Kernel word that allows to overwrite a finished installation.
pub const REINSTALL_WORD: &str = "cias.reinstall";
/// Kernel word that makes the installation unattended.
pub const AUTO_WORD: &str = "cias.auto";
/// Tenths of a second until the default label starts: time to choose another.
const TIMEOUT: u32 = 100;
/// Settings of the vendor's file that would override ours wherever they stand.
const OVERRIDDEN: [&str; 6] = ["default", "timeout", "totaltimeout", "ontimeout", "prompt", "display"];
/// File with the text above the prompt, beside the menu.
pub const NOTICE: &str = "cias.txt";

/// A parsed configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Menu {
    /// Value of `default`, if set.
    pub default: Option<String>,
    /// Whether a menu program shows the labels, instead of the `boot:` prompt.
    pub graphical: bool,
    /// Arguments for labels that have none of their own.
    pub append: Option<String>,
    /// All labels in order.
    pub labels: Vec<Label>,
}

/// One label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Kernel file, as written.
    pub kernel: Option<String>,
    /// Kernel arguments, as written.
    pub append: Option<String>,
    /// Value of the `initrd` setting.
    pub initrd: Option<String>,
}

impl Label {
    /// The initrd files, from the setting or from the kernel arguments.
    pub fn initrds(&self) -> Vec<&str> {
        let word = || {
            let words = self.append.iter().flat_map(|text| text.split_whitespace());
            words.filter_map(|word| word.strip_prefix("initrd=")).next_back()
        };
        let value = self.initrd.as_deref().or_else(word).unwrap_or_default();
        value.split(',').filter(|name| !name.is_empty()).collect()
    }
}

/// Splits a line into keyword (lower case) and value; nothing for blank lines and comments.
fn setting(line: &str) -> Option<(String, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    Some((key.to_ascii_lowercase(), value.trim()))
}

/// Value of a setting of the whole menu; the last one counts, as for isolinux.
pub fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().filter_map(setting).filter(|(found, _)| found == key).map(|(_, value)| value).next_back()
}

/// Reads a configuration.
pub fn parse(text: &str) -> Menu {
    let mut menu = Menu { default: None, graphical: false, append: None, labels: Vec::new() };
    for (key, value) in text.lines().filter_map(setting) {
        let owned = Some(value.to_owned());
        match (key.as_str(), menu.labels.last_mut()) {
            ("default", _) => menu.default = owned,
            ("ui", _) => menu.graphical = true,
            ("label", _) => menu.labels.push(Label { name: value.to_owned(), ..Label::default() }),
            ("kernel" | "linux", Some(label)) => label.kernel = owned,
            ("append", Some(label)) => label.append = owned,
            ("append", None) => menu.append = owned,
            ("initrd", Some(label)) => label.initrd = owned,
            _ => {}
        }
    }
    menu.graphical |= menu.program().is_some();
    for label in &mut menu.labels {
        // A dash means: none, not even the global arguments.
        label.append = match label.append.take() {
            Some(text) if text == "-" => None,
            None => menu.append.clone(),
            own => own,
        };
    }
    menu
}

impl Menu {
    /// The menu program that stands where a default label could stand.
    fn program(&self) -> Option<&str> {
        let program = self.default.as_deref()?;
        program.split_whitespace().next()?.strip_suffix(".c32").map(|_| program)
    }

    /// The label that starts the vendor's normal installation: the default one, or `linux`.
    pub fn normal(&self) -> Result<&Label> {
        let usable = |label: &&Label| label.kernel.is_some() && !label.initrds().is_empty();
        let named = |name: &str| self.labels.iter().find(|label| label.name.eq_ignore_ascii_case(name));
        let default = self.default.as_deref().and_then(|value| value.split_whitespace().next());
        default.and_then(named).filter(usable).or_else(|| named("linux").filter(usable)).ok_or_else(|| {
            let known: Vec<_> = self.labels.iter().map(|label| label.name.as_str()).collect();
            Class::BadInput.error(format!(
                "the boot menu has no default label and no label `linux` with kernel and initrd, found \
                     labels: [{}]; use the vendor's unchanged ISO",
                known.join(", ")
            ))
        })
    }
}

/// The new configuration: a head with our labels, then the vendor's text. In that text only the settings which
/// would override the head are turned into comments, and `serial`, which must come first, moves up.
pub fn render(vendor: &str) -> Result<String> {
    let menu = parse(vendor);
    let ours = |name: &str| [LABEL, DIRECT, REINSTALL].iter().any(|own| name.eq_ignore_ascii_case(own));
    if let Some(label) = menu.labels.iter().find(|label| ours(&label.name)) {
        return Err(Class::BadInput.error(format!(
            "the boot menu has a label `{}` already; use the vendor's unchanged ISO",
            label.name
        )));
    }
    let normal = menu.normal()?;
    let is = |line: &str, keys: &[&str]| setting(line).is_some_and(|(key, _)| keys.contains(&key.as_str()));
    let serial = vendor.lines().filter(|line| is(line, &["serial"]));
    let mut lines: Vec<String> = serial.map(str::to_owned).collect();
    if menu.graphical {
        lines.extend(menu.program().map(|program| format!("default {program}")));
    } else {
        lines.push(format!("default {LABEL}"));
    }
    lines.extend([
        format!("prompt {}", u8::from(!menu.graphical)),
        format!("timeout {TIMEOUT}"),
        format!("ontimeout {LABEL}"),
        format!("display {NOTICE}"),
        String::new(),
    ]);
    lines.extend([format!("label {LABEL}"), format!("linux {GUARD}"), String::new()]);
    for (name, words) in [(DIRECT, &[AUTO_WORD][..]), (REINSTALL, &[AUTO_WORD, REINSTALL_WORD])] {
        lines.extend(label_lines(name, normal, words));
        lines.push(String::new());
    }
    lines.push("# The vendor's menu. Lines marked `vendor:` were settings of the whole menu.".to_owned());
    lines.extend(vendor.lines().filter(|line| !is(line, &["serial"])).map(|line| {
        let mark = if is(line, &OVERRIDDEN) { "# vendor: " } else { "" };
        format!("{mark}{line}")
    }));
    Ok(lines.join("\n") + "\n")
}

/// The text above the prompt: what happens by itself, when, and how to stop it.
pub fn notice(vendor: &str, site: &str) -> String {
    let labels: Vec<String> = parse(vendor).labels.into_iter().map(|label| label.name).collect();
    format!(
        "\r\nCIAS, site {site}\r\n\
         In {} seconds this server INSTALLS ITSELF WITHOUT A QUESTION;\r\n\
         if this medium installed it before, its own system starts instead.\r\n\
         Any key stops the clock. Then type: {LABEL} to go on, {REINSTALL} to install\r\n\
         once more (ALL DATA IS LOST), or a label of the vendor's: {}\r\n\r\n",
        TIMEOUT / 10,
        labels.join(", ")
    )
}

fn label_lines(name: &str, normal: &Label, more: &[&str]) -> Vec<String> {
    let mut lines = vec![format!("label {name}")];
    lines.extend(normal.kernel.iter().map(|kernel| format!("kernel {kernel}")));
    lines.extend(normal.initrd.iter().map(|initrd| format!("initrd {initrd}")));
    let words = normal.append.as_deref().into_iter().chain(more.iter().copied());
    lines.push(format!("append {}", words.collect::<Vec<_>>().join(" ")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "serial 0 115200\nPROMPT 1\ntimeout 50\nDEFAULT linux\ndisplay pve.txt\n\nlabel linux\n  kernel linux26\n  append initrd=initrd.img rw quiet\nlabel debug\n  kernel linux26\n  append initrd=initrd.img rw proxdebug\n";

    #[test]
    fn the_new_labels_start_the_guard_or_what_the_normal_one_starts() {
        let text = render(PLAIN).unwrap();
        let menu = parse(&text);
        assert_eq!(menu.default.as_deref(), Some("cias"));
        let names: Vec<_> = menu.labels.iter().map(|label| label.name.as_str()).collect();
        assert_eq!(names[..3], ["cias", "cias-direct", "cias-reinstall"]);
        assert_eq!(menu.labels[0].kernel.as_deref(), Some(GUARD));
        assert_eq!(menu.labels[1].append.as_deref(), Some("initrd=initrd.img rw quiet cias.auto"));
        let again = Some("initrd=initrd.img rw quiet cias.auto cias.reinstall");
        assert_eq!(menu.labels[2].append.as_deref(), again);
        assert_eq!(menu.labels[1].initrds(), ["initrd.img"]);
        assert_eq!(menu.labels[3..], parse(PLAIN).labels[..]);
    }

    #[test]
    fn serial_stays_first_and_vendor_settings_become_comments() {
        let text = render(PLAIN).unwrap();
        assert!(text.starts_with("serial 0 115200\n"), "{text}");
        assert!(
            text.contains("# vendor: timeout 50\n") && text.contains("# vendor: DEFAULT linux\n"),
            "{text}"
        );
        assert!(text.ends_with("label linux\n  kernel linux26\n  append initrd=initrd.img rw quiet\nlabel debug\n  kernel linux26\n  append initrd=initrd.img rw proxdebug\n"));
        assert!(text.contains("# vendor: display pve.txt\n") && text.contains("\ndisplay cias.txt\n"));
    }

    #[test]
    fn the_normal_label_is_the_default_or_linux() {
        let body = "kernel k\nappend initrd=i\n";
        let table = [
            (format!("default a\nlabel a\n{body}label linux\n{body}"), Some("a")),
            (format!("default hd\nlabel hd\nlocalboot 0x80\nlabel linux\n{body}"), Some("linux")),
            (format!("default vesamenu.c32\nlabel linux\n{body}"), Some("linux")),
            ("label linux\nkernel k\n".to_owned(), None),
            (format!("label other\n{body}"), None),
            (String::new(), None),
        ];
        for (text, wanted) in table {
            let menu = parse(&text);
            assert_eq!(menu.normal().ok().map(|label| label.name.as_str()), wanted, "{text}");
        }
    }

    #[test]
    fn global_arguments_count_unless_a_dash_clears_them() {
        let menu = parse("append initrd=g\nlabel a\nkernel k\nlabel b\nkernel k\nappend -\n");
        assert_eq!(menu.labels[0].initrds(), ["g"]);
        assert!(menu.labels[1].initrds().is_empty());
    }

    #[test]
    fn a_menu_program_stays_and_times_out_into_our_label() {
        let text = render("default vesamenu.c32\nlabel linux\nkernel k\nappend initrd=i\n").unwrap();
        assert!(text.starts_with("default vesamenu.c32\nprompt 0\ntimeout 100\nontimeout cias\n"), "{text}");
        assert!(notice(PLAIN, "site X").contains("linux, debug"));
    }

    #[test]
    fn an_image_that_is_ours_already_is_refused() {
        let ours = render(PLAIN).unwrap();
        assert!(render(&ours).is_err());
    }
}
