// SPDX-License-Identifier: MIT OR Apache-2.0
//! What reading costs on real storage, as a stated model: a fixed time for each request and a time for each byte, one
//! request after the other.
//!
//! An upper bound: a kernel that reads ahead has several requests under way. The virtual machine's clock counts
//! instructions, and to it every read takes none.

use crate::qemu::Reads;

/// A kind of flash.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: &'static str,
    /// Microseconds from the start of a request to its first byte.
    pub request_us: f64,
    /// Bytes in a microsecond, which is MB/s.
    pub bytes_per_us: f64,
}

/// The kinds that the table has: an eMMC 5.1 in HS400, a UFS 3.1 of two lanes, both as vendors rate small parts for reads.
pub const MODELS: [Model; 2] = [
    Model { name: "eMMC", request_us: 150.0, bytes_per_us: 250.0 },
    Model { name: "UFS", request_us: 80.0, bytes_per_us: 1000.0 },
];

impl Model {
    /// Milliseconds that these reads take.
    #[must_use]
    pub fn ms(&self, reads: Reads) -> f64 {
        (reads.requests as f64 * self.request_us + reads.bytes as f64 / self.bytes_per_us) / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_bytes_both_count() {
        let emmc = Model { name: "", request_us: 150.0, bytes_per_us: 250.0 };
        let ms = emmc.ms(Reads { bytes: 1_000_000, requests: 10 });
        assert!((ms - 5.5).abs() < 1e-9, "{ms}");
    }
}
