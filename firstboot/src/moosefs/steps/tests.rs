//! The steps on the machines of [`super::testing`].

use std::fs;
use std::sync::Arc;

use super::super::dialect::{ALL, New, Old};
use super::super::{DATA, found, metadata};
use super::testing::{DISKS, World, fake, world};
use super::*;
use crate::log::Log;
use crate::outcome::Class;
use crate::runner::fake::Fake;
use crate::site::{from_text, tests::example};

/// Runs all steps as the engine does, with the one before the cluster, and returns what was done: questions are left out.
fn run(world: &Arc<World>, is_founder: bool, fake: &Fake) -> Result<Vec<String>> {
    let site = from_text(&example()).unwrap();
    let place = site.founder_place(None);
    let net: Arc<dyn Net> = world.clone();
    let log = Log::silent();
    let system = System { root: world.tree.root(), runner: fake, log: &log };
    let point: Box<dyn Step> = Box::new(Point);
    for step in [point].into_iter().chain(of(&Node { site, place, is_founder, net })) {
        if !step.check(&system)?.todo.is_empty() {
            step.apply(&system)?;
            let left = step.check(&system)?.todo;
            assert_eq!(left, [""; 0], "{} was applied and is to be done", step.name());
        }
    }
    Ok(deeds(world, fake))
}

fn is_question(line: &str) -> bool {
    line.ends_with(" test") || ["lsattr", "mfsget", "udevadm"].iter().any(|word| line.starts_with(word))
}

fn deeds(world: &World, fake: &Fake) -> Vec<String> {
    let root = world.tree.path().display().to_string();
    let lines = fake.lines().into_iter().filter(|line| !is_question(line));
    lines.map(|line| line.replace(&root, "")).collect()
}

fn go(world: &Arc<World>, is_founder: bool) -> Vec<String> {
    run(world, is_founder, &fake(world)).unwrap()
}

/// What is left after a boot: nothing runs, and nothing is mounted but the disks.
fn boot(world: &World, is_clean: bool) {
    let mut state = world.state.lock().unwrap();
    if is_clean && state.running.contains("mfsmaster") {
        world.master("stop", &mut state);
    }
    state.running.clear();
    (state.web, state.is_dead) = (false, false);
    let root = world.tree.root();
    fs::write(root.path("/proc/mounts"), DISKS).unwrap();
    let _ = fs::remove_dir_all(root.path("/run/cias"));
    // What was made in the mounted file system is not below it.
    for name in root.names("/mnt/mfs") {
        fs::remove_dir(root.path(&format!("/mnt/mfs/{name}"))).unwrap();
    }
}

const MOUNT: &str = "mfsmount /mnt/mfs -o mfsmaster=cias-pve-master,mfsport=9421,mfsbind=10.254.0.1";
/// Of 3.0, which can be told when to write back.
const NEW_MOUNT: &str =
    "mfsmount /mnt/mfs -o mfsmaster=cias-pve-master,mfsport=9421,mfsbind=10.254.0.1,mfsfsyncmintime=0";

#[test]
fn where_it_is_not_installed_one_warning_says_so_and_nothing_is_done() {
    let world = world(&Old);
    fs::write(world.tree.root().path("/var/lib/dpkg/status"), "").unwrap();
    let fake = fake(&world);
    assert_eq!(run(&world, true, &fake).unwrap(), [""; 0]);
    let site = from_text(&example()).unwrap();
    let log = Log::silent();
    let system = System { root: world.tree.root(), runner: &fake, log: &log };
    let steps = steps(&site, &site.founder_place(None), Role::Founder);
    let warnings: Vec<String> = steps.iter().flat_map(|step| step.check(&system).unwrap().warnings).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("found none of its packages"), "{warnings:?}");
}

#[test]
fn a_founder_makes_the_file_system_once_and_a_second_run_does_nothing() {
    for dialect in ALL {
        let world = world(dialect);
        let done = go(&world, true);
        let is_new = dialect.version() == "3.0.";
        let goal = is_new.then_some("mfssetgoal -r 1 /mnt/mfs");
        let web = format!(
            "start-stop-daemon --start --oknodo --chuid mfs:mfs --exec /usr/sbin/mfscgiserv -- -P 9425 -R {} start",
            dialect.pages()
        );
        let disable = format!("update-rc.d {} disable", dialect.scripts()[0]);
        let wanted = [
            "chattr +i /mnt/mfs",
            &disable,
            "mfschunkserver start",
            "mfsmetalogger start",
            "mfsmaster start",
            &web,
            if is_new { NEW_MOUNT } else { MOUNT },
            "mfssettrashtime -r 86400 /mnt/mfs",
        ];
        // One chunkserver makes one copy.
        let rest = ["mfsmaster stop", "mfsmaster start", "mfsmetalogger restart"];
        let wanted: Vec<&str> = wanted.into_iter().chain(goal).chain(rest).collect();
        assert_eq!(done, wanted, "{dialect:?}");
        let root = world.tree.root();
        assert!(root.has(&found::record()) && !root.has(found::BEGUN));
        // Each of its disks is the chunkserver's; 1.6.27 keeps the room of the smallest free on all.
        let disks = root.text("/etc/mfs/mfshdd.cfg").unwrap();
        let wanted = if is_new {
            ["/data/disk1 -5120MiB", "/data/disk2 -2560MiB"]
        } else {
            ["/data/disk1", "/data/disk2"]
        };
        assert_eq!(super::super::parse::parse(&disks), wanted, "{dialect:?}");
        assert_eq!(go(&world, true), [""; 0], "{dialect:?}");
    }
}

