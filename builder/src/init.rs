//! `cias-builder init`: a commented site file with fresh secrets.

use std::fmt;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Result;
use cias_firstboot::interrupt::Interrupt;
use cias_firstboot::outcome::Class;
use cias_firstboot::{files, site};
use clap::Args;

mod keys;
mod terminal;

use terminal::{Asking, line};

/// How to treat a file with secrets.
const CARE: &str = "# It holds secrets: keep it at mode 0600, and keep a copy where you keep root passwords.";

/// Where a password hash comes from.
const HASH_NOTE: &str = "# $6$ or $5$, as `openssl passwd -6` makes it";

/// Arguments of `init`.
#[derive(Args)]
pub struct InitArgs {
    /// Where the site file goes
    #[arg(long, value_name = "FILE", default_value = "site.toml")]
    pub out: PathBuf,
    /// Put all secrets into a second file of this name, in the folder of the site file
    #[arg(long, value_name = "NAME")]
    pub secrets: Option<String>,
    /// Root's password as a $6$ or $5$ hash; `openssl passwd -6` makes one
    #[arg(long, value_name = "HASH")]
    pub password_hash: Option<String>,
    /// The administrator's mail address
    #[arg(long, value_name = "ADDRESS")]
    pub mail: Option<String>,
    /// The DNS domain of the nodes
    #[arg(long, value_name = "DOMAIN", default_value = "example.com")]
    pub domain: String,
    /// Accept the licence of Proxmox VE, which the installer would ask for
    #[arg(long)]
    pub accept_eula: bool,
    /// Replace files that exist; nodes of the old secrets are locked out
    #[arg(long)]
    pub force: bool,
}

impl fmt::Debug for InitArgs {
    /// Without the hash.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { out: file, secrets, .. } = self;
        out.debug_struct("InitArgs").field("out", file).field("secrets", secrets).finish_non_exhaustive()
    }
}

/// What only the user knows. Nothing is an empty text, and `check` names it.
#[derive(Default)]
struct Given {
    domain: String,
    mail: String,
    hash: String,
    eula: bool,
}

/// Writes the file, and the second one if it is wanted; what is neither given nor asked for stays empty.
pub fn init(args: &InitArgs) -> Result<()> {
    let shown = site::visible(&args.out.display().to_string());
    let name =
        args.secrets.as_ref().map(|name| judged("--secrets", name, |name| site::beside(&args.out, name)));
    let second = name.transpose()?.map(|name| args.out.with_file_name(name));
    for file in std::iter::once(&args.out).chain(&second) {
        may_write(file, args.force)?;
    }
    // From here on no interruption parts the two files: it is heard, and writing takes no time.
    let interrupt = Interrupt::install()?;
    let given = given(args, &interrupt)?;
    interrupt.check()?;
    let (first, secrets) = render(&given, args.secrets.as_deref())?;
    if let Some((path, text)) = second.as_ref().zip(secrets) {
        files::write(path, text, 0o600)?;
        files::write(&args.out, first, 0o644)?;
        let path = site::visible(&path.display().to_string());
        eprintln!("wrote {shown}, and fresh secrets to {path}, mode 0600: keep it like a root password");
    } else {
        files::write(&args.out, first, 0o600)?;
        eprintln!("wrote {shown} with fresh secrets, mode 0600: keep it like a root password");
    }
    for finding in site::examine(&args.out)?.err().unwrap_or_default() {
        eprintln!("still to do: {finding}");
    }
    eprintln!("next: cias-builder check {shown}");
    Ok(())
}

