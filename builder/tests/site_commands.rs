//! `cias-builder init` and `check`, as a user runs them.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const HASH: &str =
    "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";

fn builder(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cias-builder")).args(args).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn init(folder: &Path) -> Output {
    builder(folder, &["init", "--mail", "a@example.com", "--password-hash", HASH, "--accept-eula"])
}

#[test]
fn a_fresh_site_is_for_its_owner_only_and_passes_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let output = init(folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mode = std::fs::metadata(folder.path().join("site.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let output = builder(folder.path(), &["check", "site.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("founder   pve-rack-a-0-1.example.com at 10.254.0.1"));
}

#[test]
fn the_plan_as_json_carries_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let json = text(&builder(folder.path(), &["check", "--json", "site.toml"]).stdout);
    let site = std::fs::read_to_string(folder.path().join("site.toml")).unwrap();
    let key = site.lines().find_map(|line| line.strip_prefix("key = ")).unwrap().trim_matches('"');
    for secret in [key, HASH, "PRIVATE KEY"] {
        assert!(site.contains(secret) && !json.contains(secret), "{secret} in {json}");
    }
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["plan"]["pool"]["nodes"], 495);
}

#[test]
fn ssh_reads_the_private_keys_and_gives_the_same_public_ones() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let site: toml_edit::DocumentMut =
        std::fs::read_to_string(folder.path().join("site.toml")).unwrap().parse().unwrap();
    for name in ["join_key", "enrol_host_key"] {
        let secrets = &site["site"]["secrets"];
        let private = folder.path().join(name);
        std::fs::write(&private, secrets[name].as_str().unwrap()).unwrap();
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600)).unwrap();
        let output = Command::new("ssh-keygen").arg("-y").arg("-f").arg(&private).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let wanted = secrets[&format!("{name}_public")].as_str().unwrap();
        assert!(wanted.starts_with(text(&output.stdout).trim()), "{name}");
    }
}

#[test]
fn an_existing_site_is_never_replaced_by_chance() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let before = std::fs::read(folder.path().join("site.toml")).unwrap();
    let output = init(folder.path());
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stderr).contains("--force"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(folder.path().join("site.toml")).unwrap(), before);
}

#[test]
fn findings_are_listed_and_end_with_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let path = folder.path().join("site.toml");
    let site = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, site.replace("mail = \"a@example.com\"", "mail = \"nobody\"") + "\n[watch]\n")
        .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = builder(folder.path(), &["check", "site.toml"]);
    assert_eq!(output.status.code(), Some(3));
    let errors = text(&output.stderr);
    for wanted in [
        "found mode 0644, wanted 0600",
        "site.mail: found \"nobody\"",
        "watch: found a section that nothing uses",
        "3 finding(s)",
    ] {
        assert!(errors.contains(wanted), "{wanted} in {errors}");
    }
}

#[test]
fn a_bad_hash_names_the_command_that_makes_a_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        builder(folder.path(), &["init", "--mail", "a@example.com", "--password-hash", "$y$j9T$abc$def"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("openssl passwd -6"), "{}", text(&output.stderr));
    assert!(!folder.path().join("site.toml").exists());
}

#[test]
fn secrets_in_a_second_file_leave_none_in_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["init", "--secrets", "keys.toml", "--mail", "a@example.com", "--password-hash", HASH];
    let output = builder(folder.path(), &[&args[..], &["--accept-eula"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("still to do"), "{}", text(&output.stderr));
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("site.toml"), mode("keys.toml")), (0o644, 0o600));
    let first = std::fs::read_to_string(folder.path().join("site.toml")).unwrap();
    assert!(!first.contains("PRIVATE KEY") && !first.contains(HASH), "{first}");
    assert_eq!(builder(folder.path(), &["check", "site.toml"]).status.code(), Some(0));
    // The second file alone is enough to stop a second init.
    std::fs::remove_file(folder.path().join("site.toml")).unwrap();
    let output = builder(folder.path(), &[&args[..], &["--accept-eula"]].concat());
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
}

#[test]
fn without_a_terminal_nothing_is_asked_and_what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = builder(folder.path(), &["init", "--out", "new.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let missing = ["site.mail", "site.root_password_hash", "install.accept_eula"];
    for key in missing {
        assert!(text(&output.stderr).contains(&format!(": {key}: found")), "{key}");
    }
    let output = builder(folder.path(), &["check", "--json", "new.toml"]);
    assert_eq!(output.status.code(), Some(3));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let keys: Vec<&str> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, missing);
    assert_eq!(found["findings"][0]["file"], "new.toml");
}

