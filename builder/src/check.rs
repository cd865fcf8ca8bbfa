//! `cias-builder check`: every finding in a site file, or the plan that follows from it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;
use cias_firstboot::site::{self, Finding, Site};
use clap::Args;
use serde_json::{Value, json};

use crate::iso9660::Image;

/// The largest table that is read from an image, in bytes.
const TABLE_LIMIT: u64 = 1 << 20;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The site file.
    #[arg(value_name = "FILE")]
    pub site: PathBuf,
    /// Compare country, keyboard and time zone with this ISO's tables.
    #[arg(long, value_name = "IN")]
    pub iso: Option<PathBuf>,
    /// Print findings or plan as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Prints the plan; any finding is bad input.
pub fn check(args: &CheckArgs) -> Result<()> {
    let shown = args.site.display();
    let text = std::fs::read_to_string(&args.site).with_context(|| format!("reading {shown}"))?;
    let mut findings: Vec<Finding> = mode_finding(&args.site)?.into_iter().collect();
    let site = site::from_text(&text).map_err(|found| findings.extend(found)).ok();
    if let (Some(site), Some(iso)) = (&site, &args.iso) {
        findings.extend(table_findings(site, iso)?);
    }
    if let (Some(site), true) = (site, findings.is_empty()) {
        if args.json {
            println!(
                "{}",
                serde_json::to_string_pretty(&json!({"site": site, "plan": plan_json(&site)}))
                    .context("writing JSON")?
            );
        } else {
            print!("{}", plan_text(&site));
        }
        return Ok(());
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&json!({"findings": findings})).context("writing JSON")?);
    } else {
        for finding in &findings {
            eprintln!("{shown}:{finding}");
        }
    }
    Err(Class::BadInput.error(format!(
        "{shown}: {} finding(s), mend them and run `cias-builder check` again",
        findings.len()
    )))
}

fn mode_finding(path: &Path) -> Result<Option<Finding>> {
    let metadata = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    let mode = metadata.permissions().mode() & 0o777;
    Ok((mode & 0o077 != 0).then(|| Finding {
        line: 1,
        column: 1,
        key: "(file)".into(),
        found: format!("mode {mode:04o}"),
        wanted: format!("0600, as it holds secrets: run `chmod 600 {}`", path.display()),
    }))
}

/// Country, keyboard and time zone must be in the tables that the vendor's installer reads (docs/facts.md 3.3).
fn table_findings(site: &Site, iso: &Path) -> Result<Vec<Finding>> {
    let image = Image::open(iso)?;
    let table = |path: &str| -> Result<String> {
        let entry = image
            .get(path)
            .ok_or_else(|| Class::BadInput.error(format!("{}: found no {path}", iso.display())))?;
        Ok(String::from_utf8_lossy(&image.read(entry, TABLE_LIMIT)?).into_owned())
    };
    let (countries, zones) = (table("/proxmox/country.dat")?, table("/usr/share/zoneinfo/zone.tab")?);
    let (mut codes, mut maps) = (BTreeSet::new(), BTreeSet::new());
    for line in countries.lines() {
        match line.split(':').collect::<Vec<_>>()[..] {
            ["map", id, ..] => maps.insert(id),
            [code, ..] => codes.insert(code),
            [] => false,
        };
    }
    let zone_of = |line: &'_ str| -> Option<(String, String)> {
        let mut fields = line.split('\t');
        Some((fields.next()?.to_ascii_lowercase(), fields.nth(1)?.trim().to_owned()))
    };
    let zones: BTreeSet<String> = zones
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(zone_of)
        // The installer offers only the zones of the chosen country.
        .filter(|(code, _)| *code == site.site.country)
        .map(|(_, zone)| zone)
        .collect();
    let all = |set: &BTreeSet<&str>| set.iter().copied().collect::<Vec<_>>().join(", ");
    let names = |key: &str, found: &str, wanted: String| Finding {
        line: 1,
        column: 1,
        key: key.into(),
        found: format!("{found:?}"),
        wanted: format!("one that the image knows: {wanted}"),
    };
    let (country, keyboard, zone) = (&site.site.country, &site.site.keyboard, &site.site.timezone);
    let mut findings = Vec::new();
    if !codes.contains(country.as_str()) {
        findings.push(names("site.country", country, all(&codes)));
    }
    if !maps.contains(keyboard.as_str()) {
        findings.push(names("site.keyboard", keyboard, all(&maps)));
    }
    if !zones.contains(zone) {
        findings.push(names("site.timezone", zone, zones.into_iter().collect::<Vec<_>>().join(", ")));
    }
    Ok(findings)
}

fn founder(site: &Site) -> String {
    let pinned = |what: &str, value: &Option<String>| value.as_ref().map(|value| format!("{what} {value}"));
    pinned("MAC", &site.role.founder_mac)
        .or_else(|| pinned("serial", &site.role.founder_serial))
        .unwrap_or_else(|| "nobody: pin one in [role], or every server waits".into())
}

fn plan_json(site: &Site) -> Value {
    let place = site.founder_place(None);
    let (rows, positions) = (site.nodes.rows, site.nodes.positions);
    let count =
        (u32::from(rows.1) - u32::from(rows.0) + 1) * (u32::from(positions.1) - u32::from(positions.0) + 1);
    json!({
        "founder": {"pinned_by": founder(site), "address": place.address, "fqdn": place.fqdn},
        "pool": {
            "first": site.address_of((rows.0, positions.0)),
            "last": site.address_of((rows.1, positions.1)),
            "nodes": count,
        },
    })
}

fn plan_text(site: &Site) -> String {
    let plan = plan_json(site);
    let text = |pointer: &str| {
        plan.pointer(pointer)
            .map_or(String::new(), |value| value.as_str().map_or(value.to_string(), str::to_owned))
    };
    let net = &site.network;
    let filter = serde_json::to_value(&site.install.disk).unwrap_or_default();
    let filters: Vec<String> = filter
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    let filters = if filters.is_empty() { "the only one there is".to_owned() } else { filters.join(", ") };
    format!(
        "cluster   {} ({})\n\
         founder   {} at {}, pinned by {}\n\
         nodes     {} to {}, room for {}\n\
         Master    {} (moves with the role)\n\
         network   {}/{}, gateway {}, bond0 {} below vmbr0\n\
         system    on the disk: {filters}\n\
         data      every other disk; may be formatted: {}\n\
         mail      {}\n",
        site.site.cluster_name,
        site.site.domain,
        text("/founder/fqdn"),
        text("/founder/address"),
        text("/founder/pinned_by"),
        text("/pool/first"),
        text("/pool/last"),
        text("/pool/nodes"),
        net.vip,
        net.lan.base,
        net.lan.prefix,
        net.gateway,
        net.bond_mode,
        match site.disks.wipe.as_str() {
            "blank" => "blank ones only",
            "foreign" => "also those with foreign data",
            _ => "all that are not in use",
        },
        site.site.mail,
    )
}
