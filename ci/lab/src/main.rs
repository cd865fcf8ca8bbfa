//! The command `lab`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use cias_firstboot::outcome::{Class, conclude};
use clap::{Parser, Subcommand};
use lab::base::{self, Variant};
use lab::scenario::{ALL, Ci, Lab, Scenario, road};
use lab::site::Programs;
use lab::wait::Late;

/// Builds a stand-in of the vendor's image and proves the road in QEMU
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
struct Cli {
    /// Folder for caches and images
    #[arg(long, default_value = "target/lab", global = true)]
    work: PathBuf,
    /// The static program of the cluster's stand-ins
    #[arg(long, default_value = "target/x86_64-unknown-linux-musl/release/pve-standins", global = true)]
    standins: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the stand-in of the vendor's image and prints its path
    Base {
        /// Put this tree of the vendor's installer on the image
        #[arg(long)]
        installer: Option<PathBuf>,
        /// The image of the scenarios with the services
        #[arg(long)]
        services: bool,
    },
    /// Makes what scenarios begin with, unless it is there already: the image, and a server that was installed from it
    Prepare {
        /// For the scenarios with the services
        #[arg(long)]
        services: bool,
        #[command(flatten)]
        with: With,
    },
    /// Installs and boots one server and prints the node's status
    Run {
        /// Blank data disks
        #[arg(long, default_value_t = 2)]
        disks: u8,
        /// NICs
        #[arg(long, default_value_t = 2)]
        nics: u8,
        #[command(flatten)]
        with: With,
    },
    /// Runs scenarios: names, `ci` for those of CI (which runs `ci-alone`, then `ci-fresh` beside `ci-installed`), `all`, or `list`
    Test {
        /// Names of scenarios
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        with: With,
    },
}

#[derive(Debug, clap::Args)]
struct With {
    /// Put this tree of the vendor's installer on the image
    #[arg(long)]
    installer: Option<PathBuf>,
    /// The cias-builder to test
    #[arg(long, default_value = "target/release/cias-builder")]
    builder: PathBuf,
    /// The static cias-firstboot to test
    #[arg(long, default_value = "target/x86_64-unknown-linux-musl/release/cias-firstboot")]
    firstboot: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    conclude(match cli.command {
        Command::Base { installer, services } => {
            let (standins, variant) = (cli.standins, variant(services));
            base::ensure(&base::Options { work: cli.work, installer, standins, variant })
                .map(|base| println!("{}", base.iso.display()))
        }
        Command::Prepare { services, with } => {
            let lab =
                Bench::new(&cli.work, &cli.standins, with).and_then(|bench| bench.lab(variant(services)));
            lab.and_then(|lab| road::installation(&lab)).map(|folder| println!("{}", folder.display()))
        }
        Command::Run { disks, nics, with } => {
            let lab = Bench::new(&cli.work, &cli.standins, with).and_then(|bench| bench.lab(Variant::Plain));
            lab.and_then(|lab| lab::scenario::demo(&lab, disks, nics))
        }
        Command::Test { names, .. } if names == ["list"] => {
            for each in ALL {
                println!("{:14} {}{}", each.name, each.shows, if each.ci == Ci::No { "" } else { " (CI)" });
            }
            Ok(())
        }
        Command::Test { names, with } => {
            chosen(&names).and_then(|list| test(&Bench::new(&cli.work, &cli.standins, with)?, &list))
        }
    })
}

fn variant(services: bool) -> Variant {
    if services { Variant::Services } else { Variant::Plain }
}

/// What labs are made from; each image is made when the first scenario needs it.
struct Bench {
    options: base::Options,
    programs: Programs,
}

impl Bench {
    fn new(work: &Path, standins: &Path, with: With) -> Result<Self> {
        let work = std::path::absolute(work).context("finding the work folder")?;
        for program in [&with.builder, &with.firstboot] {
            if !program.exists() {
                return Err(Class::MissingTool.error(format!(
                    "found no {}, wanted the program under test: run `ci/test`, or build it and name it with an option",
                    program.display()
                )));
            }
        }
        let programs = Programs {
            builder: std::path::absolute(with.builder).context("finding the builder")?,
            firstboot: std::path::absolute(with.firstboot).context("finding the node's program")?,
        };
        let (installer, standins) = (with.installer, standins.to_owned());
        let options = base::Options { work, installer, standins, variant: Variant::Plain };
        Ok(Self { options, programs })
    }

    fn folder(&self) -> PathBuf {
        self.options.work.join("run")
    }

    fn lab(&self, variant: Variant) -> Result<Lab> {
        let base = base::ensure(&base::Options { variant, ..self.options.clone() })?;
        Ok(Lab { folder: self.folder().join(variant.folder()), base, programs: self.programs.clone() })
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>> {
    let mut list = Vec::new();
    for name in names {
        let before = list.len();
        list.extend(
            ALL.iter().filter(|each| name == "all" || name == each.name || each.ci.is_meant_by(name)),
        );
        if list.len() == before {
            let known: Vec<&str> = ALL.iter().map(|each| each.name).collect();
            return Err(Class::Usage.error(format!(
                "found the scenario {name}, wanted one of: ci, ci-alone, ci-fresh, ci-installed, all, {}",
                known.join(", ")
            )));
        }
    }
    Ok(list)
}

fn test(bench: &Bench, list: &[&Scenario]) -> Result<()> {
    let mut failed = Vec::new();
    for scenario in list {
        // Made once: after that it is found in a moment.
        let lab = bench.lab(scenario.image)?;
        let mut result = scenario.run(&lab);
        let late =
            result.as_ref().err().and_then(|error| error.downcast_ref::<Late>().map(ToString::to_string));
        if let (Some(reason), true) = (late, std::env::var_os("CI").is_some()) {
            println!("FLAKY {}: {reason}", scenario.name);
            result = scenario.run(&lab);
        }
        if let Err(error) = result {
            eprintln!("lab: {}: FAILED: {error:#}", scenario.name);
            failed.push(scenario.name);
        }
    }
    println!("{} passed, {} failed", list.len() - failed.len(), failed.len());
    anyhow::ensure!(
        failed.is_empty(),
        "failed: {}: their consoles are below {}",
        failed.join(", "),
        bench.folder().display()
    );
    Ok(())
}
