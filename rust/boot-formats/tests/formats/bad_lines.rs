// SPDX-License-Identifier: MIT OR Apache-2.0
//! `golden/bad-lines.txt`: a good file, what is done to it, and the error that must come of it, word for word.

use crate::golden::{self, Disk};
use boot_formats::gpt::{Geometry, Which};
use boot_formats::{ByteRange, pkcs7, signature_json, verity, x509};

/// CRC-32, bit by bit: slow, plain, and not the code under test.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// A file and what its operations need to know of it.
struct Patient {
    bytes: Vec<u8>,
    disk: Option<(Disk, Which)>,
    room: Option<(u64, u64)>,
    algorithm: bool,
}

impl Patient {
    fn open(name: &str) -> Self {
        let (file, which) = match name.split_once(' ') {
            Some((file, "primary")) => (file, Some(Which::Primary)),
            Some((file, "backup")) => (file, Some(Which::Backup)),
            Some((_, which)) => panic!("{which}?"),
            None => (name, None),
        };
        let disk = which.map(|which| (Disk::open(file.strip_suffix(".gpt").unwrap()), which));
        Self { bytes: golden::bytes(file), disk, room: None, algorithm: false }
    }

    fn header(&self) -> usize {
        let (disk, which) = self.disk.as_ref().unwrap();
        disk.place(Disk::open("disk-512").geometry.header(*which).offset)
    }

    fn entries(&self) -> usize {
        let (disk, which) = self.disk.as_ref().unwrap();
        match which {
            Which::Primary => 1024,
            Which::Backup => disk.head,
        }
    }

    /// `17`, `header+17`, `entries+17`
    fn address(&self, text: &str) -> usize {
        match text.split_once('+') {
            Some(("header", offset)) => self.header() + offset.parse::<usize>().unwrap(),
            Some(("entries", offset)) => self.entries() + offset.parse::<usize>().unwrap(),
            Some((base, _)) => panic!("{base}?"),
            None => text.parse().unwrap(),
        }
    }

    /// Makes the CRCs right again: what follows is not caught by them.
    fn repair(&mut self, entries_too: bool) {
        let (header, entries) = (self.header(), self.entries());
        if entries_too {
            let crc = crc32(&self.bytes[entries..entries + 128 * 128]);
            self.bytes[header + 88..header + 92].copy_from_slice(&crc.to_le_bytes());
        }
        self.bytes[header + 16..header + 20].fill(0);
        let crc = crc32(&self.bytes[header..header + 92]);
        self.bytes[header + 16..header + 20].copy_from_slice(&crc.to_le_bytes());
    }

    fn perform(&mut self, operation: &str) {
        let words: Vec<&str> = operation.split_whitespace().collect();
        match words[..] {
            ["set", address, value] => {
                let (start, value) = (self.address(address), value_of(value));
                self.bytes[start..start + value.len()].copy_from_slice(&value);
            }
            ["flip", address] => {
                let address = self.address(address);
                self.bytes[address] ^= 1;
            }
            ["replace", old, new] => {
                let text = String::from_utf8(self.bytes.clone()).unwrap();
                assert_eq!(text.matches(old).count(), 1, "{old}");
                self.bytes = text.replace(old, new).into_bytes();
            }
            ["cut", len] => self.bytes.truncate(len.parse().unwrap()),
            ["append", value] => self.bytes.extend(value_of(value)),
            ["repair-header"] => self.repair(false),
            ["repair"] => self.repair(true),
            ["disk-bytes", bytes] => {
                self.disk.as_mut().unwrap().0.geometry = Geometry::new(512, bytes.parse().unwrap()).unwrap();
            }
            ["room", root, verity] => self.room = Some((root.parse().unwrap(), verity.parse().unwrap())),
            ["require-algorithm"] => self.algorithm = true,
            ["require-4k"] => self.room = Some((u64::MAX, u64::MAX)),
            _ => panic!("{operation}?"),
        }
    }

    fn error(mut self, name: &str) -> Option<String> {
        if let Some((disk, which)) = &mut self.disk {
            disk.bytes = self.bytes;
            return disk.table(*which).err().map(|error| error.to_string());
        }
        match name.rsplit_once('.').unwrap().1 {
            "verity" => {
                let fits = |superblock: verity::Superblock| match self.room {
                    Some((u64::MAX, u64::MAX)) => superblock.require_4k(),
                    Some((root, verity)) => superblock
                        .check_fits(ByteRange { offset: 4096, len: root }, ByteRange { offset: 0, len: verity }),
                    None => Ok(()),
                };
                verity::parse(&self.bytes).and_then(fits).err().map(|error| error.to_string())
            }
            "json" => signature_json::parse(&self.bytes).err().map(|error| error.to_string()),
            "p7" => {
                let policy =
                    |signer: pkcs7::Signer<'_>| if self.algorithm { signer.algorithm().map(|_| ()) } else { Ok(()) };
                pkcs7::sole_signer(&self.bytes).and_then(policy).err().map(|error| error.to_string())
            }
            "crt" => x509::parse(&self.bytes).err().map(|error| error.to_string()),
            other => panic!("{other}?"),
        }
    }
}

/// `u16:5`, `u32:5`, `u64:5`, `text:abc`, or bytes in hexadecimal
fn value_of(text: &str) -> Vec<u8> {
    match text.split_once(':') {
        Some(("u16", number)) => number.parse::<u16>().unwrap().to_le_bytes().to_vec(),
        Some(("u32", number)) => number.parse::<u32>().unwrap().to_le_bytes().to_vec(),
        Some(("u64", number)) => number.parse::<u64>().unwrap().to_le_bytes().to_vec(),
        Some(("text", text)) => text.as_bytes().to_vec(),
        Some((kind, _)) => panic!("{kind}?"),
        None => text
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect(),
    }
}

#[test]
fn each_bad_line_gives_its_error() {
    let mut wrong = Vec::new();
    let table = golden::text("bad-lines.txt");
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let [name, operations, expected] = line.splitn(3, '|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}?");
        };
        let mut patient = Patient::open(name);
        for operation in operations.split(';').map(str::trim).filter(|operation| !operation.is_empty()) {
            patient.perform(operation);
        }
        let found = patient.error(name).unwrap_or_else(|| "accepted".to_owned());
        if found != expected {
            wrong.push(format!("{line}\n    found: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} lines:\n{}", wrong.len(), wrong.join("\n"));
}
