// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask bench-images`: what building a DDI costs beside its parts, all measured in this run.
//!
//! Wall time, so only the ratios mean something, and only on a machine that does nothing else: the runs are interleaved,
//! and the medians are compared: a single best run is as much luck as a single worst one.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cache::{Cache, RunDir};
use crate::call;
use crate::disk::DdiProgram;
use crate::keys::{self, Keys};
use crate::tools::Tools;
use crate::userspace::{self, FILE_TIME, Identity};

/// Runs of each; the first one warms the page cache and does not count.
const RUNS: usize = 11;
/// Most that `ddi build` may cost, in terms of mkfs.erofs alone.
const BUDGET: f64 = 1.10;
/// Runs of each for `cargo xtask test`: the best ones are compared, since a busy machine only ever adds time.
const TEST_RUNS: usize = 3;
/// What comes after mkfs.erofs must be at least so many times faster than by hand. Idle, it is 8 to 10 times.
const LEAST_GAIN: f64 = 2.0;

/// The image, in the folder of the run.
const IMAGE: &str = "tree.raw";
/// `sh -c BY_HAND sh EROFS OUTPUT KEY CERTIFICATE`
const BY_HAND: &str = r#"
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

/// What is measured: programs, keys and files.
struct Workshop {
    tools: Tools,
    keys: Keys,
    ddi: DdiProgram,
    folder: RunDir,
}

/// A way to a result, and how long it took.
struct Contender<'a> {
    what: &'a str,
    run: &'a dyn Fn() -> Result<()>,
    times: Vec<f64>,
}

/// Measures, prints the table, and says whether the budget was kept.
///
/// # Errors
/// A program fails.
pub fn run(cache: &Cache) -> Result<bool> {
    let workshop = Workshop::new(cache)?;
    let mkfs = || workshop.mkfs_erofs("alone.erofs");
    let build = || workshop.ddi_build(["--tar", "tree.tar"]);
    let rest = || workshop.ddi_build(["--erofs", "tree.erofs"]);
    let hand = || workshop.assemble_by_hand();
    let mut contenders = [
        Contender::new("mkfs.erofs -zlz4hc alone", &mkfs),
        Contender::new("ddi build --tar", &build),
        Contender::new("ddi build --erofs (what comes after mkfs.erofs)", &rest),
        Contender::new("the same by veritysetup, openssl, sfdisk and dd", &hand),
    ];
    workshop.race(&mut contenders, RUNS)?;
    let [mkfs, build, rest, hand] = contenders.map(|contender| {
        let (best, median) = (contender.at(0), contender.at(RUNS / 2));
        println!("{:48} best {best:6.2} s   median {median:6.2} s", contender.what);
        median
    });
    let (ratio, gain) = (build / mkfs, hand / rest);
    println!("ddi build / mkfs.erofs alone: {ratio:.2} (budget {BUDGET:.2})");
    println!("by hand / ddi after mkfs.erofs: {gain:.1} (at least {LEAST_GAIN:.1})");
    Ok(ratio <= BUDGET && gain >= LEAST_GAIN)
}

/// The part of [`run`] that holds on a busy machine: `ddi build --erofs` beside the same by hand, in a few seconds.
///
/// # Errors
/// A program fails, or the gain is below [`LEAST_GAIN`].
pub fn check_gain(cache: &Cache) -> Result<()> {
    let workshop = Workshop::new(cache)?;
    let (rest, hand) = (|| workshop.ddi_build(["--erofs", "tree.erofs"]), || workshop.assemble_by_hand());
    let mut contenders = [Contender::new("ddi", &rest), Contender::new("by hand", &hand)];
    workshop.race(&mut contenders, TEST_RUNS)?;
    let [rest, hand] = contenders.map(|contender| contender.at(0));
    let gain = hand / rest;
    println!("after mkfs.erofs: by hand {hand:.2} s, ddi {rest:.2} s: {gain:.1} times faster");
    ensure!(gain >= LEAST_GAIN, "ddi is {gain:.1} times faster than by hand, expected at least {LEAST_GAIN:.1}");
    Ok(())
}

impl<'a> Contender<'a> {
    fn new(what: &'a str, run: &'a dyn Fn() -> Result<()>) -> Self {
        Self { what, run, times: Vec::new() }
    }

    /// Seconds of the run at this place of the order, the fastest first.
    fn at(&self, place: usize) -> f64 {
        let mut sorted = self.times.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(place).copied().unwrap_or(f64::NAN)
    }
}

impl Workshop {
    fn new(cache: &Cache) -> Result<Self> {
        let tools = Tools::ensure(cache)?;
        let keys = keys::development(cache, &tools)?;
        let workshop = Self { tools, keys, ddi: DdiProgram::build()?, folder: cache.run_dir("bench")? };
        let identity = Identity { image_id: "initoverlayfs".into(), version: "1".into(), epoch: 1 };
        userspace::ddi(cache, &identity)?.write_tar(&workshop.file("tree.tar"), FILE_TIME)?;
        workshop.mkfs_erofs("tree.erofs")?;
        Ok(workshop)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs all of them in turn, so that what else the machine does hits each alike; the first round does not count.
    fn race(&self, contenders: &mut [Contender<'_>], runs: usize) -> Result<()> {
        for round in 0..=runs {
            for contender in &mut *contenders {
                // No one finds a file to overwrite.
                for output in ["alone.erofs", IMAGE] {
                    match std::fs::remove_file(self.file(output)) {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                        _ => {}
                    }
                }
                let started = Instant::now();
                (contender.run)()?;
                if round > 0 {
                    contender.times.push(started.elapsed().as_secs_f64());
                }
            }
        }
        Ok(())
    }

    /// The file system, with the options that `ddi build` gives (rust/ddi/src/mkfs.rs).
    fn mkfs_erofs(&self, output: &str) -> Result<()> {
        let mut command = self.tools.command("mkfs.erofs", &[self.folder.path()])?;
        command.args(["--quiet", "-zlz4hc", "-b4096", "-U00000000-0000-0000-0000-000000000000", "--all-time"]);
        command.arg(format!("-T{FILE_TIME}")).arg("--tar=f").arg(self.file(output)).arg(self.file("tree.tar"));
        call::run("mkfs.erofs", &mut command)
    }

    fn ddi_build(&self, [option, input]: [&str; 2]) -> Result<()> {
        let Keys { key_pem, certificate_pem, .. } = &self.keys;
        let program = self.ddi.path().to_str().context("the path of ddi is not UTF-8")?;
        let paths = [self.ddi.path(), self.folder.path(), key_pem, certificate_pem];
        let mut command = self.tools.command(program, &paths)?;
        command.arg("build").arg(option).arg(self.file(input));
        command.args(["--source-date-epoch", &FILE_TIME.to_string()]);
        command.arg("--key").arg(key_pem).arg("--cert").arg(certificate_pem);
        call::run("ddi build", command.arg("--output").arg(self.file(IMAGE)))
    }

    /// What a person would type without `ddi`: tree, signature, table, and everything copied into place.
    fn assemble_by_hand(&self) -> Result<()> {
        let Keys { key_pem, certificate_pem, .. } = &self.keys;
        let mut command = self.tools.command("sh", &[self.folder.path(), key_pem, certificate_pem])?;
        command.args(["-c", BY_HAND, "sh"]).arg(self.file("tree.erofs")).arg(self.file("by-hand"));
        call::run("the image by hand", command.arg(key_pem).arg(certificate_pem))
    }
}
