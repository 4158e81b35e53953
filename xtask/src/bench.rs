// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask bench`: what building a DDI costs beside its parts, all measured in this run.
//!
//! Wall time, so only the ratios mean something, and only on a machine that does nothing else: the runs are interleaved,
//! and the medians are compared: a single best run is as much luck as a single worst one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::disk::DdiProgram;
use crate::keys::{self, Keys};
use crate::tools::Tools;
use crate::userspace::{self, FILE_TIME, Identity};

/// Runs of each; the first one warms the page cache and does not count.
const RUNS: usize = 11;
/// Most that `ddi build` may cost, in terms of mkfs.erofs alone.
const BUDGET: f64 = 1.10;

/// Something that is measured.
struct Contender<'a> {
    what: &'a str,
    run: &'a dyn Fn() -> Result<()>,
    times: Vec<Duration>,
}

/// Measures, prints the table, and says whether the budget was kept.
///
/// # Errors
/// A program fails.
pub fn run(cache: &Cache) -> Result<bool> {
    let tools = Tools::ensure(cache)?;
    let keys = keys::development(cache, &tools)?;
    let ddi = DdiProgram::build()?;
    let folder = cache.run_dir("bench")?;
    let folder = folder.path();
    let tar = folder.join("tree.tar");
    let identity = Identity { image_id: "initoverlayfs".into(), version: "1".into(), epoch: 1 };
    userspace::ddi(cache, &identity)?.write_tar(&tar, FILE_TIME)?;

    let [alone, erofs, image, by_hand] =
        ["alone.erofs", "tree.erofs", "tree.raw", "by-hand"].map(|name| folder.join(name));
    mkfs_erofs(&tools, &tar, &erofs)?;
    let mkfs = || mkfs_erofs(&tools, &tar, &alone);
    let build = || ddi_build(&tools, &ddi, &keys, ["--tar".as_ref(), tar.as_ref()], &image);
    let rest = || ddi_build(&tools, &ddi, &keys, ["--erofs".as_ref(), erofs.as_ref()], &image);
    let hand = || assemble_by_hand(&tools, &keys, &erofs, &by_hand);
    let contender = |what, run| Contender { what, run, times: Vec::new() };
    let mut contenders: [Contender<'_>; 4] = [
        contender("mkfs.erofs -zlz4hc alone", &mkfs),
        contender("ddi build --tar", &build),
        contender("ddi build --erofs (what comes after mkfs.erofs)", &rest),
        contender("the same by veritysetup, openssl, sfdisk and dd", &hand),
    ];
    for _ in 0..=RUNS {
        for contender in &mut contenders {
            // No one finds a file to overwrite.
            for output in [&alone, &image] {
                match std::fs::remove_file(output) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                    _ => {}
                }
            }
            let started = Instant::now();
            (contender.run)()?;
            contender.times.push(started.elapsed());
        }
    }

    let [mkfs, build, rest, hand] = contenders.map(|contender| {
        let mut counted: Vec<f64> = contender.times.iter().skip(1).map(Duration::as_secs_f64).collect();
        counted.sort_by(f64::total_cmp);
        let best = counted.first().copied().unwrap_or(f64::NAN);
        let median = counted.get(RUNS / 2).copied().unwrap_or(f64::NAN);
        println!("{:48} best {best:6.2} s   median {median:6.2} s", contender.what);
        median
    });
    let (ratio, gain) = (build / mkfs, hand / rest);
    println!("ddi build / mkfs.erofs alone: {ratio:.2} (budget {BUDGET:.2})");
    println!("by hand / ddi after mkfs.erofs: {gain:.1}");
    Ok(ratio <= BUDGET)
}

/// The file system, with the options that `ddi build` gives (rust/ddi/src/mkfs.rs).
fn mkfs_erofs(tools: &Tools, tar: &Path, erofs: &Path) -> Result<()> {
    let mut command = tools.command("mkfs.erofs", &[tar, folder_of(erofs)])?;
    command.args(["--quiet", "-zlz4hc", "-b4096", "-U00000000-0000-0000-0000-000000000000", "--all-time"]);
    run_quietly(command.arg(format!("-T{FILE_TIME}")).arg("--tar=f").arg(erofs).arg(tar))
}

fn ddi_build(tools: &Tools, ddi: &DdiProgram, keys: &Keys, input: [&std::ffi::OsStr; 2], image: &Path) -> Result<()> {
    let program = ddi.path().to_str().context("the path of ddi is not UTF-8")?;
    let mut command = tools.command(program, &[ddi.path(), folder_of(image), &keys.key_pem, &keys.certificate_pem])?;
    command.arg("build").args(input).args(["--source-date-epoch", &FILE_TIME.to_string()]);
    run_quietly(
        command.arg("--key").arg(&keys.key_pem).arg("--cert").arg(&keys.certificate_pem).arg("--output").arg(image),
    )
}

/// What a person would type without `ddi`: tree, signature, table, and everything copied into place.
fn assemble_by_hand(tools: &Tools, keys: &Keys, erofs: &Path, output: &Path) -> Result<()> {
    const SCRIPT: &str = r#"
        set -eu
        hash=$(veritysetup format "$1" "$2.verity" | sed -n 's/^Root hash:[[:space:]]*//p')
        printf %s "$hash" | openssl smime -sign -nocerts -noattr -binary -outform der -signer "$4" -inkey "$3" -out "$2.p7"
        printf '{"rootHash":"%s","signature":"%s"}' "$hash" "$(base64 -w0 "$2.p7")" > "$2.json"
        verity=$(($(stat -c %s "$2.verity") / 512)) data=$(($(stat -c %s "$1") / 512))
        truncate -s 0 "$2.raw" && truncate -s $(((2048 + 2048 + verity + data + 4096) * 512)) "$2.raw"
        printf 'label: gpt\nstart=2048,size=32\nstart=4096,size=%s\nstart=%s,size=%s\n' "$verity" $((4096 + verity)) "$data" |
            sfdisk --quiet "$2.raw"
        dd if="$2.json" of="$2.raw" bs=512 seek=2048 conv=notrunc status=none
        dd if="$2.verity" of="$2.raw" bs=1M seek=$((4096 * 512)) oflag=seek_bytes conv=notrunc status=none
        dd if="$1" of="$2.raw" bs=1M seek=$(((4096 + verity) * 512)) oflag=seek_bytes conv=notrunc status=none
        sync "$2.raw"
    "#;
    let mut command = tools.command("sh", &[folder_of(output), &keys.key_pem, &keys.certificate_pem])?;
    command.args(["-c", SCRIPT, "sh"]).arg(erofs).arg(output);
    run_quietly(command.arg(&keys.key_pem).arg(&keys.certificate_pem))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn run_quietly(command: &mut Command) -> Result<()> {
    let name = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