#[test]
fn every_later_boot_starts_all_in_the_right_order() {
    for dialect in ALL {
        let world = world(dialect);
        go(&world, true);
        boot(&world, true);
        let done = go(&world, true);
        let short: Vec<&str> = done.iter().map(|line| line.split(" -").next().unwrap()).collect();
        let wanted = [
            "mfschunkserver start",
            "mfsmetalogger start",
            "mfsmaster start",
            "start-stop-daemon",
            "mfsmount /mnt/mfs",
        ];
        assert_eq!(short, wanted, "{dialect:?}");
    }
}

#[test]
fn a_mount_whose_process_has_ended_is_taken_away_and_mounted_again() {
    let world = world(&Old);
    go(&world, true);
    world.state.lock().unwrap().is_dead = true;
    // What was made in the mounted file system is not below it.
    let root = world.tree.root();
    for name in root.names("/mnt/mfs") {
        fs::remove_dir(root.path(&format!("/mnt/mfs/{name}"))).unwrap();
    }
    assert_eq!(go(&world, true)[..2], ["umount --no-canonicalize -l /mnt/mfs", MOUNT]);
    assert_eq!(go(&world, true), [""; 0]);
}

#[test]
fn a_disk_that_may_be_another_file_systems_is_named_when_its_chunkserver_is_not_known() {
    for (file, is_named) in [(".metaid", true), ("other", false)] {
        let world = world(&New);
        go(&world, true);
        fs::write(world.tree.root().path(&format!("/data/disk1/{file}")), "x").unwrap();
        // It runs, and is not let in.
        world.state.lock().unwrap().is_refused = true;
        let error = format!("{:#}", run(&world, true, &fake(&world)).unwrap_err());
        assert!(error.contains("does not know the chunkserver of 10.254.0.1"), "{error}");
        assert_eq!(error.contains("its .metaid, which is on /data/disk1)"), is_named, "{error}");
    }
}

#[test]
fn a_metadata_server_does_not_run_without_the_role_address() {
    let world = world(&New);
    go(&world, true);
    world.state.lock().unwrap().has_address = false;
    let fake = fake(&world);
    let error = run(&world, true, &fake).unwrap_err();
    assert!(Class::of(&error) == Class::TryLater, "{error:#}");
    assert_eq!(deeds(&world, &fake), ["mfsmaster stop", "mfscgiserv stop"]);
    world.state.lock().unwrap().has_address = true;
    assert_eq!(go(&world, true)[0], "mfsmaster start");
    // Nothing failed where it goes while the step is at work.
    {
        let mut state = world.state.lock().unwrap();
        (state.is_fickle, state.web) = (true, false);
    }
    let error = run(&world, true, &fake).unwrap_err();
    assert!(Class::of(&error) == Class::TryLater, "{error:#}");
}

#[test]
fn a_node_waits_for_its_master_and_for_a_base_and_raises_the_copies() {
    for dialect in ALL {
        let world = world(dialect);
        world.state.lock().unwrap().goal = 1;
        world.state.lock().unwrap().others =
            vec![Chunkserver { address: [10, 254, 1, 1].into(), is_connected: true }];
        let wait = |part: &str| {
            let error = run(&world, false, &fake(&world)).unwrap_err();
            assert!(Class::of(&error) == Class::TryLater && format!("{error:#}").contains(part), "{error:#}");
        };
        wait("does not answer at cias-pve-master (10.254.0.254) port 9421");
        assert!(world.state.lock().unwrap().running.contains("mfsmetalogger"));
        // The Master comes, and has not been restarted after its first change.
        world.state.lock().unwrap().has_remote = true;
        wait("found none with a change in it");
        assert_eq!(world.state.lock().unwrap().goal, 2);
        world.state.lock().unwrap().remote_base = true;
        assert_eq!(go(&world, false), ["mfsmetalogger restart"], "{dialect:?}");
        assert_eq!(go(&world, false), [""; 0], "{dialect:?}");
        // One that is away for a while is no reason to have fewer.
        world.state.lock().unwrap().others.clear();
        assert_eq!(go(&world, false), [""; 0], "{dialect:?}");
        assert!(!world.tree.root().has(&format!("{DATA}/{}", metadata::ENDED)));
    }
}