/// Refuses a file that must not be replaced, before anything is asked: new secrets would lock the nodes of the old ones out,
/// and in the place of a device, a folder or a link a file would do harm that no --force means.
fn may_write(file: &Path, force: bool) -> Result<()> {
    let shown = site::visible(&file.display().to_string());
    match file.symlink_metadata() {
        Ok(found) if !found.is_file() => Err(Class::Refused.error(format!(
            "{shown} is no plain file, and nothing else is ever replaced: name another file"
        ))),
        Ok(_) if !force => Err(Class::Refused.error(format!(
            "{shown} exists, and new secrets would lock its nodes out: name another file, or give --force"
        ))),
        Ok(_) => Ok(()),
        Err(_) => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let Some(folder) = folder.filter(|folder| !folder.is_dir()) else { return Ok(()) };
            let shown = site::visible(&folder.display().to_string());
            Err(Class::BadInput.error(format!(
                "--out: found no folder {shown}, wanted one that exists: make it with `mkdir -p`, or name another"
            )))
        }
    }
}

/// Takes from the options what is there, and asks for the rest where somebody can answer.
fn given(args: &InitArgs, interrupt: &Interrupt) -> Result<Given> {
    // What stands on the command line is judged before anything is asked.
    let domain = judged("--domain", &args.domain, site::values::domain)?;
    let asks = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let asking = asks.then(|| Asking::begin(interrupt)).transpose()?;
    let hash = match (&args.password_hash, &asking) {
        (Some(hash), _) => site::values::password_hash(hash).map_err(|wanted| {
            // Who gives a password instead has it in the shell's history already; let it go no further.
            Class::BadInput
                .error(format!("--password-hash: found something else (not shown), wanted {wanted}"))
        })?,
        (None, Some(asking)) => ask_password(asking)?,
        (None, None) => String::new(),
    };
    let mail = match (&args.mail, &asking) {
        (Some(mail), _) => judged("--mail", mail, site::values::mail)?,
        (None, Some(_)) => ask("The administrator's mail address: ", site::values::mail)?,
        (None, None) => String::new(),
    };
    let agreed = |text: &str| Ok::<_, String>(text.eq_ignore_ascii_case("yes"));
    let licence = "Have you read and do you accept the licence of Proxmox VE? (yes/no) ";
    let eula = match &asking {
        Some(_) if !args.accept_eula => ask(licence, agreed)?,
        _ => args.accept_eula,
    };
    Ok(Given { domain, mail, hash, eula })
}

/// The site file and, if its secrets go to a file of that name, the second one.
fn render(given: &Given, second: Option<&str>) -> Result<(String, Option<String>)> {
    let (join, host) = (keys::pair("cias-join")?, keys::pair("cias-enrol")?);
    let (key, vrrp) = (keys::hexadecimal()?, keys::word()?);
    let secrets = fill(
        include_str!("../../overlay/templates/secrets.toml"),
        &[
            ("key", &key),
            ("join_key", &join.private),
            ("join_key_public", &join.public),
            ("enrol_host_key", &host.private),
            ("enrol_host_key_public", &host.public),
            ("vrrp_password", &vrrp),
        ],
    );
    let hash = format!("{HASH_NOTE}\nroot_password_hash = \"{}\"", given.hash);
    let site = |root: &str, care: &str, secrets: &str| {
        let eula = given.eula.to_string();
        let values = [("domain", &*given.domain), ("mail", &given.mail), ("eula", &eula)];
        let parts = [("root", root), ("care", care), ("secrets", secrets)];
        fill(include_str!("../../overlay/templates/site.toml"), &[values, parts].concat())
    };
    Ok(match second {
        None => (site(&hash, CARE, &format!("{secrets}\n")), None),
        Some(name) => {
            let root = format!("# The second file, at mode 0600\nsecrets_file = {name:?}");
            let care = format!("# Its secrets stand in {name}, a file beside this one.");
            let second =
                format!("# The secrets of a site, for its site file.\n{CARE}\n[site]\n{hash}\n\n{secrets}");
            (site(&root, &care, ""), Some(second))
        }
    })
}

/// A template with its values; each placeholder stands in it once.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), value))
}

fn judged(option: &str, text: &str, judge: impl Fn(&str) -> Result<String, String>) -> Result<String> {
    judge(text).map_err(|wanted| {
        Class::BadInput.error(format!("{option}: found {}, wanted {wanted}", site::shown_value(text)))
    })
}

