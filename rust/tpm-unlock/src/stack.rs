// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a computation with secrets leaves on the stack: values that were moved, states of ciphers and hashes, registers that were
//! spilled. No type zeroes those when it is dropped.

use zeroize::Zeroize;

/// Bytes that are overwritten: several times what opening a volume takes.
const DEPTH: usize = 256 << 10;

/// Does `work`, and overwrites what it left on the stack. What it gives should be no secret.
pub fn scrubbed<T>(work: impl FnOnce() -> T) -> T {
    let result = below(work);
    overwrite();
    result
}

/// In a frame of its own, so that nothing of it is in one that lives on.
#[inline(never)]
fn below<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn overwrite() {
    let mut stack = [0_u8; DEPTH];
    stack.zeroize();
    core::hint::black_box(&stack);
}
