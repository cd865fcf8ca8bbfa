//! A stand-in for pmxcfs's synthetic files and links, which are in no database (pve-3.2-tools.md 2.1 and 16).

use serde_json::{Map, Value, json};

use crate::clusterconf::ClusterConf;
use crate::group::{Group, State};

/// What a name in the root stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synthetic {
    Local,
    QemuServer,
    OpenVz,
    Members,
    VmList,
    Version,
    ClusterLog,
    Rrd,
    Debug,
}

/// All of them, by name.
pub const ALL: [(&str, Synthetic); 9] = [
    ("local", Synthetic::Local),
    ("qemu-server", Synthetic::QemuServer),
    ("openvz", Synthetic::OpenVz),
    (".members", Synthetic::Members),
    (".vmlist", Synthetic::VmList),
    (".version", Synthetic::Version),
    (".clusterlog", Synthetic::ClusterLog),
    (".rrd", Synthetic::Rrd),
    (".debug", Synthetic::Debug),
];

/// Files whose versions `.version` shows.
const KNOWN: [&str; 7] = [
    "cluster.conf",
    "datacenter.cfg",
    "domains.cfg",
    "priv/shadow.cfg",
    "storage.cfg",
    "user.cfg",
    "vzdump.cron",
];

impl Synthetic {
    /// Where a link of the node `me` leads; none for a file.
    pub fn target(self, me: &str) -> Option<String> {
        match self {
            Self::Local => Some(format!("nodes/{me}")),
            Self::QemuServer => Some(format!("nodes/{me}/qemu-server")),
            Self::OpenVz => Some(format!("nodes/{me}/openvz")),
            _ => None,
        }
    }

    /// The text of a file.
    pub fn text(self, group: &Group, state: &State, me: &str, started: u64) -> String {
        match self {
            Self::Members => members(group, state, me),
            Self::VmList => vmlist(state),
            Self::Version => version(state, started),
            Self::ClusterLog => "{\n\"data\": []\n}\n".to_owned(),
            Self::Debug => "0\n".to_owned(),
            Self::Local | Self::QemuServer | Self::OpenVz | Self::Rrd => String::new(),
        }
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn members(group: &Group, state: &State, me: &str) -> String {
    let mut all = json!({ "nodename": me, "version": state.generation + 1 });
    let conf = state.tree.read("cluster.conf").and_then(|text| std::str::from_utf8(text).ok());
    // Without a running cman nothing is known of the cluster.
    if let Some(conf) = conf
        .filter(|_| group.clustered() && state.view.me != 0)
        .and_then(|text| ClusterConf::parse(text).ok())
    {
        all["cluster"] = json!({
            "name": conf.name, "version": conf.version, "nodes": conf.nodes.len(),
            "quorate": u8::from(state.view.quorate)
        });
        let nodes: Map<String, Value> = conf
            .nodes
            .iter()
            .map(|node| {
                let online = node.id == state.view.me || state.online.contains(&node.id);
                let mut entry = json!({ "id": node.id, "online": u8::from(online) });
                if let Some(address) = state.view.members.get(&node.id) {
                    entry["ip"] = json!(address.ip().to_string());
                }
                (node.name.clone(), entry)
            })
            .collect();
        all["nodelist"] = Value::Object(nodes);
    }
    pretty(&all)
}

fn vmlist(state: &State) -> String {
    let list = &state.tree.vms;
    let mut all = json!({ "version": list.version + 1 });
    if !list.ids.is_empty() {
        all["ids"] = json!(list.ids);
    }
    pretty(&all)
}

fn version(state: &State, started: u64) -> String {
    let mut all = json!({
        "starttime": started, "clinfo": state.generation + 1, "vmlist": state.tree.vms.version + 1
    });
    for path in KNOWN {
        let inode = state.tree.find(path);
        let entry = inode.and_then(|inode| state.tree.entry(inode));
        all[path] = json!(entry.map_or(0, |entry| entry.version));
    }
    pretty(&all)
}
