//! Drives the built binary through first boots in a folder.

#[path = "support/node.rs"]
mod node;
#[path = "support/tree.rs"]
mod tree;

use node::Node;

const PIN: &str = "[role]\nfounder = { mac = \"52:54:00:00:00:02\" }\n";

#[test]
fn the_founder_is_settled_and_a_second_boot_changes_nothing() {
    let node = Node::new("fresh-node", PIN);
    let (_, stderr) = node.wants(0, &["run"]);
    assert!(
        stderr.contains("cias: step 1 of 10: write /etc/udev/rules.d/70-persistent-net.rules"),
        "{stderr}"
    );
    assert_eq!(node.read("etc/hostname"), "pve-rack-a-0-1\n");
    assert_eq!(node.read("proc/sys/kernel/hostname"), "pve-rack-a-0-1\n");
    assert!(node.read("etc/network/interfaces").contains("slaves eth0 eth1\n"));
    assert!(node.read("etc/postfix/main.cf").starts_with("myhostname=pve-rack-a-0-1.example.com\n"));
    assert!(!node.path("etc/network/interfaces.new").exists());
    assert!(node.path("etc/rc2.d/S20pve-cluster").is_symlink());
    assert!(!node.path("var/lib/cias/held").exists());
    assert!(node.read("etc/issue").contains("web interface: https://10.254.0.1:8006/"));
    let calls = node.read("calls");
    let released: Vec<_> = calls.lines().filter(|line| line.starts_with("update-rc.d")).collect();
    assert_eq!(released, ["update-rc.d pve-cluster enable", "update-rc.d pveproxy enable"]);

    let before = node.snapshot();
    node.wants(0, &["run"]);
    node.wants(0, &["run", "--stage", "identity", "--again"]);
    assert_eq!(node.snapshot(), before);
}

#[test]
fn plan_names_what_run_does_and_changes_nothing() {
    let node = Node::new("fresh-node", PIN);
    let before = node.snapshot();
    let (plan, _) = node.wants(0, &["plan"]);
    assert_eq!(node.snapshot(), before);
    assert!(plan.starts_with("founder: pve-rack-a-0-1.example.com, 10.254.0.1\nidentity\n"), "{plan}");
    node.wants(0, &["run"]);
    let log = node.read("var/log/cias/firstboot.log");
    let planned: Vec<_> = plan.lines().filter_map(|line| line.strip_prefix("    - ")).collect();
    let done: Vec<_> =
        log.lines().filter_map(|line| line.split_once(" to do: ")).map(|(_, todo)| todo).collect();
    assert_eq!(planned, done);
    assert!(planned.len() >= 10, "{plan}");
}

#[test]
fn a_server_that_may_not_found_names_each_reason_while_it_waits() {
    let node = Node::new("fresh-node", "");
    let why = |node: &Node| {
        let (_, stderr) = node.wants(6, &["run"]);
        stderr.split_once("this server may not found a cluster by election: ").map(|(_, why)| why.to_owned())
    };
    assert_eq!(why(&node), None);
    std::fs::write(node.path("proc/meminfo"), "MemTotal: 2048000 kB\n").unwrap();
    let cpuinfo = node.read("proc/cpuinfo").replace(" vmx", "").replace(" svm", "");
    std::fs::write(node.path("proc/cpuinfo"), cpuinfo).unwrap();
    let found = why(&node).unwrap();
    assert!(
        found.contains("shows neither VT nor AMD-V") && found.contains("the memory is 1.9 GiB"),
        "{found}"
    );
    node.site("[role]\npriority = 0\n");
    let found = why(&node).unwrap();
    assert!(found.starts_with("its priority in /etc/cias/site.toml is 0, wanted 1 to 100"), "{found}");
    node.site("[role]\npriority = 7\n");
    assert_eq!(why(&node), None, "the site file counts before the hardware");
}

#[test]
fn a_server_that_is_not_pinned_waits_and_holds_the_services_back() {
    let node = Node::new("fresh-node", "");
    for _ in 0..2 {
        let (_, stderr) = node.wants(6, &["run"]);
        assert!(stderr.contains("error: /etc/cias/site.toml pins no founder (role.founder)"), "{stderr}");
    }
    node.wants(6, &["run", "--stage", "provision"]);
    assert!(node.path("etc/rc2.d/K02pve-cluster").is_symlink());
    assert_eq!(node.read("etc/hostname"), "proxmox\n");
    assert!(node.read("etc/network/interfaces").contains("iface vmbr0 inet manual\n"));
    let status: serde_json::Value = serde_json::from_str(&node.wants(0, &["status", "--json"]).0).unwrap();
    assert_eq!((&status["state"], &status["role"]), (&"waiting".into(), &"waiting".into()));

    node.site(PIN);
    node.wants(0, &["run"]);
    assert_eq!(node.read("etc/hostname"), "pve-rack-a-0-1\n");
    let status: serde_json::Value = serde_json::from_str(&node.wants(0, &["status", "--json"]).0).unwrap();
    assert_eq!((&status["state"], &status["role"]), (&"done".into(), &"founder".into()));
}

