//! Which port the agent speaks on, and whether it has a link. Reads sysfs as kernel 2.6.32 shows it.

use std::net::Ipv4Addr;

use crate::system::Sysroot;

/// All physical ports of a node.
const BOND: &str = "bond0";
/// What they are below of, for the guests.
const BRIDGE: &str = "vmbr0";

/// The port to speak on, or why there is none. A port of a bridge hears nothing itself, so it is the bridge from the moment that
/// it has the bond.
pub fn choose(root: &Sysroot) -> Result<&'static str, String> {
    let is_port = root.has(&format!("/sys/class/net/{BRIDGE}/brif/{BOND}"));
    let name = if is_port { BRIDGE } else { BOND };
    let Some(flags) = root.attribute(&format!("/sys/class/net/{name}/flags")) else {
        return Err(format!(
            "there is no {name} yet, which `cias run --stage identity` sets up: `cias status` tells how far that is"
        ));
    };
    if !is_up(&flags) {
        return Err(format!("{name} is down: `ifup {name}` brings it up"));
    }
    Ok(name)
}

/// An address that this machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The port that has it.
    pub port: String,
    /// The address.
    pub address: Ipv4Addr,
    /// Bits of its network.
    pub prefix: u32,
}

/// All that it has.
pub fn addresses() -> Vec<Own> {
    let ports = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let own = |port: nix::ifaddrs::InterfaceAddress| {
        let netmask = port.netmask.and_then(|netmask| Some(netmask.as_sockaddr_in()?.ip()));
        Some(Own {
            address: port.address?.as_sockaddr_in()?.ip(),
            prefix: netmask.map_or(Ipv4Addr::BITS, |netmask| netmask.to_bits().count_ones()),
            port: port.interface_name,
        })
    };
    ports.filter_map(own).collect()
}

/// The lowest of an interface's flags. Source: netdevice(7), `IFF_UP`.
fn is_up(flags: &str) -> bool {
    u32::from_str_radix(flags.trim_start_matches("0x"), 16).is_ok_and(|flags| flags & 1 == 1)
}

/// Is there a link? A bridge of 2.6.32 always says so, therefore the bond below it is asked, too.
pub fn has_carrier(root: &Sysroot, name: &str) -> bool {
    [name, BOND].iter().all(|name| {
        root.attribute(&format!("/sys/class/net/{name}/carrier")).is_some_and(|carrier| carrier == "1")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn the_bridge_is_spoken_on_once_the_bond_is_its_port() {
        let bond =
            |flags: &str| format!("/sys/class/net/bond0/flags = {flags}\n/sys/class/net/bond0/carrier = 1\n");
        let bridge =
            |flags: &str| format!("/sys/class/net/vmbr0/flags = {flags}\n/sys/class/net/vmbr0/carrier = 1\n");
        let port = "/sys/class/net/vmbr0/brif/bond0/\n";
        for (text, wanted) in [
            (String::new(), Err("there is no bond0")),
            (bond("0x1002"), Err("bond0 is down")),
            (bond("0x1403"), Ok("bond0")),
            (bond("0x1403") + &bridge("0x1003"), Ok("bond0")),
            (bond("0x1403") + &bridge("0x1003") + port, Ok("vmbr0")),
            (bond("0x1403") + &bridge("0x1002") + port, Err("vmbr0 is down")),
        ] {
            let found = choose(&Tree::from_text(&text).root());
            match (&found, wanted) {
                (Ok(name), Ok(wanted)) => assert_eq!(*name, wanted, "{text}"),
                (Err(reason), Err(wanted)) => assert!(reason.starts_with(wanted), "{reason}"),
                _ => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_bridge_has_a_link_only_if_its_bond_has() {
        let of = |bond: &str, bridge: &str| {
            Tree::from_text(&format!(
                "/sys/class/net/bond0/carrier = {bond}\n/sys/class/net/vmbr0/carrier = {bridge}\n"
            ))
        };
        assert!(has_carrier(&of("1", "1").root(), "vmbr0"));
        assert!(!has_carrier(&of("0", "1").root(), "vmbr0"));
        assert!(!has_carrier(&of("1", "0").root(), "vmbr0"));
        assert!(has_carrier(&of("1", "0").root(), "bond0"));
    }
}
