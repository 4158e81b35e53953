// SPDX-License-Identifier: MIT OR Apache-2.0
//! Command codes, and what a response code means (part 2, 6.5.2 and 6.6).

use core::fmt;

/// The commands that are used, with their `TPM_CC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[allow(missing_docs, reason = "each is the command of its name in part 3")]
pub enum CommandCode {
    PcrExtend = 0x0000_0182,
    PcrRead = 0x0000_017e,
    Create = 0x0000_0153,
    Load = 0x0000_0157,
    Unseal = 0x0000_015e,
    FlushContext = 0x0000_0165,
    LoadExternal = 0x0000_0167,
    PolicyAuthorize = 0x0000_016a,
    ReadPublic = 0x0000_0173,
    StartAuthSession = 0x0000_0176,
    VerifySignature = 0x0000_0177,
    PolicyPcr = 0x0000_017f,
    PolicyGetDigest = 0x0000_0189,
}

impl CommandCode {
    /// Every command.
    pub const ALL: [Self; 13] = [
        Self::PcrExtend,
        Self::PcrRead,
        Self::Create,
        Self::Load,
        Self::Unseal,
        Self::FlushContext,
        Self::LoadExternal,
        Self::PolicyAuthorize,
        Self::ReadPublic,
        Self::StartAuthSession,
        Self::VerifySignature,
        Self::PolicyPcr,
        Self::PolicyGetDigest,
    ];

    /// Its `TPM_CC`.
    #[must_use]
    pub const fn value(self) -> u32 {
        self as u32
    }

    /// The command of this `TPM_CC`.
    #[must_use]
    pub fn of(value: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.value() == value)
    }

    /// Its name in part 3.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PcrExtend => "TPM2_PCR_Extend",
            Self::PcrRead => "TPM2_PCR_Read",
            Self::Create => "TPM2_Create",
            Self::Load => "TPM2_Load",
            Self::Unseal => "TPM2_Unseal",
            Self::FlushContext => "TPM2_FlushContext",
            Self::LoadExternal => "TPM2_LoadExternal",
            Self::PolicyAuthorize => "TPM2_PolicyAuthorize",
            Self::ReadPublic => "TPM2_ReadPublic",
            Self::StartAuthSession => "TPM2_StartAuthSession",
            Self::VerifySignature => "TPM2_VerifySignature",
            Self::PolicyPcr => "TPM2_PolicyPCR",
            Self::PolicyGetDigest => "TPM2_PolicyGetDigest",
        }
    }
}

impl fmt::Display for CommandCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `TPM_RC`, without the number of the handle, session or parameter that a code of format one blames.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResponseCode(u32);

impl ResponseCode {
    /// The command was carried out.
    pub const SUCCESS: Self = Self(0);
    /// The TPM was not started up: the firmware's work.
    pub const INITIALIZE: Self = Self(0x100);
    /// The TPM is in failure mode.
    pub const FAILURE: Self = Self(0x101);
    /// A register changed between assertion and use.
    pub const PCR_CHANGED: Self = Self(0x128);
    /// Wrong HMAC, counted against dictionary attacks.
    pub const AUTH_FAIL: Self = Self(0x08e);
    /// Wrong HMAC, not counted.
    pub const BAD_AUTH: Self = Self(0x0a2);
    /// No such handle.
    pub const HANDLE: Self = Self(0x08b);
    /// A private area that was not made under this parent.
    pub const INTEGRITY: Self = Self(0x09f);
    /// A value that is out of range or not the one expected.
    pub const VALUE: Self = Self(0x084);
    /// A signature that does not verify.
    pub const SIGNATURE: Self = Self(0x09b);
    /// The policy is not satisfied.
    pub const POLICY_FAIL: Self = Self(0x09d);
    /// A binding to a public or private area that does not hold.
    pub const BINDING: Self = Self(0x0a5);
    /// The public point is not on its curve.
    pub const ECC_POINT: Self = Self(0x0a7);
    /// Structure of the wrong size.
    pub const SIZE: Self = Self(0x095);
    /// The TPM does not answer for a while, because of dictionary attacks.
    pub const LOCKOUT: Self = Self(0x921);
    /// Suspended: send it again.
    pub const YIELDED: Self = Self(0x908);
    /// Self-test is going on: send it again.
    pub const TESTING: Self = Self(0x90a);
    /// Its memory may not be written this often: send it again.
    pub const NV_RATE: Self = Self(0x920);
    /// Busy: send it again.
    pub const RETRY: Self = Self(0x922);
    /// No room for another object: someone did not flush.
    pub const OBJECT_MEMORY: Self = Self(0x902);
    /// No room for another session: someone did not flush.
    pub const SESSION_MEMORY: Self = Self(0x903);
    /// No such handle, of a handle that is a reference; the first of seven codes.
    const REFERENCE_H0: u32 = 0x910;
    /// Bit that tells format one from format zero.
    const FORMAT_ONE: u32 = 1 << 7;
    /// What format one means by itself: the rest says which handle, session or parameter is to blame.
    const FORMAT_ONE_MEANING: u32 = 0x0bf;

    /// Of a response's header.
    #[must_use]
    pub const fn of(raw: u32) -> Self {
        if raw & Self::FORMAT_ONE != 0 { Self(raw & Self::FORMAT_ONE_MEANING) } else { Self(raw) }
    }

    /// Whether the same command is worth sending again.
    #[must_use]
    pub fn is_worth_another_try(self) -> bool {
        [Self::YIELDED, Self::TESTING, Self::NV_RATE, Self::RETRY].contains(&self)
    }

    /// Whether a handle stands for nothing.
    #[must_use]
    pub fn is_no_such_handle(self) -> bool {
        self == Self::HANDLE || (Self::REFERENCE_H0..Self::REFERENCE_H0.saturating_add(7)).contains(&self.0)
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::SUCCESS => "TPM_RC_SUCCESS",
            Self::INITIALIZE => "TPM_RC_INITIALIZE",
            Self::FAILURE => "TPM_RC_FAILURE",
            Self::PCR_CHANGED => "TPM_RC_PCR_CHANGED",
            Self::AUTH_FAIL => "TPM_RC_AUTH_FAIL",
            Self::BAD_AUTH => "TPM_RC_BAD_AUTH",
            Self::HANDLE => "TPM_RC_HANDLE",
            Self::INTEGRITY => "TPM_RC_INTEGRITY",
            Self::VALUE => "TPM_RC_VALUE",
            Self::SIGNATURE => "TPM_RC_SIGNATURE",
            Self::POLICY_FAIL => "TPM_RC_POLICY_FAIL",
            Self::BINDING => "TPM_RC_BINDING",
            Self::ECC_POINT => "TPM_RC_ECC_POINT",
            Self::SIZE => "TPM_RC_SIZE",
            Self::LOCKOUT => "TPM_RC_LOCKOUT",
            Self::YIELDED => "TPM_RC_YIELDED",
            Self::TESTING => "TPM_RC_TESTING",
            Self::NV_RATE => "TPM_RC_NV_RATE",
            Self::RETRY => "TPM_RC_RETRY",
            Self::OBJECT_MEMORY => "TPM_RC_OBJECT_MEMORY",
            Self::SESSION_MEMORY => "TPM_RC_SESSION_MEMORY",
            Self(other) => return write!(f, "TPM_RC {other:#05x}"),
        };
        f.write_str(name)
    }
}

impl fmt::Debug for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
