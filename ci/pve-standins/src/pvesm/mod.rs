//! A stand-in for `pvesm` (pve-3.2-tools.md 11): add, set, remove and status of storages of the types dir and nfs.

mod activate;
mod config;
mod lock;
mod schema;
mod words;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::args::Args;
use crate::host::Host;
use config::{Config, Storage};

/// The file in the cluster file system.
const CONFIG: &str = "/etc/pve/storage.cfg";

/// Runs one command.
pub fn run(mut args: Args) -> Result<u8> {
    if !nix::unistd::geteuid().is_root() {
        bail!("please run as root");
    }
    let command = args.next().unwrap_or_default();
    if command == "help" {
        println!("{}", words::help());
        return Ok(0);
    }
    let Some(form) = words::form(&command) else {
        bail!("ERROR: unknown command '{command}'\n{}", words::help());
    };
    let (id, values) = words::read(form, &args.words)?;
    let host = Host::new();
    if form.name == "status" {
        status(&host);
        return Ok(0);
    }
    // What is wrong with a new one is found before anybody is kept waiting.
    let added = (form.name == "add").then(|| new(&id, values.clone())).transpose()?;
    let edited = lock::held(&host, || {
        let mut config = read(&host);
        match added {
            Some(storage) => add(&host, &mut config, storage)?,
            None if form.name == "set" => set(&mut config, &id, values)?,
            // One that is not there is as good as removed.
            None => config.0.retain(|storage| storage.id != id),
        }
        write(&host, &config)
    });
    let what = match form.name {
        "add" => "create",
        "set" => "update",
        _ => "delete",
    };
    edited.with_context(|| format!("{what} storage failed"))?;
    Ok(0)
}

/// A new storage of what was given.
fn new(id: &str, mut values: BTreeMap<String, String>) -> Result<Storage> {
    let name = values.remove("type").unwrap_or_default();
    let kind = schema::kind(&name).with_context(|| format!("the stand-in of pvesm has no type {name}"))?;
    Storage::new(id, kind, values)
}

fn add(host: &Host, config: &mut Config, storage: Storage) -> Result<()> {
    if config.get(&storage.id).is_some() {
        bail!("storage ID '{}' already defined", storage.id);
    }
    // To find what is wrong sooner.
    if activate::is_enabled(host, &storage) {
        activate::activate(host, &storage)?;
    }
    config.0.push(storage);
    Ok(())
}

fn set(config: &mut Config, id: &str, values: BTreeMap<String, String>) -> Result<()> {
    let found = config.0.iter_mut().find(|storage| storage.id == id);
    let storage = found.with_context(|| format!("storage '{id}' does not exists"))?;
    let kind = schema::kind(&storage.kind).context("a storage has a type")?;
    for (name, value) in values {
        if kind.fixed.contains(&name.as_str()) {
            bail!("can't change value of fixed parameter '{name}'");
        }
        let value = kind.decoded(&name, &value)?;
        storage.values.insert(name, value);
    }
    Ok(())
}

/// One line for each storage that this node uses, in the order of their ids; each is activated first.
fn status(host: &Host) {
    let config = read(host);
    let mut used: Vec<&Storage> =
        config.0.iter().filter(|storage| activate::is_enabled(host, storage)).collect();
    used.sort_by_key(|storage| &storage.id);
    let width = used.iter().map(|storage| storage.id.len()).max().unwrap_or_default() + 1;
    for storage in used {
        let looked = activate::activate(host, storage).and_then(|()| activate::space(host, storage));
        let space = looked.unwrap_or_else(|error| {
            eprintln!("{error}");
            None
        });
        println!("{}", line(storage, space, width));
    }
}

/// A line of the status, with total, used and available bytes if the storage is active.
#[expect(clippy::cast_precision_loss, reason = "a percentage, computed as the vendor does")]
fn line(storage: &Storage, space: Option<[u64; 3]>, width: usize) -> String {
    let [total, used, free] = space.unwrap_or_default();
    let percent = if used + free == 0 { 100.0 } else { 0.5 + (used as f64 * 100.0) / (used + free) as f64 };
    format!(
        "{:<width$} {:>5} {:1} {:15} {:15} {:15} {percent:.2}%",
        storage.id,
        storage.kind,
        u8::from(space.is_some()),
        total / 1024,
        used / 1024,
        free / 1024
    )
}

/// The file; one that is not there is empty. Its warnings go to standard error.
fn read(host: &Host) -> Config {
    let (config, warnings) = Config::parse(&std::fs::read_to_string(host.path(CONFIG)).unwrap_or_default());
    for warning in warnings {
        eprintln!("{warning}");
    }
    config
}

/// The safe way to write in /etc/pve: a file beside it, then a rename.
fn write(host: &Host, config: &Config) -> Result<()> {
    let path = host.path(CONFIG);
    let aside = path.with_extension(format!("cfg.tmp.{}", std::process::id()));
    let done = std::fs::write(&aside, config.text()).and_then(|()| std::fs::rename(&aside, &path));
    done.with_context(|| format!("unable to write {CONFIG}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_status() {
        let storage =
            new("a_mfs", [("type", "dir"), ("path", "/a")].map(|(n, v)| (n.into(), v.into())).into())
                .unwrap();
        let space = Some([4_096_000, 1_024_000, 3_072_000]);
        assert_eq!(
            line(&storage, space, 7),
            "a_mfs     dir 1            4000            1000            3000 25.50%"
        );
        assert_eq!(
            line(&storage, None, 7),
            "a_mfs     dir 0               0               0               0 100.00%"
        );
    }
}
