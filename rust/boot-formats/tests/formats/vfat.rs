// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volumes of mkfs.vfat and mtools, against what fsck.fat and mshowfat say of them.

use crate::golden;
use boot_formats::ByteRange;
use boot_formats::bytes::OutOfRange;
use boot_formats::vfat::{self, BOOT_SECTOR, ENTRY, Entry, Error, Unclear, Volume, entries};

/// What make-golden put into one file.
struct Excerpt {
    boot_sector: Vec<u8>,
    table: Vec<u8>,
    root: Vec<u8>,
    facts: Facts,
}

impl Excerpt {
    fn read(name: &str) -> Self {
        let mut boot_sector = golden::bytes(&format!("{name}.vfat"));
        let mut table = boot_sector.split_off(BOOT_SECTOR);
        let root = table.split_off(1024);
        Self { boot_sector, table, root, facts: Facts::read(name) }
    }

    fn volume(&self) -> Volume {
        vfat::parse(&self.boot_sector, self.facts.volume).unwrap()
    }

    fn with(&self, offset: usize, value: &[u8]) -> Vec<u8> {
        let mut sector = self.boot_sector.clone();
        sector[offset..offset + value.len()].copy_from_slice(value);
        sector
    }
}

/// What fsck.fat and mshowfat say.
struct Facts {
    volume: u64,
    table: u64,
    data: u64,
    cluster: u64,
    clusters: u32,
    width: u64,
    /// The runs of the folder, and of the two files.
    runs: Vec<Vec<(u32, u32)>>,
}

impl Facts {
    fn read(name: &str) -> Self {
        let text = golden::text(&format!("{name}.txt"));
        let number = |before: &str, after: &str| -> u64 {
            let line = text.lines().find(|line| line.contains(before) && line.contains(after)).unwrap();
            let digits = line.split_once(before).unwrap().1.split_once(after).unwrap().0;
            digits.trim().parse().unwrap_or_else(|_| panic!("{line}"))
        };
        let runs = golden::text(&format!("{name}.layout"));
        let run = |run: &str| {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            (first.parse().unwrap(), last.parse().unwrap())
        };
        Self {
            volume: number(" ", " sectors total") * 512,
            table: number("First FAT starts at byte", "(sector"),
            data: number("Data area starts at byte", "(sector"),
            cluster: number(" ", " bytes per cluster"),
            clusters: number(" ", " data clusters").try_into().unwrap(),
            width: number("FATs,", "bit entries") / 8,
            runs: runs.lines().map(|line| line.split(['<', '>']).skip(1).step_by(2).map(run).collect()).collect(),
        }
    }
}

#[test]
fn parts_lie_where_fsck_says() {
    for name in ["fat32", "fat16"] {
        let excerpt = Excerpt::read(name);
        let (volume, facts) = (excerpt.volume(), &excerpt.facts);
        assert_eq!((volume.sector_bytes(), volume.table().offset), (512, facts.table), "{name}");
        assert_eq!(volume.cluster(2), Some(ByteRange { offset: facts.data, len: facts.cluster }), "{name}");
        let last = facts.clusters + 1;
        assert_eq!(volume.cluster(last).unwrap().offset, facts.data + u64::from(last - 2) * facts.cluster, "{name}");
        for outside in [0, 1, last + 1, u32::MAX] {
            assert_eq!(volume.cluster(outside), None, "{name}: {outside}");
        }
        assert_eq!(volume.cluster_at(facts.data + 5 * facts.cluster), Some(7), "{name}");
        for nowhere in [0, facts.data - 1, facts.data + 1, facts.data + u64::from(facts.clusters) * facts.cluster] {
            assert_eq!(volume.cluster_at(nowhere), None, "{name}: {nowhere}");
        }
        let links = ByteRange { offset: facts.table + 5 * facts.width, len: 2 * facts.width };
        assert_eq!(volume.links(5, 3 * facts.cluster), Some(links), "{name}");
        assert_eq!(volume.links(5, 2 * facts.cluster + 1), Some(links), "{name}");
        assert_eq!(volume.links(5, facts.cluster).unwrap().len, 0, "{name}");
        for (first, clusters) in [(5, 0), (1, 1), (last, 2), (2, u64::from(facts.clusters) + 1), (2, 1 << 40)] {
            assert_eq!(volume.links(first, clusters * facts.cluster), None, "{name}: {first}, {clusters}");
        }
        assert_eq!(volume.links(5, u64::MAX), None, "{name}");
    }
}

