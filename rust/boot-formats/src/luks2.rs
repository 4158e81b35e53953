// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header of a LUKS2 volume (LUKS2 On-Disk Format Specification 1.1.4; libcryptsetup's lib/luks2).
//!
//! Nobody has signed a header, and its checksum is of everybody: whoever holds the disk writes what they like. So it is read
//! strictly, and only what the boot stage can open is known: one segment of AES-XTS, keyslots by PBKDF2. Anything else is refused by
//! name, a null cipher before all, under which a disk of somebody else's would need no key.
//!
//! * [`size_of`] and [`parse_header`] read one of the two copies, [`Header::metadata`] what it says.
//! * [`choose`] takes that of the copies which libcryptsetup would take.
//! * Binary fields are big-endian. Offsets in errors count bytes of the copy, in errors about JSON bytes of its JSON area.
//!
//! What it does not do: read a disk, repair a copy by the other one, or derive a key.

mod error;
mod header;
mod keyslot;
mod member;
mod metadata;

pub use error::{Error, Name};
pub use header::{BINARY_HEADER, Header, MAX_HEADER, SECONDARY_OFFSETS, Which, choose, parse_header, size_of};
pub use keyslot::{AntiForensic, Digest, Hash, KeySize, Keyslot, MAX_ITERATIONS, Pbkdf2, STRIPES};
pub use metadata::{MAX_OBJECTS, Metadata, Segment, Token};
