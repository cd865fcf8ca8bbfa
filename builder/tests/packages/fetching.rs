//! What `fetch` leaves, also when it goes wrong.

use std::fs;
use std::process::{Command, Stdio};

use crate::server::Server;
use crate::shop::{Shop, refused, succeeded, text};

const FILES: [&str; 3] =
    ["0-zz-early_1_amd64.deb", "keepalived_1.2.13-1_amd64.deb", "libnl1_1.1-7_amd64.deb"];

fn resolved() -> Shop {
    let shop = Shop::new();
    succeeded(&shop.resolve());
    shop
}

#[test]
fn what_was_fetched_is_built_in_and_a_second_run_needs_no_network() {
    let shop = Shop::new();
    let server = Server::new(&shop.mirror.root, false);
    shop.ask_at(&server.uri, r#"packages = ["keepalived"]"#, "");
    succeeded(&shop.resolve());
    let told = succeeded(&shop.fetch(&[]));
    assert!(told.starts_with("packages: 3 packages, ") && told.ends_with(", 3 downloaded now\n"), "{told}");
    assert_eq!(shop.names("packages"), FILES);
    drop(server);
    fs::rename(&shop.mirror.root, shop.bench.path().join("elsewhere")).unwrap();
    fs::remove_dir_all(shop.bench.path().join("packages")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&succeeded(&shop.fetch(&["--json"]))).unwrap();
    assert_eq!((json["packages"].as_u64(), json["downloaded"].as_u64()), (Some(3), Some(0)));
    assert_eq!(shop.names("packages"), FILES);
    let output = shop.bench.build("out.iso", &["--packages", "packages"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn a_damaged_copy_is_not_taken_for_the_package() {
    let shop = resolved();
    succeeded(&shop.fetch(&[]));
    let path = shop.bench.path().join("packages").join(FILES[1]);
    let good = fs::read(&path).unwrap();
    for folder in ["packages", "cache"] {
        for name in shop.names(folder).iter().filter(|name| *name != "lock") {
            let path = shop.bench.path().join(folder).join(name);
            let mut bytes = fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    assert!(succeeded(&shop.fetch(&[])).ends_with(", 3 downloaded now\n"));
    assert_eq!(fs::read(&path).unwrap(), good);
}

#[test]
fn a_file_that_vanished_or_changed_is_refused_and_nothing_lies_under_its_name() {
    let shop = resolved();
    let path = shop.mirror.root.join("pool/libnl1_1.1-7_amd64.deb");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let wanted = ["libnl1 1.1-7: found ", "with the SHA-256 ", "wanted ", "the file was changed"];
    refused(&shop.fetch(&[]), 3, &wanted);
    bytes.push(0);
    fs::write(&path, &bytes).unwrap();
    refused(&shop.fetch(&[]), 3, &wanted);
    fs::remove_file(&path).unwrap();
    refused(
        &shop.fetch(&[]),
        1,
        &["libnl1 1.1-7: found no file:///", "run `cias-builder packages resolve` again"],
    );
    // What came before it in the lock, and nothing of it.
    assert_eq!(shop.names("packages"), FILES[1..2]);
    assert_eq!(shop.names("cache").len(), 2, "{:?}", shop.names("cache"));
}

#[test]
fn an_interruption_leaves_nothing_half_made() {
    let shop = Shop::new();
    let server = Server::new(&shop.mirror.root, true);
    shop.ask_at(&server.uri, r#"packages = ["keepalived"]"#, "");
    succeeded(&shop.resolve());
    let mut fetch = shop.command(&["fetch", "--cache", "cache", "packages.toml"]);
    let fetch = fetch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    server.halves.recv().unwrap();
    // The shell's own kill: a small Debian has no other.
    assert!(
        Command::new("sh").args(["-c", &format!("kill -INT {}", fetch.id())]).status().unwrap().success()
    );
    let output = fetch.wait_with_output().unwrap();
    refused(&output, 130, &["interrupted"]);
    assert_eq!(shop.names("packages"), [""; 0]);
    assert_eq!(shop.names("cache"), ["lock"]);
}

#[test]
fn a_lock_of_another_file_is_refused() {
    let shop = Shop::new();
    refused(&shop.fetch(&[]), 3, &["packages.lock: found no file", "cias-builder packages resolve"]);
    succeeded(&shop.resolve());
    shop.ask(r#"packages = ["libnl1"]"#, "");
    refused(&shop.fetch(&[]), 3, &["packages.lock: found the packages of an earlier packages.toml"]);
    shop.ask("# Comments change nothing.\npackages = [\"keepalived\"]", "allow_expired = false");
    succeeded(&shop.fetch(&[]));
    let lock = shop.lock().replace("file = \"keepalived", "file = \"../keepalived");
    fs::write(shop.bench.path().join("packages.lock"), lock).unwrap();
    refused(&shop.fetch(&[]), 3, &["packages.lock was changed", "package.file: found \"../keepalived"]);
}

#[test]
fn other_packages_in_the_folder_are_named_and_only_removed_if_that_is_wanted() {
    let shop = resolved();
    fs::create_dir(shop.bench.path().join("debs")).unwrap();
    for name in ["mine_1_all.deb", "notes.txt"] {
        fs::write(shop.bench.path().join("debs").join(name), "mine").unwrap();
    }
    refused(
        &shop.fetch(&["--out", "debs"]),
        5,
        &["found 1 packages that the lock does not name, such as mine_1_all.deb"],
    );
    assert_eq!(shop.names("debs"), ["mine_1_all.deb", "notes.txt"]);
    succeeded(&shop.fetch(&["--out", "debs", "--force"]));
    assert_eq!(shop.names("debs"), [&FILES[..], &["notes.txt"]].concat());
}
