// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of stages that a person sees after a boot.

use std::fmt::Write as _;

use boot_record::boot_json::BootRecord;
use boot_record::stage::Stage;

/// The table `stage | start | took | what`, refused candidates below it. Times are the guest's, since its kernel started.
pub fn print(record: &BootRecord) -> String {
    let mut text = format!("{:<9} | {:>10} | {:>9} | what\n", "stage", "start", "took");
    let _ = writeln!(text, "{:-<9}-+-{:-<10}-+-{:-<9}-+-{:-<40}", "", "", "", "");
    for stage in &record.stages {
        let what = match facts(stage.stage, record) {
            Some(facts) if stage.detail.is_empty() => facts,
            Some(facts) => format!("{}; {facts}", stage.detail),
            None => stage.detail.to_string(),
        };
        let name = stage.stage.name();
        let _ = writeln!(text, "{name:<9} | {:>7} ms | {:>6} ms | {what}", milli(stage.start_us), milli(stage.took_us));
    }
    for refusal in &record.refused {
        let _ = writeln!(text, "refused: {}: {}: {}", refusal.reason, refusal.device, refusal.detail);
    }
    text
}

/// What the record knows besides the stage's own detail.
fn facts(stage: Stage, record: &BootRecord) -> Option<String> {
    let BootRecord { source, device, slot, version, signer, .. } = record;
    match stage {
        Stage::Select => {
            let slot = slot.as_ref().map(|slot| format!(" slot {slot}")).unwrap_or_default();
            Some(format!("source {source}{slot}, {device}, version {version}"))
        }
        Stage::Verify => {
            let development = if signer.development { ", a DEVELOPMENT key" } else { "" };
            Some(format!("signer \"{}\"{development}", signer.common_name))
        }
        Stage::Activate => Some(if record.overlay { "overlay on".into() } else { "overlay off".into() }),
        _ => None,
    }
}

/// Microseconds as milliseconds with one digit behind the point.
fn milli(microseconds: u64) -> String {
    format!("{}.{}", microseconds / 1000, microseconds % 1000 / 100)
}
