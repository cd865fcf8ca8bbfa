//! The management pages of Proxmox VE: each node has them, and each shows the whole cluster.

use std::net::Ipv4Addr;

use super::roster::Row;
use crate::folders::{self, network};
use crate::node;
use crate::site::Site;
use crate::system::Sysroot;

/// Where Proxmox VE has its pages (docs/facts.md 16).
const PORT: u16 = 8006;

/// The pages of the nodes that are there, and then those that the management folder's cias-network.conf names. Where none is known to be there, somebody looks for a page all the more: then those that the site
/// file promises, and this node's own. `role` is the Master's role address as keepalived has it, which needs no root to be seen.
pub fn read(root: &Sysroot, nodes: &[Row], role: Option<Ipv4Addr>, own: Option<Ipv4Addr>) -> Vec<String> {
    let online: Vec<Ipv4Addr> = nodes.iter().filter(|row| row.online).map(|row| row.address).collect();
    let addresses =
        if online.is_empty() { promised(node::load_site(root).ok().as_ref(), role, own) } else { online };
    let mut pages: Vec<String> = addresses.into_iter().map(of).collect();
    let text = root.text(&format!("{}/{}", folders::OWN, network::NAME)).unwrap_or_default();
    for page in network::named(&text) {
        if !pages.contains(&page) {
            pages.push(page);
        }
    }
    pages
}

/// Where the node with this address has its page.
pub fn of(address: Ipv4Addr) -> String {
    format!("https://{address}:{PORT}/")
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
    use crate::tree::Tree;

    #[test]
    fn what_cias_network_conf_names_comes_last_and_once() {
        let tree = Tree::from_text(
            "/data/cias/cias-network.conf = PAGE_MASTER=\"https://10.254.0.254:8006/\"\\nPAGE_GATEWAY=\"https://192.168.56.102/\"\n",
        );
        let found = read(&tree.root(), &[], Some([10, 254, 0, 254].into()), None);
        assert_eq!(found, ["https://10.254.0.254:8006/", "https://192.168.56.102/"]);
    }

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
