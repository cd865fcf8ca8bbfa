//! `cias-builder build`: the vendor's image in, an image that installs unattended out.

use crate::grow::{self, Dates};
use crate::iso9660::Image;
use crate::manifest::{self, Manifest, Tools};
use crate::plan::{self, BootFiles, Range};
use crate::probes;
use crate::progress::Progress;
use crate::sums::{self, Sums};
use crate::workplace::{self, Workplace};
use crate::{
    binary, bootmenu, check, closure, copy, deb, family, firstboot_package, guard, packages, verify,
};
use anyhow::{Context, Result};
use cias_firstboot::interrupt::Interrupt;
use cias_firstboot::outcome::Class;
use cias_firstboot::region::{self, Payload};
use cias_firstboot::runner::Host;
use cias_firstboot::site;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The base system that the vendor's installer unpacks.
const BASE: &str = "/proxmox/pve-base.tar";

/// What to build.
#[derive(Clone, Debug)]
pub struct Request {
    /// The vendor's image.
    pub iso: PathBuf,
    /// The site file.
    pub site: PathBuf,
    /// Where the new image goes.
    pub out: PathBuf,
    /// Folders whose packages are added.
    pub packages: Vec<PathBuf>,
    /// SHA-256 that the vendor's image must have.
    pub sha256: Option<String>,
    /// Whether an existing image is replaced.
    pub force: bool,
    /// The static binary, if not the one found beside this program.
    pub firstboot: Option<PathBuf>,
}

/// What was built.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The new image.
    pub out: String,
    /// Its length.
    pub bytes: u64,
    /// Name of the build; a server that it installed carries it.
    pub build_id: String,
    /// SHA-256 of the vendor's image.
    pub source_sha256: String,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Builds. Nothing but the finished image is left behind, also after an error.
pub fn build(request: &Request, progress: Progress, interrupt: &Interrupt) -> Result<Report> {
    let mut work = None;
    let result = steps(request, progress, interrupt, &mut work);
    let full = result.as_ref().err().and_then(|error| work.as_ref()?.full(error));
    work.map_or(Ok(()), Workplace::close)?;
    if result.is_err() {
        // Whatever failed after Ctrl-C failed because of it.
        interrupt.check()?;
    }
    full.map_or(result, Err)
}

