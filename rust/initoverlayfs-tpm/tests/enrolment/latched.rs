// SPDX-License-Identifier: MIT OR Apache-2.0
//! The register extended once more, by what the running system has.

use initoverlayfs_tpm::latch;
use tpm_policy::event::LATCH;
use tpm_policy::{Bank, PcrMask, pcr};
use tpm_unlock::measure_log;

use crate::desk::{Desk, literal};
use crate::machine::{Machine, tpm};
use crate::owner::read_pcrs;

#[test]
fn nothing_opens_after_the_latch_and_every_bank_has_it() {
    let mut machine = Machine::start();
    let mut desk = Desk::of(&mut machine);
    desk.enroll(&literal("11+13")).unwrap();
    desk.opens(None);
    let banks = [Bank::Sha1, Bank::Sha256];
    // A log that nothing can be written to, which does not keep the register from being extended.
    let log = Err(measure_log::Error::Aborted);
    let latched = latch::extend(&mut tpm(&mut desk.wire), 13, &banks, log).unwrap();
    assert_eq!(latched.to_string(), "register 13: latched, banks sha1 sha256, not in systemd's log");
    for bank in banks {
        let value = read_pcrs(&mut desk.wire, bank, PcrMask::of(&[13]).unwrap());
        assert_eq!(value, [pcr::after(bank, [LATCH.as_bytes()])]);
    }
    assert_eq!(desk.shut(None), "token 0: the registers are not as the policy wants them");
}