#[test]
fn a_settled_node_does_not_take_another_place() {
    let node = Node::new("fresh-node", PIN);
    node.wants(0, &["run", "--stage", "identity"]);
    node.site(&format!("{PIN}[network]\nfounder = \"10.254.0.9\"\n"));
    let (_, stderr) = node.wants(5, &["run", "--stage", "identity", "--again"]);
    assert!(stderr.contains("settled as pve-rack-a-0-1.example.com with 10.254.0.1"), "{stderr}");
    assert!(node.read("etc/network/interfaces").contains("address 10.254.0.1\n"));
}

#[test]
fn a_failed_step_is_named_on_the_console_and_resumed() {
    let node = Node::new("fresh-node", PIN);
    std::fs::remove_file(node.path("etc/hosts")).unwrap();
    std::fs::create_dir(node.path("etc/hosts")).unwrap();
    let (_, stderr) = node.wants(1, &["run"]);
    assert!(stderr.contains("step 4 of 10: write /etc/hosts"), "{stderr}");
    assert!(node.read("etc/issue").contains("\n  reason: step 4 of 10: write /etc/hosts: "));
    assert!(node.wants(0, &["status"]).0.contains("failed at step 4 of 10 of identity"));
    std::fs::remove_dir(node.path("etc/hosts")).unwrap();
    let (_, stderr) = node.wants(0, &["run"]);
    assert!(stderr.contains("identity: resumed at step 4 of 10 after a failure"), "{stderr}");
}

#[test]
fn bad_input_and_usage_have_their_exit_codes() {
    let node = Node::new("fresh-node", PIN);
    node.wants(2, &["run", "--stage", "nonsense"]);
    std::fs::remove_file(node.path("etc/cias/site.toml")).unwrap();
    let (_, stderr) = node.wants(3, &["run"]);
    assert!(stderr.contains("/etc/cias/site.toml is missing"), "{stderr}");
    assert!(node.read("etc/issue").contains("reason: /etc/cias/site.toml is missing"));
}

#[test]
fn facts_are_json_and_name_what_a_master_would_lack() {
    let node = Node::new("fresh-node", PIN);
    let facts: serde_json::Value = serde_json::from_str(&node.wants(0, &["facts", "--json"]).0).unwrap();
    assert_eq!(facts["nics"][1]["mac"], "52:54:00:00:00:02");
    assert_eq!(facts["nics"][1]["driver"], "virtio_net");
    assert_eq!(facts["serial"], "LAB-0001");
    let misses = |node: &Node| {
        let facts: serde_json::Value = serde_json::from_str(&node.wants(0, &["facts", "--json"]).0).unwrap();
        serde_json::from_value::<Vec<String>>(facts["below_minimum"].clone()).unwrap()
    };
    assert!(!misses(&node).iter().any(|miss| miss.contains("memory")), "{:?}", misses(&node));
    std::fs::write(node.path("proc/meminfo"), "MemTotal: 2048000 kB\n").unwrap();
    let miss = "the memory is 1.9 GiB, wanted 7.5 GiB as the kernel counts 8 GB";
    assert!(misses(&node).iter().any(|found| found == miss), "{:?}", misses(&node));
    let (text, _) = node.wants(0, &["facts"]);
    assert!(text.contains(&format!("\nbelow the minimum of a Master: {miss}\n")), "{text}");
}

#[test]
fn a_site_file_that_is_none_is_an_error_and_holds_nothing_up() {
    let node = Node::new("fresh-node", PIN);
    let site = node.path("etc/cias/site.toml");
    std::fs::remove_file(&site).unwrap();
    let (_, stderr) = node.wants(3, &["run"]);
    assert!(stderr.contains("/etc/cias/site.toml is missing"), "{stderr}");
    nix::unistd::mkfifo(&site, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let (_, stderr) = node.wants(3, &["run"]);
    assert!(stderr.contains("found a pipe"), "{stderr}");
}
