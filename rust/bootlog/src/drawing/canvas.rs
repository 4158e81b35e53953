// SPDX-License-Identifier: MIT OR Apache-2.0
//! The few shapes of the picture, and its colours.

use svg::Document;
use svg::node::element::{Definitions, Group, Line, Pattern, Polygon, Rectangle, Style, Text, Title};

/// Pixels of a character of 12-pixel sans-serif text, on average; an estimate is all that a picture without fonts has.
const CHARACTER: f64 = 6.6;

/// Colours, first for light, then what differs in the dark; a shape has one of these classes. No variables: not every viewer
/// knows them.
const STYLE: &str = "
.ground { fill: #ffffff } .zoom { fill: #eef3f8 } .grid { stroke: #e0e6eb }
.kernel { fill: #aab7c4 } .stage { fill: #3f7fbf } .bad { fill: #c8443a } .wait { fill: url(#stripes) }
.tpm { fill: #4f9a6b; stroke: #ffffff; stroke-width: 0.5 } .stripe { fill: #d9a441 } .between { fill: #f3e2bf }
text { font: 12px system-ui, 'DejaVu Sans', sans-serif; font-variant-numeric: tabular-nums; fill: #1c2733 }
text.muted, text.tick { fill: #6b7885 } text.bad-text, text.bad-title { fill: #c8443a }
text.title, text.bad-title { font-size: 18px; font-weight: 600 } text.tick { font-size: 11px }
text.in-bar { fill: #ffffff; font-weight: 600 }
text.in-bar, text.tick { text-anchor: middle } text.label, text.before { text-anchor: end }
@media (prefers-color-scheme: dark) {
.ground { fill: #14191f } .zoom { fill: #1d252d } .grid { stroke: #2a323a }
.kernel { fill: #55626f } .stage { fill: #5b9bd8 } .bad { fill: #e0685e } .between { fill: #4a3d20 } .tpm { fill: #6dbb8b; stroke: #14191f }
text { fill: #e4e9ee } text.muted, text.tick { fill: #93a0ad } text.bad-text, text.bad-title { fill: #e0685e }
text.in-bar { fill: #0f1419 } }
";
/// How far the baseline of a text lies below its middle, in pixels.
const BASELINE: f64 = 4.2;

/// What a shape or text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Time of the kernel.
    Kernel,
    /// Time of a stage.
    Stage,
    /// A stage that refused something, or never ended.
    Bad,
    /// Waiting.
    Wait,
    /// A command of the TPM.
    Tpm,
    /// What leads from the strip to the lanes.
    Zoom,
    /// A line of the grid.
    Grid,
    /// A time of the axis.
    Tick,
    /// The heading.
    Title,
    /// The heading of a boot that failed.
    BadTitle,
    /// Ordinary text.
    Text,
    /// Text that is less important.
    Muted,
    /// Text about what was refused.
    BadText,
    /// Text in the middle of a bar.
    InBar,
    /// Text that ends where it is placed.
    Before,
}

impl Class {
    const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Stage => "stage",
            Self::Bad => "bad",
            Self::Wait => "wait",
            Self::Tpm => "tpm",
            Self::Zoom => "zoom",
            Self::Grid => "grid",
            Self::Tick => "tick",
            Self::Title => "title",
            Self::BadTitle => "bad-title",
            Self::Text => "text",
            Self::Muted => "muted",
            Self::BadText => "bad-text",
            Self::InBar => "in-bar",
            Self::Before => "before",
        }
    }
}

/// The picture so far.
pub struct Canvas(Document);

impl Canvas {
    /// An empty one.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let stripe = |width, class| Rectangle::new().set("width", width).set("height", 6).set("class", class);
        let stripes = Pattern::new()
            .set("id", "stripes")
            .set("width", 6)
            .set("height", 6)
            .set("patternUnits", "userSpaceOnUse")
            .set("patternTransform", "rotate(45)")
            .add(stripe(6, "between"))
            .add(stripe(3, "stripe"));
        let document = Document::new()
            .set("viewBox", (0, 0, width, height))
            .set("width", width)
            .set("height", height)
            .set("role", "img")
            .add(Title::new(title))
            .add(Style::new(STYLE))
            .add(Definitions::new().add(stripes))
            .add(Rectangle::new().set("width", width).set("height", height).set("class", "ground"));
        Self(document)
    }

    /// A bar with a tooltip, from its upper left corner.
    pub fn bar(&mut self, class: Class, (x, y): (f64, f64), (width, height): (f64, f64), tooltip: &str) {
        let bar = Rectangle::new()
            .set("x", x)
            .set("y", y)
            .set("width", width.max(0.0))
            .set("height", height)
            .set("rx", (width / 3.0).clamp(0.0, 3.0));
        self.add(Group::new().set("class", class.name()).add(Title::new(tooltip)).add(bar));
    }

    /// A closed shape.
    pub fn shape(&mut self, class: Class, corners: &[(f64, f64)]) {
        let points: Vec<String> = corners.iter().map(|(x, y)| format!("{x},{y}")).collect();
        self.add(Polygon::new().set("class", class.name()).set("points", points.join(" ")));
    }

    /// A line.
    pub fn line(&mut self, class: Class, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(Line::new().set("class", class.name()).set("x1", x1).set("y1", y1).set("x2", x2).set("y2", y2));
    }

    /// Text; `y` is its middle.
    pub fn text(&mut self, x: f64, y: f64, class: Class, text: &str) {
        self.add(Text::new(text).set("class", class.name()).set("x", x).set("y", y + BASELINE));
    }

    /// The name of a lane, left of it.
    pub fn label(&mut self, y: f64, text: &str) {
        self.add(Text::new(text).set("class", "label").set("x", super::LEFT - 12.0).set("y", y + BASELINE));
    }

    /// The file.
    pub fn finish(self) -> String {
        self.0.to_string()
    }

    fn add(&mut self, node: impl Into<Box<dyn svg::Node>>) {
        svg::Node::append(&mut self.0, node);
    }
}

/// About how wide a text is, in pixels.
pub fn width_of(text: &str) -> f64 {
    CHARACTER * f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX))
}

/// As much of a text as fits, with an ellipsis where it was cut; nothing where not even that fits.
pub fn shortened(text: &str, width: f64) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for character in text.chars() {
        short.push(character);
        if width_of(&short) + CHARACTER > width {
            short.pop();
            break;
        }
    }
    if short.is_empty() { short } else { format!("{}…", short.trim_end()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_to_the_room_there_is() {
        assert_eq!(shortened("abcdef", 6.0 * CHARACTER), "abcdef");
        assert_eq!(shortened("abcdef", 5.5 * CHARACTER), "abcd…");
        assert_eq!(shortened("abcdef", CHARACTER), "");
        assert_eq!(shortened("abcdef", -1.0), "");
    }
}
