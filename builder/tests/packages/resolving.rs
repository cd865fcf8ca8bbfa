//! What `resolve` finds, and what it refuses.

use crate::shop::{Shop, refused, succeeded, text};

#[test]
fn what_is_needed_is_locked_and_what_the_image_has_is_not() {
    let shop = Shop::new();
    shop.ask(r#"packages = ["keepalived", "bridge-utils"]"#, "");
    let output = shop.resolve();
    let told = succeeded(&output);
    assert!(told.contains("keepalived 1:1.2.13-1 amd64, "), "{told}");
    assert!(
        text(&output.stderr).contains("bridge-utils is on the image already"),
        "{}",
        text(&output.stderr)
    );
    let lock = shop.lock();
    let names: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    assert_eq!(names, ["\"keepalived\"", "\"libnl1\"", "\"zz-early\""]);
    assert!(lock.contains("file = \"0-zz-early_1_amd64.deb\""), "{lock}");
    assert!(lock.contains("file = \"keepalived_1.2.13-1_amd64.deb\""), "{lock}");
    succeeded(&shop.resolve());
    assert_eq!(shop.lock(), lock, "the same packages gave another lock");
    let json = shop.command(&["resolve", "--json", "--iso", "in.iso", "packages.toml"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_str(&succeeded(&json)).unwrap();
    assert_eq!(json["packages"].as_array().unwrap().len(), 3);
}

#[test]
fn a_profile_takes_the_version_that_is_configured_and_refuses_others() {
    let shop = Shop::new();
    shop.ask(r#"profile = "pve-3.2""#, "");
    refused(
        &shop.resolve(),
        3,
        &["packages.toml: packages: found mfs-cgi, mfs-cgiserv, ", ", which no source has"],
    );
    let mut shop = Shop::new();
    for name in ["master", "metalogger", "chunkserver", "client", "cgi", "cgiserv", "common"] {
        shop.mirror.add(&format!("mfs-{name}"), "1.6.27-1", &[]);
        shop.mirror.add(&format!("mfs-{name}"), "3.0.1-1", &[]);
    }
    shop.mirror.release("");
    shop.mirror.sign(&shop.signer, "SHA256");
    shop.ask(r#"profile = "pve-3.2""#, "");
    succeeded(&shop.resolve());
    assert!(
        shop.lock().contains("version = \"1:1.2.2-3\"") && shop.lock().contains("version = \"1.6.27-1\"")
    );
    assert!(!shop.lock().contains("1.2.13") && !shop.lock().contains("3.0.1"), "{}", shop.lock());
    shop.ask("profile = \"pve-3.2\"\npackages = [\"mfs-cgi=3.0.1-1\"]", "");
    succeeded(&shop.resolve());
    assert!(shop.lock().contains("file = \"mfs-cgi_3.0.1-1_amd64.deb\""), "{}", shop.lock());
}

#[test]
fn a_profile_whose_version_no_source_has_is_refused() {
    let shop = Shop::new();
    let mut mirror = crate::mirror::Mirror::new(&shop.mirror.root);
    mirror.add("keepalived", "1:1.2.13-1", &[]).add("keepalived", "1:1.2.20-1", &[]);
    mirror.release("");
    mirror.sign(&shop.signer, "SHA256");
    shop.ask(r#"profile = "pve-3.2""#, "");
    refused(
        &shop.resolve(),
        3,
        &["profile: found keepalived 1:1.2.20-1, 1:1.2.13-1, wanted 1.2.2, for which"],
    );
}

#[test]
fn what_cannot_be_installed_is_refused_with_what_lacks() {
    let shop = Shop::new();
    for (wanted, parts) in [
        (
            "needy",
            &["found no way to install needy on this image", "libmissing (>= 2)", "add a [[source]]"][..],
        ),
        ("keepalivd", &["packages: found keepalivd, which no source has", "mend the names"]),
        ("keepalived=9", &["found no way to install keepalived=9"]),
        ("rival", &["rival can't be installed without removing e2fsprogs"]),
        ("needs-manager", &["pve-manager 9.9-1 would come beside 3.2-1", "the image's own packages"]),
    ] {
        shop.ask(&format!("packages = [\"{wanted}\"]"), "");
        refused(&shop.resolve(), 3, parts);
    }
    assert!(!shop.bench.path().join("packages.lock").exists(), "a refusal wrote a lock");
}

#[test]
fn what_replaces_a_package_of_the_base_is_told() {
    let shop = Shop::new();
    shop.ask(r#"packages = ["needs-bridge"]"#, "");
    let output = shop.resolve();
    succeeded(&output);
    let told = text(&output.stderr);
    assert!(told.contains("bridge-utils 1.6-1 replaces 1.5-6 of the base system"), "{told}");
}

#[test]
fn what_has_the_same_source_as_a_package_of_the_base_brings_no_other_build_of_that() {
    let shop = Shop::new();
    for (wanted, other) in [("same-source", "e2fsprogs"), ("newer-source", "dpkg")] {
        shop.ask(&format!("packages = [\"{wanted}\"]"), "");
        succeeded(&shop.resolve());
        let names: Vec<String> =
            shop.lock().lines().filter(|line| line.starts_with("name = ")).map(str::to_owned).collect();
        assert_eq!(names, [format!("name = \"{wanted}\"")], "{other} came with it");
    }
}

#[test]
fn every_finding_in_the_file_comes_with_its_place() {
    let shop = Shop::new();
    shop.ask("packages = [\"Bad Name\"]\nprofil = \"lab\"", "allow_expird = true\nuri2 = 1");
    let wanted = [
        "packages.toml:2:13: packages: found \"Bad Name\"",
        "packages.toml:3:1: profil: found an unknown key, wanted a known key; did you mean profile?",
        "source.allow_expird: found an unknown key, wanted a known key; did you mean source.allow_expired?",
    ];
    refused(&shop.resolve(), 3, &wanted);
    refused(&shop.fetch(&[]), 3, &wanted);
    shop.ask_at("http://me:hunter2@mirror.example.com/debian", "packages = [\"a\"]", "");
    let output = shop.resolve();
    refused(&output, 3, &["source.uri: found", "without user and password"]);
    assert!(!text(&output.stderr).contains("hunter2"));
}

#[test]
fn a_file_is_made_for_each_profile_and_never_replaced() {
    let shop = Shop::new();
    let init =
        |more: &[&str]| shop.command(&[&["init", "--out", "new.toml"], more].concat()).output().unwrap();
    succeeded(&init(&[]));
    refused(&init(&["--profile", "lab"]), 5, &["new.toml exists already"]);
    succeeded(&init(&["--profile", "lab", "--force"]));
    assert!(
        std::fs::read_to_string(shop.bench.path().join("new.toml")).unwrap().contains("profile = \"lab\"")
    );
}
