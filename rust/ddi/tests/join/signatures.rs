// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signatures that are taken, whatever made them.

use std::fs;

use base64ct::{Base64, Encoding};
use serde_json::Value;

use crate::support::{self, ddi, refusal, run, tool, write};
use crate::workshop::{BARE, Workshop};

const CURVES: [(&str, &str); 2] = [("P-256", "ec_paramgen_curve:P-256"), ("P-384", "ec_paramgen_curve:P-384")];

#[test]
fn image_that_waits_for_its_signature_is_unsigned_to_the_boot_stage() {
    let workshop = Workshop::new(300);
    workshop.pair("good", "rsa:2048", &[]);
    assert_eq!(fs::read_to_string(workshop.path().join("hash")).unwrap(), workshop.root_hash());
    assert_eq!(workshop.facts["signer"], Value::Null);

    let output = ddi(["verify", "unsigned", "--cert", "good.pem", "--json"]).current_dir(workshop.path()).output();
    let verdict: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(verdict["reason"], "unsigned");
    assert_eq!(verdict["checks"][0]["detail"], "ddi: no root-verity-sig partition");
    let expected = "ddi: unsigned: ddi: no root-verity-sig partition\n".to_owned();
    assert_eq!(refusal(ddi(["inspect", "unsigned"]).current_dir(workshop.path())), (expected, Some(1)));
}

#[test]
fn signature_by_an_rsa_key_gives_the_bytes_of_a_build_with_that_key() {
    let workshop = Workshop::new(300);
    for bits in ["2048", "3072", "4096"] {
        workshop.pair(bits, &format!("rsa:{bits}"), &[]);
        let certificate = format!("{bits}.pem");
        let built = workshop.built_with_key(bits);
        let signed_by = |options: &[&str]| {
            workshop.sign(bits, "hash", options);
            run(&mut workshop.join(&certificate, &["--output", "out"]));
            fs::read(workshop.path().join("out")).unwrap()
        };
        assert!(signed_by(&BARE) == built, "RSA-{bits}");
        assert!(signed_by(&["-nocerts", "-noattr", "-outform", "pem"]) == built, "PEM");
        assert!(signed_by(&["-noattr", "-outform", "der"]) == built, "the signer's certificate embedded");
        workshop.openssl(&[
            "cms",
            "-sign",
            "-binary",
            "-nocerts",
            "-noattr",
            "-outform",
            "pem",
            "-in",
            "hash",
            "-out",
            "p7",
            "-signer",
            &certificate,
            "-inkey",
            &format!("{bits}.key"),
        ]);
        run(&mut workshop.join(&certificate, &["--output", "out"]));
        assert!(fs::read(workshop.path().join("out")).unwrap() == built, "openssl cms");
    }
    workshop.assert_valid("out", "4096.pem");
    // The last signature once more, where the image lies.
    run(&mut workshop.join("4096.pem", &["--in-place"]));
    assert!(fs::read(workshop.path().join("unsigned")).unwrap() == fs::read(workshop.path().join("out")).unwrap());
}

/// The key is made in the module's store and signs there: the three commands of the manual.
#[test]
fn key_in_a_hardware_module_signs_by_pkcs11() {
    let workshop = Workshop::new(300);
    let path = workshop.path();
    workshop.pair("good", "rsa:2048", &[]);
    let built = workshop.built_with_key("good");
    fs::create_dir(path.join("tokens")).unwrap();
    let softhsm =
        write(path, "softhsm.conf", format!("directories.tokendir = {}/tokens\nlog.level = ERROR\n", path.display()));
    let openssl = write(
        path,
        "openssl.conf",
        "openssl_conf = top\n[top]\nproviders = list\n[list]\ndefault = plain\npkcs11 = module\n[plain]\nactivate = 1\n\
         [module]\nactivate = 1\npkcs11-module-path = /usr/lib/softhsm/libsofthsm2.so\n\
         # SoftHSM itself uses openssl, and is gone when openssl says goodbye to it.\npkcs11-module-quirks = no-deinit\n",
    );
    let softhsm_util = |arguments: &[&str]| {
        run(tool("softhsm2-util").args(arguments).env("SOFTHSM2_CONF", &softhsm).current_dir(path));
    };
    let pins = ["--pin", "1234", "--so-pin", "5678"];
    softhsm_util(&[&["--init-token", "--free", "--label", "ddi"][..], &pins].concat());
    softhsm_util(&["--import", "good.key", "--token", "ddi", "--label", "boot", "--id", "01", "--pin", "1234"]);
    fs::remove_file(path.join("good.key")).unwrap();

    let key = "pkcs11:token=ddi;object=boot;type=private?pin-value=1234";
    let mut sign = tool("openssl");
    sign.args(["smime", "-sign", "-binary", "-in", "hash", "-out", "p7", "-signer", "good.pem", "-inkey", key]);
    run(sign.args(BARE).env("SOFTHSM2_CONF", &softhsm).env("OPENSSL_CONF", &openssl).current_dir(path));
    run(&mut workshop.join("good.pem", &["--output", "out"]));
    assert!(fs::read(path.join("out")).unwrap() == built);
}

#[test]
fn signatures_by_elliptic_curves_are_taken_and_made() {
    let workshop = Workshop::new(300);
    for (name, curve) in CURVES {
        workshop.pair(name, "ec", &["-pkeyopt", curve]);
        let certificate = format!("{name}.pem");
        for digest in ["sha256", "sha384", "sha512"] {
            workshop.sign(name, "hash", &[&BARE[..], &["-md", digest]].concat());
            run(&mut workshop.join(&certificate, &["--output", "out"]));
            workshop.assert_valid("out", &certificate);
        }
        let built = workshop.built_with_key(name);
        workshop.assert_valid("built", &certificate);
        assert!(workshop.built_with_key(name) == built, "the same key makes the same image");
    }
}

/// openssl checks a signature that `ddi build` made with a curve.
#[test]
fn signature_by_an_elliptic_curve_is_accepted_by_openssl() {
    let workshop = Workshop::new(2);
    for (name, curve) in CURVES {
        workshop.pair(name, "ec", &["-pkeyopt", curve]);
        let built = workshop.built_with_key(name);
        let partition = support::partition(&built, &workshop.facts, 0);
        let json: Value = serde_json::from_slice(partition.split(|byte| *byte == 0).next().unwrap()).unwrap();
        let der: Vec<u8> = Base64::decode_vec(json["signature"].as_str().unwrap()).unwrap();
        write(workshop.path(), "made", der);
        let certificate = format!("{name}.pem");
        workshop.openssl(&[
            "smime",
            "-verify",
            "-binary",
            "-inform",
            "der",
            "-in",
            "made",
            "-content",
            "hash",
            "-certfile",
            &certificate,
            "-noverify",
            "-out",
            "verified",
        ]);
        assert_eq!(fs::read_to_string(workshop.path().join("verified")).unwrap(), workshop.root_hash());
    }
}
