//! Texts that want to be more than one line.

use serde_json::{Value, json};

use super::{MAX_TEXT_BYTES, append};

fn line(text: &str) -> String {
    let mut bytes = Vec::new();
    append(&mut bytes, &json!({ "text": text })).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn hostile_texts_stay_one_line_of_harmless_characters_and_read_back_the_same() {
    for text in [
        "\n{\"user\":\"root\"}\r\n",
        "\u{1b}[31mred\u{1b}[0m\u{7}",
        "\u{9b}31m\u{7f}\u{85}",
        "\u{2028}\u{2029}",
        "\u{202e}gnp.exe\u{2066}\u{200f}",
        "\0\u{feff}\u{e0041}",
        "quotes \" and \\ stay",
        "Grüße, 你好 🦀",
    ] {
        let inside = line(text);
        assert!(!inside.chars().any(|char| char.is_control() || super::is_unsafe(char)), "{inside:?}");
        assert_eq!(serde_json::from_str::<Value>(&inside).unwrap()["text"], text);
    }
    assert_eq!(line("\u{1b}\u{9b}\u{e0041}ü"), "{\"text\":\"\\u001b\\u009b\\udb40\\udc41ü\"}");
}

#[test]
fn long_texts_are_cut_at_a_character_and_say_so() {
    let check = |text: &str, kept: usize| {
        let value: Value = serde_json::from_str(&line(text)).unwrap();
        let expected = match text.len() - kept {
            0 => text.to_owned(),
            left_out => format!("{}…(+{left_out} bytes)", text.split_at(kept).0),
        };
        assert_eq!(value["text"], expected);
    };
    check(&"a".repeat(MAX_TEXT_BYTES), MAX_TEXT_BYTES);
    check(&"a".repeat(MAX_TEXT_BYTES + 1), MAX_TEXT_BYTES);
    check(&format!("{}🦀b", "a".repeat(MAX_TEXT_BYTES - 1)), MAX_TEXT_BYTES - 1);
    // Escapes count, too, and nothing follows what was left out.
    check(&"\n".repeat(100_000), MAX_TEXT_BYTES);
    check(&format!("{}\n{}", "ü".repeat(MAX_TEXT_BYTES), "\"end"), MAX_TEXT_BYTES);
}

#[test]
fn the_bound_is_for_each_text() {
    let mut bytes = Vec::new();
    let long = "a".repeat(MAX_TEXT_BYTES);
    append(&mut bytes, &json!([long, long])).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), json!([long, long]));
}

proptest::proptest! {
    #[test]
    fn any_short_text_reads_back_the_same_from_one_line(text in ".{0,200}|[\\x00-\\u{2100}]{0,200}") {
        let line = line(&text);
        proptest::prop_assert_eq!(line.matches('\n').count(), 0);
        proptest::prop_assert_eq!(&serde_json::from_str::<Value>(&line).unwrap()["text"], &text);
    }
}
