// SPDX-License-Identifier: MIT OR Apache-2.0
//! Properties: no bytes make a parser panic, and what is written is read as it was.

use crate::boot_json::record;
use crate::config::REQUIRED;
use boot_record::boot_json::BootRecord;
use boot_record::{cmdline, config, modules};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..1024)) {
        let _ = config::parse(&bytes);
        let _ = BootRecord::from_json(&bytes);
        let _ = modules::parse(&bytes);
        let line = String::from_utf8_lossy(&bytes);
        let config = config::parse(REQUIRED.as_bytes()).unwrap();
        let _ = cmdline::first_not_allowed(&config, &line);
        let _ = config.allows_device(&line);
    }

    #[test]
    fn no_line_makes_the_parser_of_configurations_panic(line in "[ a-z*=/0-9#-]{0,60}") {
        for key in config::Key::ALL {
            let _ = config::parse(format!("{REQUIRED}{key} = {line}\n{line}").as_bytes());
        }
    }

    /// Nothing of the command line gets lost between two words.
    #[test]
    fn words_are_the_whole_line(line in "[a-c=\" \t-]{0,40}") {
        let mut rest = line.as_str();
        for word in cmdline::words(&line) {
            rest = rest.trim_start().strip_prefix(word.raw).unwrap();
        }
        prop_assert_eq!(rest.trim_start(), "");
    }

    /// Splitting at every space that is not between quotes, the slow way.
    #[test]
    fn a_word_ends_at_the_first_space_outside_quotes(line in "[a-c=\" ]{0,40}") {
        let mut words = vec![String::new()];
        let mut quotes = 0;
        for c in line.chars() {
            quotes += usize::from(c == '"');
            if c == ' ' && quotes % 2 == 0 {
                words.push(String::new());
                quotes = 0;
            } else {
                words.last_mut().unwrap().push(c);
            }
        }
        words.retain(|word| !word.is_empty());
        prop_assert_eq!(cmdline::words(&line).map(|word| word.raw.to_owned()).collect::<Vec<_>>(), words);
    }

    #[test]
    fn texts_of_a_record_come_back(detail in "\\PC{0,40}|[\\x00-\\x1f\"\\\\]{0,30}", device in "[ -~]{0,160}") {
        let mut record = record();
        record.refused[0].detail = detail.as_str().try_into().unwrap();
        record.device = device.as_str().try_into().unwrap();
        prop_assert_eq!(BootRecord::from_json(&record.to_json().unwrap()).unwrap(), record);
    }

    #[test]
    fn a_pattern_without_stars_is_the_path(path in "/[a-c/]{0,8}", other in "/[a-c/]{0,8}") {
        let text = REQUIRED.replace("/devices/*/block/vd*", &path);
        let config = config::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(config.allows_device(&other), path == other);
    }
}
