// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ESP as other people's tools write it: every kind of FAT, by two makers, fragmented, dirty, crowded, in capitals, broken.
//!
//! One disk has several ESPs, and one boot goes through them all: on all but the last the DDI claims a newer version than it is.
//! That is refused after the os-release inside was read, which takes everything before it: the way to the file, loop device, signature,
//! verity, erofs. The last one boots. What is plain is read by storage-init, what is not by the kernel's vfat.

use anyhow::{Context, Result, ensure};
use boot_record::config::Source;
use boot_record::reason::Reason;
use libtest_mimic::Trial as Test;
use std::path::Path;
use xtask::boot_report::Booted;
use xtask::disk::vfat::{Fat, Format, Maker, Volume};
use xtask::disk::{Ddi, Disk, Partition, PartitionType};
use xtask::qemu::Outcome;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::tamper::image;
use xtask::userspace::{LATE_FILE, late_contents};

use crate::support::{action, assert_boot_chain, console, test};

pub fn tests() -> Vec<Test> {
    vec![
        test("fat12_volumes_with_a_false_version_and_one_that_boots", |bench, folder| {
            every_volume(
                bench,
                folder,
                &[
                    Layout { cluster: 1 << 10, mebibytes: 4, ..Layout::of(Fat::Twelve) },
                    Layout { cluster: 2 << 10, mebibytes: 7, maker: Maker::Mtools, ..Layout::of(Fat::Twelve) },
                    Layout { cluster: 4 << 10, mebibytes: 12, fragmented: true, ..Layout::of(Fat::Twelve) },
                    Layout { cluster: 32 << 10, mebibytes: 64, ..Layout::of(Fat::Twelve) },
                ],
            )
        }),
        test("fat16_volumes_with_a_false_version_and_one_that_boots", |bench, folder| {
            every_volume(
                bench,
                folder,
                &[
                    Layout { cluster: 512, mebibytes: 10, fragmented: true, ..Layout::of(Fat::Sixteen) },
                    Layout { cluster: 2 << 10, mebibytes: 12, maker: Maker::Mtools, ..Layout::of(Fat::Sixteen) },
                    Layout { cluster: 16 << 10, mebibytes: 80, ..Layout::of(Fat::Sixteen) },
                    Layout { cluster: 32 << 10, mebibytes: 160, dirty: true, ..Layout::of(Fat::Sixteen) },
                ],
            )
        }),
        test("fat32_volumes_with_a_false_version_and_one_that_boots", |bench, folder| {
            every_volume(
                bench,
                folder,
                &[
                    Layout { cluster: 512, mebibytes: 40, fragmented: true, ..Layout::of(Fat::ThirtyTwo) },
                    Layout { cluster: 4 << 10, mebibytes: 300, ..Layout::of(Fat::ThirtyTwo) },
                    Layout { cluster: 8 << 10, mebibytes: 600, maker: Maker::Mtools, ..Layout::of(Fat::ThirtyTwo) },
                    Layout { cluster: 32 << 10, mebibytes: 2200, dirty: true, ..Layout::of(Fat::ThirtyTwo) },
                ],
            )
        }),
        test("file_in_one_run_is_read_beside_vfat", |bench, folder| read_by(bench, folder, "/vda1", &Layout::plain())),
        test("file_in_pieces_is_read_through_vfat", |bench, folder| {
            read_by(bench, folder, &format!("/{}.raw", bench::name(VERSION)), &Layout::in_pieces())
        }),
        test("name_in_capitals_boots_among_thousands", crowded_capitals),
        test("broken_volumes_are_refused_and_the_next_one_boots", broken),
        test("file_of_260_mebibytes_boots", large_file),
    ]
}

const VERSION: &str = "1.0";
/// What the name of a DDI claims that is to be refused.
const CLAIMED: &str = "2.0";
/// How many pieces a fragmented volume is filled with, every second of which is deleted again.
const PIECES: u64 = 140;
/// Names in a crowded folder: foreign ones, and older images that are not there in truth.
const FOREIGN: usize = 4000;
const OLDER: usize = 60;
/// Where the root partition begins in a large file: 256 MiB are behind it then.
const LARGE: u64 = 257 << 20;

/// A volume with one DDI on it.
pub struct Layout {
    fat: Fat,
    maker: Maker,
    /// Bytes of a cluster.
    cluster: u64,
    mebibytes: u64,
    fragmented: bool,
    dirty: bool,
}

impl Layout {
    /// FAT32 with room: what storage-init reads by itself.
    pub fn plain() -> Self {
        Self { mebibytes: 40, ..Self::of(Fat::ThirtyTwo) }
    }

    /// FAT32, on which a file gets its clusters in many pieces.
    pub fn in_pieces() -> Self {
        Self { mebibytes: 40, fragmented: true, ..Self::of(Fat::ThirtyTwo) }
    }

    fn of(fat: Fat) -> Self {
        Self { fat, maker: Maker::Dosfstools, cluster: 512, mebibytes: 0, fragmented: false, dirty: false }
    }