fn steps(
    request: &Request,
    progress: Progress,
    interrupt: &Interrupt,
    work: &mut Option<Workplace>,
) -> Result<Report> {
    let out = request.out.display();
    let inputs = [Some(&request.iso), Some(&request.site), request.firstboot.as_ref()];
    workplace::check(&request.out, request.force, inputs.into_iter().flatten())?;
    let loaded = site::load(&request.site)?;
    let binary = binary::load(request.firstboot.as_deref())?;
    let runner = Host::unchecked(|_| ()).stopped_by(interrupt.stop());
    let (xorriso, grub) = (grow::version(&runner)?, guard::version(&runner)?);
    let source = Image::open(&request.iso)?;
    let checked = Checked::new(&source)?;
    check::fits(&loaded, &request.site, &source, &request.iso)?;
    let mut debs = packages::read_folders(&request.packages)?;
    let own = firstboot_package::package(binary.clone(), env!("CARGO_PKG_VERSION"), checked.dates.epoch)?;
    debs.push((own.file_name(), own.write()?));
    check_closure(&source, &debs)?;
    let name = &loaded.site.site.cluster_name;
    let mut plan = plan::changes(&source, &checked.boot, name, binary, debs)?;
    plan.add(manifest::VENDOR_SECTORS, 0o644, bytes_of(&source, &checked.overwritten)?);

    let work = work.insert(Workplace::new(&request.out)?);
    let mut phase = progress.phase("copy", source.size());
    let mut sums = Sums::new(sums::stretches(&source)?);
    let (sha256, bytes) = copy::copy_and_hash(&request.iso, &work.file, &mut sums, interrupt, &mut phase)?;
    phase.done();
    if bytes != source.size() {
        return Err(Class::BadInput.error(format!(
            "{} had {} bytes and now has {bytes}; let whatever writes it finish",
            request.iso.display(),
            source.size()
        )));
    }
    let mut warnings = checked.warnings;
    match &request.sha256 {
        Some(wanted) if !wanted.eq_ignore_ascii_case(&sha256) => {
            return Err(Class::BadInput.error(format!(
                "{} has the SHA-256 {sha256}, wanted {wanted}; get the image again",
                request.iso.display()
            )));
        }
        Some(_) => {}
        None => warnings
            .push(format!("the image was not checked; give --sha256 {sha256} next time if it is right")),
    }

    let described = manifest::Source {
        sha256: sha256.clone(),
        bytes,
        label: source.volume().label.clone(),
        installer: checked.installer.map(str::to_owned),
        kernel: checked.kernel,
    };
    let tools = Tools { xorriso, grub };
    plan.add(sums::PATH, 0o644, sums.to_bytes());
    // The guard carries the build's name, so the name is made from what is known of all else.
    let draft = Manifest::new(&described, &tools, &plan, &checked.overwritten).to_bytes()?;
    let build_id = manifest::build_id(&loaded.site.secrets.key, &draft)?;
    let menu = plan::menu_text(&source, &checked.boot)?;
    let guard = guard::image(&runner, &source, &checked.boot, &menu, &build_id, &work.stage)?;
    plan.add(&checked.boot.resolve(bootmenu::GUARD), 0o644, guard);
    plan.add(&guard::medium(&build_id), 0o644, Vec::new());
    let manifest = Manifest::new(&described, &tools, &plan, &checked.overwritten).to_bytes()?;
    let payload = Payload {
        build_id: build_id.clone(),
        manifest_sha256: copy::hash_bytes(&manifest),
        site_toml: loaded.text,
    };
    plan.add(manifest::PATH, 0o644, manifest);
    plan.add(region::PATH, 0o600, region::encode(&payload)?);

    let mut phase = progress.phase("write", plan.bytes());
    grow::stage(&plan, &checked.dates, &work.stage).context("writing the files to be added")?;
    interrupt.check()?;
    grow::grow(&runner, &plan, &source, &checked.dates, &work.image, &work.stage)?;
    phase.add(plan.bytes());
    phase.done();

    let made = Image::open(&work.image)?;
    let mut phase = progress.phase("verify", plan.bytes());
    verify::compare(&source, &made, &plan, &checked.boot, interrupt, &mut phase)
        .context("reading the new image back, which is not what was wanted")?;
    phase.done();
    work.finish(&request.out, request.force, interrupt)?;
    Ok(Report { out: out.to_string(), bytes: made.size(), build_id, source_sha256: sha256, warnings })
}

/// What the probes said of a usable image.
struct Checked {
    boot: BootFiles,
    kernel: String,
    installer: Option<&'static str>,
    dates: Dates,
    overwritten: Vec<Range>,
    warnings: Vec<String>,
}

impl Checked {
    fn new(image: &Image) -> Result<Self> {
        family::require_live_root(family::detect(image)?)?;
        let survey = probes::survey(image);
        survey.require_usable()?;
        Ok(Self {
            warnings: survey.notes(),
            boot: survey.boot.context("finding the boot files")?,
            kernel: survey.kernel.context("finding the kernel's version")?,
            installer: survey.installer,
            dates: Dates::of(image.volume()),
            overwritten: plan::overwritten(image)?,
        })
    }
}

/// Does everything that the added packages need come with the image or with them?
fn check_closure(image: &Image, debs: &[(String, Vec<u8>)]) -> Result<()> {
    let base = image.get(BASE).ok_or_else(|| Class::BadInput.error(format!("the image has no {BASE}")))?;
    let base = match base.zisofs {
        None => closure::base_status_in(image.stored(base))?,
        Some(_) => closure::base_status(image.reader(base)?)?,
    };
    let vendor: Vec<_> = image
        .children(plan::PACKAGES)
        .filter(|entry| Path::new(&entry.path).extension().is_some_and(|extension| extension == "deb"))
        .map(|entry| deb::read::control_of(&entry.path, image.reader(entry)?))
        .collect::<Result<_>>()?;
    let added: Vec<_> =
        debs.iter().map(|(name, bytes)| deb::read::control(name, bytes)).collect::<Result<_>>()?;
    closure::check(&base, &vendor, &added)
}

/// The bytes of `ranges`, one after the other.
fn bytes_of(image: &Image, ranges: &[Range]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for range in ranges {
        bytes.extend(image.raw(range.offset, range.bytes, range.bytes)?);
    }
    Ok(bytes)
}
