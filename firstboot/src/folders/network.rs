//! `cias-network.conf`: the cluster's addresses, for scripts and people. Pure.
//!
//! It has lines `KEY="value"`, which a shell can read. Lines with other keys are somebody's own and stay.

use crate::cluster::pages;
use crate::site::Site;

/// Its name in the management folders.
pub const NAME: &str = "cias-network.conf";

const HEAD: &str = "# The cluster's addresses. cias writes the keys that it knows; add others, and PAGE_NAME for each management page of yours.";

/// How the keys of management pages begin.
const PAGE: &str = "PAGE_";

/// The keys of ours, with the site's values; nothing where a key is not to be there.
fn values(site: &Site) -> Vec<(&'static str, Option<String>)> {
    let net = &site.network;
    let dns: Vec<String> = net.dns.iter().map(ToString::to_string).collect();
    let nas: Vec<String> = site.nas.iter().map(|nas| format!("{}={}", nas.name, nas.address)).collect();
    let wan = net.wan_address.map(|wan| format!("{}/{}", wan.address, wan.network.prefix));
    vec![
        ("CLUSTER", Some(site.site.cluster_name.clone())),
        ("DOMAIN", Some(site.site.domain.clone())),
        ("LAN", Some(format!("{}/{}", net.lan.base, net.lan.prefix))),
        ("GATEWAY", Some(net.gateway.to_string())),
        ("DNS", Some(dns.join(" "))),
        ("MASTER", Some(net.vip.to_string())),
        ("FOUNDER", Some(net.founder.to_string())),
        ("WAN_ADDRESS", wan),
        ("WAN_GATEWAY", net.wan_gateway.map(|gateway| gateway.to_string())),
        ("NAS", (!nas.is_empty()).then(|| nas.join(" "))),
        ("PAGE_MASTER", Some(pages::of(net.vip))),
    ]
}

/// Key and value of a line.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim().split_once('=')?;
    (!key.starts_with('#')).then(|| (key.trim_end(), value.trim().trim_matches('"')))
}

/// The file with the site's values, all else in it kept; nothing if it says that already.
pub fn corrected(found: Option<&str>, site: &Site) -> Option<String> {
    let wanted = values(site);
    let kept = |line: &&str| pair(line).is_none_or(|(key, _)| wanted.iter().all(|(ours, _)| *ours != key));
    let says = |key: &str| -> Vec<&str> {
        let pairs = found.unwrap_or_default().lines().filter_map(pair);
        pairs.filter(|(found, _)| *found == key).map(|(_, value)| value).collect()
    };
    if found.is_some() && wanted.iter().all(|(key, value)| says(key) == Vec::from_iter(value.as_deref())) {
        return None;
    }
    let mut lines: Vec<String> = found.unwrap_or(HEAD).lines().filter(kept).map(str::to_owned).collect();
    let ours = wanted.into_iter().filter_map(|(key, value)| Some(format!("{key}=\"{}\"", value?)));
    lines.extend(ours);
    Some(lines.join("\n") + "\n")
}

/// The management pages that the file names.
pub fn named(text: &str) -> Vec<String> {
    let pairs = text.lines().filter_map(pair);
    let is_page = |(key, value): &(&str, &str)| key.starts_with(PAGE) && value.starts_with("https://");
    pairs.filter(is_page).map(|(_, value)| crate::site::visible(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{from_text, tests::example};

    fn site(more: &str) -> Site {
        from_text(&(example() + more)).unwrap()
    }

    #[test]
    fn the_file_as_it_is_written_first() {
        let more = "[network]\nwan_address = \"192.168.56.101/24\"\nwan_gateway = \"192.168.56.1\"\n[[nas]]\nposition = \"1-1\"\n";
        let text = corrected(None, &site(more)).unwrap();
        let wanted = "CLUSTER=\"DLLL-CIAS\"\nDOMAIN=\"example.com\"\nLAN=\"10.0.0.0/8\"\nGATEWAY=\"10.0.0.254\"\nDNS=\"10.0.0.254\"\n\
                      MASTER=\"10.254.0.254\"\nFOUNDER=\"10.254.0.1\"\nWAN_ADDRESS=\"192.168.56.101/24\"\nWAN_GATEWAY=\"192.168.56.1\"\n\
                      NAS=\"nas-rack-a-1-1=10.253.1.1\"\nPAGE_MASTER=\"https://10.254.0.254:8006/\"\n";
        assert_eq!(text, format!("{HEAD}\n{wanted}"));
        assert_eq!(corrected(Some(&text), &site(more)), None);
    }

    #[test]
    fn what_somebody_added_stays_and_what_is_ours_is_put_right() {
        let text = corrected(None, &site("")).unwrap();
        let own = format!(
            "# mine\nPAGE_GATEWAY = \"https://192.168.56.102:10143/\"\n{}",
            text.replace("10.254.0.254", "10.9.9.9")
        );
        let put = corrected(Some(&own), &site("")).unwrap();
        assert!(put.starts_with("# mine\nPAGE_GATEWAY = \"https"), "{put}");
        assert!(put.contains("MASTER=\"10.254.0.254\"") && !put.contains("10.9.9.9"), "{put}");
        assert_eq!(corrected(Some(&put), &site("")), None);
        // The order of lines and blanks is nobody's business; a key that stands twice is.
        let turned: Vec<String> = put.lines().rev().map(|line| format!(" {line}")).collect();
        assert_eq!(corrected(Some(&turned.join("\n")), &site("")), None);
        let twice = format!("{put}MASTER=\"10.9.9.9\"\n");
        assert!(!corrected(Some(&twice), &site("")).unwrap().contains("10.9.9.9"));
        // What the site has no more goes.
        let gone = format!("{put}WAN_GATEWAY=\"192.168.56.1\"\n");
        assert!(!corrected(Some(&gone), &site("")).unwrap().contains("WAN_GATEWAY"));
        assert_eq!(named(&put), ["https://192.168.56.102:10143/", "https://10.254.0.254:8006/"]);
    }
}
