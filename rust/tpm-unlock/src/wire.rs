// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands and responses as bytes (part 1, 18): the one module that knows the wire.
//!
//! By hand, for the dozen commands that are used: sessions sign the very bytes of the parameters, so those have to be at hand, and
//! a response is a few numbers and sized buffers. The crate tpm2-protocol reads each command in the tests. The crate `tpm2` (tpm2-rs) may
//! take its place once a release of it has commands and builds by Yocto's compiler: 0.1 has none, 0.2 needs Rust 1.100.

mod code;
mod reader;
mod writer;

pub use code::{CommandCode, ResponseCode};
pub use reader::{Malformed, Reader};
pub use writer::{Full, Writer};

/// Most bytes of a command or response. TPMs take at least 4096 (part 2, 6.2 `MAX_COMMAND_SIZE` of common profiles), the kernel
/// hands over as many; the largest here has 1200.
pub const MAX_MESSAGE: usize = 4096;
/// Bytes before the handles: tag, size, code.
pub const HEADER: usize = 10;

/// `TPM_ST_NO_SESSIONS`, the tag of a command without authorization.
pub const NO_SESSIONS: u16 = 0x8001;
/// `TPM_ST_SESSIONS`, the tag of a command with it.
pub const SESSIONS: u16 = 0x8002;
/// `TPM_RH_NULL`, the handle of nothing.
pub const NULL_HANDLE: u32 = 0x4000_0007;
/// `TPM_RH_OWNER`, the storage hierarchy.
pub const OWNER_HANDLE: u32 = 0x4000_0001;
/// `TPM_RS_PW`, the session that is a password.
pub const PASSWORD_SESSION: u32 = 0x4000_0009;