#[test]
fn no_empty_metadata_is_made_where_there_is_or_was_some() {
    for (what, class, part) in [
        ("/etc/pve/priv/cias/moosefs-founded = by another", Class::Refused, "one was made (by another)"),
        ("/var/lib/mfs/changelog_ml.0.mfs = 1", Class::Refused, "found changelog_ml.0.mfs in /var/lib/mfs"),
        (
            "/data/disk1/7F/chunk_000000000000007F_00000001.mfs = x",
            Class::Refused,
            "found chunks of an earlier file system on /data/disk1",
        ),
        ("/var/lib/mfs/metadata.mfs = MFSM NEW", Class::Refused, "found metadata.mfs in /var/lib/mfs"),
        ("n2 metadata_ml.mfs.back", Class::Refused, "found metadata on n2"),
        ("n2", Class::TryLater, "n2 cannot be asked"),
    ] {
        let world = world(&New);
        let root = world.tree.root();
        let mut fake = fake(&world);
        if let Some((path, text)) = what.split_once(" = ") {
            fs::create_dir_all(root.path(path).parent().unwrap()).unwrap();
            fs::write(root.path(path), text).unwrap();
        } else {
            let members = root.text("/etc/pve/.members").unwrap();
            let more = "{\"n2\": {\"online\": 1, \"ip\": \"10.254.1.1\"}, ";
            let members = members.replace("\"nodelist\": {", &format!("\"nodelist\": {more}"));
            fs::write(root.path("/etc/pve/.members"), members).unwrap();
            fake = match what.split_once(' ') {
                Some((_, names)) => fake.prints("ssh -T", names),
                None => fake.fails("ssh -T", 255, "no route"),
            };
        }
        let error = run(&world, true, &fake).unwrap_err();
        assert!(Class::of(&error) == class && format!("{error:#}").contains(part), "{error:#}");
        assert!(!fake.lines().contains(&"mfsmaster start".to_owned()), "{what}");
        let is_theirs = what.contains(metadata::ENDED);
        assert_eq!(root.has(&format!("{DATA}/{}", metadata::ENDED)), is_theirs, "{what}");
        // And it does not begin what it cannot end.
        assert!(!root.has(found::BEGUN), "{what}");
    }
}

#[test]
fn without_the_role_address_or_quorum_nothing_is_founded() {
    let world = world(&New);
    world.state.lock().unwrap().has_address = false;
    let error = run(&world, true, &fake(&world)).unwrap_err();
    assert!(format!("{error:#}").contains("10.254.0.254 is not on this node"), "{error:#}");
    world.state.lock().unwrap().has_address = true;
    fs::remove_file(world.tree.root().path("/etc/pve/local")).unwrap();
    let error = run(&world, true, &fake(&world)).unwrap_err();
    assert!(Class::of(&error) == Class::TryLater && format!("{error:#}").contains("not mounted at /etc/pve"));
    assert!(!world.state.lock().unwrap().running.contains("mfsmaster"));
}

#[test]
fn wherever_the_power_goes_the_next_boot_ends_the_same() {
    for dialect in ALL {
        let first = world(dialect);
        let undisturbed = fake(&first);
        run(&first, true, &undisturbed).unwrap();
        // Before and after each command that does something; a question changes nothing.
        let lines = undisturbed.lines();
        let acts = lines.iter().enumerate().filter(|(_, line)| !is_question(line));
        let points: Vec<usize> = acts.flat_map(|(at, _)| [2 * at, 2 * at + 1]).collect();
        assert!(points.len() > 20, "{lines:?}");
        for at in points {
            let world = world(dialect);
            assert!(run(&world, true, &fake(&world).cut_at(at)).is_err(), "{at}");
            let root = world.tree.root();
            let has = |name: &str| root.has(&format!("{DATA}/{name}"));
            // Nothing is there that the cluster does not know of.
            assert!(!has(metadata::ENDED) && !has(metadata::RUNNING) || root.has(&found::record()), "{at}");
            // The kernel ends a metadata server that runs at the time, and it leaves no file to start from.
            boot(&world, false);
            let next = fake(&world);
            run(&world, true, &next)
                .unwrap_or_else(|error| panic!("{at} of {:?}: {error:#}", undisturbed.lines()));
        }
    }
}

