//! Reads what concerns the servers themselves: `[nodes]`, `[install]`, `[disks]`, `[[nas]]`.

use std::net::Ipv4Addr;

use super::super::reader::Section;
use super::super::shown::Show;
use super::super::values as judge;
use super::super::{DiskFilter, Disks, Install, Machine, Nas, Nodes};
use super::{narrow, or};

/// The largest size of a disk that a file may name, in GiB.
const LARGEST_GIB: i64 = 10_000_000;

pub(super) fn nodes(section: &Section) -> Nodes {
    let nodes = Nodes {
        rows: section.text("rows", judge::range(0)).unwrap_or((1, 5)),
        positions: section.text("positions", judge::range(1)).unwrap_or((1, 99)),
        name_pattern: or(section.text("name_pattern", judge::name_pattern), "pve-{rack}-{row}-{pos}"),
        machine: section.sections("machine").iter().map(machine).collect(),
    };
    section.finish();
    nodes
}

fn machine(section: &Section) -> Machine {
    let inner = section.section("install");
    let machine = Machine {
        mac: section.text("mac", judge::mac),
        serial: section.text("serial", judge::serial),
        rack: section.text("rack", judge::label),
        position: section.text("position", judge::position),
        address: section.text("address", judge::address),
        priority: section.number("priority", 0..=100).and_then(|number| u8::try_from(number).ok()),
        disk: inner.has("disk").then(|| disk_filter(&inner.section("disk"))),
    };
    inner.finish();
    if !section.has("mac") && !section.has("serial") {
        section.note_missing("mac", "mac or serial, so that the entry matches a server");
    }
    section.finish();
    machine
}

pub(super) fn install(section: &Section) -> Install {
    let accepted = section.flag("accept_eula");
    let wanted = "true, once you have read and accepted the licence of Proxmox VE";
    if accepted == Some(false) {
        section.note("accept_eula", "false", wanted);
    } else if !section.has("accept_eula") {
        section.note_missing("accept_eula", wanted);
    }
    // The vendor's installer takes whole numbers of GiB only (docs/facts.md 2).
    let sizes = [("hdsize", 8), ("swapsize", 1), ("maxroot", 2), ("minfree", 0), ("maxvz", 1)];
    let sizes = sizes.into_iter().filter_map(|(name, least)| {
        section.number(name, least..=LARGEST_GIB).map(|gib| (name.to_owned(), narrow(Some(gib), 0)))
    });
    let install = Install {
        accept_eula: accepted == Some(true),
        sizes: sizes.collect(),
        filesystem: or(section.text("filesystem", judge::word(&["ext3", "ext4"])), "ext3"),
        disk: disk_filter(&section.section("disk")),
        countdown: narrow(section.number("countdown", 0..=600), 10),
    };
    section.finish();
    install
}

fn disk_filter(section: &Section) -> DiskFilter {
    let gib = |key| section.number(key, 1..=LARGEST_GIB).map(|gib| narrow(Some(gib), 0));
    let filter = DiskFilter {
        path: section.text("path", judge::disk),
        serial: section.text("serial", judge::line),
        model: section.text("model", judge::line),
        min_gib: gib("min_gib"),
        max_gib: gib("max_gib"),
        pick: section.text("pick", judge::word(&["smallest", "largest", "first"])),
    };
    if let (Some(min), Some(max)) = (filter.min_gib, filter.max_gib)
        && min > max
    {
        section.note("max_gib", max.to_string(), format!("at least min_gib, which is {min}"));
    }
    section.finish();
    filter
}

pub(super) fn disks(section: &Section) -> Disks {
    let disks = Disks {
        wipe: or(section.text("wipe", judge::word(&["blank", "foreign", "all"])), "blank"),
        models: section.texts("match", Show::Value, judge::line).unwrap_or_default(),
        inode_ratio: narrow(section.number("inode_ratio", 65536..=67_108_864), 4_194_304),
        journal_mib: narrow(section.number("journal_mib", 4..=1024), 64),
    };
    if section.length("match") == Some(0) {
        section.note(
            "match",
            "an empty list",
            "at least one model, or no such key: without it all disks are data disks",
        );
    }
    section.finish();
    disks
}

/// One storage server; `rack` is the site's.
pub(super) fn nas(section: &Section, rack: &str) -> Nas {
    let position = section.text("position", judge::position);
    let rack = or(section.text("rack", judge::label), rack);
    let mut name = section.text("name", judge::label);
    let mut address = section.text("address", judge::address);
    if let Some(at @ (row, pos)) = position {
        name = name.or_else(|| Some(format!("nas-{rack}-{row}-{pos}")));
        address = address.or_else(|| Some(Nas::address_of(at)));
    } else if !section.has("position") {
        for (key, given) in [("name", section.has("name")), ("address", section.has("address"))] {
            if !given {
                section.note_missing(key, "it, or a position that it follows from");
            }
        }
    }
    let content = section.texts("content", Show::Value, judge::word(Nas::CONTENT));
    if section.length("content") == Some(0) {
        section.note("content", "an empty list", "at least one kind of content");
    }
    section.finish();
    Nas {
        name: name.unwrap_or_default(),
        address: address.unwrap_or(Ipv4Addr::UNSPECIFIED),
        content: content.unwrap_or_else(|| Nas::CONTENT.iter().map(|kind| (*kind).to_owned()).collect()),
    }
}
