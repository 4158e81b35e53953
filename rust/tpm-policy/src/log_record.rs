// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records of `/run/log/systemd/tpm2-measure.log`, systemd's log of what user space measured.
//!
//! RFC 7464: each record is a JSON object between a record separator and a newline. The members are those of the TCG's Canonical
//! Event Log as systemd writes them (src/shared/tpm2-util.c, `tpm2_userspace_log`): no `recnum`, `content_type` is `systemd`.
//! There is no `eventType`: systemd's are a closed list for events of its own.

use core::fmt::{self, Write};

use boot_formats::hex::Hex;

use crate::bank::Digest;

/// Most bytes of a record with a digest of each bank and 192 bytes of text, none of which needs an escape.
pub const MAX_RECORD: usize = 1024;

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The register.
    pub pcr: u8,
    /// What it was extended by, one digest for each bank.
    pub digests: &'a [Digest],
    /// The data that was hashed. Text without quotes, backslashes or control characters: others are left out, and a replay
    /// would notice.
    pub text: &'a str,
    /// The kernel's `/proc/sys/kernel/random/boot_id`, without its dashes.
    pub boot_id: &'a [u8; 16],
    /// CLOCK_BOOTTIME in microseconds.
    pub boottime_us: u64,
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\x1e{{\"pcr\":{},\"digests\":[", self.pcr)?;
        for (place, digest) in self.digests.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{{\"hashAlg\":\"{}\",\"digest\":\"{digest}\"}}", digest.bank())?;
        }
        f.write_str("],\"content_type\":\"systemd\",\"content\":{\"string\":\"")?;
        let plain = |c: &char| !c.is_control() && !matches!(c, '"' | '\\');
        self.text.chars().filter(plain).try_for_each(|c| f.write_char(c))?;
        writeln!(f, "\",\"bootId\":\"{}\",\"timestamp\":{}}}}}", Hex(self.boot_id), self.boottime_us)
    }
}
