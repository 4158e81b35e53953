// SPDX-License-Identifier: MIT OR Apache-2.0
//! Access to the files in `golden/` and to what their makers printed.

use boot_formats::gpt::{self, Geometry, Table, Which};
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

pub fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect()
}

pub fn bytes(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).unwrap()
}

/// `KEY: VALUE` lines of veritysetup, `KEY=VALUE` lines of openssl.
pub fn facts(name: &str) -> HashMap<String, String> {
    text(name)
        .lines()
        .filter_map(|line| line.split_once(['=', ':']))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// Head and tail of a disk, as make-golden cut them out.
#[derive(Clone)]
pub struct Disk {
    pub geometry: Geometry,
    pub bytes: Vec<u8>,
    pub head: usize,
}

/// One partition of a layout: start and size in sectors, type, GUID, label.
pub type Line = (u64, u64, String, String, String);

impl Disk {
    pub fn open(name: &str) -> Self {
        let layout = text(&format!("{name}.layout"));
        let numbers: HashMap<_, u64> = layout
            .lines()
            .next()
            .unwrap()
            .split(' ')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(key, value)| (key, value.parse().unwrap()))
            .collect();
        let sector_size = u32::try_from(numbers["sector-size"]).unwrap();
        let geometry = Geometry::new(sector_size, numbers["sectors"] * numbers["sector-size"]).unwrap();
        let head = usize::try_from(numbers["head"] * numbers["sector-size"]).unwrap();
        Self { geometry, bytes: bytes(&format!("{name}.gpt")), head }
    }

    /// Where a byte of the disk is in the file.
    pub fn place(&self, offset: u64) -> usize {
        let head = self.head as u64;
        let tail = self.bytes.len() as u64 - head;
        let disk = self.geometry.sectors() * u64::from(self.geometry.sector_size());
        let offset = if offset < head { offset } else { offset.checked_sub(disk - tail).unwrap() + head };
        usize::try_from(offset).unwrap()
    }

    pub fn header(&self, which: Which) -> &[u8] {
        let range = self.geometry.header(which);
        let start = self.place(range.offset);
        let len = usize::try_from(range.len).unwrap();
        &self.bytes[start..self.bytes.len().min(start + len)]
    }

    pub fn table(&self, which: Which) -> Result<Table, gpt::Error> {
        let header = gpt::parse_header(self.header(which), self.geometry, which)?;
        let start = self.place(header.entry_array().offset);
        let len = usize::try_from(header.entry_array().len).unwrap();
        gpt::parse_entries(&header, self.geometry, &self.bytes[start..start + len])
    }
}

/// The partitions of a layout in sfdisk's words, and the disk's GUID.
pub fn layout(name: &str) -> (String, Vec<Line>) {
    let layout = text(&format!("{name}.layout"));
    let field = |line: &str, key: &str| {
        let (_, rest) = line.split_once(&format!("{key}="))?;
        let value = match rest.strip_prefix('"') {
            Some(rest) => rest.split('"').next()?,
            None => rest.split(',').next()?.trim(),
        };
        Some(value.to_owned())
    };
    let disk = layout.lines().find_map(|line| line.strip_prefix("label-id: ")).unwrap().to_lowercase();
    let lines = layout.lines().filter(|line| line.starts_with("start=")).map(|line| {
        (
            field(line, "start").unwrap().parse().unwrap(),
            field(line, "size").unwrap().parse().unwrap(),
            field(line, "type").unwrap().to_lowercase(),
            field(line, "uuid").unwrap().to_lowercase(),
            field(line, "name").unwrap(),
        )
    });
    (disk, lines.collect())
}
