// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image that systemd-repart assembled and signed, of a file system that `mkfs.erofs` made: the certificate is embedded
//! in its signature, and its partitions lie elsewhere than in those of `ddi build`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;
use libtest_mimic::Trial as Test;
use serde_json::Value;
use xtask::call;
use xtask::disk::Ddi;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::tamper::Signer;

use crate::support::{assert_boot_chain, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("image_of_systemd_repart_boots_from_a_file", |bench, folder| boots(bench, folder, Source::EspFile)),
        test("image_of_systemd_repart_boots_from_a_partition", |bench, folder| boots(bench, folder, Source::Partition)),
    ]
}

fn boots(bench: &Bench, folder: &Path, source: Source) -> Result<()> {
    let small = Small::default();
    let image = repart(bench, folder, &bench.small_ddi(folder, &small)?)?;
    let disk = bench::disk(source, &[(small.version, &image)]);
    let outcome = bench.boot(folder, &Trial { disk: Some(disk), ..Trial::default() })?;
    assert_boot_chain(&outcome, &expected(small.version, &image, source, false)).map(|_| ())
}

/// The same file system in an image by systemd-repart.
fn repart(bench: &Bench, folder: &Path, ddi: &Ddi) -> Result<Ddi> {
    let facts = bench.parts().ddi.inspect(&bench.parts().tools, &ddi.image)?;
    let root = facts.pointer("/partitions").and_then(Value::as_array).into_iter().flatten();
    let root = root.into_iter().find(|partition| partition.get("role").is_some_and(|role| role == "root"));
    let number =
        |name| root.and_then(|root| root.get(name)?.as_u64()).with_context(|| format!("no {name} of the root"));
    let (offset, size) = (usize::try_from(number("offset")?)?, usize::try_from(number("size")?)?);
    let bytes = fs::read(&ddi.image)?;
    let erofs = folder.join("root.erofs");
    fs::write(&erofs, bytes.get(offset..).and_then(|rest| rest.get(..size)).context("the root is out of the image")?)?;

    let definitions = folder.join("repart.d");
    fs::create_dir(&definitions)?;
    for (name, partition, verity) in [
        ("1.conf", "root-arm64", format!("data\nCopyBlocks={}", erofs.display())),
        // Left to itself, repart makes room for the tree of an empty file system.
        ("2.conf", "root-arm64-verity", "hash\nSizeMinBytes=1M".to_owned()),
        ("3.conf", "root-arm64-verity-sig", "signature".to_owned()),
    ] {
        let text = format!("[Partition]\nType={partition}\nVerityMatchKey=root\nVerity={verity}\n");
        fs::write(definitions.join(name), text)?;
    }
    let keys = bench.parts().keys(bench.cache(), Signer::Development)?;
    let image = folder.join("repart.raw");
    let paths = [folder, &keys.key_pem, &keys.certificate_pem];
    let mut command = bench.parts().tools.command("systemd-repart", &paths)?;
    command.args(["--empty=create", "--size=auto", "--dry-run=no", "--offline=yes", "--no-pager"]);
    command.arg(format!("--definitions={}", definitions.display())).env("TMPDIR", folder);
    command.arg(format!("--private-key={}", keys.key_pem.display()));
    command.arg(format!("--certificate={}", keys.certificate_pem.display())).arg(&image);
    call::run("systemd-repart", &mut command)?;

    let facts = bench.parts().ddi.inspect(&bench.parts().tools, &image)?;
    let embedded = facts.pointer("/signer/embedded_certificate/sha256");
    ensure!(embedded.is_some_and(Value::is_string), "repart embedded no certificate: {facts}");
    let root_hash = facts.pointer("/root_hash").and_then(Value::as_str).context("no root hash")?.to_owned();
    Ok(Ddi { image, root_hash })
}
