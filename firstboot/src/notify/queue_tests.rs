use super::*;
use crate::log::Log;
use crate::notify::here;
use crate::runner::fake::Fake;
use crate::site::{from_text, tests::example};
use crate::tree::Tree;

const HOOK: &str = "[notify]\nwebhook = \"http://10.0.0.9/T0KEN\"\n";

fn event(site: &Site, root: &Sysroot, reason: &str) -> Event {
    Event::step_failed(site, &here(root), "a step", reason)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_pauses_grow_and_what_is_taken_is_gone() {
    let (tree, log) = (Tree::from_text("/etc/hostname = n\n"), Log::silent());
    let site = from_text(&example()).unwrap();
    let fails = Fake::default().fails("sendmail", 75, "no");
    let system = System { root: tree.root(), runner: &fails, log: &log };
    for reason in ["one", "two"] {
        keep(&system, Way::Mail, "n", &event(&site, &system.root, reason), now()).unwrap();
    }
    let mut courier = Courier::new(1);
    let tries: Vec<u64> = (0..20_000)
        .filter(|at| {
            let before = fails.lines().len();
            courier.pass_at(&system, &site, seconds(*at));
            fails.lines().len() > before
        })
        .collect();
    // Only the first of them is tried: the second would not go either.
    assert_eq!(fails.lines().len(), tries.len());
    assert_eq!(tries, [0, 30, 90, 210, 450, 930, 1890, 3810, 7410, 11010, 14610, 18210]);
    let takes = Fake::default();
    let system = System { root: tree.root(), runner: &takes, log: &log };
    courier.pass_at(&system, &site, seconds(18_300));
    assert!(takes.lines().is_empty(), "its pause is not over");
    // After a boot no pause is known.
    Courier::new(1).pass_at(&system, &site, seconds(0));
    assert_eq!(takes.lines().len(), 2);
    assert!(names(&system.root).is_empty());
}

#[test]
fn each_way_rests_on_its_own() {
    let (tree, log) = (Tree::from_text("/etc/hostname = n\n"), Log::silent());
    let site = from_text(&(example() + HOOK)).unwrap();
    let fake = Fake::default().fails("wget", 4, "");
    let system = System { root: tree.root(), runner: &fake, log: &log };
    for way in [Way::Webhook, Way::Mail] {
        keep(&system, way, "n", &event(&site, &system.root, "why"), now()).unwrap();
    }
    let mut courier = Courier::new(1);
    courier.failed(Way::Webhook);
    courier.pass_at(&system, &site, seconds(1));
    assert_eq!(fake.lines(), ["sendmail -t -oi"], "the webhook has failed a moment ago");
    courier.pass_at(&system, &site, seconds(31));
    assert!(fake.lines().len() == 2 && fake.lines()[1].starts_with("wget "));
    assert_eq!(names(&system.root).len(), 1);
}

#[test]
fn it_is_bounded_in_count_and_in_age_and_what_is_refused_for_good_is_dropped() {
    let tree = Tree::from_text("/etc/hostname = n\n");
    let log = Log::to_file(&tree.path().join("log")).unwrap();
    let site = from_text(&(example() + HOOK)).unwrap();
    let fake = Fake::default().fails("sendmail", 65, "no such address");
    let system = System { root: tree.root(), runner: &fake, log: &log };
    let count = u64::try_from(MOST).unwrap() + 3;
    for number in 0..count {
        let event = event(&site, &system.root, "why");
        keep(&system, Way::Mail, "n", &event, now() - count + number).unwrap();
    }
    assert_eq!(names(&system.root).len(), MOST);
    let text = system.root.text("/log").unwrap();
    assert_eq!(text.matches("is dropped: 100 wait in /var/lib/cias/notify").count(), 3, "{text}");
    Courier::new(1).pass_at(&system, &site, seconds(0));
    assert!(names(&system.root).is_empty(), "no such address: for good");
    assert_eq!(fake.lines().len(), MOST);

    keep(&system, Way::Webhook, "n", &event(&site, &system.root, "old"), now() - AGE - 60).unwrap();
    // The clock began in 1970, and was set since: that is no age.
    keep(&system, Way::Webhook, "n", &event(&site, &system.root, "early"), 60).unwrap();
    std::fs::write(system.root.path(&path("1-mail.json")), "{").unwrap();
    Courier::new(1).pass_at(&system, &site, seconds(0));
    let lines = fake.lines();
    assert!(lines.len() == MOST + 1 && lines[MOST].starts_with("wget "), "{lines:?}");
    assert!(names(&system.root).is_empty());
    let text = system.root.text("/log").unwrap();
    assert!(text.contains("is dropped: it waited for 3 days") && !text.contains("T0KEN"), "{text}");
}

#[test]
fn a_kept_message_is_roots_alone_and_holds_no_url() {
    use std::os::unix::fs::PermissionsExt;
    let (tree, log, fake) = (Tree::from_text("/etc/hostname = n\n"), Log::silent(), Fake::default());
    let site = from_text(&(example() + HOOK)).unwrap();
    let system = System { root: tree.root(), runner: &fake, log: &log };
    keep(&system, Way::Webhook, "n", &event(&site, &system.root, "why"), now()).unwrap();
    let file = system.root.path(&path(&names(&system.root)[0]));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!std::fs::read_to_string(file).unwrap().contains("10.0.0.9"));
    let without = from_text(&example()).unwrap();
    Courier::new(1).pass_at(&system, &without, seconds(0));
    assert!(names(&system.root).is_empty() && fake.lines().is_empty(), "the site has no webhook any more");
}
