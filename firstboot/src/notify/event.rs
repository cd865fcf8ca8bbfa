//! What the administrator is told, and in which words. Pure.

use serde::{Deserialize, Serialize};

use crate::site::{Place, Site};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The founder's cluster stands.
    Founded,
    /// A node is a member.
    Joined,
    /// A node was let in, and its join came to nothing.
    NotJoined,
    /// A server got no place, or was not let in.
    Refused,
    /// A step of this node's way into the cluster failed.
    StepFailed,
    /// Nothing failed, but this node has been waiting for a while.
    StillWaits,
    /// Another founder or Master was heard.
    Rival,
    /// This machine does nothing more until a person has looked.
    Stopped,
    /// Nothing: somebody wants to see a message arrive.
    Test,
}

/// One event; what a webhook gets is this without the subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub event: Kind,
    /// It in a line.
    pub subject: String,
    /// The site's cluster.
    pub cluster: String,
    /// The node that it is about.
    pub node: String,
    /// What that is for the cluster.
    pub role: String,
    /// The step of that node's way into the cluster.
    pub step: Option<String>,
    /// Why, in one sentence.
    pub reason: String,
    /// When it is tried again; nothing if it is not.
    pub next_try: Option<String>,
    /// What a person can do.
    pub way_out: String,
    /// More about the machine: its marks, its address.
    pub machine: Option<String>,
    /// When it happened, as RFC 3339 has it; empty until it is told.
    #[serde(default)]
    pub time: String,
}

/// What a webhook gets.
#[derive(Serialize)]
struct Posted<'e> {
    event: Kind,
    cluster: &'e str,
    node: &'e str,
    role: &'e str,
    step: Option<&'e str>,
    reason: &'e str,
    next_try: Option<&'e str>,
    way_out: &'e str,
    machine: Option<&'e str>,
    time: &'e str,
}

/// Where more is to be read of who may join.
const ENROL: &str = "`cias enrol list` on the Master shows who may join, /var/log/cias/enrol.log what was";

impl Event {
    fn new(event: Kind, site: &Site, (node, role): (&str, &str), subject: String, reason: &str) -> Self {
        Self {
            event,
            subject,
            cluster: site.site.cluster_name.clone(),
            node: node.to_owned(),
            role: role.to_owned(),
            step: None,
            reason: reason.to_owned(),
            next_try: None,
            way_out: String::new(),
            machine: None,
            time: String::new(),
        }
    }

    /// The cluster stands, with its founder at `place`.
    pub fn founded(site: &Site, place: &Place) -> Self {
        let cluster = &site.site.cluster_name;
        let reason =
            format!("The cluster {cluster} was founded at {}, and gives places from now on.", place.address);
        let way_out = "nothing is to be done: servers installed from the same image join by themselves, `cias status` shows them";
        let subject = format!("the cluster {cluster} was founded");
        let event = Self::new(Kind::Founded, site, (&place.fqdn, "founder"), subject, &reason);
        Self { way_out: way_out.to_owned(), ..event }
    }

    /// The node `name` is a member.
    pub fn joined(site: &Site, name: &str, machine: String) -> Self {
        let reason = format!("{name} is a member of the cluster {} now.", site.site.cluster_name);
        let event = Self::new(Kind::Joined, site, (name, "node"), format!("{name} has joined"), &reason);
        Self { way_out: "nothing is to be done".to_owned(), machine: Some(machine), ..event }
    }

    /// The join of the node `name` failed.
    pub fn not_joined(site: &Site, name: &str, reason: &str, machine: String) -> Self {
        let subject = format!("{name} has not joined");
        let event = Self::new(Kind::NotJoined, site, (name, "node"), subject, reason);
        Self {
            next_try: Some("the server asks again by itself".to_owned()),
            way_out: ENROL.to_owned(),
            machine: Some(machine),
            ..event
        }
    }

