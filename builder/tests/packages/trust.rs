//! Whose signatures are taken.

use std::fs;

use crate::mirror::Signer;
use crate::shop::{Shop, refused, succeeded};

const UNSIGNED: &str = "source mirror: found no archive that the given keys have signed";

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
    refused(&shop.resolve(), 3, &["source mirror: "]);
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