#[test]
fn folder_and_runs_are_those_of_mshowfat() {
    for name in ["fat32", "fat16"] {
        let excerpt = Excerpt::read(name);
        let (volume, facts) = (excerpt.volume(), &excerpt.facts);
        let width = usize::try_from(facts.width).unwrap();
        assert_eq!(folder(&excerpt.root), Ok(Some(facts.runs[0][0].0)), "{name}");
        for file in &facts.runs[1..] {
            let count: u32 = file.iter().map(|(first, last)| last - first + 1).sum();
            let (first, end_of_run) = file[0];
            let links = volume.links(first, u64::from(count) * facts.cluster).unwrap();
            let from = usize::try_from(links.offset - facts.table).unwrap();
            let entries = &excerpt.table[from..from + usize::try_from(links.len).unwrap()];
            let expected = (file.len() == 1).then_some(end_of_run);
            assert_eq!(volume.follow(first, entries), expected, "{name}: {file:?}");
            // As far as it goes; and the last cluster is followed by none.
            let run = usize::try_from(u64::from(end_of_run - first) * facts.width).unwrap();
            assert_eq!(volume.follow(first, &excerpt.table[from..from + run]), Some(end_of_run), "{name}: {file:?}");
            assert_eq!(volume.follow(first, &excerpt.table[from..from + run + width]), None, "{name}");
        }
    }
}

#[test]
fn a_run_breaks_at_every_entry() {
    let excerpt = Excerpt::read("fat32");
    let entries: Vec<u8> = (101..=109_u32).flat_map(u32::to_le_bytes).collect();
    let volume = excerpt.volume();
    assert_eq!(volume.follow(100, &entries), Some(109));
    assert_eq!(volume.follow(100, &[]), Some(100));
    for entry in 0..9 {
        for (byte, breaks) in [(0, true), (2, true), (3, false)] {
            let mut bad = entries.clone();
            // The upper four bits are not part of the number.
            bad[entry * 4 + byte] ^= 0x80;
            assert_eq!(volume.follow(100, &bad).is_none(), breaks, "entry {entry}, byte {byte}");
        }
    }
    assert_eq!(volume.follow(u32::MAX - 1, &entries), None);
    // Of the upper four bits, which are not compared, none is part of a number.
    let entries: Vec<u8> = (0..16_u32).flat_map(u32::to_le_bytes).collect();
    assert_eq!(volume.follow(0x0fff_ffff, &entries), None);
    assert_eq!([0x0fff_ffff, 0x1000_0000].map(|first| volume.follow(first, &[])), [Some(0x0fff_ffff), None]);
}

/// The first cluster of the folder `initoverlayfs` among the entries of a root folder.
fn folder(root: &[u8]) -> Result<Option<u32>, Unclear> {
    let mut named = entries(root).filter(|entry| entry.as_ref().map_or(true, |entry| entry.name == "initoverlayfs"));
    named.next().transpose().map(|entry| entry.filter(|entry| entry.is_folder).map(|folder| folder.first))
}

