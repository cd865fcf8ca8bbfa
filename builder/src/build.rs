//! `cias-builder build`: the vendor's image in, an image that installs unattended out.

use crate::closure::{self, Unpacked};
use crate::grow::{self, Dates};
use crate::iso9660::{FileSource, Image};
use crate::manifest::{self, Manifest, Tools};
use crate::plan::{self, BootFiles, Plan, Range};
use crate::probes;
use crate::progress::{Phase, Progress};
use crate::sums::{self, Sums};
use crate::system::System;
use crate::vendor::{Shared, Stream, Vendor};
use crate::workplace::{self, Workplace};
use crate::{binary, bootmenu, check, copy, deb, family, firstboot_package, guard, packages, verify};
use anyhow::{Context, Result, anyhow};
use cias_firstboot::interrupt::Interrupt;
use cias_firstboot::outcome::Class;
use cias_firstboot::region::{self, Payload};
use cias_firstboot::runner::{Host, Runner};
use cias_firstboot::site;
use serde::Serialize;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;

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
    let kept = bytes_of(&source, &checked.overwritten)?;
    plan.add(manifest::VENDOR_SECTORS, 0o644, kept.clone());

    let work = work.insert(Workplace::new(&request.out)?);
    let shared = copy::share(&request.iso, &work.file)?;
    let (overwritten, size) = (checked.overwritten.clone(), source.size());
    let image = work.image.clone();
    let ready = Ready {
        request,
        progress,
        interrupt,
        loaded,
        runner: &runner,
        tools: Tools { xorriso, grub },
        source,
        checked,
        work,
    };
    let report = match &request.sha256 {
        // All else is done as if the hash that is known were right, while a thread finds out: it has the last word.
        Some(wanted) if shared => thread::scope(|scope| {
            let check = scope.spawn(|| hash_of_vendor(&image, size, &overwritten, &kept, interrupt));
            let made = ready.sum(wanted).and_then(|(sha256, sums)| ready.grow(plan, sha256, &sums));
            match check.join().map_err(|_| anyhow!("the thread that hashes the image panicked"))? {
                Ok(found) => matches(&request.iso, wanted, &found).and(made),
                // What went wrong on the way says more.
                Err(error) => made.and(Err(error)),
            }
        }),
        _ => ready.copy(shared).and_then(|(sha256, sums)| ready.grow(plan, sha256, &sums)),
    }?;
    work.finish(&request.out, request.force, interrupt)?;
    Ok(report)
}

/// A build that nothing is known to stand against.
struct Ready<'a> {
    request: &'a Request,
    progress: Progress,
    interrupt: &'a Interrupt,
    loaded: site::Loaded,
    runner: &'a dyn Runner,
    tools: Tools,
    source: Image,
    checked: Checked,
    work: &'a Workplace,
}

