//! Whose signatures are taken.

use std::fs;

use crate::mirror::Signer;
use crate::shop::{Shop, refused, succeeded};

const UNSIGNED: &str = "source mirror: found an archive that apt refuses (";

#[test]
fn only_the_keys_of_the_file_count() {
    let shop = Shop::new();
    fs::write(shop.bench.path().join("mirror.asc"), Signer::new().public(true)).unwrap();
    refused(&shop.resolve(), 3, &[UNSIGNED, "NO_PUBKEY"]);
    fs::write(shop.bench.path().join("mirror.asc"), shop.signer.public(false)).unwrap();
    succeeded(&shop.resolve());
    fs::remove_file(shop.bench.path().join("mirror.asc")).unwrap();
    refused(
        &shop.resolve(),
        3,
        &["packages.toml:8:9: source.keys: found \"mirror.asc\", wanted a file with a public key"],
    );
}

#[test]
fn an_unsigned_or_changed_archive_is_refused() {
    let shop = Shop::new();
    let release = shop.mirror.dist().join("InRelease");
    let signed = fs::read_to_string(&release).unwrap();
    fs::write(&release, signed.replace("Suite: test", "Suite: tess")).unwrap();
    refused(&shop.resolve(), 3, &[UNSIGNED, "BADSIG"]);
    fs::remove_file(&release).unwrap();
    refused(&shop.resolve(), 3, &[UNSIGNED]);
    fs::write(&release, signed).unwrap();
    let list = shop.mirror.dist().join("main/binary-amd64/Packages");
    fs::write(&list, fs::read_to_string(&list).unwrap().replace("1:1.2.2-3", "1:1.2.2-4")).unwrap();
    refused(&shop.resolve(), 3, &[UNSIGNED]);
}

#[test]
fn a_signature_beside_the_release_file_is_as_good() {
    let shop = Shop::new();
    fs::remove_file(shop.mirror.dist().join("InRelease")).unwrap();
    shop.mirror.sign_apart(&shop.signer);
    succeeded(&shop.resolve());
    let release = shop.mirror.dist().join("Release");
    fs::write(&release, fs::read_to_string(&release).unwrap() + "Origin: else\n").unwrap();
    refused(&shop.resolve(), 3, &[UNSIGNED, "BADSIG"]);
}

#[test]
fn an_archive_in_one_folder_is_taken() {
    let shop = Shop::new();
    let root = &shop.mirror.root;
    let list = fs::read_to_string(shop.mirror.dist().join("main/binary-amd64/Packages")).unwrap();
    // As dpkg-scanpackages writes it.
    let list = list.replace("Filename: pool", "Filename: ./pool");
    fs::remove_dir_all(shop.mirror.dist()).unwrap();
    fs::create_dir_all(shop.mirror.dist()).unwrap();
    fs::write(root.join("Packages"), &list).unwrap();
    let (sum, size) = (cias_builder::copy::hash_bytes(list.as_bytes()), list.len());
    let text = format!("Date: Mon, 10 Mar 2014 12:00:00 UTC\nSHA256:\n {sum} {size} Packages\n");
    fs::write(shop.mirror.dist().join("Release"), text).unwrap();
    shop.mirror.sign(&shop.signer, "SHA256");
    fs::rename(shop.mirror.dist().join("InRelease"), root.join("InRelease")).unwrap();
    let path = shop.bench.path().join("packages.toml");
    let asked = fs::read_to_string(&path).unwrap();
    fs::write(&path, asked.replace("suite = \"test\"\ncomponents = [\"main\"]", "suite = \"./\"")).unwrap();
    succeeded(&shop.resolve());
    succeeded(&shop.fetch(&[]));
}

#[test]
fn a_component_that_the_archive_lacks_is_refused() {
    let shop = Shop::new();
    let path = shop.bench.path().join("packages.toml");
    let text = fs::read_to_string(&path).unwrap().replace("[\"main\"]", "[\"main\", \"mian\"]");
    fs::write(&path, text).unwrap();
    refused(
        &shop.resolve(),
        3,
        &["source mirror: found no component mian with packages for amd64 in the suite test"],
    );
    let lists = shop.mirror.dist().join("mian/binary-amd64");
    fs::create_dir_all(&lists).unwrap();
    fs::write(lists.join("Packages"), "").unwrap();
    let sum = cias_builder::copy::hash_bytes(b"");
    let release = shop.mirror.dist().join("Release");
    let text = fs::read_to_string(&release).unwrap().replace("Components: main", "Components: main mian");
    fs::write(&release, format!("{text} {sum} 0 mian/binary-amd64/Packages\n")).unwrap();
    shop.mirror.sign(&shop.signer, "SHA256");
    succeeded(&shop.resolve());
}

#[test]
fn an_archive_that_is_out_of_date_is_taken_only_if_its_source_says_so() {
    let old = "Valid-Until: Mon, 17 Mar 2014 12:00:00 UTC\n";
    let shop = Shop::signed_by(Signer::new(), "SHA256", old);
    refused(&shop.resolve(), 3, &["source mirror: ", "`allow_expired = true`"]);
    shop.ask(r#"packages = ["keepalived"]"#, "allow_expired = true");
    succeeded(&shop.resolve());
}

#[test]
fn a_key_that_has_expired_since_is_taken_only_if_its_source_says_so() {
    let shop = Shop::signed_by(Signer::expired(), "SHA256", "");
    refused(&shop.resolve(), 3, &["source mirror: ", "`allow_expired = true`", "EXPKEYSIG"]);
    shop.ask(r#"packages = ["keepalived"]"#, "allow_expired = true");
    succeeded(&shop.resolve());
    let release = shop.mirror.dist().join("InRelease");
    let signed = fs::read_to_string(&release).unwrap();
    fs::write(&release, signed.replace("Suite: test", "Suite: tess")).unwrap();
    refused(&shop.resolve(), 3, &[UNSIGNED, "BADSIG"]);
    fs::write(&release, signed).unwrap();
    fs::write(shop.bench.path().join("mirror.asc"), Signer::new().public(true)).unwrap();
    refused(&shop.resolve(), 3, &[UNSIGNED, "NO_PUBKEY"]);
}

#[test]
fn a_signature_over_sha_1_is_taken_only_if_its_source_says_so() {
    let shop = Shop::signed_by(Signer::rsa(), "SHA1", "");
    refused(&shop.resolve(), 3, &["source mirror: ", "say `allow_sha1 = true` in"]);
    shop.ask(r#"packages = ["keepalived"]"#, "allow_expired = true");
    refused(&shop.resolve(), 3, &["say `allow_sha1 = true` in"]);
    shop.ask(r#"packages = ["keepalived"]"#, "allow_sha1 = true");
    succeeded(&shop.resolve());
}

#[test]
fn a_mirror_that_is_not_there_is_no_question_of_trust() {
    let shop = Shop::new();
    fs::rename(&shop.mirror.root, shop.bench.path().join("elsewhere")).unwrap();
    refused(&shop.resolve(), 1, &["source mirror: found no archive at file:///", "with the suite test"]);
}