#[test]
fn folder_is_found_by_its_whole_name_alone() {
    let root = Excerpt::read("fat16").root;
    let long = root.chunks(32).position(|entry| entry[11] == 0x0f).unwrap() * 32;
    let short = long + 32;
    let with = |at: usize, value: u8| {
        let mut other = root.clone();
        other[at] = value;
        folder(&other)
    };
    assert_eq!(folder(&root[..short + 1]), Err(Unclear));
    assert_eq!(with(long + 1, b'I'), Ok(None), "the case of a name is for who compares it");
    for (what, at, value) in [
        ("part of a longer name", long, 0x42),
        ("a character beyond Latin", long + 2, 1),
        ("the checksum of another", long + 13, !root[long + 13]),
        ("deleted", short, 0xe5),
        ("not there", short, 0),
        ("the volume's label", short + 11, 0x18),
    ] {
        assert_eq!(with(at, value), Err(Unclear), "{what}");
    }
    assert_eq!(with(short + 11, 0x20), Ok(None), "a file of that name");
}

/// The names and first clusters that mshowfat knows.
fn named() -> Vec<(String, u32)> {
    let layout = golden::text("names.layout");
    let line = |line: &str| {
        let (path, clusters) = line.split_once(" <").unwrap();
        let name = path.strip_prefix("::/initoverlayfs/").unwrap();
        (name.to_owned(), clusters.split(['-', '>']).next().unwrap().parse().unwrap())
    };
    layout.lines().map(line).collect()
}

fn read(folder: &[u8]) -> Result<Vec<Entry>, Unclear> {
    entries(folder).collect()
}

#[test]
fn files_are_those_of_mshowfat() {
    let found = read(&golden::bytes("names.folder")).unwrap();
    let names: Vec<(String, u32)> = found.iter().map(|file| (file.name.as_str().to_owned(), file.first)).collect();
    assert_eq!(names, named());
    assert!(found.iter().all(|file| file.bytes == 3000 && !file.is_folder), "{found:?}");
}

/// What the kernel would show in one way or another is left to it.
#[test]
fn no_changed_entry_is_taken_for_another_file() {
    let folder = golden::bytes("names.folder");
    let good = read(&folder).unwrap();
    let end = folder.chunks(ENTRY).position(|entry| entry[0] == 0).unwrap() * ENTRY;
    for at in 0..end {
        for bit in 0..8 {
            let mut bad = folder.clone();
            bad[at] ^= 1 << bit;
            let Ok(found) = read(&bad) else { continue };
            let entry = &folder[at / ENTRY * ENTRY..][..ENTRY];
            let of_long_name = entry[11] == 0x0f;
            for file in &found {
                let same = good.iter().find(|other| other.name == file.name);
                match same {
                    // Where it lies and how long it is has no checksum: that is for who verifies its bytes.
                    Some(same) => {
                        assert!(same == file || matches!(at % ENTRY, 11 | 20 | 21 | 26..), "byte {at}: {file:?}")
                    }
                    // Another character of the name, which has none either.
                    None => assert!(of_long_name, "byte {at}: {file:?}"),
                }
            }
        }
    }
}

#[test]
fn what_is_not_plain_is_for_the_kernel() {
    let folder = golden::bytes("names.folder");
    let entry = |at: usize| at * ENTRY;
    let first = folder.chunks(ENTRY).position(|entry| entry[11] == 0x0f).unwrap();
    let of = |changes: &[(usize, u8)]| {
        let mut other = folder.clone();
        for (at, value) in changes {
            other[*at] = *value;
        }
        read(&other)
    };
    for (what, changes) in [
        ("a character beyond ASCII", &[(entry(first) + 2, 1)][..]),
        ("a control character", &[(entry(first) + 1, 0x1f)]),
        ("a slash", &[(entry(first) + 1, b'/')]),
        ("no name", &[(entry(first) + 1, 0)]),
        ("the last entry of a name, not first", &[(entry(first), 1)]),
        ("a name of more entries than there are", &[(entry(first), 0x42)]),
        ("a name of no entry", &[(entry(first), 0x40)]),
        ("a name of 21 entries", &[(entry(first), 0x55)]),
        ("the checksum of another short name", &[(entry(first) + 13, 0)]),
        ("another short name", &[(entry(first + 1), b'X')]),
        ("a short name that was deleted", &[(entry(first + 1), 0xe5)]),
        ("a long name of the volume", &[(entry(first + 1) + 11, 0x08)]),
        ("an image with a short name alone", &[(entry(first), 0xe5)]),
        (
            "an image with a full stop in its short name",
            &[(entry(first), 0xe5), (entry(first + 1) + 4, b'.'), (entry(first + 1) + 8, b' ')],
        ),
        ("entries behind the end", &[(entry(first), 0)]),
    ] {
        assert_eq!(of(changes), Err(Unclear), "{what}");
    }
    assert_eq!(read(&folder[..entry(first)]), Err(Unclear), "the folder goes on elsewhere");
    assert_eq!(read(&[]), Err(Unclear));
    let folders = of(&[(entry(first + 1) + 11, 0x10)]).unwrap();
    assert_eq!(folders.iter().filter(|entry| entry.is_folder).count(), 1);
}

