// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ddi sign-policy` against ukify, systemd-measure and openssl.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot go on panics"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use sha2::{Digest, Sha256};
use support::{build, ddi, make_pair, pair, refusal, run, tool, write};

/// systemd's stub for the machines of this project: a PE file, and so it can stand for a kernel as well.
const STUB: &str = "/usr/lib/systemd/boot/efi/linuxaa64.efi.stub";

/// What the tests look at and do not change.
struct Workshop {
    folder: PathBuf,
    /// Facts of `image.raw`.
    facts: Value,
}

impl Workshop {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// `ddi sign-policy` on the image, by its certificate and for its kernel.
    fn sign_policy(&self, options: &[&str]) -> Command {
        let mut command = ddi(["sign-policy", "image.raw", "--uki", "linux.efi", "--cert"]);
        command.arg(&pair().certificate).args(options).current_dir(&self.folder);
        command
    }
}

/// An image, and a kernel made by ukify with a signature of its own inside.
fn workshop() -> &'static Workshop {
    static WORKSHOP: OnceLock<Workshop> = OnceLock::new();
    WORKSHOP.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sign-policy");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let tree = folder.join("tree");
        fs::create_dir_all(tree.join("usr/lib")).unwrap();
        write(&tree, "usr/lib/os-release", "IMAGE_ID=example\n");
        let facts = build("--tree", &tree, &folder.join("image.raw"), &["--all-root"]);

        make_pair(&folder, "policy", "rsa:2048", &[]);
        let public = ["pkey", "-in", "policy.key", "-pubout", "-out", "policy.pub"];
        run(tool("openssl").args(public).current_dir(&folder));
        write(&folder, "initrd", vec![7; 5000]);
        write(&folder, "os-release", "ID=example\nVERSION_ID=1\n");
        ukify(
            &folder,
            "linux.efi",
            &["--pcr-private-key=policy.key", "--pcr-public-key=policy.pub", "--phases=enter-initrd"],
        );
        Workshop { folder, facts }
    })
}

fn ukify(folder: &Path, output: &str, options: &[&str]) -> String {
    let mut ukify = tool("ukify");
    ukify.args(["build", "--efi-arch=aa64", "--cmdline=quiet splash", "--uname=6.12", "--initrd=initrd"]);
    ukify.args(["--os-release=@os-release", &format!("--linux={STUB}"), &format!("--stub={STUB}")]);
    ukify.arg(format!("--output={output}")).args(options).current_dir(folder);
    String::from_utf8(run(&mut ukify)).unwrap()
}

fn predictions(options: &[&str]) -> Value {
    let workshop = workshop();
    let folder = tempfile::tempdir_in(&workshop.folder).unwrap();
    let mut command = workshop.sign_policy(options);
    command.args(["--key", "policy.key", "--json", "--output"]).arg(folder.path().join("out"));
    serde_json::from_slice(&run(&mut command)).unwrap()
}