    pub fn write(&self, bench: &Bench, folder: &Path, number: usize, ddi: &Ddi, version: &str) -> Result<Partition> {
        let format =
            Format { maker: self.maker, fat: Some(self.fat), cluster: Some(self.cluster), ..Format::default() };
        let image = folder.join(format!("{number}.vfat"));
        let volume = Volume::make(&bench.parts().tools, &image, self.mebibytes << 20, format)?;
        volume.make_folder("initoverlayfs")?;
        if self.fragmented {
            leave_holes(&volume, folder, self.mebibytes << 20)?;
        }
        let path = format!("initoverlayfs/{}.raw", bench::name(version));
        volume.copy_in(&ddi.image, &path)?;
        let fragments = volume.fragments(&path)?;
        ensure!(fragments > if self.fragmented { 5 } else { 0 }, "{path} has {fragments} fragments");
        if self.dirty {
            volume.mark_dirty()?;
        }
        Ok(esp(&image))
    }
}

fn esp(image: &Path) -> Partition {
    Partition { kind: PartitionType::Esp, label: "esp".to_owned(), contents: Some(image.to_owned()) }
}

/// Fills a volume with small files and deletes every second of them.
fn leave_holes(volume: &Volume<'_>, folder: &Path, size: u64) -> Result<()> {
    let pieces = folder.join("pieces");
    std::fs::create_dir(&pieces)?;
    // A twentieth is left for tables and folders, less than the DDI takes.
    let piece = vec![b'x'; usize::try_from(size / PIECES * 19 / 20)?];
    let names: Vec<String> = (0..PIECES).map(|number| format!("P{number:03}.TXT")).collect();
    for name in &names {
        std::fs::write(pieces.join(name), &piece)?;
    }
    volume.make_folder("pieces")?;
    volume.copy_all_in(&pieces, "pieces")?;
    std::fs::remove_dir_all(&pieces)?;
    let every_second: Vec<String> = names.iter().step_by(2).map(|name| format!("pieces/{name}")).collect();
    volume.delete(&every_second)
}

fn every_volume(bench: &Bench, folder: &Path, layouts: &[Layout]) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small { version: VERSION, ..Small::default() })?;
    let last = layouts.len();
    let mut first = Vec::new();
    for (number, layout) in (1..).zip(layouts) {
        let version = if number == last { VERSION } else { CLAIMED };
        first.push(layout.write(bench, folder, number, &ddi, version).with_context(|| format!("volume {number}"))?);
    }
    let outcome = boot(bench, folder, first)?;
    let booted = assert_boots(&outcome, &ddi)?;
    let wanted: Vec<(Reason, String)> =
        (1..last).map(|number| (Reason::ImageVersion, file(number, &bench::name(CLAIMED)))).collect();
    assert_refusals(&booted, &wanted)?;
    let device = file(last, &bench::name(VERSION));
    ensure!(booted.record.device == device.as_str(), "booted {}, expected {device}", booted.record.device);
    if layouts.last().is_some_and(|layout| layout.dirty) {
        let said = format!("FAT-fs (vda{last}): Volume was not properly unmounted");
        ensure!(outcome.console.iter().any(|line| line.contains(&said)), "not said: {said}\n{}", console(&outcome));
    }
    Ok(())
}

/// `wanted` is the end of the path of what the loop device below dm-verity is over.
fn read_by(bench: &Bench, folder: &Path, wanted: &str, layout: &Layout) -> Result<()> {
    let actions = ["read /sys/block/loop0/loop/backing_file"];
    let ddi = bench.small_ddi(folder, &Small { version: VERSION, actions: &actions, ..Small::default() })?;
    let outcome = boot(bench, folder, vec![layout.write(bench, folder, 1, &ddi, VERSION)?])?;
    assert_boots(&outcome, &ddi)?;
    assert_devices(&outcome, "7:0 7:0")?;
    let over = action(&outcome, 1)?;
    ensure!(over.trim_end().ends_with(wanted), "the loop device is over {over}, expected {wanted}");
    Ok(())
}

/// What dm-verity reads data and hashes from, by its table: `HASH-verity: 0 SECTORS verity 1 DATA HASHES ...`. Major number 7 is that of
/// loop devices.
fn assert_devices(outcome: &Outcome, wanted: &str) -> Result<()> {
    let table = outcome.report.as_ref().context("no report")?.text("verity-table")?;
    let line = table.lines().find(|line| line.contains("-verity:")).context("no verity device")?;
    ensure!(line.contains(&format!(" verity 1 {wanted} ")), "expected data and hashes on {wanted}: {line}");
    Ok(())
}

fn boot(bench: &Bench, folder: &Path, first: Vec<Partition>) -> Result<Outcome> {
    let disk = Some(Disk { first, ..Disk::default() });
    bench.boot(folder, &Trial { disk, ..Trial::default() })
}