#[test]
fn what_was_written_past_the_mount_is_not_hidden_below_it() {
    let world = world(&New);
    let root = world.tree.root();
    fs::create_dir_all(root.path("/mnt/mfs/dump")).unwrap();
    let error = run(&world, true, &fake(&world)).unwrap_err();
    assert!(
        Class::of(&error) == Class::Refused && format!("{error:#}").contains("found dump in it"),
        "{error:#}"
    );
    fs::remove_dir(root.path("/mnt/mfs/dump")).unwrap();
    let mounts = root.text("/proc/mounts").unwrap();
    fs::write(root.path("/proc/mounts"), format!("{mounts}nas:/x /mnt/mfs nfs rw 0 0\n")).unwrap();
    let error = run(&world, true, &fake(&world)).unwrap_err();
    assert!(Class::of(&error) == Class::Refused && format!("{error:#}").contains("type nfs"), "{error:#}");
}

#[test]
fn a_storage_class_that_a_person_has_set_stays() {
    let world = world(&New);
    go(&world, true);
    let fake = fake(&world).prints("mfsgetgoal", "/mnt/mfs: threefold\n");
    assert_eq!(run(&world, true, &fake).unwrap(), [""; 0]);
}

#[test]
fn a_metadata_server_that_has_just_started_is_asked_again() {
    let world = world(&Old);
    world.state.lock().unwrap().refusals = 12;
    let mounts = go(&world, true).iter().filter(|line| *line == MOUNT).count();
    assert_eq!(mounts, 13);
    boot(&world, true);
    world.state.lock().unwrap().refusals = u32::MAX;
    let error = run(&world, true, &fake(&world)).unwrap_err();
    assert!(Class::of(&error) == Class::TryLater && format!("{error:#}").contains("error receiving data"));
}

#[test]
fn a_change_of_the_site_is_read_anew_and_foreign_files_are_kept() {
    let world = world(&Old);
    let root = world.tree.root();
    fs::create_dir_all(root.path("/etc/mfs")).unwrap();
    fs::write(root.path("/etc/mfs/mfsexports.cfg"), "* / rw\n").unwrap();
    go(&world, true);
    assert_eq!(root.text("/etc/mfs/mfsexports.cfg.before").unwrap(), "* / rw\n");
    // Blanks say nothing, words do.
    let path = root.path("/etc/mfs/mfsexports.cfg");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(" / ", "   / ")).unwrap();
    assert_eq!(go(&world, true), [""; 0]);
    fs::write(&path, text.replace("/16", "/8")).unwrap();
    assert_eq!(go(&world, true), ["mfsmaster reload"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    // A second disk is the chunkserver's business.
    let disks = root.path("/etc/mfs/mfshdd.cfg");
    fs::write(&disks, fs::read_to_string(&disks).unwrap().replace("/data/disk1", "/data/disk7")).unwrap();
    assert_eq!(go(&world, true), ["mfschunkserver reload"]);
}

#[test]
fn a_master_that_is_known_by_another_address_is_not_served() {
    let world = world(&Old);
    fs::write(world.tree.root().path("/etc/hosts"), "10.254.0.9 cias-pve-master\n").unwrap();
    let fake = fake(&world);
    let error = run(&world, false, &fake).unwrap_err();
    assert!(format!("{error:#}").contains("found 10.254.0.9, wanted 10.254.0.254"), "{error:#}");
    assert!(!fake.lines().iter().any(|line| line.ends_with(" start")));
}

#[test]
fn what_has_ended_since_is_seen_and_what_was_ended_on_purpose_is_not() {
    for dialect in ALL {
        let world = world(dialect);
        go(&world, true);
        let site = from_text(&example()).unwrap();
        let place = site.founder_place(None);
        let net: Arc<dyn Net> = world.clone();
        let node = Node { site, place, is_founder: true, net };
        let lost = || {
            let (fake, log) = (fake(&world), Log::silent());
            lost::of(&node, &System { root: world.tree.root(), runner: &fake, log: &log }).unwrap()
        };
        assert_eq!(lost(), [""; 0], "{}", dialect.version());
        world.state.lock().unwrap().is_dead = true;
        let mount = "unmount /mnt/mfs, whose mfsmount has ended, and mount MooseFS there again";
        assert_eq!(lost(), [mount]);
        boot(&world, true);
        let daemons = ["start mfschunkserver", "start mfsmetalogger"];
        assert_eq!(lost(), [&daemons[..], &["start mfsmaster"]].concat(), "a mount waits for its server");
        world.state.lock().unwrap().has_address = false;
        assert_eq!(lost(), daemons, "the metadata server belongs to the address");
        let root = world.tree.root();
        fs::create_dir_all(root.path("/run/cias")).unwrap();
        fs::write(root.path("/run/cias/services-ended"), "").unwrap();
        assert_eq!(lost(), [""; 0]);
        world.state.lock().unwrap().has_address = true;
        go(&world, true);
        assert_eq!(lost(), [""; 0]);
        assert!(!root.has("/run/cias/services-ended"), "what was started anew is watched again");
    }
}
