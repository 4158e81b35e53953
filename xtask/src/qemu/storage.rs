// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--storage`: what the disk of a boot is, from QEMU's devices to the pattern by which storage-init is told of it.
//!
//! Each disk sits behind a controller of its own, except that UFS has one controller whose logical units the disks are.
//! See hw/sd/sd.c, hw/ufs/lu.c and hw/nvme/ctrl.c in QEMU's source.

use crate::disk::Medium;

/// Size of each of the eMMC's two boot partitions, in bytes: room for a small disk of its own. The card counts in
/// units of 128 KiB, up to 255 of them.
pub const EMMC_BOOT_PARTITION: u64 = 8 << 20;
/// Size of the eMMC's replay-protected memory block, in bytes: one unit of the card's count.
const EMMC_RPMB: u64 = 128 << 10;

/// The kind of storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Storage {
    /// virtio-blk: vda
    #[default]
    Virtio,
    /// eMMC with boot partitions and RPMB: mmcblk0
    Emmc,
    /// SD card: mmcblk0
    Sd,
    /// UFS, sectors of 4096 bytes: sda
    Ufs,
    /// NVMe: nvme0n1
    Nvme,
}

impl Storage {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Virtio, Self::Emmc, Self::Sd, Self::Ufs, Self::Nvme];

    /// The configuration's `device` for it, as narrow as the board allows. An eMMC's boot partitions are disks of their own,
    /// named below the user area's (`.../mmcblk0/mmcblk0boot0`): so that pattern ends with the name. That of UFS names
    /// the logical unit.
    #[must_use]
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Virtio => "/devices/platform/*.pcie/pci*/virtio*/block/vd*",
            Self::Emmc | Self::Sd => "/devices/platform/*.pcie/pci*/mmc_host/mmc0/mmc0:*/block/mmcblk0",
            Self::Ufs => "/devices/platform/*.pcie/pci*/host0/target0:0:0/0:0:0:0/block/sd*",
            Self::Nvme => "/devices/platform/*.pcie/pci*/nvme/nvme0/nvme0n1",
        }
    }

    /// How long storage-init waits for it, for a person to see: a card takes most of a second to be asked what it is, on an
    /// idle machine. A boot that is refused waits as long for another disk.
    #[must_use]
    pub fn deadline(self) -> &'static str {
        match self {
            Self::Virtio | Self::Ufs | Self::Nvme => "2s",
            Self::Emmc | Self::Sd => "5s",
        }
    }

    /// The name of the only disk.
    #[must_use]
    pub fn disk(self) -> &'static str {
        match self {
            Self::Virtio => "vda",
            Self::Emmc | Self::Sd => "mmcblk0",
            Self::Ufs => "sda",
            Self::Nvme => "nvme0n1",
        }
    }

    /// The name of a partition of the only disk, by its number from 1.
    #[must_use]
    pub fn partition(self, number: usize) -> String {
        let disk = self.disk();
        // The rule of the kernel's disk_name(): a letter keeps the digits apart.
        let between = if disk.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
        format!("{disk}{between}{number}")
    }

    /// What an image for it has to be like.
    #[must_use]
    pub fn medium(self) -> Medium {
        let medium = Medium::default();
        match self {
            Self::Virtio | Self::Nvme => medium,
            // Cards come in powers of two, and QEMU takes no other.
            Self::Sd => Medium { power_of_two: true, ..medium },
            Self::Emmc => Medium { before: 2 * EMMC_BOOT_PARTITION + EMMC_RPMB, power_of_two: true, ..medium },
            Self::Ufs => Medium { sector_size: 4096, ..medium },
        }
    }

    /// QEMU's `-device` arguments that make the given drives its disks.
    pub(super) fn devices(self, drives: &[String]) -> Vec<String> {
        let mut devices = Vec::new();
        if self == Self::Ufs && !drives.is_empty() {
            devices.push("ufs,id=ufs".to_owned());
        }
        for (number, drive) in drives.iter().enumerate() {
            match self {
                // The first slot of the bus is the first disk's: a configuration can name it.
                Self::Virtio => devices.push(format!("virtio-blk-pci,drive={drive},addr={:x}", number + 1)),
                Self::Nvme => devices.push(format!("nvme,drive={drive},serial={drive}")),
                Self::Ufs => devices.push(format!("ufs-lu,bus=ufs,drive={drive},lun={number}")),
                Self::Emmc | Self::Sd => {
                    devices.push(format!("sdhci-pci,id=host{number}"));
                    devices.push(self.card(number, drive));
                }
            }
        }
        devices
    }

    /// Behind the controller of its number: the names of their buses are all alike, so that it is a path.
    fn card(self, number: usize, drive: &str) -> String {
        let bus = format!("bus=pcie.0/host{number}/sd-bus,drive={drive}");
        match self {
            Self::Emmc => {
                format!("emmc,{bus},boot-partition-size={EMMC_BOOT_PARTITION},rpmb-partition-size={EMMC_RPMB}")
            }
            _ => format!("sd-card,{bus}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.12 names them on QEMU's virt board: what is to be looked at, and its neighbours.
    #[test]
    fn each_pattern_takes_the_disk_and_leaves_its_neighbours_alone() {
        let board = "/devices/platform/4010000000.pcie/pci0000:00/0000:00:01.0";
        for (storage, taken, left) in [
            (Storage::Virtio, "virtio0/block/vda", "host0/target0:0:0/0:0:0:0/block/sda"),
            (
                Storage::Emmc,
                "mmc_host/mmc0/mmc0:0001/block/mmcblk0",
                "mmc_host/mmc0/mmc0:0001/block/mmcblk0/mmcblk0boot0",
            ),
            (Storage::Sd, "mmc_host/mmc0/mmc0:4567/block/mmcblk0", "mmc_host/mmc1/mmc1:4567/block/mmcblk1"),
            (Storage::Ufs, "host0/target0:0:0/0:0:0:0/block/sdc", "host0/target0:0:0/0:0:0:1/block/sda"),
            (Storage::Nvme, "nvme/nvme0/nvme0n1", "nvme/nvme0/nvme0n2"),
        ] {
            let config = crate::qemu::Config { storage, ..crate::qemu::Config::default() };
            for (devpath, expected) in [(taken, true), (left, false)] {
                assert_eq!(config.allows(&format!("{board}/{devpath}")), Some(expected), "{storage:?} {devpath}");
            }
        }
    }

    #[test]
    fn partitions_are_named_as_the_kernel_names_them() {
        let names = Storage::ALL.map(|storage| storage.partition(12));
        assert_eq!(names, ["vda12", "mmcblk0p12", "mmcblk0p12", "sda12", "nvme0n1p12"]);
    }
}