/// Asks until the answer is right.
fn ask<T>(question: &str, judge: impl Fn(&str) -> Result<T, String>) -> Result<T> {
    loop {
        match judge(line(question)?.trim()) {
            Ok(value) => return Ok(value),
            Err(wanted) => eprintln!("wanted {wanted}"),
        }
    }
}

/// Asks for root's password twice, without showing it, and returns its hash.
fn ask_password(asking: &Asking) -> Result<String> {
    loop {
        let first = asking.password("Root's password for all nodes: ")?;
        let second = asking.password("Once more: ")?;
        if first != second {
            eprintln!("the two differ");
        } else if first.len() < 8 {
            eprintln!("wanted at least eight characters");
        } else if first.chars().any(char::is_control) {
            eprintln!("wanted no keys that write nothing, such as arrows");
        } else {
            let rounds = sha_crypt::Sha512Params::new(sha_crypt::ROUNDS_DEFAULT);
            let rounds = rounds.map_err(|error| anyhow::anyhow!("choosing rounds: {error:?}"))?;
            return sha_crypt::sha512_simple(&first, &rounds)
                .map_err(|error| anyhow::anyhow!("hashing: {error:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hashed_password_is_one_that_the_site_accepts() {
        let rounds = sha_crypt::Sha512Params::new(sha_crypt::ROUNDS_DEFAULT).unwrap();
        let hash = sha_crypt::sha512_simple("correct horse", &rounds).unwrap();
        assert_eq!(site::values::password_hash(&hash), Ok(hash));
    }

    #[test]
    fn the_options_show_no_hash() {
        let hash = Some("$6$hunter2".to_owned());
        let args = InitArgs {
            out: "site.toml".into(),
            secrets: None,
            password_hash: hash,
            mail: None,
            domain: "example.com".into(),
            accept_eula: false,
            force: false,
        };
        let shown = format!("{args:?} {args:#?}");
        assert!(shown.contains("site.toml") && !shown.contains("hunter2"), "{shown}");
    }

    fn complete() -> Given {
        let hash = format!("$6$salt${}", "a".repeat(86));
        Given { domain: "example.com".into(), mail: "a@example.com".into(), hash, eula: true }
    }

    #[test]
    fn the_file_is_valid_but_for_what_only_the_user_knows() {
        let (text, second) = render(&complete(), None).unwrap();
        assert!(second.is_none());
        assert_eq!(text.matches('@').count(), 2, "a placeholder is left: {text}");
        site::from_text(&text).unwrap();
        let empty = Given { domain: "example.com".into(), ..Given::default() };
        let text = render(&empty, None).unwrap().0;
        let keys: Vec<String> =
            site::from_text(&text).unwrap_err().into_iter().map(|finding| finding.key).collect();
        assert_eq!(keys, ["site.mail", "site.root_password_hash", "install.accept_eula"]);
    }

    /// The file with every line behind `mark` made a key.
    fn uncommented(text: &str, mark: &str) -> String {
        let key = |line: &str| match line.strip_prefix(mark) {
            Some(rest)
                if rest.starts_with('[')
                    || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                format!("{rest}\n")
            }
            _ => format!("{line}\n"),
        };
        text.lines().map(key).collect::<Vec<_>>().concat()
    }

    #[test]
    fn what_the_comments_call_defaults_are_the_defaults() {
        let text = render(&complete(), None).unwrap().0;
        let defaults = uncommented(&text, "# ");
        assert!(defaults.lines().count() == text.lines().count() && defaults.contains("\ntrash_time"));
        let json = |text: &str| serde_json::to_string_pretty(&site::from_text(text).unwrap()).unwrap();
        assert_eq!(json(&defaults), json(&text));
    }

    #[test]
    fn the_examples_in_the_comments_are_valid() {
        let text = render(&complete(), None).unwrap().0;
        let examples = uncommented(&text, "#~ ");
        assert!(!examples.lines().any(|line| line.starts_with("#~")));
        let site = site::from_text(&examples).unwrap();
        assert_eq!((site.nodes.machine.len(), site.nas.len()), (1, 1));
    }
}
