//! What the administrator of a cluster is told, and in which words, when something happens to it.

use anyhow::{Context, Result, ensure};
use cias_firstboot::enrol::protocol::FromNode;

use super::Lab;
use super::fleet::Fleet;
use super::formed::{CLUSTER, NODES};
use super::intruder::{self, Keys};
use super::road::BOOT;
use super::services_formed::{Beside, is_posted};
use crate::guest::{self, Guest};

/// A table of cron that a step of the provision writes.
const TABLE: &str = "/etc/cron.d/cias";

/// A test, a connection that is refused and a step that fails: each arrives by mail and by the webhook.
pub fn arrives(lab: &Lab, fleet: &Fleet, guests: &mut [Guest], beside: &Beside) -> Result<()> {
    let (master, node) = (fleet.node(NODES[0]), fleet.node(NODES[1]));
    node.ask("cias notify test")?;
    told(guests, beside, "test", "a test of the notifications", &["Next try  none"])?;

    let keys = Keys::make(lab, &fleet.folder)?;
    let early = serde_json::to_string(&FromNode::Joined).context("writing what a node says")?;
    let said = intruder::says(fleet, &keys, NODES[0], &format!("{early}\n"))?;
    ensure!(said.contains("before it had asked for one"), "found {said:?}, wanted a refusal");
    let lines = [
        "Node      a connection (newcomer)",
        "Next try  the server asks again",
        "Way out   `cias enrol list`",
    ];
    told(guests, beside, "refused", "a connection was refused (early)", &lines)?;
    master.contains("cat /var/log/cias/enrol.log", "refused (early)")?;

    node.ask(&format!("mv {TABLE} /root/table && mkdir {TABLE}"))?;
    node.contains("cias run 2>&1; echo code-$?", "code-1")?;
    let name = node.ask("hostname -f")?;
    let subject = format!("{name}: keep the gateway's archive failed");
    let lines = [
        &format!("Node      {name} (node)"),
        "Step      keep the gateway's archive",
        "Next try  by the agent",
    ];
    told(guests, beside, "step-failed", &subject, &lines)?;
    node.ask(&format!("rmdir {TABLE} && mv /root/table {TABLE} && cias run")).map(drop)
}

/// Waits for a mail with this subject, in which `lines` begin lines, and for a post of the `event`.
fn told(guests: &mut [Guest], beside: &Beside, event: &str, subject: &str, lines: &[&str]) -> Result<()> {
    let subject = format!("[{CLUSTER}] {subject}");
    let mail = guest::all(guests, &format!("mail {subject:?}"), BOOT, |_| {
        let mut mails = beside.mails.received().into_iter();
        Ok(mails.find(|mail| mail.head("Subject").as_ref() == Some(&subject)))
    })?;
    for line in lines {
        ensure!(mail.text.contains(&format!("\n{line}")), "found {mail:?}, wanted a line {line:?}");
    }
    guest::all(guests, &format!("post of the event {event}"), BOOT, |_| {
        Ok(beside.posts.received().iter().any(|post| is_posted(post, event)).then_some(()))
    })
}
