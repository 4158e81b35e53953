// SPDX-License-Identifier: MIT OR Apache-2.0
//! A boot as a picture (SVG): above, how kernel and storage-init share the time; below, storage-init's own time with a lane
//! for each stage, one for waits and one for the TPM.
//!
//! * Self-contained: no script, no font, no link. Light and dark after the viewer's preference.
//! * Every bar has its exact times and detail as a tooltip.
//! * Texts that come from devices and images are escaped, and their control characters replaced.

mod axis;
mod canvas;

use boot_record::event::Plain;
use boot_record::stage::Stage;

use crate::entry::Decoded;
use crate::report::{KERNEL, milliseconds, what};
use crate::timeline::{Outcome, Timeline};
use axis::Axis;
use canvas::{Canvas, Class};

/// Width of the picture, and where the bars lie in it, in pixels.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 104.0;
const RIGHT: f64 = WIDTH - 28.0;
/// The strip that kernel and storage-init share.
const STRIP_TOP: f64 = 78.0;
const STRIP_HEIGHT: f64 = 26.0;
/// The lanes below it: room for the ticks of their axis, then one after the other.
const LANES_TOP: f64 = 158.0;
const LANE: f64 = 28.0;
const BAR: f64 = 18.0;
/// A line of text below the lanes.
const NOTE: f64 = 20.0;
/// Space between a bar and its label.
const GAP: f64 = 6.0;
/// No bar is thinner: it would not be seen.
const THINNEST: f64 = 1.5;

/// Draws a boot.
#[must_use]
pub fn draw(timeline: &Timeline, decoded: &Decoded) -> String {
    let lanes = lanes(timeline);
    let lanes_bottom = LANES_TOP + LANE * lane_number(lanes.len().saturating_add(2));
    let notes = notes(timeline, decoded);
    let height = lanes_bottom + 28.0 + NOTE * lane_number(notes.len());
    let mut canvas = Canvas::new(WIDTH, height, &title(timeline));

    header(&mut canvas, timeline);
    let own = Axis::new(timeline.start_us, timeline.end_us, LEFT, RIGHT);
    strip(&mut canvas, timeline);
    grid(&mut canvas, &own, lanes_bottom);
    for (number, stage) in lanes.iter().enumerate() {
        stage_lane(&mut canvas, timeline, &own, *stage, LANES_TOP + LANE * lane_number(number));
    }
    let waits_top = LANES_TOP + LANE * lane_number(lanes.len());
    wait_lane(&mut canvas, timeline, &own, waits_top);
    tpm_lane(&mut canvas, timeline, &own, waits_top + LANE);
    for (number, (class, note)) in notes.iter().enumerate() {
        canvas.text(LEFT, lanes_bottom + 30.0 + NOTE * lane_number(number), *class, &Plain(note).to_string());
    }
    canvas.finish()
}

fn title(timeline: &Timeline) -> String {
    let total = milliseconds(timeline.end_us);
    match &timeline.outcome {
        Outcome::HandedOver { version, .. } => format!("Booted version {} in {total}", Plain(version)),
        Outcome::Failed { reason, .. } => format!("Boot failed after {total}: {reason}"),
        Outcome::Unfinished { .. } => format!("Boot cut short after {total}"),
    }
}

fn header(canvas: &mut Canvas, timeline: &Timeline) {
    let class = if timeline.outcome.is_handed_over() { Class::Title } else { Class::BadTitle };
    canvas.text(24.0, 34.0, class, &title(timeline));
    let subtitle = timeline.outcome.to_string();
    canvas.text(24.0, 58.0, Class::Muted, &canvas::shortened(&subtitle, WIDTH - 48.0));
}

/// Kernel and storage-init beside each other, and where the latter is seen in large below.
fn strip(canvas: &mut Canvas, timeline: &Timeline) {
    let all = Axis::new(0, timeline.end_us, LEFT, RIGHT);
    let bottom = STRIP_TOP + STRIP_HEIGHT;
    canvas.label(STRIP_TOP + STRIP_HEIGHT / 2.0, "time");
    for (class, name, start_us, end_us) in [
        (Class::Kernel, KERNEL, 0, timeline.start_us),
        (Class::Stage, "storage-init", timeline.start_us, timeline.end_us),
    ] {
        let (left, right) = (all.x(start_us), all.x(end_us));
        let took = milliseconds(end_us.saturating_sub(start_us));
        canvas.bar(class, (left, STRIP_TOP), (right - left, STRIP_HEIGHT), &format!("{name}: {took}"));
        let text = format!("{name} {took}");
        if canvas::width_of(&text) + 2.0 * GAP < right - left {
            canvas.text((left + right) / 2.0, STRIP_TOP + STRIP_HEIGHT / 2.0, Class::InBar, &text);
        }
    }
    let (left, right) = (all.x(timeline.start_us), all.x(timeline.end_us));
    canvas.shape(Class::Zoom, &[(left, bottom), (right, bottom), (RIGHT, LANES_TOP - 28.0), (LEFT, LANES_TOP - 28.0)]);
}

fn grid(canvas: &mut Canvas, axis: &Axis, bottom: f64) {
    for (us, text) in axis.ticks() {
        let x = axis.x(us);
        canvas.line(Class::Grid, (x, LANES_TOP - 8.0), (x, bottom));
        canvas.text(x, LANES_TOP - 14.0, Class::Tick, &text);
    }
}