impl Ready<'_> {
    /// Copies the image, unless its bytes are `shared` already; returns its hash, which is the wanted one if one is, and
    /// its sums.
    fn copy(&self, shared: bool) -> Result<(String, Sums)> {
        let (request, interrupt) = (self.request, self.interrupt);
        let mut phase = self.progress.phase("copy", self.source.size());
        let mut sums = Sums::new(sums::stretches(&self.source)?);
        let (sha256, bytes) = if shared {
            copy::hash_and_sum(&mut &self.work.file, &mut sums, interrupt, &mut phase)?
        } else {
            copy::copy_and_hash(&request.iso, &self.work.file, &mut sums, interrupt, &mut phase)?
        };
        phase.done();
        self.same_length(bytes)?;
        request.sha256.as_ref().map_or(Ok(()), |wanted| matches(&request.iso, wanted, &sha256))?;
        Ok((sha256, sums))
    }

    /// The same of an image whose bytes are shared and whose hash is being checked.
    fn sum(&self, wanted: &str) -> Result<(String, Sums)> {
        let mut phase = self.progress.phase("copy", self.source.size());
        let mut sums = Sums::new(sums::stretches(&self.source)?);
        let bytes = copy::sum(&mut &self.work.file, &mut sums, self.interrupt, &mut phase)?;
        phase.done();
        self.same_length(bytes)?;
        Ok((wanted.to_ascii_lowercase(), sums))
    }

    fn same_length(&self, bytes: u64) -> Result<()> {
        let (iso, wanted) = (self.request.iso.display(), self.source.size());
        if bytes == wanted {
            return Ok(());
        }
        Err(Class::BadInput
            .error(format!("{iso} had {wanted} bytes and now has {bytes}; let whatever writes it finish")))
    }

    /// Grows the copy by `plan` and what follows from its hash, and reads it back.
    fn grow(&self, mut plan: Plan, sha256: String, sums: &Sums) -> Result<Report> {
        let Self { request, progress, interrupt, loaded, runner, tools, source, checked, work } = self;
        let described = manifest::Source {
            sha256: sha256.clone(),
            bytes: source.size(),
            label: source.volume().label.clone(),
            installer: checked.installer.map(str::to_owned),
            kernel: checked.kernel.clone(),
        };
        plan.add(sums::PATH, 0o644, sums.to_bytes());
        // The guard carries the build's name, so the name is made from what is known of all else.
        let draft = Manifest::new(&described, tools, &plan, &checked.overwritten).to_bytes()?;
        let build_id = manifest::build_id(&loaded.site.secrets.key, &draft)?;
        let menu = plan::menu_text(source, &checked.boot)?;
        let guard = guard::image(*runner, source, &checked.boot, &menu, &build_id, &work.stage)?;
        plan.add(&checked.boot.resolve(bootmenu::GUARD), 0o644, guard);
        plan.add(&guard::medium(&build_id), 0o644, Vec::new());
        let manifest = Manifest::new(&described, tools, &plan, &checked.overwritten).to_bytes()?;
        let payload = Payload {
            build_id: build_id.clone(),
            manifest_sha256: copy::hash_bytes(&manifest),
            site_toml: loaded.text.clone(),
        };
        plan.add(manifest::PATH, 0o644, manifest);
        plan.add(region::PATH, 0o600, region::encode(&payload)?);

        let mut phase = progress.phase("write", plan.bytes());
        grow::stage(&plan, &checked.dates, &work.stage).context("writing the files to be added")?;
        interrupt.check()?;
        grow::grow(*runner, &plan, source, &checked.dates, &work.image, &work.stage)?;
        phase.add(plan.bytes());
        phase.done();

        let made = Image::open(&work.image)?;
        let mut phase = progress.phase("verify", plan.bytes());
        verify::compare(source, &made, &plan, &checked.boot, interrupt, &mut phase)
            .context("reading the new image back, which is not what was wanted")?;
        phase.done();
        let mut warnings = checked.warnings.clone();
        if request.sha256.is_none() {
            warnings
                .push(format!("the image was not checked; give --sha256 {sha256} next time if it is right"));
        }
        let out = request.out.display().to_string();
        Ok(Report { out, bytes: made.size(), build_id, source_sha256: sha256, warnings })
    }
}

/// Is the hash the wanted one?
fn matches(iso: &Path, wanted: &str, found: &str) -> Result<()> {
    if wanted.eq_ignore_ascii_case(found) {
        return Ok(());
    }
    Err(Class::BadInput
        .error(format!("{} has the SHA-256 {found}, wanted {wanted}; get the image again", iso.display())))
}

/// SHA-256 of the image of `size` bytes that was copied to `copy`, whatever is being written over it and behind it.
fn hash_of_vendor(
    copy: &Path,
    size: u64,
    overwritten: &[Range],
    kept: &[u8],
    interrupt: &Interrupt,
) -> Result<String> {
    let reading = || format!("reading {}", copy.display());
    let file = FileSource::new(File::open(copy).with_context(reading)?)?;
    let vendor = Vendor::new(Shared(Rc::new(file)), size, overwritten, kept)?;
    let mut phase = Phase::silent();
    Ok(copy::hash(&mut Stream::new(&vendor), interrupt, &mut phase)?.0)
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
    let System { base, image } = System::read(image)?;
    let added: Vec<_> = debs
        .iter()
        .map(|(name, bytes)| Ok(Unpacked { file: name.clone(), control: deb::read::control(name, bytes)? }))
        .collect::<Result<_>>()?;
    closure::check(&base, &image, &added)
}

/// The bytes of `ranges`, one after the other.
fn bytes_of(image: &Image, ranges: &[Range]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for range in ranges {
        bytes.extend(image.raw(range.offset, range.bytes, range.bytes)?);
    }
    Ok(bytes)
}
