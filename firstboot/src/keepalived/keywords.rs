//! The keywords of `keepalived.conf` that may be used: those that the target's keepalived 1.2.2 knows (docs/facts.md 17).

/// A keyword.
#[derive(Debug)]
pub struct Row {
    /// The keyword of the block that it stands in; empty outside of all.
    pub block: &'static str,
    /// As it is written.
    pub keyword: &'static str,
    /// Does it open a block, and one with keywords, not a list?
    pub opens: Option<bool>,
    /// What it is here for.
    pub why: &'static str,
}

const fn row(block: &'static str, keyword: &'static str, why: &'static str) -> Row {
    Row { block, keyword, opens: None, why }
}

const fn opening(block: &'static str, keyword: &'static str, opens: bool, why: &'static str) -> Row {
    Row { block, keyword, opens: Some(opens), why }
}

/// All of them, by block.
pub const TABLE: &[Row] = &[
    opening("", "global_defs", true, "the name in the log"),
    opening("", "vrrp_instance", true, "the Master's addresses"),
    opening("", "vrrp_script", true, "may this node be Master?"),
    row("authentication", "auth_pass", "the site's, eight characters"),
    row(
        "authentication",
        "auth_type",
        "what 1.2.2 has: a password in the clear, against mistakes and not against attackers",
    ),
    row("global_defs", "router_id", "the node's name"),
    row("vrrp_instance", "advert_int", "1.2.2 has whole seconds"),
    opening("vrrp_instance", "authentication", true, "as above"),
    row(
        "vrrp_instance",
        "garp_master_delay",
        "tells the wire once more where the addresses are, 1 s after they came",
    ),
    row("vrrp_instance", "interface", "the bridge, which has the node's own address"),
    row(
        "vrrp_instance",
        "nopreempt",
        "a node that comes back does not pull the Master over; not in a manual switch",
    ),
    row("vrrp_instance", "notify_backup", "the addresses went"),
    row("vrrp_instance", "notify_fault", "the addresses went"),
    row("vrrp_instance", "notify_master", "the addresses came"),
    row("vrrp_instance", "notify_stop", "the addresses went"),
    row("vrrp_instance", "priority", "who is next; another number on each node"),
    row("vrrp_instance", "state", "BACKUP everywhere: nopreempt counts only there"),
    opening("vrrp_instance", "track_interface", false, "a node without a link gives the addresses up"),
    opening("vrrp_instance", "track_script", false, "as above"),
    opening("vrrp_instance", "virtual_ipaddress", false, "what moves"),
    row("vrrp_instance", "virtual_router_id", "the site's number on the wire"),
    row("vrrp_script", "fall", "one miss, as of a busy moment, is none"),
    row("vrrp_script", "interval", "how often"),
    row("vrrp_script", "rise", "it must hold twice"),
    row("vrrp_script", "script", "what is run"),
    row("vrrp_script", "weight", "0: a failure is FAULT and no smaller priority"),
];
