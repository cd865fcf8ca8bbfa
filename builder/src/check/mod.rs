//! `cias-builder check`: every finding in a site file, or the plan that follows from it.

mod plan;

use std::path::{Path, PathBuf};

use anyhow::Result;
use cias_firstboot::outcome::Class;
use cias_firstboot::site::tables::{self, Tables};
use cias_firstboot::site::{self, Loaded};
use clap::Args;
use serde_json::json;

use crate::iso9660::Image;
use crate::output;
use plan::Plan;

/// The largest table that is read from an image, in bytes.
const TABLE_LIMIT: u64 = 1 << 20;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The site file
    #[arg(value_name = "FILE")]
    pub site: PathBuf,
    /// Compare country, keyboard and time zone with this ISO's tables
    #[arg(long, value_name = "IN")]
    pub iso: Option<PathBuf>,
    /// Print findings or plan as JSON
    #[arg(long)]
    pub json: bool,
}

/// Prints the plan; any finding is bad input.
pub fn check(args: &CheckArgs) -> Result<()> {
    let tables = match &args.iso {
        Some(iso) => Some(tables_of(&Image::open(iso)?, iso)?),
        None => None,
    };
    let judged = site::examine(&args.site)?.and_then(|loaded| {
        let findings = tables.map(|tables| loaded.against(&tables)).unwrap_or_default();
        if findings.is_empty() { Ok(loaded) } else { Err(findings) }
    });
    match judged {
        Ok(loaded) => {
            let plan = Plan::new(&loaded.site);
            if args.json {
                output::json(&json!({"site": loaded.site, "plan": plan}))
            } else {
                output::text(&plan.text(&loaded.site))
            }
        }
        Err(findings) if args.json => {
            output::json(&json!({"findings": findings}))?;
            let (shown, number) = (site::visible(&args.site.display().to_string()), findings.len());
            Err(Class::BadInput.error(format!("{shown}: {number} finding(s), mend them and run this again")))
        }
        Err(findings) => Err(site::refusal(&args.site, &findings)),
    }
}

/// Refuses a site that the installer on `image` could not carry out.
pub fn fits(loaded: &Loaded, path: &Path, image: &Image, iso: &Path) -> Result<()> {
    let findings = loaded.against(&tables_of(image, iso)?);
    if findings.is_empty() { Ok(()) } else { Err(site::refusal(path, &findings)) }
}

/// The tables that the vendor's installer reads (docs/facts.md 3.3).
fn tables_of(image: &Image, iso: &Path) -> Result<Tables> {
    let table = |path: &str| -> Result<String> {
        let entry = image.resolve(path).ok_or_else(|| {
            Class::BadInput.error(format!(
                "{}: found no {path}, wanted an image whose installer can run: get the image again",
                iso.display()
            ))
        })?;
        Ok(String::from_utf8_lossy(&image.read(entry, TABLE_LIMIT)?).into_owned())
    };
    Ok(Tables { country: table(tables::COUNTRIES)?, zones: table(tables::ZONES)? })
}