fn signatures(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_kernels_register_is_that_of_ukify_and_systemd_measure() {
    let workshop = workshop();
    for bank in ["sha256", "sha384", "sha512"] {
        let banks = format!("--pcr-banks={bank}");
        let phases = "--phases=enter-initrd enter-initrd:leave-initrd";
        let options = ["--measure", &banks, "--pcr-private-key=policy.key", "--pcr-public-key=policy.pub", phases];
        let measured = ukify(&workshop.folder, &format!("measured-{bank}.efi"), &options);
        let expected: Vec<_> = measured.lines().filter_map(|line| line.strip_prefix(&format!("11:{bank}="))).collect();
        assert_eq!(expected.len(), 2, "{measured}");

        let kernel = format!("measured-{bank}.efi");
        let mut command =
            ddi(["sign-policy", "image.raw", "--uki", &kernel, "--kernel-only", "--json", "--bank", bank]);
        command.args(["--phase", "enter-initrd", "--phase", "enter-initrd:leave-initrd", "--key", "policy.key"]);
        command.args(["--output", &format!("{bank}.pcrsig"), "--cert"]).arg(&pair().certificate);
        let facts: Value = serde_json::from_slice(&run(command.current_dir(&workshop.folder))).unwrap();
        for (place, expected) in expected.iter().enumerate() {
            assert_eq!(facts["predictions"][place]["registers"][0]["value"], *expected, "{bank}");
        }
    }
}

#[test]
fn a_signature_over_the_kernels_register_is_that_of_systemd_measure() {
    let workshop = workshop();
    let section = workshop.path("systemd.json");
    // It lies in the kernel that ukify made.
    let dump = format!("--dump-section=.pcrsig={}", section.display());
    run(tool("aarch64-linux-gnu-objcopy")
        .arg(dump)
        .args(["-O", "binary", "linux.efi", "/dev/null"])
        .current_dir(&workshop.folder));
    let theirs = fs::read(&section).unwrap();
    let theirs: Value = serde_json::from_slice(theirs.split(|byte| *byte == 0).next().unwrap()).unwrap();

    let output = workshop.path("kernel-only.pcrsig");
    let mut command =
        workshop.sign_policy(&["--kernel-only", "--phase", "enter-initrd", "--key", "policy.key", "--output"]);
    run(command.arg(&output));
    assert_eq!(signatures(&output)["sha256"], theirs["sha256"]);
}

/// By hand: registers that begin at zero, and TPM2_PolicyPCR (part 3, 23.7).
#[test]
fn the_policy_is_over_both_registers_in_each_phase() {
    let facts = &workshop().facts;
    let event = format!(
        "initoverlayfs-ddi:{}:{}",
        facts["root_hash"].as_str().unwrap(),
        facts["signer"]["sha256"].as_str().unwrap()
    );
    let image = Sha256::digest([[0; 32].as_slice(), &Sha256::digest(event)].concat());
    let image_hex: String = image.iter().map(|byte| format!("{byte:02x}")).collect();

    let said = predictions(&[]);
    let said = said["predictions"].as_array().unwrap();
    assert_eq!(said.len(), 2);
    let kernel = |place: usize| hex(said[place]["registers"][0]["value"].as_str().unwrap());
    assert_eq!(kernel(1), *Sha256::digest([kernel(0), Sha256::digest("enter-initrd").to_vec()].concat()));
    for (place, phase) in ["", "enter-initrd"].into_iter().enumerate() {
        let one = &said[place];
        assert_eq!((&one["phase"], &one["registers"][0]["pcr"]), (&Value::from(phase), &Value::from(11)));
        assert_eq!(
            (&one["registers"][1]["pcr"], &one["registers"][1]["value"]),
            (&13.into(), &image_hex.clone().into())
        );
        let values = Sha256::digest([kernel(place).as_slice(), &image].concat());
        // TPM_CC_PolicyPCR; one selection: SHA-256, three bytes, registers 11 and 13.
        let selection = [0, 0, 0, 1, 0, 0x0b, 3, 0, 0x28, 0];
        let policy = Sha256::digest([&[0; 32], &[0, 0, 1, 0x7f][..], &selection, &values].concat());
        assert_eq!(hex(one["policy"].as_str().unwrap()), *policy);
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn the_file_lies_beside_the_image_with_an_entry_for_each_kernel_and_phase() {
    let workshop = workshop();
    let other = "other.efi";
    ukify(&workshop.folder, other, &["--cmdline=debug"]);
    run(&mut workshop.sign_policy(&["--uki", other, "--key", "policy.key"]));
    let json = signatures(&workshop.path("image.pcrsig"));
    let entries = json["sha256"].as_array().unwrap();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        assert_eq!(entry["pcrs"], Value::from(vec![11, 13]));
    }
    // As the boot stage reads it.
    let key = tpm_policy::signing_key::SigningKey::parse(&fs::read(workshop.path("policy.pub")).unwrap()).unwrap();
    let found = tpm_policy::signatures::find(
        &fs::read(workshop.path("image.pcrsig")).unwrap(),
        tpm_policy::Bank::Sha256,
        tpm_policy::PcrMask::of(&[11, 13]).unwrap(),
        &key.fingerprint(),
    );
    assert_eq!(found.unwrap().len(), 4);

    // The same kernel under two names is one pair.
    fs::copy(workshop.path("linux.efi"), workshop.path("copy.efi")).unwrap();
    let output = workshop.path("twice.pcrsig");
    run(workshop.sign_policy(&["--uki", "copy.efi", "--key", "policy.key", "--output"]).arg(&output));
    assert_eq!(signatures(&output)["sha256"].as_array().unwrap().len(), 2);
}

#[test]
fn a_key_elsewhere_gives_the_same_file() {
    let workshop = workshop();
    let folder = tempfile::tempdir_in(&workshop.folder).unwrap();
    let name = folder.path().to_str().unwrap();
    run(&mut workshop.sign_policy(&["--public-key", "policy.pub", "--to-sign", name]));
    let digests = support::names(folder.path());
    assert_eq!(digests.len(), 2);
    for digest in &digests {
        let policy = folder.path().join(digest);
        assert_eq!(fs::read(&policy).unwrap(), hex(digest.strip_suffix(".policy").unwrap()));
        let signature = policy.with_extension("sig");
        let mut openssl = tool("openssl");
        openssl.args(["dgst", "-sha256", "-sign", "policy.key", "-out"]).arg(&signature).arg(&policy);
        run(openssl.current_dir(&workshop.folder));
    }
    let elsewhere = workshop.path("elsewhere.pcrsig");
    let join = |output: &Path| {
        let mut command = workshop.sign_policy(&["--public-key", "policy.pub", "--signatures", name, "--output"]);
        command.arg(output);
        command
    };
    run(&mut join(&elsewhere));
    let here = workshop.path("here.pcrsig");
    run(workshop.sign_policy(&["--key", "policy.key", "--output"]).arg(&here));
    assert_eq!(fs::read(elsewhere).unwrap(), fs::read(here).unwrap());

    // One bit, or the signature of another policy.
    let [first, second] = [0, 1].map(|place: usize| folder.path().join(&digests[place]).with_extension("sig"));
    fs::copy(&second, &first).unwrap();
    let (words, status) = refusal(&mut join(&workshop.path("bad.pcrsig")));
    let policy = digests[0].strip_suffix(".policy").unwrap();
    let expected = "expected a signature (RSASSA-PKCS1-v1_5 with SHA-256)";
    assert_eq!(words, format!("ddi: {}: {expected} of {policy} by the key in policy.pub\n", first.display()));
    assert_eq!(status, Some(1));
    assert!(!workshop.path("bad.pcrsig").exists());
}

#[test]
fn nothing_is_signed_that_would_not_boot_or_cannot_be_predicted() {
    let workshop = workshop();
    let mut bad = fs::read(workshop.path("image.raw")).unwrap();
    let root = &workshop.facts["partitions"][support::ROOT];
    let start = usize::try_from(root["offset"].as_u64().unwrap()).unwrap();
    bad[start + 1024] ^= 1;
    write(&workshop.folder, "bad.raw", bad);
    let uki = fs::read(workshop.path("linux.efi")).unwrap();
    write(&workshop.folder, "no-pe", b"ELF");
    write(&workshop.folder, "short.efi", &uki[..0x60]);
    let renamed = |name: &str, from: &[u8], to: &[u8]| {
        let at = uki.windows(from.len()).position(|window| window == from).unwrap();
        let mut changed = uki.clone();
        changed[at..at + to.len()].copy_from_slice(to);
        write(&workshop.folder, name, changed);
    };
    renamed("no-kernel.efi", b".linux\0\0", b".Linux\0\0");
    renamed("profile.efi", b".osrel\0\0", b".profile");
    renamed("twice.efi", b".uname\0\0", b".osrel\0\0");
    make_pair(&workshop.folder, "curve", "ec", &["-pkeyopt", "ec_paramgen_curve:prime256v1"]);

    let certificate = pair().certificate.to_str().unwrap();
    for (arguments, expected) in [
        (
            &["bad.raw", "--uki", "linux.efi", "--key", "policy.key"][..],
            "bad.raw: the boot would refuse this image (corrupt): `ddi verify` says more",
        ),
        (
            &["image.raw", "--uki", "no-pe", "--key", "policy.key"],
            "no-pe: expected a unified kernel image, found no PE signature at byte 0",
        ),
        (&["image.raw", "--uki", "short.efi", "--key", "policy.key"], "short.efi: out of range at byte "),
        (
            &["image.raw", "--uki", "no-kernel.efi", "--key", "policy.key"],
            "no-kernel.efi: expected a section .linux, found none",
        ),
        (
            &["image.raw", "--uki", "profile.efi", "--key", "policy.key"],
            "profile.efi: section .profile: what is measured of it is decided at boot, so that it cannot be predicted",
        ),
        (
            &["image.raw", "--uki", "twice.efi", "--key", "policy.key"],
            "twice.efi: expected one section .osrel, found two",
        ),
        (
            &["image.raw", "--uki", "linux.efi", "--key", "curve.key"],
            "curve.key: policy key: not RSA, which systemd's signed policies need",
        ),
        (
            &["image.raw", "--uki", "linux.efi", "--key", "policy.key", "--bank", "sha1"],
            "expected a bank of sha256, sha384 or sha512, found sha1",
        ),
        (
            &["image.raw", "--uki", "linux.efi", "--key", "policy.key", "--measure-pcr", "11"],
            "expected a register from 0 to 15 other than 11 for the image, found 11",
        ),
        (
            &["image.raw", "--uki", "linux.efi", "--key", "policy.key", "--measure-pcr", "16"],
            "expected a register from 0 to 15 other than 11 for the image, found 16",
        ),
    ] {
        let mut command = ddi(["sign-policy", "--output", "refused.pcrsig", "--cert", certificate]);
        let (words, status) = refusal(command.args(arguments).current_dir(&workshop.folder));
        assert!(words.starts_with(&format!("ddi: {expected}")), "{arguments:?}: {words}");
        assert_eq!(status, Some(1));
        assert!(!workshop.path("refused.pcrsig").exists());
    }
    let phases: Vec<String> = (0..17).map(|number| format!("--phase=phase-{number}")).collect();
    let phases: Vec<&str> = phases.iter().map(String::as_str).collect();
    let (words, _) = refusal(&mut workshop.sign_policy(&[&["--key", "policy.key"][..], &phases].concat()));
    assert_eq!(words, "ddi: 17 signatures, expected at most 16: one for each kernel and phase\n");
}
