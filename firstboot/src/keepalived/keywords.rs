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

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: &str = include_str!("../../../docs/facts.md");

    /// What section 17 lists as keywords, with the block that each belongs to. What it says does not exist comes behind them.
    fn listed() -> &'static str {
        let (_, section) = FACTS.split_once("\n## 17 keepalived 1.2.2\n").unwrap();
        let (_, list) = section.split_once("Keywords of ").unwrap();
        list.split_once("(KA").unwrap().0
    }

    /// The words that are listed for `block`.
    fn words(block: &str) -> Vec<&'static str> {
        let named = match block {
            // A block outside of all others is named as the owner of its keywords.
            "" => listed(),
            "authentication" => listed().split_once("`authentication` with ").unwrap().1,
            block => listed().split_once(&format!("`{block}`:")).unwrap().1,
        };
        let named = if block.is_empty() { named } else { named.split(';').next().unwrap() };
        named
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .collect()
    }

    #[test]
    fn each_keyword_is_one_that_the_facts_list_for_its_block() {
        for row in TABLE {
            assert!(words(row.block).contains(&row.keyword), "{row:?}: {:?}", words(row.block));
        }
        for (block, none) in [
            ("vrrp_instance", "unicast"),
            ("vrrp_instance", "rise"),
            ("vrrp_instance", "script_user"),
            ("vrrp_script", "priority"),
            ("authentication", "script"),
            ("", "rules"),
        ] {
            assert!(!words(block).contains(&none), "{block}: {none}");
        }
    }
}
