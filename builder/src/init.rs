//! `cias-builder init`: a commented site file with fresh secrets.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;
use cias_firstboot::{files, site};
use clap::Args;

mod keys;

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Where the site file goes.
    #[arg(long, value_name = "FILE", default_value = "site.toml")]
    pub out: PathBuf,
    /// Root's password as a $6$ or $5$ hash; `openssl passwd -6` makes one.
    #[arg(long, value_name = "HASH")]
    pub password_hash: Option<String>,
    /// The administrator's mail address.
    #[arg(long, value_name = "ADDRESS")]
    pub mail: Option<String>,
    /// The DNS domain of the nodes.
    #[arg(long, value_name = "DOMAIN", default_value = "example.com")]
    pub domain: String,
    /// Accept the licence of Proxmox VE.
    #[arg(long)]
    pub accept_eula: bool,
    /// Replace FILE if it exists, with new secrets.
    #[arg(long)]
    pub force: bool,
}

/// Writes the file; what is neither given nor asked for stays empty, and `check` names it.
pub fn init(args: &InitArgs) -> Result<()> {
    let shown = args.out.display();
    if args.out.exists() && !args.force {
        return Err(Class::Refused.error(format!(
            "{shown} exists, and new secrets would lock its nodes out: name another file with --out, or give --force"
        )));
    }
    let asks = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let hash = match &args.password_hash {
        Some(hash) => judged("--password-hash", hash, site::values::password_hash)?,
        None if asks => ask_password()?,
        None => String::new(),
    };
    let mail = match &args.mail {
        Some(mail) => judged("--mail", mail, site::values::mail)?,
        None if asks => ask("The administrator's mail address: ", site::values::mail)?,
        None => String::new(),
    };
    let agreed = |text: &str| Ok::<_, String>(text.eq_ignore_ascii_case("yes"));
    let eula = args.accept_eula
        || asks && ask("Have you read and do you accept the licence of Proxmox VE? (yes/no) ", agreed)?;
    let domain = judged("--domain", &args.domain, site::values::domain)?;
    let text = render(&[
        ("domain", &domain),
        ("mail", &mail),
        ("hash", &hash),
        ("eula", if eula { "true" } else { "false" }),
    ])?;
    files::write(&args.out, &text, 0o600)?;
    eprintln!("wrote {shown} with fresh secrets, mode 0600: keep it like a root password");
    if let Err(findings) = site::from_text(&text) {
        for finding in findings {
            eprintln!("still to do: {shown}:{finding}");
        }
    }
    eprintln!("next: cias-builder check {shown}");
    Ok(())
}

/// The file with its secrets; each placeholder stands once in the template.
fn render(values: &[(&str, &str)]) -> Result<String> {
    let (join, host) = (keys::pair("cias-join")?, keys::pair("cias-enrol")?);
    let (key, vrrp) = (keys::hexadecimal()?, keys::word()?);
    let secrets = [
        ("key", &key),
        ("join_key", &join.private),
        ("join_key_public", &join.public),
        ("enrol_host_key", &host.private),
        ("enrol_host_key_public", &host.public),
        ("vrrp_password", &vrrp),
    ];
    let mut text = include_str!("../../overlay/templates/site.toml").to_owned();
    for (name, value) in values
        .iter()
        .map(|(name, value)| (*name, *value))
        .chain(secrets.map(|(name, value)| (name, value.as_str())))
    {
        text = text.replace(&format!("@{name}@"), value);
    }
    Ok(text)
}

fn judged(option: &str, text: &str, judge: impl Fn(&str) -> Result<String, String>) -> Result<String> {
    judge(text).map_err(|wanted| Class::BadInput.error(format!("{option}: found {text:?}, wanted {wanted}")))
}

/// Asks until the answer is right.
fn ask<T>(question: &str, judge: impl Fn(&str) -> Result<T, String>) -> Result<T> {
    loop {
        eprint!("{question}");
        std::io::stderr().flush().context("asking")?;
        let mut line = String::new();
        anyhow::ensure!(
            std::io::stdin().read_line(&mut line).context("reading the answer")? > 0,
            "the answer ended"
        );
        match judge(line.trim()) {
            Ok(value) => return Ok(value),
            Err(wanted) => eprintln!("wanted {wanted}"),
        }
    }
}

/// Asks for root's password twice, without showing it, and returns its hash.
fn ask_password() -> Result<String> {
    loop {
        let first =
            rpassword::prompt_password("Root's password for all nodes: ").context("asking for a password")?;
        let second = rpassword::prompt_password("Once more: ").context("asking for a password")?;
        if first != second {
            eprintln!("the two differ");
        } else if first.len() < 8 {
            eprintln!("wanted at least eight characters");
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
    fn the_file_is_valid_but_for_what_only_the_user_knows() {
        let hash = format!("$6$salt${}", "a".repeat(86));
        let given = [("domain", "example.com"), ("mail", "a@example.com"), ("hash", &hash), ("eula", "true")];
        let text = render(&given).unwrap();
        assert!(!text.contains('@') || text.matches('@').count() == 1, "a placeholder is left");
        site::from_text(&text).unwrap();
        let text =
            render(&[("domain", "example.com"), ("mail", ""), ("hash", ""), ("eula", "false")]).unwrap();
        let keys: Vec<String> =
            site::from_text(&text).unwrap_err().into_iter().map(|finding| finding.key).collect();
        assert_eq!(keys, ["site.mail", "site.root_password_hash", "install.accept_eula"]);
    }
}