#[test]
fn only_a_clean_fat32_keeps_its_count() {
    let excerpt = Excerpt::read("fat32");
    assert!(excerpt.volume().keeps_free_count());
    let dirty = vfat::parse(&excerpt.with(65, &[1]), excerpt.facts.volume).unwrap();
    assert!(!dirty.keeps_free_count());
    assert!(!Excerpt::read("fat16").volume().keeps_free_count());
}

#[test]
fn what_contradicts_itself_is_refused() {
    let fat12 = Excerpt::read("fat12");
    let clusters = fat12.facts.clusters.into();
    assert_eq!(vfat::parse(&fat12.boot_sector, fat12.facts.volume), Err(Error::Fat12 { clusters }));

    let excerpt = Excerpt::read("fat32");
    let size = excerpt.facts.volume;
    let of = |offset, value: &[u8]| vfat::parse(&excerpt.with(offset, value), size).unwrap_err();
    let out_of_range = OutOfRange { offset: 0, needed: 512, available: 511 };
    assert_eq!(vfat::parse(&excerpt.boot_sector[..511], size), Err(Error::OutOfRange(out_of_range)));
    for found in [0_u16, 256, 513, 8192] {
        assert_eq!(of(11, &found.to_le_bytes()), Error::Field { offset: 11, found: found.into() });
    }
    assert_eq!(of(13, &[0]), Error::Field { offset: 13, found: 0 });
    assert_eq!(of(13, &[3]), Error::Field { offset: 13, found: 3 });
    assert_eq!(of(14, &[0, 0]), Error::Field { offset: 14, found: 0 });
    assert_eq!(of(16, &[0]), Error::Field { offset: 16, found: 0 });
    for found in [0, 0xef, 0xf1, 0xf7] {
        assert_eq!(of(21, &[found]), Error::Field { offset: 21, found: found.into() });
    }
    assert_eq!(of(17, &[1, 0]), Error::Field { offset: 17, found: 1 });
    assert_eq!(of(44, &[1, 0, 0, 0]), Error::Field { offset: 44, found: 1 });
    assert_eq!(of(32, &[0; 4]), Error::Clusters { found: 0, most: 0x0fff_fff6 });
    let short = vfat::parse(&excerpt.boot_sector, size - 1).unwrap_err();
    assert_eq!(short, Error::DoesNotFit { needed: size, available: size - 1 });
    assert_eq!(short.to_string(), "vfat: a volume of 35651584 bytes, the partition has 35651583");
    // A table that is longer than the volume leaves no cluster.
    assert_eq!(of(36, &[0xff; 4]), Error::Clusters { found: 0, most: 0x0fff_fff6 });
}

#[test]
fn a_table_that_is_too_short_for_its_clusters_has_no_links_beyond_it() {
    let excerpt = Excerpt::read("fat32");
    // One sector: 128 entries.
    let volume = vfat::parse(&excerpt.with(36, &[1, 0, 0, 0]), excerpt.facts.volume).unwrap();
    assert!(volume.links(100, 29 * 512).is_some());
    assert_eq!(volume.links(100, 30 * 512), None);
}
