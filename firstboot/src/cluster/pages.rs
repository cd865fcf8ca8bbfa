//! The management pages of Proxmox VE: each node has them, and each shows the whole cluster.

use std::net::Ipv4Addr;

use super::roster::Row;
use crate::node;
use crate::site::Site;
use crate::system::Sysroot;

/// Where Proxmox VE has its pages (docs/facts.md 16).
const PORT: u16 = 8006;

/// The pages of the nodes that are there. Where none is known to be there, somebody looks for a page all the more: then those that the site
/// file promises, and this node's own. `role` is the Master's role address as keepalived has it, which needs no root to be seen.
pub fn read(root: &Sysroot, nodes: &[Row], role: Option<Ipv4Addr>, own: Option<Ipv4Addr>) -> Vec<String> {
    let online: Vec<Ipv4Addr> = nodes.iter().filter(|row| row.online).map(|row| row.address).collect();
    let addresses =
        if online.is_empty() { promised(node::load_site(root).ok().as_ref(), role, own) } else { online };
    addresses.into_iter().map(|address| format!("https://{address}:{PORT}/")).collect()
}

/// The founder's address, the Master's and this node's own, each once.
fn promised(site: Option<&Site>, role: Option<Ipv4Addr>, own: Option<Ipv4Addr>) -> Vec<Ipv4Addr> {
    let founder = site.map(|site| site.network.founder);
    let mut all = Vec::new();
    for address in [founder, site.map(|site| site.network.vip).or(role), own].into_iter().flatten() {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{from_text, tests::example};

    #[test]
    fn each_address_once_and_what_is_not_known_left_out() {
        let site = from_text(&example()).unwrap();
        let (founder, vip, own) = ([10, 254, 0, 1].into(), [10, 254, 0, 254].into(), [10, 254, 1, 1].into());
        for (site, role, own, wanted) in [
            (Some(&site), None, None, vec![founder, vip]),
            (Some(&site), Some(vip), Some(founder), vec![founder, vip]),
            (Some(&site), None, Some(own), vec![founder, vip, own]),
            (None, Some(vip), Some(own), vec![vip, own]),
            (None, None, None, vec![]),
        ] {
            assert_eq!(promised(site, role, own), wanted);
        }
    }
}
