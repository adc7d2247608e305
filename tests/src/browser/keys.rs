//! What keys are called, and what the browser is told when one is pressed.

use serde_json::{Value, json};

/// A key with those that are held: `Tab`, `Shift+Tab`, `Control+k`, `?`.
pub(super) fn pressed(name: &str) -> (Value, Value) {
    let (held, key) = match name.rsplit_once('+') {
        Some((held, key)) if !key.is_empty() => (held, key),
        _ => ("", name),
    };
    let bits = [("Alt", 1), ("Control", 2), ("Meta", 4), ("Shift", 8)];
    let modifiers: u64 =
        bits.iter().filter(|(name, _)| held.split('+').any(|one| one == *name)).map(|(_, bit)| bit).sum();
    let (code, number) = number_of(key);
    let mut down = json!({
        "type": "rawKeyDown", "key": key, "code": code, "modifiers": modifiers, "windowsVirtualKeyCode": number,
    });
    let text = if key == "Enter" { "\r" } else { key };
    let writes = !held.split('+').any(|one| ["Alt", "Control", "Meta"].contains(&one));
    if writes && text.chars().count() == 1 {
        down["type"] = "keyDown".into();
        down["text"] = text.into();
    }
    let mut up = down.clone();
    up["type"] = "keyUp".into();
    (down, up)
}

/// The place of a key on the keyboard, and its old number.
fn number_of(key: &str) -> (String, u32) {
    let known = [
        ("Backspace", 8),
        ("Tab", 9),
        ("Enter", 13),
        ("Escape", 27),
        ("PageUp", 33),
        ("PageDown", 34),
        ("End", 35),
        ("Home", 36),
        ("ArrowLeft", 37),
        ("ArrowUp", 38),
        ("ArrowRight", 39),
        ("ArrowDown", 40),
        ("Delete", 46),
    ];
    if let Some((_, number)) = known.iter().find(|(name, _)| *name == key) {
        return (key.to_owned(), *number);
    }
    let letter = key.chars().next().unwrap_or(' ').to_ascii_uppercase();
    let code = match letter {
        ' ' => "Space".to_owned(),
        'A'..='Z' => format!("Key{letter}"),
        '0'..='9' => format!("Digit{letter}"),
        '?' | '/' => "Slash".to_owned(),
        _ => String::new(),
    };
    (code, if letter == '?' { 191 } else { u32::from(letter) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_write_their_letter_unless_others_are_held() {
        assert_eq!((pressed("?").0["text"].clone(), pressed("?").0["type"].clone()), ("?".into(), "keyDown".into()));
        assert_eq!(pressed("Enter").0["text"], "\r");
        let (search, _) = pressed("Control+k");
        assert_eq!((&search["modifiers"], &search["code"], &search["text"]), (&2.into(), &"KeyK".into(), &Value::Null));
        assert_eq!((&pressed("Shift+Tab").0["modifiers"], &pressed("+").0["key"]), (&8.into(), &"+".into()));
    }
}
