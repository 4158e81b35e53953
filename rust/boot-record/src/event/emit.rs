// SPDX-License-Identifier: MIT OR Apache-2.0
//! An event as one defmt frame.
//!
//! The frame holds an index into the string table, the time and the values; the words below never reach the target. A format
//! is `NAME KEY={...} ...`, which is what [`super::fields`] reads: names of stages and reasons are sent as text, so that a
//! reader that has other stages or reasons than the writer takes none for another.
//!
//! `println!`, not `info!`: defmt drops what has a level unless the environment of the build (`DEFMT_LOG`) asks for it.

use super::Event;

impl Event<'_> {
    /// Puts the event into the log of this program: whatever `#[defmt::global_logger]` it has.
    pub fn emit(&self) {
        match *self {
            Self::StageBegan { stage } => defmt::println!("stage-began stage={=str}", stage.name()),
            Self::StageEnded { stage, detail } => {
                defmt::println!("stage-ended stage={=str} detail={=str}", stage.name(), detail);
            }
            Self::Waiting { what, at_most_ms } => {
                defmt::println!("waiting what={=str} at_most_ms={=u64}", what, at_most_ms);
            }
            Self::WaitEnded { what } => defmt::println!("wait-ended what={=str}", what),
            Self::BackupTable { device } => defmt::println!("backup-table device={=str}", device),
            Self::Refused { device, reason, detail } => {
                defmt::println!("refused device={=str} reason={=str} detail={=str}", device, reason.name(), detail);
            }
            Self::NotMeasured { reason, detail } => {
                defmt::println!("not-measured reason={=str} detail={=str}", reason.name(), detail);
            }
            Self::TpmCommand { command, answer, start_us, took_us } => defmt::println!(
                "tpm-command command={=str} answer={=str} start_us={=u64} took_us={=u64}",
                command,
                answer,
                start_us,
                took_us
            ),
            Self::Condemned { device } => defmt::println!("condemned device={=str}", device),
            Self::HandOver { init, device, version, signer, development } => defmt::println!(
                "hand-over init={=str} device={=str} version={=str} signer={=str} development={=bool}",
                init,
                device,
                version,
                signer,
                development
            ),
            Self::Failed { reason, device, detail } => {
                defmt::println!("failed reason={=str} device={=str} detail={=str}", reason.name(), device, detail);
            }
        }
    }
}