#[test]
fn the_plan_names_every_server_that_the_site_names() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let path = folder.path().join("site.toml");
    let site = std::fs::read_to_string(&path).unwrap();
    let more = "\n[[nodes.machine]]\nserial = \"F\"\nposition = \"1-1\"\npriority = 90\n\
                [[nodes.machine]]\nmac = \"52:54:00:00:00:07\"\nposition = \"2-7\"\ninstall.disk.model = \"INTEL*\"\n\
                [[nodes.machine]]\nserial = \"X\"\n";
    let site = site.replace("[role]", "[role]\nfounder.serial = \"F\"\npriority = 40") + more;
    std::fs::write(&path, site).unwrap();
    let output = builder(folder.path(), &["check", "site.toml"]);
    let plan = text(&output.stdout);
    for line in [
        "founder   pve-rack-a-1-1.example.com at 10.254.0.1, pinned by serial F",
        "nodes     10.254.1.1 to 10.254.5.99, room for 495",
        "names     pve-rack-a-1-1 to pve-rack-a-5-99",
        "machine   serial F: founder, pve-rack-a-1-1.example.com at 10.254.0.1, priority 90, system on the disk: the only one there is",
        "machine   MAC 52:54:00:00:00:07: pve-rack-a-2-7.example.com at 10.254.2.7, priority 40, system on the disk: model INTEL*",
        "machine   serial X: the next free place, priority 40, system on the disk: the only one there is",
    ] {
        assert!(plan.lines().any(|found| found == line), "{line} in {plan}{}", text(&output.stderr));
    }
}

#[test]
fn a_site_that_is_not_there_is_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let output = builder(folder.path(), &["check", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("cias-builder init"), "{}", text(&output.stderr));
}

#[test]
fn a_password_where_a_hash_is_wanted_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        builder(folder.path(), &["init", "--mail", "a@example.com", "--password-hash", "hunter2Kq7"]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr) + &text(&output.stdout);
    assert!(said.contains("--password-hash") && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_second_file_that_check_would_refuse_is_never_written() {
    for name in
        ["sub/keys.toml", "/tmp/keys.toml", "../keys.toml", "./keys.toml", "", "..", "site.toml", "a\u{1b}b"]
    {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let output = builder(folder.path(), &["init", "--secrets", name, "--force"]);
        assert_eq!(output.status.code(), Some(3), "{name:?}");
        let errors = text(&output.stderr);
        assert!(errors.contains("--secrets: found") && errors.contains("in this folder"), "{errors}");
        assert!(!errors.contains('\u{1b}'), "{errors:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{name:?}");
    }
}

#[test]
fn what_is_no_plain_file_is_never_replaced_not_even_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("folder")).unwrap();
    std::fs::write(at("kept.toml"), "kept").unwrap();
    std::os::unix::fs::symlink("kept.toml", at("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
    let kind = |name: &str| at(name).symlink_metadata().unwrap().file_type();
    for name in ["folder", "link", "dangling", "socket"] {
        let before = kind(name);
        for args in [["--out", name, "--force"], ["--secrets", name, "--force"]] {
            let output = builder(folder.path(), &[&["init"], &args[..]].concat());
            let errors = text(&output.stderr);
            assert_eq!(output.status.code(), Some(5), "{args:?}: {errors}");
            assert!(errors.contains("is no plain file") && !errors.contains("give --force"), "{errors}");
            assert_eq!(kind(name), before, "{args:?}");
        }
    }
    assert_eq!(std::fs::read(at("kept.toml")).unwrap(), b"kept");
    assert!(!at("site.toml").exists());
}

#[test]
fn a_folder_that_is_not_there_is_named_before_anything_is_asked_or_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plain"), "").unwrap();
    for out in ["no/such/site.toml", "plain/site.toml"] {
        let output = builder(folder.path(), &["init", "--out", out]);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{errors}");
        assert!(errors.contains("--out: found no folder") && errors.contains("mkdir -p"), "{errors}");
        assert!(!errors.contains(".cias-new"), "{errors}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn no_umask_opens_secrets_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    for (args, file, wanted) in [
        ("--out one.toml", "one.toml", 0o600),
        ("--out two.toml --secrets keys.toml", "keys.toml", 0o600),
        ("--out two.toml --secrets keys.toml", "two.toml", 0o644),
    ] {
        for umask in ["000", "077"] {
            let line = format!("umask {umask}; exec \"$0\" init --force {args}");
            let status = Command::new("sh")
                .args(["-c", &line, env!("CARGO_BIN_EXE_cias-builder")])
                .current_dir(folder.path())
                .output()
                .unwrap()
                .status;
            assert_eq!((status.code(), mode(file)), (Some(0), wanted), "umask {umask}, {args}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let run = |args: &[&str], stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cias-builder"));
        command.args(args).current_dir(folder.path()).stdout(stdout).output().unwrap()
    };
    for args in [&["check", "site.toml"][..], &["check", "--json", "site.toml"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run(args, writer.into());
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{args:?}");
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = run(args, full.into());
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
        assert!(errors.starts_with("error: writing to standard output: No space left"), "{errors}");
    }
}
