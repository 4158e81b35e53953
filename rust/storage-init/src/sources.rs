// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where DDIs come from: the configured sources of one disk.

mod esp_file;
mod partition;

use boot_formats::dps::Role;
use boot_formats::gpt::{self, Table, Which};
use boot_formats::json::decimal;
use boot_record::config::{Config, Source};
use boot_record::event::Event;
use boot_record::reason::Reason;
use kernel_edge::block::ReadOnly;
use kernel_edge::file;

use crate::discover::BlockDevice;
use crate::failure::{DeviceLabel, Failure, text};
use crate::journal::Journal;
use crate::select::Candidates;
use crate::table;
use crate::unlock::Volumes;

/// Most bytes of a number in /sys: twenty digits and the end of the line, and some more.
const SYSFS_NUMBER: usize = 32;

/// Looks for candidates in all configured sources of `disk`, and adds them to `candidates`, which is empty; says to `volumes` which
/// partitions hold one. `table` is room for the partition table. A source that cannot be looked into is reported and
/// does not hide the others.
///
/// # Errors
/// Where there is no candidate: the first failure of a source, `partition-table` where the disk has none that can be
/// used, `no-source` where it has no partition of the configured kinds, `no-candidate` where those are empty.
pub fn search(
    disk: &BlockDevice,
    table: &mut Table,
    config: &Config,
    candidates: &mut Candidates,
    volumes: &mut Volumes,
    journal: &mut Journal,
) -> Result<(), Failure> {
    let failed = |error| Failure::new(Reason::PartitionTable, &disk.name, error);
    // In one request: a protective MBR and the header, a sector each, and 128 entries of 128 bytes, as nearly all tables have them.
    disk.device.read_ahead(0, u64::from(disk.sector_size).saturating_mul(2).saturating_add(128 * 128));
    let which = table::read(&disk.device, disk.sector_size, table).map_err(failed)?;
    if which == Which::Backup {
        journal.log(&Event::BackupTable { device: &disk.name });
        // The kernel took none from there; the booted system looks for its own on this disk. One that it refuses is
        // reported below, if it matters here.
        for partition in &table.partitions {
            let _ = node(disk, partition, which);
        }
    }

    for (place, volume) in config.volumes.iter().enumerate() {
        let partition = table.partitions.iter().find(|partition| partition.guid == volume.partition);
        if let Some(partition) = partition
            && let Ok(node) = node(disk, partition, which)
        {
            volumes.found(place, node.path);
        }
    }

    let mut failures: heapless::Deque<Failure, 8> = heapless::Deque::new();
    let mut looked_into = 0_usize;
    for (rank, source) in config.sources.iter().enumerate() {
        for partition in table.partitions.iter().filter(|partition| holds(*source, partition)) {
            looked_into = looked_into.saturating_add(1);
            let added = node(disk, partition, which).and_then(|node| match source {
                Source::EspFile => esp_file::search(node, disk.sector_size, config, rank, candidates),
                Source::Partition => partition::search(&node, partition, config, rank, candidates),
            });
            if let Err(failure) = added {
                // Of more than eight bad partitions the last ones go unsaid.
                let _ = failures.push_back(failure);
            }
        }
    }
    // The first is reported by the caller, where it is what the search failed with.
    let failure = if candidates.len() == 0 { failures.pop_front() } else { None };
    for failure in &failures {
        journal.refused(failure);
    }
    if candidates.len() > 0 {
        return Ok(());
    }
    Err(failure.unwrap_or_else(|| match looked_into {
        0 => missing(disk, config, table),
        _ => Failure::new(
            Reason::NoCandidate,
            &disk.name,
            format_args!("no DDI named {}_VERSION in the configured sources", config.image_id),
        ),
    }))
}

/// Whether a partition is of the kind that a source looks into.
fn holds(source: Source, partition: &gpt::Partition) -> bool {
    match source {
        Source::EspFile => matches!(Role::of(partition.type_guid), Role::Esp | Role::Xbootldr),
        Source::Partition => Role::of(partition.type_guid) == Role::InitoverlayfsDdi,
    }
}

fn missing(disk: &BlockDevice, config: &Config, table: &Table) -> Failure {
    let wanted = match config.sources.first() {
        Some(Source::EspFile) if config.sources.len() == 1 => "an EFI system or XBOOTLDR partition",
        Some(Source::Partition) if config.sources.len() == 1 => "a partition of the initoverlayfs DDI type",
        _ => "a partition of a configured source",
    };
    let count = table.partitions.len();
    Failure::new(Reason::NoSource, &disk.name, format_args!("none of its {count} partitions is {wanted}"))
}

/// The node of a partition in /dev. The kernel has made it, unless the table is the backup, which it does not use: then
/// it is told of the partition. (Telling it while it still reads the primary one would get in its way; it announces the disk
/// when it is done, and then we look again.)
fn node(disk: &BlockDevice, partition: &gpt::Partition, which: Which) -> Result<Node, Failure> {
    // The rule of the kernel's disk_name(): a letter keeps the digits apart.
    let between = if disk.name.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    let name: DeviceLabel = text(format_args!("{}{between}{}", disk.name, partition.number));
    let start: heapless::String<256> = text(format_args!("/sys/block/{}/{name}/start", disk.name));
    let start = file::read(&start, SYSFS_NUMBER).ok().and_then(|number| decimal(number.trim_ascii_end()));
    if start.is_none() {
        if which == Which::Primary {
            return Err(Failure::new(Reason::PartitionTable, &name, "the kernel has no such partition"));
        }
        disk.device
            .add_partition(partition.number, partition.range.offset, partition.range.len)
            .map_err(|error| Failure::new(Reason::PartitionTable, &name, error))?;
    }
    let path: DeviceLabel = text(format_args!("/dev/{name}"));
    let device = ReadOnly::open(&path).map_err(|error| Failure::new(Reason::Io, &name, error))?;
    // In units of 512 bytes, whatever the disk's sectors (block/partitions/core.c).
    let is_there = start.is_none_or(|start| start.checked_mul(512) == Some(partition.range.offset));
    if !is_there || device.bytes() != partition.range.len {
        let detail = "the kernel sees other bounds than the partition table has";
        return Err(Failure::new(Reason::PartitionTable, &name, detail));
    }
    Ok(Node { name, path, device })
}

/// A partition as a device.
#[derive(Debug)]
pub struct Node {
    /// Such as `mmcblk0p1`.
    name: DeviceLabel,
    /// Such as `/dev/mmcblk0p1`.
    path: DeviceLabel,
    /// It, open.
    device: ReadOnly,
}