    /// The Master did not let the server `name` in, or what came in its place.
    pub fn not_let_in(
        site: &Site,
        name: &str,
        kind: &str,
        reason: &str,
        is_final: bool,
        machine: String,
    ) -> Self {
        let subject = format!("{name} was refused ({kind})");
        let event = Self::new(Kind::Refused, site, (name, "newcomer"), subject, reason);
        let next_try = (!is_final).then(|| "the server asks again by itself".to_owned());
        Self { next_try, way_out: ENROL.to_owned(), machine: Some(machine), ..event }
    }

    /// The Master had no place for a server, which has no name yet.
    pub fn no_place(site: &Site, id: &str, reason: &str, is_final: bool, machine: String) -> Self {
        let subject = "a server was refused a place".to_owned();
        let event = Self::new(Kind::Refused, site, (&format!("machine {id}"), "newcomer"), subject, reason);
        let next_try = (!is_final).then(|| "the server asks again by itself".to_owned());
        let way_out = "the server's console and `cias status` there show the reason; /var/log/cias/agent.log on the Master has each refusal";
        Self { next_try, way_out: way_out.to_owned(), machine: Some(machine), ..event }
    }

    /// A step failed on this node, `here`.
    pub fn step_failed(site: &Site, here: &Here, step: &str, reason: &str) -> Self {
        let subject = format!("{}: {step} failed", here.node);
        let event = Self::new(Kind::StepFailed, site, here.pair(), subject, reason);
        let way_out = "put that right and start `cias run`; `cias status` shows how far the node is, /var/log/cias/firstboot.log what was run";
        Self {
            step: Some(step.to_owned()),
            next_try: Some("at the next boot, or by `cias run`".to_owned()),
            way_out: way_out.to_owned(),
            ..event
        }
    }

    /// The same of a step that may do better the next time: the agent does not wait for a person.
    #[must_use]
    pub fn tried_again(self) -> Self {
        Self {
            next_try: Some("by the agent, after 30 s and then pauses up to 10 minutes".to_owned()),
            ..self
        }
    }

    /// This node, `here`, still waits after several tries; the next one is in `pause` seconds.
    pub fn still_waits(site: &Site, here: &Here, reason: &str, pause: u64) -> Self {
        let subject = format!("{} still waits", here.node);
        let event = Self::new(Kind::StillWaits, site, here.pair(), subject, reason);
        let way_out = "nothing failed: it goes on by itself once what it waits for is there, `cias status` on that node shows it";
        Self { next_try: Some(format!("in {pause} s")), way_out: way_out.to_owned(), ..event }
    }

    /// This node, `here`, heard the founder or Master `other`.
    pub fn rival(site: &Site, here: &Here, other: &str) -> Self {
        let subject = "another founder or Master is there".to_owned();
        let event =
            Self::new(Kind::Rival, site, here.pair(), subject.clone(), &format!("{subject}: {other}"));
        let way_out = "a serving Master goes on, and of two neither touches the other: a person decides which cluster is to stay, docs/cluster.md tells what happens then";
        Self { way_out: way_out.to_owned(), ..event }
    }

    /// This node, `here`, has stopped; `way_out` is how it goes on.
    pub fn stopped(site: &Site, here: &Here, reason: &str, way_out: &str) -> Self {
        let subject = "this machine has stopped".to_owned();
        let event = Self::new(Kind::Stopped, site, here.pair(), subject, reason);
        Self { way_out: way_out.to_owned(), ..event }
    }

    /// Somebody on this node, `here`, wants to see whether messages arrive.
    pub fn test(site: &Site, here: &Here) -> Self {
        let reason = format!("Somebody called `cias notify test` on {}.", here.node);
        let subject = "a test of the notifications".to_owned();
        let event = Self::new(Kind::Test, site, here.pair(), subject, &reason);
        Self { way_out: "nothing is to be done".to_owned(), ..event }
    }

    /// The mail's text.
    pub fn body(&self) -> String {
        let line = |name: &str, value: &str| format!("{name:<10}{value}\n");
        let mut text = format!("{}\n\n", self.reason);
        text.push_str(&line("Node", &format!("{} ({})", self.node, self.role)));
        text.extend(self.step.as_deref().map(|step| line("Step", step)));
        text.push_str(&line("Next try", self.next_try.as_deref().unwrap_or("none")));
        text.push_str(&line("Way out", &self.way_out));
        text.push_str(&line("Time", &self.time));
        text.extend(self.machine.as_deref().map(|machine| format!("\n{machine}\n")));
        text
    }