/// The stages that this boot entered, in the order in which it first did.
fn lanes(timeline: &Timeline) -> Vec<Stage> {
    let mut lanes = Vec::new();
    for span in &timeline.stages {
        if !lanes.contains(&span.stage) {
            lanes.push(span.stage);
        }
    }
    lanes
}

fn stage_lane(canvas: &mut Canvas, timeline: &Timeline, axis: &Axis, stage: Stage, top: f64) {
    let middle = top + LANE / 2.0;
    canvas.label(middle, stage.name());
    let spans: Vec<_> = timeline.stages.iter().filter(|span| span.stage == stage).collect();
    for (number, span) in spans.iter().enumerate() {
        let end_us = span.end_us.unwrap_or(timeline.end_us);
        let class = match (span.end_us, span.refused) {
            (Some(_), None) => Class::Stage,
            _ => Class::Bad,
        };
        let took = milliseconds(end_us.saturating_sub(span.start_us));
        let said = Plain(&what(span)).to_string();
        let (left, right) = (axis.x(span.start_us), axis.x(end_us).max(axis.x(span.start_us) + THINNEST));
        let tooltip =
            format!("{stage}: {took}, from {} to {}\n{said}", milliseconds(span.start_us), milliseconds(end_us));
        canvas.bar(class, (left, middle - BAR / 2.0), (right - left, BAR), &tooltip);
        // Of several, the last has the label: it is the candidate that booted.
        if number.saturating_add(1) == spans.len() {
            label_beside(canvas, (left, right), middle, &took, &said);
        }
    }
}

/// The duration, and as much of the detail as there is room for: right of the bar, or left of it where that is full.
fn label_beside(canvas: &mut Canvas, (left, right): (f64, f64), middle: f64, took: &str, said: &str) {
    let took_width = canvas::width_of(took);
    if right + GAP + took_width > RIGHT {
        canvas.text(left - GAP, middle, Class::Before, took);
        return;
    }
    canvas.text(right + GAP, middle, Class::Text, took);
    let detail = right + 2.0 * GAP + took_width;
    canvas.text(detail, middle, Class::Muted, &canvas::shortened(said, RIGHT - detail));
}

fn wait_lane(canvas: &mut Canvas, timeline: &Timeline, axis: &Axis, top: f64) {
    let middle = top + LANE / 2.0;
    canvas.label(middle, "wait");
    if timeline.waits.is_empty() {
        canvas.text(LEFT + GAP, middle, Class::Muted, "nothing had to be waited for");
    }
    for wait in &timeline.waits {
        let end_us = wait.end_us.unwrap_or(timeline.end_us);
        let (left, right) = (axis.x(wait.start_us), axis.x(end_us).max(axis.x(wait.start_us) + THINNEST));
        let took = milliseconds(end_us.saturating_sub(wait.start_us));
        let said = format!("for {}", Plain(&wait.what));
        canvas.bar(Class::Wait, (left, middle - BAR / 2.0), (right - left, BAR), &format!("waited {took} {said}"));
        label_beside(canvas, (left, right), middle, &took, &said);
    }
}

/// One bar for each command; their number and time behind the last, or before the first.
fn tpm_lane(canvas: &mut Canvas, timeline: &Timeline, axis: &Axis, top: f64) {
    let middle = top + LANE / 2.0;
    canvas.label(middle, "TPM");
    let (Some(first), Some(last)) = (timeline.tpm.first(), timeline.tpm.last()) else {
        canvas.text(LEFT + GAP, middle, Class::Muted, "no commands");
        return;
    };
    let mut busy_us = 0_u64;
    for command in &timeline.tpm {
        let took_us = command.end_us.saturating_sub(command.start_us);
        busy_us = busy_us.saturating_add(took_us);
        let class = if command.is_done() { Class::Tpm } else { Class::Bad };
        let left = axis.x(command.start_us);
        let width = (axis.x(command.end_us) - left).max(THINNEST);
        let tooltip = format!("{}: {}", Plain(&command.to_string()), milliseconds(took_us));
        canvas.bar(class, (left, middle - BAR / 2.0), (width, BAR), &tooltip);
    }
    let said = format!("{} commands, {}", timeline.tpm.len(), milliseconds(busy_us));
    let right = axis.x(last.end_us).max(axis.x(last.start_us) + THINNEST);
    if right + GAP + canvas::width_of(&said) > RIGHT {
        canvas.text(axis.x(first.start_us) - GAP, middle, Class::Before, &said);
    } else {
        canvas.text(right + GAP, middle, Class::Text, &said);
    }
}

/// What is not a span: refusals, and what the log lacks.
fn notes(timeline: &Timeline, decoded: &Decoded) -> Vec<(Class, String)> {
    let shorten = |text: String| canvas::shortened(&text, RIGHT - LEFT);
    let mut notes: Vec<_> = timeline
        .marks
        .iter()
        .map(|mark| (Class::BadText, shorten(format!("{}  {}", milliseconds(mark.at_us), mark.text))))
        .collect();
    if decoded.header.lost > 0 {
        notes.push((Class::BadText, format!("the log had no room for its first {} events", decoded.header.lost)));
    }
    if !decoded.broken.is_empty() {
        notes.push((Class::BadText, format!("{} frames of the log are broken", decoded.broken.len())));
    }
    notes.push((Class::Muted, format!("build {}", decoded.header.build_id)));
    notes
}

/// A count of lanes or lines, for a position.
fn lane_number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
