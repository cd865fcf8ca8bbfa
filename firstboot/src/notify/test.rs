//! `cias notify test`: one message by every way that the site has.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use super::{Event, Sent, Way, here, host, mail, stamped};
use crate::log::Log;
use crate::node;
use crate::outcome::Class;
use crate::runner::Host;
use crate::site::Site;
use crate::site::values::host_of;
use crate::system::{Sysroot, System};

/// What became of it, by each way.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Tested {
    /// One for each way.
    pub ways: Vec<Tried>,
}

/// What became of it by one way.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// Which one.
    pub way: Way,
    /// Where it goes; of a URL the host alone.
    pub to: String,
    /// Was it taken?
    pub taken: bool,
    /// May the same be taken later?
    pub later: bool,
    /// Why it was not taken.
    pub reason: Option<String>,
}

/// Sends it. Nothing is kept: a test that comes tomorrow tells nobody anything.
pub fn test(root: &Sysroot) -> Result<Tested> {
    let site = node::load_site(root)?;
    let log = Log::silent();
    let runner = Host::new(|line| log.note(line));
    let system = System { root: root.clone(), runner: &runner, log: &log };
    Ok(send(&system, &site))
}

fn send(system: &System, site: &Site) -> Tested {
    let event = stamped(Event::test(site, &here(&system.root)));
    let from = host(&system.root);
    let tried = |way: Way| {
        let to = match way {
            Way::Mail => mail::to(site).to_owned(),
            Way::Webhook => host_of(site.notify.webhook.as_deref().unwrap_or_default()),
        };
        let (taken, later, reason) = match way.send(system, site, &from, &event)? {
            Sent::Taken => (true, false, None),
            Sent::Later(reason) => (false, true, Some(reason)),
            Sent::Never(reason) => (false, false, Some(reason)),
        };
        Some(Tried { way, to, taken, later, reason })
    };
    Tested { ways: Way::all(site).into_iter().filter_map(tried).collect() }
}

impl Tested {
    /// Fails unless all was taken: for good, if one way is wrong for good.
    pub fn judge(&self) -> Result<()> {
        let missed: Vec<&Tried> = self.ways.iter().filter(|tried| !tried.taken).collect();
        if missed.is_empty() {
            return Ok(());
        }
        let class = if missed.iter().all(|tried| tried.later) { Class::TryLater } else { Class::Failed };
        let words: Vec<&str> = missed.iter().map(|tried| tried.way.word()).collect();
        Err(class.error(format!("not taken by: {}", words.join(", "))))
    }

    /// For people.
    pub fn show(&self) -> String {
        let mut text = String::new();
        for Tried { way, to, taken, reason, .. } in &self.ways {
            let what = match (taken, way, reason) {
                (true, Way::Mail, _) => {
                    "taken by sendmail; `mailq` shows whether it has left this node".to_owned()
                }
                (true, Way::Webhook, _) => "taken".to_owned(),
                (false, _, reason) => format!("NOT taken: {}", reason.as_deref().unwrap_or_default()),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{} to {to}: {what}", way.word());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::fake::Fake;
    use crate::site::{from_text, tests::example};
    use crate::tree::Tree;

    #[test]
    fn each_way_says_what_became_of_it_and_the_worst_decides() {
        let tree = Tree::from_text("/etc/hostname = n\n");
        let log = Log::silent();
        let site = from_text(&(example() + "[notify]\nwebhook = \"http://u:pw@10.0.0.9/T0KEN\"\n")).unwrap();
        let later = Fake::default().fails("sendmail", 75, "queue full").fails("wget", 4, "");
        for (fake, class) in [
            (Fake::default(), None),
            (later, Some(Class::TryLater)),
            (Fake::default().fails("sendmail", 65, "no").fails("wget", 4, ""), Some(Class::Failed)),
        ] {
            let tested = send(&System { root: tree.root(), runner: &fake, log: &log }, &site);
            assert_eq!(tested.judge().err().map(|error| Class::of(&error)), class);
            let shown = tested.show() + &serde_json::to_string(&tested).unwrap();
            assert!(shown.contains("mail to admin@example.com: ") && shown.contains("http://10.0.0.9/..."));
            assert!(!shown.contains("T0KEN") && !shown.contains("pw"), "{shown}");
            assert_eq!(shown.contains("NOT taken: "), class.is_some());
        }
        assert!(!tree.root().has("/var/lib/cias/notify"), "nothing is kept");
    }
}