    /// What a webhook gets.
    pub fn posted(&self) -> serde_json::Result<Vec<u8>> {
        let Self { event, subject: _, cluster, node, role, step, reason, next_try, way_out, machine, time } =
            self;
        serde_json::to_vec(&Posted {
            event: *event,
            cluster,
            node,
            role,
            step: step.as_deref(),
            reason,
            next_try: next_try.as_deref(),
            way_out,
            machine: machine.as_deref(),
            time,
        })
    }
}

/// This node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// Its whole name; before it has one, the machine's.
    pub node: String,
    /// What it is for the cluster.
    pub role: String,
}

impl Here {
    fn pair(&self) -> (&str, &str) {
        (&self.node, &self.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{from_text, tests::example};

    fn here() -> Here {
        Here { node: "pve-a-1-1.example.com".into(), role: "node".into() }
    }

    #[test]
    fn a_step_that_failed_in_both_forms() {
        let site = from_text(&example()).unwrap();
        let reason = "step 3 of 9: format the data disks: /dev/sdb: found a read error";
        let event = Event {
            time: "2026-11-29T04:00:00Z".into(),
            ..Event::step_failed(&site, &here(), "format the data disks", reason)
        };
        assert_eq!(event.subject, "pve-a-1-1.example.com: format the data disks failed");
        let wanted = format!(
            "{reason}\n\nNode      pve-a-1-1.example.com (node)\nStep      format the data disks\n\
             Next try  at the next boot, or by `cias run`\nWay out   {}\nTime      2026-11-29T04:00:00Z\n",
            event.way_out
        );
        assert_eq!(event.body(), wanted);
        let json: serde_json::Value = serde_json::from_slice(&event.posted().unwrap()).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let all =
            ["event", "cluster", "node", "role", "step", "reason", "next_try", "way_out", "machine", "time"];
        assert_eq!(keys, all);
        assert_eq!((&json["event"], &json["cluster"]), (&"step-failed".into(), &"DLLL-CIAS".into()));
        assert_eq!((&json["reason"], &json["machine"]), (&reason.into(), &serde_json::Value::Null));
    }

    #[test]
    fn each_event_says_what_is_to_be_done_and_when_it_is_tried_again() {
        let site = from_text(&example()).unwrap();
        let place = site.founder_place(None);
        let (here, machine) = (here(), || "Machine 1".to_owned());
        for (event, subject, tries) in [
            (Event::founded(&site, &place), "the cluster DLLL-CIAS was founded", false),
            (Event::joined(&site, "n", machine()), "n has joined", false),
            (Event::not_joined(&site, "n", "why", machine()), "n has not joined", true),
            (Event::not_let_in(&site, "n", "mode", "why", false, machine()), "n was refused (mode)", true),
            (
                Event::not_let_in(&site, "n", "retired", "why", true, machine()),
                "n was refused (retired)",
                false,
            ),
            (Event::no_place(&site, "1", "why", false, machine()), "a server was refused a place", true),
            (Event::no_place(&site, "1", "why", true, machine()), "a server was refused a place", false),
            (Event::still_waits(&site, &here, "why", 600), "pve-a-1-1.example.com still waits", true),
            (Event::rival(&site, &here, "1"), "another founder or Master is there", false),
            (Event::stopped(&site, &here, "why", "look"), "this machine has stopped", false),
            (Event::test(&site, &here), "a test of the notifications", false),
        ] {
            assert_eq!(event.subject, subject);
            assert_eq!(event.next_try.is_some(), tries, "{subject}");
            assert!(
                !event.way_out.is_empty() && !event.node.is_empty() && !event.reason.is_empty(),
                "{subject}"
            );
            let text = event.body();
            assert_eq!(text.contains("\nNext try  none\n"), !tries, "{text}");
        }
    }
}