fn assert_boots(outcome: &Outcome, ddi: &Ddi) -> Result<Booted> {
    assert_boot_chain(outcome, &expected(VERSION, ddi, Source::EspFile, false))
}

fn assert_refusals(booted: &Booted, wanted: &[(Reason, String)]) -> Result<()> {
    let refused = &booted.record.refused;
    let found: Vec<(Reason, String)> =
        refused.iter().map(|refusal| (refusal.reason, refusal.device.as_str().to_owned())).collect();
    ensure!(found == wanted, "refused: {refused:?}, expected {wanted:?}");
    Ok(())
}

/// A DDI as storage-init names it, on the ESP of this number.
fn file(number: usize, name: &str) -> String {
    format!("vda{number}:/initoverlayfs/{name}.raw")
}

/// vfat has no case: what looks for `initoverlayfs` finds `INITOVERLAYFS`, and the image's name in capitals is its name. Of the
/// candidates sixteen are kept, the newest, wherever in the folder they are.
fn crowded_capitals(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small { version: VERSION, ..Small::default() })?;
    let many = folder.join("many");
    std::fs::create_dir(&many)?;
    let foreign = (0..FOREIGN).map(|number| format!("F{number:04}.TXT"));
    let longest = format!("{}.raw", "x".repeat(251));
    let older = (0..OLDER).map(|number| format!("{}.raw", bench::name(&format!("0.{number}"))));
    for name in foreign.chain([longest]).chain(older) {
        std::fs::write(many.join(name), "")?;
    }
    let image = folder.join("crowded.vfat");
    let volume = Volume::make(&bench.parts().tools, &image, 16 << 20, Format::default())?;
    volume.make_folder("INITOVERLAYFS")?;
    volume.copy_all_in(&many, "INITOVERLAYFS")?;
    std::fs::remove_dir_all(&many)?;
    let name = bench::name(VERSION).to_uppercase();
    volume.copy_in(&ddi.image, &format!("INITOVERLAYFS/{name}.RAW"))?;
    let booted = assert_boots(&boot(bench, folder, vec![esp(&image)])?, &ddi)?;
    let wanted = format!("vda1:/initoverlayfs/{name}.RAW");
    ensure!(booted.record.device == wanted.as_str(), "booted {}, expected {wanted}", booted.record.device);
    assert_refusals(&booted, &[])
}

/// Noise; a file where the folder should be; a file whose clusters are lost. None keeps the fourth from booting.
fn broken(bench: &Bench, folder: &Path) -> Result<()> {
    let tools = &bench.parts().tools;
    let ddi = bench.small_ddi(folder, &Small { version: VERSION, ..Small::default() })?;
    let [noise, no_folder, lost, good] = ["noise", "no-folder", "lost", "good"].map(|name| folder.join(name));
    std::fs::write(&noise, late_contents())?;
    let format = Format { fat: Some(Fat::Sixteen), cluster: Some(512), ..Format::default() };
    Volume::make(tools, &no_folder, 10 << 20, format)?.copy_in(&noise, "initoverlayfs")?;
    for (image, version) in [(&lost, CLAIMED), (&good, VERSION)] {
        let volume = Volume::make(tools, image, 10 << 20, format)?;
        volume.make_folder("initoverlayfs")?;
        volume.copy_in(&ddi.image, &format!("initoverlayfs/{}.raw", bench::name(version)))?;
        if version == CLAIMED {
            volume.lose_clusters_from(80)?;
        }
    }
    let partitions = [&noise, &no_folder, &lost, &good].map(|image| esp(image));
    let outcome = boot(bench, folder, partitions.to_vec())?;
    let booted = assert_boots(&outcome, &ddi)?;
    let wanted = [(Reason::FileSystem, "vda1".to_owned()), (Reason::Io, file(3, &bench::name(CLAIMED)))];
    assert_refusals(&booted, &wanted)
}

/// The data lie behind 256 MiB of nothing, at the end of a chain of 66000 clusters.
fn large_file(bench: &Bench, folder: &Path) -> Result<()> {
    let read = format!("read /{LATE_FILE}");
    let ddi = bench.small_ddi(folder, &Small { version: VERSION, actions: &[&read], ..Small::default() })?;
    let large = folder.join("large.raw");
    image::spread(&bench.parts().tools, &ddi.image, &large, LARGE)?;
    let ddi = Ddi { image: large, ..ddi };
    let layout = Layout { cluster: 4 << 10, mebibytes: 300, ..Layout::of(Fat::ThirtyTwo) };
    let outcome = boot(bench, folder, vec![layout.write(bench, folder, 1, &ddi, VERSION)?])?;
    assert_boots(&outcome, &ddi)?;
    // The tree lies before the data.
    assert_devices(&outcome, "7:0 7:1")?;
    let found = outcome.report.as_ref().context("no report")?.bytes("action-1")?;
    ensure!(found == late_contents(), "the file has other contents than were built: {} bytes", found.len());
    Ok(())
}
